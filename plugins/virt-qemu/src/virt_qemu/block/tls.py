"""Whether what goes over the network to an image's server is encrypted, and with which certificates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from virt_qemu.parts import parts_of
from virt_qemu.private_data import KEY_SECRET, QemuSecret, SourcePrivate
from virtcore.errors import ConfigUnsupported
from virtcore.model.storage.secret import SecretReference
from virtcore.model.storage.source import NetProtocol, NetworkSource

if TYPE_CHECKING:
    from virt_qemu.block.storage import Props
    from virtcore.model.storage.source import Source

__all__ = ["ImageTLS", "key_secrets", "name_credentials", "network_sources", "settle_image_tls", "tls_credentials"]


class ImageTLS(NamedTuple):
    """How the host reaches servers of a protocol.

    :ivar wanted: encrypted, unless an image says otherwise.
    :ivar folder: of the certificates.
    :ivar secret: UUID of the secret that opens their key, if it is locked.
    """

    wanted: bool
    folder: str
    secret: str | None = None


def network_sources(element: object) -> Iterator[NetworkSource]:
    """Every image on the network that an element of a document has, however deep."""
    return parts_of(element, NetworkSource)


def settle_image_tls(element: object, host: Mapping[NetProtocol, ImageTLS]) -> None:
    """Decide what images leave to the host's settings.

    :param element: a disk, or whatever has images.
    :raises ConfigUnsupported: an image wants it, and its protocol cannot.
    """
    for source in network_sources(element):
        known = host.get(source.protocol) if source.protocol is not None else None
        if known is None:
            if source.tls:
                raise ConfigUnsupported(f"TLS transport is not supported for disk protocol '{source.protocol}'")
        elif source.tls is None:
            source.tls, source.tls_from_config = known.wanted, 1


def key_secrets(element: object, host: Mapping[NetProtocol, ImageTLS]) -> Iterator[SecretReference]:
    """The secrets that open the keys of an element's images' certificates."""
    if not any(each.secret for each in host.values()):
        return
    for source in network_sources(element):
        known = host.get(source.protocol) if source.tls and source.protocol is not None else None
        if known is not None and known.secret is not None:
            yield SecretReference(type="tls", uuid=known.secret)


def name_credentials(source: Source, number: int, host: Mapping[NetProtocol, ImageTLS]) -> None:
    """Name the objects with an image's certificates, by the number its nodes are named by."""
    if not isinstance(source, NetworkSource) or not source.tls or source.protocol is None:
        return
    node, known = f"libvirt-{number}-storage", host.get(source.protocol)
    private = source.private_data if isinstance(source.private_data, SourcePrivate) else SourcePrivate()
    private.tls = f"obj{node}_tls0"
    private.secrets = [each for each in private.secrets if each.type != KEY_SECRET]
    if known is not None and known.secret is not None:
        private.secrets.append(QemuSecret(type=KEY_SECRET, alias=f"{node}-secret0"))
    source.private_data = private


def tls_credentials(
    name: str, folder: str, *, server: bool = False, verify: bool = True, password: str | None = None
) -> Props:
    """The object with certificates. A client always looks who it talks to.

    :param name: its id.
    :param password: id of the secret that opens their key.
    """
    props: Props = {
        "qom-type": "tls-creds-x509",
        "id": name,
        "dir": folder,
        "endpoint": "server" if server else "client",
        "verify-peer": verify,
        "passwordid": password,
    }
    return {key: value for key, value in props.items() if value is not None}
