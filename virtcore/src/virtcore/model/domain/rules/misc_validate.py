"""Validation of filesystems, sockets, shared memory, IOMMU, TPM and crash stores that is the same for every driver.

Errors name places below the device; who iterates completes them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtcore.errors import ConfigUnsupported, NoTarget, XMLError
from virtcore.model.domain.rules.disk_validate import refuse_virtio_options

if TYPE_CHECKING:
    from virtcore.model.domain.domain import Domain
    from virtcore.model.domain.filesystem import Filesystem
    from virtcore.model.domain.iommu import IOMMU
    from virtcore.model.domain.pstore import Pstore
    from virtcore.model.domain.shmem import Shmem
    from virtcore.model.domain.tpm import TPM
    from virtcore.model.domain.vsock import Vsock

__all__ = [
    "validate_filesystem",
    "validate_iommu_device",
    "validate_pstore",
    "validate_shmem",
    "validate_tpm",
    "validate_vsock",
]


def validate_filesystem(device: Filesystem, domain: Domain) -> None:
    from virtcore.model.domain.filesystem import DirectorySource, FilesystemDriverType

    if device.target is None:
        source = device.source
        place = (source.dir or source.socket) if isinstance(source, DirectorySource) else None
        raise NoTarget(place, path="target/@dir")

    virtiofs = device.driver is not None and device.driver.type is FilesystemDriverType.VIRTIOFS
    if device.boot_order is not None and not virtiofs:
        raise ConfigUnsupported("boot order is only supported for virtiofs", path="boot")


def validate_vsock(device: Vsock, domain: Domain) -> None:
    from virtcore.model.domain.vsock import VsockModel

    if device.cid is not None and device.cid.address is not None and device.cid.address <= 2:
        raise ConfigUnsupported("guest CIDs must be >= 3", path="cid/@address")
    if device.model in (None, VsockModel.DEFAULT):
        refuse_virtio_options(device.driver)


def validate_shmem(device: Shmem, domain: Domain) -> None:
    if "/" in device.name:
        raise ConfigUnsupported("shmem name cannot include '/' character", path="@name")
    if device.name in (".", ".."):
        raise ConfigUnsupported(f"shmem name cannot be equal to '{device.name}'", path="@name")


def validate_iommu_device(device: IOMMU, domain: Domain) -> None:
    from virtcore.model.domain.iommu import IOMMUModel

    driver = device.driver
    if device.model in (IOMMUModel.SMMUV3, IOMMUModel.VIRTIO) and driver is not None and _says_anything(driver):
        raise XMLError(f"iommu model '{device.model}' doesn't support additional attributes", path="driver")
    if device.model in (IOMMUModel.SMMUV3, IOMMUModel.INTEL) and device.address is not None:
        raise XMLError(f"iommu model '{device.model}' can't have address", path="address")


def _says_anything(driver: object) -> bool:
    return any(value is not None for key, value in vars(driver).items() if key != "extra")


def validate_tpm(device: TPM, domain: Domain) -> None:
    from virtcore.model.domain.tpm import EmulatorTPM, ExternalTPM, TPMVersion

    backend = device.backend
    if isinstance(backend, EmulatorTPM):
        if backend.version is not TPMVersion.V2_0:
            if backend.active_pcr_banks:
                raise XMLError("<active_pcr_banks/> requires TPM version '2.0'", path="backend/active_pcr_banks")
            if backend.profile is not None and backend.profile.source is not None:
                raise XMLError("<profile/> requires TPM version '2.0'", path="backend/profile")
    elif isinstance(backend, ExternalTPM):
        source = backend.source
        if source is None or source.type != "unix":
            raise XMLError("only source type 'unix' is supported for external TPM device", path="backend/source/@type")
        if source.mode not in (None, "connect"):
            raise XMLError("only 'connect' mode is supported for external TPM device", path="backend/source/@mode")
        if source.path is None:
            raise XMLError("missing socket path for external TPM device", path="backend/source/@path")


def validate_pstore(device: Pstore, domain: Domain) -> None:
    if not device.path:
        raise XMLError("missing path for ACPI ERST pstore device", path="path")
    size = device.size or 0
    if size < 4 or size & (size - 1):
        raise XMLError("invalid size of ACPI ERST pstore device", path="size")
