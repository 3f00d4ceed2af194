"""Values of secrets that the host keeps, for guests that need them: asked of the service that has the secrets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, TypeAlias

from virt_qemu.parts import parts_of
from virtcore.enums.secret import SecretUsageType
from virtcore.errors import InternalError, NoSecret
from virtcore.model.storage.secret import SecretReference

if TYPE_CHECKING:
    from virtcore.driver.composition import PlaceServices

__all__ = ["Lookup", "references_in", "secret_values"]

#: The value of a secret.
Lookup: TypeAlias = Callable[[SecretReference], bytes]

_USAGES = {
    "passphrase": SecretUsageType.VOLUME,
    "volume": SecretUsageType.VOLUME,
    "ceph": SecretUsageType.CEPH,
    "iscsi": SecretUsageType.ISCSI,
    "tls": SecretUsageType.TLS,
    "vtpm": SecretUsageType.VTPM,
}


def references_in(element: object) -> Iterator[SecretReference]:
    """Every secret that an element of a document names, however deep."""
    return parts_of(element, SecretReference)


async def secret_values(services: PlaceServices, references: Iterable[SecretReference]) -> Lookup:
    """Get the values of secrets, those that are nobody's to read included.

    :param services: where the secrets are.
    :raises NoSecret: there is no such secret, or it has no value.
    """
    values: dict[tuple[str | None, str | None, str | None], bytes] = {}
    for reference in references:
        service = await services.open("secret")
        values[_key(reference)] = _value(service, reference)

    def lookup(reference: SecretReference) -> bytes:
        try:
            return values[_key(reference)]
        except KeyError:
            raise NoSecret(f"no secret with matching uuid '{reference.uuid}'") from None

    return lookup


def _key(reference: SecretReference) -> tuple[str | None, str | None, str | None]:
    return reference.type, reference.uuid, reference.usage


def _value(service: object, reference: SecretReference) -> bytes:
    from virtcore.driver.toolkit.secrets import StatefulSecrets

    if not isinstance(service, StatefulSecrets):
        raise InternalError("the host's secrets cannot be read")
    if reference.uuid is not None:
        found = service.secrets.get(reference.uuid)
    else:
        usage = _USAGES.get(reference.type or "", SecretUsageType.NONE)
        known = service.secrets.find_usage(usage, reference.usage or "")
        if known is None:
            raise NoSecret(f"no secret with matching usage '{reference.usage}'")
        found = known
    if found.value is None:
        raise NoSecret(f"secret '{found.ref.uuid}' does not have a value")
    return found.value
