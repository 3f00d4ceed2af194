"""Values of secrets that the host keeps, for guests that need them: asked of the service that has the secrets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, TypeAlias

from virt_qemu.parts import parts_of
from virtcore.driver.toolkit.secrets import secret_value
from virtcore.errors import NoSecret
from virtcore.model.storage.secret import SecretReference

if TYPE_CHECKING:
    from virtcore.driver.composition import PlaceServices

__all__ = ["Lookup", "references_in", "secret_values"]

#: The value of a secret.
Lookup: TypeAlias = Callable[[SecretReference], bytes]


def references_in(element: object) -> Iterator[SecretReference]:
    """Every secret that an element of a document names, however deep."""
    return parts_of(element, SecretReference)


async def secret_values(services: PlaceServices, references: Iterable[SecretReference]) -> Lookup:
    """Get the values of secrets, those that are nobody's to read included.

    :param services: where the secrets are.
    :raises NoSecret: there is no such secret, or it has no value.
    """
    values = {_key(reference): await secret_value(services, reference) for reference in references}

    def lookup(reference: SecretReference) -> bytes:
        try:
            return values[_key(reference)]
        except KeyError:
            raise NoSecret(f"no secret with matching uuid '{reference.uuid}'") from None

    return lookup


def _key(reference: SecretReference) -> tuple[str | None, str | None, str | None]:
    return reference.type, reference.uuid, reference.usage
