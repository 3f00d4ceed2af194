"""The firmware of guests that ask for some without naming it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from virtcore.errors import ConfigUnsupported
from virtcore.model.domain.os import Loader, LoaderType
from virtcore.model.storage.source import StorageFormat

if TYPE_CHECKING:
    from virtcore.model.domain.domain import Domain

__all__ = ["FIRMWARE_FOLDER", "choose_firmware"]

FIRMWARE_FOLDER = "/usr/local/share/uefi-firmware"
"""Where FreeBSD's packages put firmware images."""

_PREFERRED = "BHYVE_UEFI.fd"


def choose_firmware(domain: Domain, folder: str, images: Iterable[str]) -> None:
    """Give a domain with ``<os firmware=…>`` an image; others stay as they are.

    :param folder: the folder of the images.
    :param images: names in the folder, in its own order.
    :raises ConfigUnsupported: there is none, or the domain wants a format that none has.
    """
    if domain.os is None or domain.os.firmware is None:
        return
    found = [name for name in images if not name.startswith(".")]
    if not found:
        raise ConfigUnsupported(f"no firmwares found in {folder}")
    loader = domain.os.loader = domain.os.loader or Loader()
    loader.format = loader.format or StorageFormat.RAW
    if loader.format is not StorageFormat.RAW:
        raise ConfigUnsupported(f"Unsupported loader format '{loader.format}'")
    loader.type, loader.readonly = LoaderType.PFLASH, True
    loader.path = f"{folder}/{_PREFERRED if _PREFERRED in found else found[0]}"
