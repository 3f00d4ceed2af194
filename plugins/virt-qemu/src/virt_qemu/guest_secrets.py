"""The part of the driver's state that knows what opens images: the host's secrets, and its certificates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from virt_qemu.block.tls import key_secrets
from virt_qemu.host_secrets import Lookup, references_in, secret_values
from virt_qemu.recovery import GuestRecovery

if TYPE_CHECKING:
    from virt_qemu.block.tls import ImageTLS
    from virtcore.model.storage.source import NetProtocol

__all__ = ["SecretsState"]


class SecretsState(GuestRecovery):
    """Secrets for guests that run."""

    @property
    def image_tls(self) -> Mapping[NetProtocol, ImageTLS]:
        """Hook: how the host reaches servers of images."""
        raise NotImplementedError

    async def secrets_for(self, *elements: object) -> Lookup:
        """The values of the secrets that elements of documents name, and of those that certificates for them need.

        :raises NoSecret: there is no such secret, or it has no value.
        """
        wanted = [each for one in elements for each in (*references_in(one), *key_secrets(one, self.image_tls))]
        return await secret_values(self.host_side.services, wanted)
