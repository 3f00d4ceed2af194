"""The objects an image's nodes refer to: helpers for reservations, and secrets, sealed with the guest's own key."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from virt_qemu.block.storage import Props, cookie_text
from virt_qemu.block.tls import ImageTLS, tls_credentials
from virtcore.errors import ConfigUnsupported, InternalError
from virtcore.model.storage.secret import SecretReference
from virtcore.model.storage.source import NetProtocol, NetworkSource

if TYPE_CHECKING:
    from virt_qemu.block.image import Image

__all__ = ["image_objects"]


def image_objects(
    image: Image,
    lookup: Callable[[SecretReference], bytes],
    sealed: Callable[[str, bytes], Props],
    tls: Mapping[NetProtocol, ImageTLS],
) -> list[Props]:
    """What ``-object`` and ``object-add`` have to be told before the nodes of one image can be made.

    :param lookup: the value of a secret the host keeps.
    :param sealed: a secret object of an id and a value (:func:`virt_qemu.sealing.secret_object`).
    :param tls: how the host reaches servers.
    :raises InternalError: an image's server is to be told a secret, and none is named.
    :raises ConfigUnsupported: the transport is to be encrypted, and cannot.
    """
    found: list[Props] = []
    wanted = image.source.reservations
    if wanted is not None and not wanted.managed:
        path = wanted.source.path if wanted.source is not None else None
        found.append({"qom-type": "pr-manager-helper", "id": image.reservations, "path": path})
    if image.auth is not None and image.auth_secret is not None:
        if image.auth.secret is None:
            raise InternalError("authentication without a secret")
        found.append(sealed(image.auth_secret, lookup(image.auth.secret)))
    if isinstance(image.source, NetworkSource) and image.cookie_secret is not None:
        found.append(sealed(image.cookie_secret, cookie_text(image.source).encode()))
    if image.encryption is not None:
        for name, reference in zip(image.encryption_secrets, image.encryption.secrets, strict=True):
            found.append(sealed(name, lookup(reference)))
    if isinstance(image.source, NetworkSource) and image.tls is not None:
        found += _certificates(image, image.source, lookup, sealed, tls)
    return found


def _certificates(
    image: Image,
    source: NetworkSource,
    lookup: Callable[[SecretReference], bytes],
    sealed: Callable[[str, bytes], Props],
    tls: Mapping[NetProtocol, ImageTLS],
) -> list[Props]:
    known = tls.get(source.protocol) if source.protocol is not None else None
    if known is None or image.tls is None:
        raise ConfigUnsupported(f"TLS transport is not supported for disk protocol '{source.protocol}'")
    found = []
    if image.tls_secret is not None and known.secret is not None:
        found.append(sealed(image.tls_secret, lookup(SecretReference(type="tls", uuid=known.secret))))
    return [*found, tls_credentials(image.tls, known.folder, password=image.tls_secret)]
