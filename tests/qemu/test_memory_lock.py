"""How much memory a guest may lock: what the reference has no case for. Needs no QEMU."""

from __future__ import annotations

import pytest

from virt_qemu.memory_lock import locked_memory
from virtcore.model.domain import Domain
from virtcore.xml import load

MIB, GIB = 1 << 20, 1 << 30
ADDRESS = "<address domain='0' bus='1' slot='0' function='0'/>"
PCI = f"<hostdev mode='subsystem' type='pci'><source>{ADDRESS}</source></hostdev>"
MDEV = (
    "<hostdev mode='subsystem' type='mdev' model='vfio-pci'>"
    "<source><address uuid='53764d0e-85a0-42b4-af5c-2046b460b1dc'/></source></hostdev>"
)
CARD = f"<interface type='hostdev'><source><address type='pci' {ADDRESS[9:-2]}/></source></interface>"
VDPA_CARD = "<interface type='vdpa'><source dev='/dev/vhost-vdpa-0'/></interface>"
VDPA_DISK = "<disk type='vhostvdpa'><source dev='/dev/vhost-vdpa-1'/><target dev='vda'/></disk>"
NVME = f"type='nvme'><source type='pci' namespace='1'>{ADDRESS}</source>"
NVME_BELOW = (
    "<disk type='file'><source file='/a'/><target dev='vdb'/>"
    f"<backingStore {NVME}<format type='raw'/></backingStore></disk>"
)
BRIDGE = "<controller type='pci' index='{}' model='pci-root'><model name='spapr-pci-host-bridge'/></controller>"


def domain(devices: str, more: str = "", *, arch: str = "x86_64") -> Domain:
    return load(
        f"<domain type='kvm'><name>g</name><memory unit='GiB'>2</memory><os><type arch='{arch}'>hvm</type></os>"
        f"{more}<devices>{devices}</devices></domain>",
        Domain,
    )


@pytest.mark.parametrize(
    ("devices", "times"),
    [
        (PCI, 1),
        (PCI + MDEV + CARD, 1),
        (PCI + MDEV + CARD + "<iommu model='intel'/>", 3),
        (VDPA_CARD + VDPA_DISK, 2),
        (NVME_BELOW, 1),
        (PCI + NVME_BELOW + VDPA_CARD, 3),
    ],
)
def test_memory_is_locked_once_for_all_of_vfio_and_once_for_each_other_device(devices: str, times: int) -> None:
    assert locked_memory(domain(devices)) == times * 2 * GIB + GIB


def test_a_limit_beyond_all_is_none() -> None:
    assert locked_memory(domain("", f"<memtune><hard_limit unit='KiB'>{(1 << 53) - 1}</hard_limit></memtune>")) == 0


def test_power_counts_tables_of_the_largest_memory_and_of_every_bridge() -> None:
    bridges = BRIDGE.format(0) + BRIDGE.format(1)
    most = "<maxMemory slots='1' unit='GiB'>8</maxMemory>"
    base = 8 * GIB // 128 + 2 * 4 * MIB + 8 * MIB
    assert locked_memory(domain(bridges, most, arch="ppc64")) == base
    assert locked_memory(domain(bridges + VDPA_CARD, most, arch="ppc64le")) == base + 2 * 2 * GIB
    gpu = locked_memory(domain(bridges + PCI, most, arch="ppc64"), nvlink=True)
    assert gpu == base + 8 * GIB + 2 * 256 * GIB + 8 * MIB
