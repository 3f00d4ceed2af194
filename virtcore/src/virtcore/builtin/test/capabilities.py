"""What the test driver says that its host and guests can do."""

from __future__ import annotations

from virtcore.builtin.test.host import EMULATOR, PAGE_SIZES, Cell
from virtcore.errors import InvalidArg
from virtcore.model.arch import Arch
from virtcore.model.capabilities import (
    Capabilities,
    CellCPU,
    CellCPUs,
    CellPages,
    Guest,
    GuestArch,
    GuestDomain,
    GuestFeatures,
    Host,
    HostCell,
    HostCells,
    HostFeature,
    HostIOMMU,
    HostProcessor,
    HostTopology,
    PageSize,
    PowerManagementFeatures,
    SecurityModel,
    format_capabilities,
)
from virtcore.model.domain import OSType, VirtType
from virtcore.model.domain_capabilities import (
    DeviceCapabilities,
    DomainCapabilities,
    FeatureCapabilities,
    SEVCapability,
    SGXCapability,
    format_domain_capabilities,
    no_cpu_modes,
)
from virtcore.xml import CpuSet

__all__ = ["capabilities", "domain_capabilities"]


def capabilities(cells: tuple[Cell, ...]) -> str:
    """Capabilities XML of a host with these NUMA cells."""
    host = Host(
        cpu=HostProcessor(
            arch=Arch.I686,
            capabilities=[HostFeature.PAE, HostFeature.NONPAE],
            pages=[PageSize(unit="KiB", size=size) for size in PAGE_SIZES],
        ),
        power_management=PowerManagementFeatures(),
        iommu=HostIOMMU(support=False),
        topology=HostTopology(cells=HostCells(cells=[_cell(*each) for each in enumerate(cells)])) if cells else None,
        secmodels=[SecurityModel(model="testSecurity", doi="")],
    )
    guests = [
        Guest(
            os_type=os_type,
            arch=GuestArch(name=Arch.I686, wordsize=32, emulator=EMULATOR, domains=[GuestDomain(type=VirtType.TEST)]),
            features=GuestFeatures(pae=True, nonpae=True),
        )
        for os_type in (OSType.HVM, OSType.XEN)
    ]
    return format_capabilities(Capabilities(host=host, guests=guests))


def _cell(number: int, cell: Cell) -> HostCell:
    small = PAGE_SIZES[1] if number == 1 else PAGE_SIZES[0]
    pages = [(small, cell.memory // small), *((size, 0) for size in PAGE_SIZES[2:])]
    cpus = [
        CellCPU(id=cpu, socket_id=cpu // 8, die_id=0, cluster_id=0, core_id=cpu % 8, siblings=CpuSet({cpu}))
        for cpu in cell.cpus
    ]
    return HostCell(
        id=number,
        memory=cell.memory,
        pages=[CellPages(unit="KiB", size=size, count=count) for size, count in pages],
        cpus=CellCPUs(cpus=cpus),
    )


def domain_capabilities(emulator: str | None, arch: str | None, machine: str | None, virttype: str | None) -> str:
    """What guests can have: next to nothing that a program could choose by.

    :raises InvalidArg: there is no such architecture or domain type.
    """
    if arch is not None and arch not in Arch.__members__.values():
        raise InvalidArg(f"unknown architecture: {arch}")
    if virttype is not None and virttype not in VirtType.__members__.values():
        raise InvalidArg(f"unknown virttype: {virttype}")
    return format_domain_capabilities(
        DomainCapabilities(
            path=emulator or None,
            domain=VirtType(virttype or "test"),
            machine=machine or None,
            arch=Arch(arch or "i686"),
            cpu=no_cpu_modes(),
            devices=DeviceCapabilities(),
            features=FeatureCapabilities(sev=SEVCapability(supported=False), sgx=SGXCapability(supported=False)),
        )
    )
