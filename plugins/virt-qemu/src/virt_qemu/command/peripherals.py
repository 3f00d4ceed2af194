"""Smart cards, hubs, redirected USB devices, TPMs, IOMMUs, shared memory, and what else sits beside the machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from virt_qemu.command.address import controller_alias, place, virtio
from virt_qemu.command.characters import add_chardev
from virt_qemu.command.line import Builder, switch
from virtcore.errors import ConfigUnsupported, InternalError
from virtcore.model.arch import Arch
from virtcore.model.domain.address import CCIDAddress, PCIAddress, SpaprVIOAddress
from virtcore.model.domain.controller import CCIDController
from virtcore.model.domain.iommu import IOMMUModel
from virtcore.model.domain.shmem import ShmemModel, ShmemRole
from virtcore.model.domain.smartcard import HostCertificatesSmartcard, HostSmartcard, PassthroughSmartcard
from virtcore.model.domain.tpm import EmulatorTPM, ExternalTPM, PassthroughTPM, TPMModel

if TYPE_CHECKING:
    from virtcore.model.domain.redirdev import Redirdev, RedirFilterUSB
    from virtcore.model.domain.shmem import Shmem
    from virtcore.model.domain.tpm import TPM

__all__ = [
    "add_cryptos",
    "add_generation_id",
    "add_hubs",
    "add_iommu",
    "add_nvram",
    "add_pstore",
    "add_redirdev",
    "add_redirdevs",
    "add_shmem",
    "add_shmems",
    "add_smartcards",
    "add_tpms",
    "add_vmcoreinfo",
    "add_vsock",
]

_NSS = "/etc/pki/nssdb"
_MIB = 1 << 20


def add_hubs(builder: Builder) -> None:
    """USB hubs."""
    devices = builder.domain.devices
    assert devices is not None
    for hub in devices.hubs:
        builder.device({"driver": "usb-hub", "id": hub.alias} | place(builder, hub))


def add_smartcards(builder: Builder) -> None:
    """Smart cards, each in a slot of a reader."""
    devices = builder.domain.devices
    assert devices is not None
    for card in devices.smartcards:
        if not isinstance(card.address, CCIDAddress):
            raise InternalError("smartcard lacks address")
        reader = controller_alias(builder.domain, CCIDController, card.address.controller or 0)
        props: dict[str, object]
        if isinstance(card, HostSmartcard):
            props = {"driver": "ccid-card-emulated", "backend": "nss-emulated"}
        elif isinstance(card, HostCertificatesSmartcard):
            props = {"driver": "ccid-card-emulated", "backend": "certificates"}
            props |= {f"cert{number}": name for number, name in enumerate(card.certificates, 1)}
            props["db"] = card.database or _NSS
        else:
            assert isinstance(card, PassthroughSmartcard)
            props = {"driver": "ccid-card-passthru", "chardev": add_chardev(builder, card, card.alias or "")}
        builder.device(props | {"id": card.alias, "bus": f"{reader}.0"})


def _rule(rule: RedirFilterUSB) -> str:
    words = [
        "-1" if rule.usb_class is None else f"0x{rule.usb_class:02X}",
        "-1" if rule.vendor is None else f"0x{rule.vendor:04X}",
        "-1" if rule.product is None else f"0x{rule.product:04X}",
        "-1" if rule.version is None else f"0x{rule.version:04X}",
        str(int(bool(rule.allow))),
    ]
    return ":".join(words)


def add_redirdevs(builder: Builder, boot: Mapping[int, int]) -> None:
    """USB devices of whoever looks at the guest.

    :param boot: id of a device -> its place in the boot order.
    """
    devices = builder.domain.devices
    assert devices is not None
    for device in devices.redirdevs:
        add_redirdev(builder, device, boot)


def add_redirdev(builder: Builder, device: Redirdev, boot: Mapping[int, int]) -> None:
    """A USB device of whoever looks at the guest; see :func:`add_redirdevs`."""
    devices = builder.domain.devices
    assert devices is not None
    rules = devices.redirfilter.usbdevs if devices.redirfilter is not None else []
    chardev = add_chardev(builder, device, device.alias or "")
    builder.device(
        {
            "driver": "usb-redir",
            "chardev": chardev,
            "id": device.alias,
            "filter": "|".join(map(_rule, rules)) or None,
            "bootindex": boot.get(id(device)),
        }
        | place(builder, device)
    )


def add_tpms(builder: Builder) -> None:
    """Trusted platform modules."""
    devices = builder.domain.devices
    assert devices is not None
    for tpm in devices.tpms:
        backend = tpm.backend
        if tpm.model is TPMModel.SPAPR_TPM_PROXY:
            path = backend.device if isinstance(backend, PassthroughTPM) else None
            builder.device({"driver": str(tpm.model), "id": tpm.alias, "host-path": path} | place(builder, tpm))
            continue
        _add_tpm_backend(builder, tpm)
        builder.device(
            {"driver": _tpm_driver(builder, tpm), "tpmdev": f"tpm-{tpm.alias}", "id": tpm.alias} | place(builder, tpm)
        )


#: Architectures whose boards have the chip on the system bus.
_WITHOUT_ISA = (Arch.ARMV6L, Arch.ARMV7L, Arch.AARCH64, Arch.RISCV64, Arch.LOONGARCH64)


def _tpm_driver(builder: Builder, tpm: TPM) -> str:
    if tpm.model is TPMModel.TPM_TIS and builder.domain.arch in _WITHOUT_ISA:
        return "tpm-tis-device"
    return str(tpm.model)


def _add_tpm_backend(builder: Builder, tpm: TPM) -> None:
    backend, name = tpm.backend, f"tpm-{tpm.alias}"
    if isinstance(backend, PassthroughTPM):
        device, cancel = builder.resources.tpm(backend.device or "/dev/tpm0")
        paths = (builder.fdset((device, f"{tpm.alias}-tpm")), builder.fdset((cancel, f"{tpm.alias}-cancel")))
        builder.options("-tpmdev", "passthrough", {"id": name, "path": paths[0], "cancel-path": paths[1]})
        return
    if isinstance(backend, ExternalTPM):
        path = backend.source.path if backend.source is not None else None
    else:
        assert isinstance(backend, EmulatorTPM)
        path = builder.resources.tpm_socket(tpm.alias or "")
    builder.options("-chardev", "socket", {"id": "chrtpm", "path": path})
    builder.options("-tpmdev", "emulator", {"id": name, "chardev": "chrtpm"})


def add_iommu(builder: Builder) -> None:
    """A guest's IOMMU that is a device; SMMUv3 is part of the machine."""
    devices = builder.domain.devices
    assert devices is not None
    iommu = devices.iommu
    if iommu is None:
        return
    driver = iommu.driver
    if iommu.model is IOMMUModel.INTEL:
        builder.device(
            {
                "driver": "intel-iommu",
                "id": iommu.alias,
                "intremap": switch(driver.intremap if driver is not None else None),
                "caching-mode": driver.caching_mode if driver is not None else None,
                "eim": switch(driver.eim if driver is not None else None),
                "device-iotlb": driver.iotlb if driver is not None else None,
                "aw-bits": driver.aw_bits or None if driver is not None else None,
                "dma-translation": driver.dma_translation if driver is not None else None,
            }
        )
    elif iommu.model is IOMMUModel.VIRTIO:
        builder.device({"driver": "virtio-iommu", "id": iommu.alias} | place(builder, iommu))


def add_shmems(builder: Builder) -> None:
    """Memory shared with other guests, or by a server."""
    devices = builder.domain.devices
    assert devices is not None
    for shmem in devices.shmems:
        add_shmem(builder, shmem)


def add_shmem(builder: Builder, shmem: Shmem) -> None:
    """Memory shared with other guests, or by a server.

    :raises ConfigUnsupported: it is not on PCI, or of a model that QEMU has not got.
    """
    if not isinstance(shmem.address, PCIAddress):
        raise ConfigUnsupported("only 'pci' addresses are supported for the shared memory device")
    if shmem.model is ShmemModel.IVSHMEM_PLAIN:
        name = f"shmmem-{shmem.alias}"
        builder.object(
            {
                "qom-type": "memory-backend-file",
                "id": name,
                "mem-path": f"/dev/shm/{shmem.name}",
                "size": shmem.size or 4 * _MIB,
                "share": True,
            }
        )
        builder.device(
            {"driver": "ivshmem-plain", "id": shmem.alias, "memdev": name, "master": _master(shmem)}
            | place(builder, shmem)
        )
    elif shmem.model is ShmemModel.IVSHMEM_DOORBELL:
        _add_doorbell(builder, shmem)
    else:
        raise ConfigUnsupported("ivshmem device is not supported with this QEMU binary")


def _master(shmem: Shmem) -> str | None:
    """Whether the memory stays when the guest leaves."""
    return switch(shmem.role is ShmemRole.MASTER if shmem.role is not None else None)


def _add_doorbell(builder: Builder, shmem: Shmem) -> None:
    msi = shmem.msi
    builder.device(
        {
            "driver": "ivshmem-doorbell",
            "id": shmem.alias,
            "chardev": f"char{shmem.alias}",
            "master": _master(shmem),
            "vectors": msi.vectors or None if msi is not None else None,
            "ioeventfd": msi.ioeventfd if msi is not None else None,
        }
        | place(builder, shmem)
    )
    path = shmem.server.path if shmem.server is not None else None
    builder.options(
        "-chardev",
        "socket",
        {"id": f"char{shmem.alias}", "path": path or f"/var/lib/libvirt/shmem-{shmem.name}-sock"},
    )


def add_vsock(builder: Builder) -> None:
    """The socket between host and guest."""
    devices = builder.domain.devices
    assert devices is not None
    vsock = devices.vsock
    if vsock is None:
        return
    number = vsock.cid.address if vsock.cid is not None else None
    model = str(vsock.model) if vsock.model is not None and vsock.model != "default" else None
    descriptor, cid = builder.resources.vsock(number, vsock.cid is not None and bool(vsock.cid.auto))
    if vsock.cid is not None:
        vsock.cid.address = cid
    builder.device(
        virtio("vhost-vsock", vsock, model, vsock.driver)
        | {"id": vsock.alias, "guest-cid": cid, "vhostfd": str(descriptor)}
        | place(builder, vsock)
    )


def add_cryptos(builder: Builder) -> None:
    """Crypto devices."""
    devices = builder.domain.devices
    assert devices is not None
    for crypto in devices.cryptos:
        backend = crypto.backend
        kind = f"cryptodev-backend-{'lkcf' if backend is not None and backend.model == 'lkcf' else 'builtin'}"
        queues = backend.queues or None if backend is not None else None
        builder.object({"qom-type": kind, "id": f"obj{crypto.alias}", "queues": queues})
        builder.device(
            virtio("virtio-crypto", crypto, None, crypto.driver)
            | {"cryptodev": f"obj{crypto.alias}", "id": crypto.alias}
            | place(builder, crypto)
        )


def add_nvram(builder: Builder) -> None:
    """The NVRAM of a POWER guest, which the machine has built in."""
    devices = builder.domain.devices
    assert devices is not None
    if devices.nvram is None:
        return
    address = devices.nvram.address
    if not isinstance(address, SpaprVIOAddress) or address.reg is None:
        raise ConfigUnsupported("nvram address type must be spaprvio")
    builder.add("-global", f"spapr-nvram.reg=0x{address.reg:x}")


def add_pstore(builder: Builder) -> None:
    """Storage that a crashed guest's last words survive in."""
    devices = builder.domain.devices
    assert devices is not None
    pstore = devices.pstore
    if pstore is None:
        return
    name = f"mem{pstore.alias}"
    builder.object(
        {
            "qom-type": "memory-backend-file",
            "id": name,
            "mem-path": pstore.path,
            "size": (pstore.size or 0) << 10,
            "share": True,
        }
    )
    builder.device({"driver": "acpi-erst", "id": pstore.alias, "memdev": name} | place(builder, pstore))


def add_generation_id(builder: Builder) -> None:
    """The number by which a guest learns that it was copied or reverted."""
    genid = builder.domain.genid
    if genid is not None:
        builder.device({"driver": "vmgenid", "guid": genid.uuid, "id": "vmgenid0"})


def add_vmcoreinfo(builder: Builder) -> None:
    """Where the guest's kernel says how it is to be dumped."""
    features = builder.domain.features
    if features is not None and features.vmcoreinfo is not None and features.vmcoreinfo.state is not False:
        builder.device({"driver": "vmcoreinfo"})
