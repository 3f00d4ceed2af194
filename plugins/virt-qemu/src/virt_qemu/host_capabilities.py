"""What the host and its emulators offer, as XML."""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from virtcore.errors import InvalidArg
from virtcore.model.arch import Arch, host_arch
from virtcore.model.capabilities import (
    Capabilities,
    CellCPU,
    CellCPUs,
    CellPages,
    FeatureToggle,
    Guest,
    GuestArch,
    GuestDomain,
    GuestFeatures,
    GuestMachine,
    Host,
    HostCell,
    HostCells,
    HostIOMMU,
    HostProcessor,
    HostTopology,
    MigrationFeatures,
    PageSize,
    PowerManagementFeatures,
    SecurityModel,
    format_capabilities,
)
from virtcore.model.cpu import NUMASibling
from virtcore.model.domain import OSType, VirtType
from virtcore.model.domain_capabilities import (
    CapabilityEnum,
    CPUModes,
    CPUUsable,
    CustomMode,
    DeviceCapabilities,
    DomainCapabilities,
    EnumeratedCapability,
    HostModelMode,
    LoaderCapability,
    OSCapability,
    PassthroughMode,
    SelectableModel,
    format_domain_capabilities,
)
from virtcore.operations.values import NodeInfo
from virtcore.xml import CpuSet

if TYPE_CHECKING:
    from virt_qemu.capabilities.model import EmulatorCapabilities

__all__ = [
    "domain_capabilities",
    "free_memory",
    "host_capabilities",
    "node_info",
    "parse_arch",
]

_CPUS = Path("/sys/devices/system/cpu")
_NODES = Path("/sys/devices/system/node")
#: What the kernel says where there are no clusters: -1, or the same in 16 bits.
_NO_CLUSTER = (-1, 0xFFFF)


def parse_arch(name: str | None) -> Arch:
    """An architecture by name; the host's when none is given.

    :raises InvalidArg: there is none of that name.
    """
    if name is None:
        return host_arch()
    try:
        return Arch(name)
    except ValueError:
        raise InvalidArg(f"unknown architecture: {name}") from None


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _numbers(text: str) -> list[int]:
    """The members of a list such as ``0-3,8``."""
    found: list[int] = []
    for part in text.split(",") if text else ():
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def _meminfo() -> dict[str, int]:
    """``/proc/meminfo`` in KiB."""
    rows = re.findall(r"^(\w+):\s+(\d+)", _read(Path("/proc/meminfo")), re.MULTILINE)
    return {name: int(value) for name, value in rows}


def free_memory() -> int:
    """Free memory of the host in bytes."""
    return _meminfo().get("MemFree", 0) << 10


class _Processor:
    """Where a processor of the host sits."""

    def __init__(self, number: int) -> None:
        topology = _CPUS / f"cpu{number}" / "topology"
        self.number = number
        self.socket = int(_read(topology / "physical_package_id") or 0)
        self.die = int(_read(topology / "die_id") or 0)
        cluster = int(_read(topology / "cluster_id") or 0)
        self.cluster = 0 if cluster in _NO_CLUSTER else cluster
        self.core = int(_read(topology / "core_id") or 0)
        self.siblings = _read(topology / "thread_siblings_list") or str(number)


def _cells() -> dict[int, list[_Processor]]:
    online = set(_numbers(_read(_CPUS / "online"))) or set(range(os.cpu_count() or 1))
    nodes = _numbers(_read(_NODES / "online"))
    if not nodes:
        return {0: [_Processor(number) for number in sorted(online)]}
    return {
        node: [_Processor(number) for number in _numbers(_read(_NODES / f"node{node}" / "cpulist")) if number in online]
        for node in nodes
    }


def node_info() -> NodeInfo:
    """CPUs and memory of the host."""
    cells = _cells()
    everyone = [processor for cell in cells.values() for processor in cell]
    sockets = max(len({processor.socket for processor in cell}) for cell in cells.values()) or 1
    cores = len({(processor.socket, processor.die, processor.core) for processor in everyone}) or 1
    threads = max((len(_numbers(processor.siblings)) for processor in everyone), default=1)
    mhz = re.search(r"^cpu MHz\s*:\s*(\d+)", _read(Path("/proc/cpuinfo")), re.MULTILINE)
    nodes = len(cells)
    per_socket = max(cores // (nodes * sockets), 1)
    if nodes * sockets * per_socket * threads != len(everyone):
        # Not a regular arrangement: one node and socket with every processor, as libvirt reports it.
        nodes, sockets, per_socket, threads = 1, 1, len(everyone), 1
    return NodeInfo(
        model=os.uname().machine,
        memory=_meminfo().get("MemTotal", 0),
        cpus=len(everyone),
        mhz=int(mhz[1]) if mhz is not None else 0,
        nodes=nodes,
        sockets=sockets,
        cores=per_socket,
        threads=threads,
    )


def _page_sizes() -> list[int]:
    """Sizes of pages in KiB."""
    folder = Path("/sys/kernel/mm/hugepages")
    huge = sorted(int(entry.name[10:-2]) for entry in folder.glob("hugepages-*kB"))
    return [os.sysconf("SC_PAGE_SIZE") >> 10, *huge]


def _host_uuid(folder: Path) -> str:
    """Names this host: the machine's SMBIOS UUID, else one made and kept."""
    product = _read(Path("/sys/devices/virtual/dmi/id/product_uuid"))
    try:
        return str(uuid.UUID(product))
    except ValueError:
        pass
    file = folder / "host-uuid"
    kept = _read(file)
    if not kept:
        kept = str(uuid.uuid4())
        folder.mkdir(parents=True, exist_ok=True)
        file.write_text(kept)
    return kept


def _topology() -> HostTopology:
    cells = _cells()
    return HostTopology(cells=HostCells(cells=[_cell(node, list(cells), cells[node]) for node in cells]))


def _cell(node: int, nodes: list[int], processors: list[_Processor]) -> HostCell:
    meminfo = re.search(r"MemTotal:\s+(\d+)", _read(_NODES / f"node{node}" / "meminfo"))
    memory = int(meminfo[1]) if meminfo is not None else _meminfo().get("MemTotal", 0)
    small, *huge = _page_sizes()
    pages = [(small, memory // small)]
    for size in huge:
        folder = _NODES / f"node{node}" / "hugepages" / f"hugepages-{size}kB"
        pages.append((size, int(_read(folder / "nr_hugepages") or 0)))
    distances = _read(_NODES / f"node{node}" / "distance").split()
    return HostCell(
        id=node,
        memory=memory,
        pages=[CellPages(unit="KiB", size=size, count=count) for size, count in pages],
        distances=[
            NUMASibling(id=other, value=int(distance)) for other, distance in zip(nodes, distances, strict=False)
        ],
        cpus=CellCPUs(
            cpus=[
                CellCPU(
                    id=each.number,
                    socket_id=each.socket,
                    die_id=each.die,
                    cluster_id=each.cluster,
                    core_id=each.core,
                    siblings=CpuSet(_numbers(each.siblings)),
                )
                for each in processors
            ]
        ),
    )


def _machines(capabilities: EmulatorCapabilities) -> list[GuestMachine]:
    machines = list(capabilities.accelerator("qemu").machines)
    default = capabilities.default_machine()
    machines.sort(key=lambda machine: machine.name != default)
    found: dict[str, GuestMachine] = {}
    for machine in machines:
        for name, canonical in ((machine.name, None), (machine.alias, machine.name)):
            if name is not None and name not in found:
                found[name] = GuestMachine(
                    name=name,
                    canonical=canonical,
                    max_cpus=machine.max_cpus or None,
                    deprecated=machine.deprecated or None,
                )
    return list(found.values())


def _guest(arch: Arch, capabilities: EmulatorCapabilities) -> Guest:
    native = capabilities.has("kvm") and (arch == host_arch() or (arch is Arch.I686 and host_arch() is Arch.X86_64))
    kinds = [VirtType.QEMU] if capabilities.has("tcg") else []
    if native:
        kinds.append(VirtType.KVM)
    modern = arch.is_x86 or arch is Arch.AARCH64
    return Guest(
        os_type=OSType.HVM,
        arch=GuestArch(
            name=arch,
            wordsize=arch.bits,
            emulator=capabilities.binary,
            machines=_machines(capabilities),
            domains=[GuestDomain(type=kind) for kind in kinds],
        ),
        features=GuestFeatures(
            pae=arch is Arch.I686,
            nonpae=arch is Arch.I686,
            acpi=FeatureToggle(default=True, toggle=True) if modern else None,
            apic=FeatureToggle(default=True, toggle=False) if arch.is_x86 else None,
            cpuselection=True,
            deviceboot=True,
            disksnapshot=FeatureToggle(default=True, toggle=False),
            external_snapshot=modern,
        ),
    )


def host_capabilities(emulators: Mapping[Arch, EmulatorCapabilities], folder: Path) -> str:
    """The capabilities document.

    :param folder: where this host's UUID is kept when the hardware has none.
    """
    host = Host(
        uuid=_host_uuid(folder),
        cpu=HostProcessor(arch=host_arch(), pages=[PageSize(unit="KiB", size=size) for size in _page_sizes()]),
        power_management=PowerManagementFeatures(),
        iommu=HostIOMMU(support=False),
        migration_features=MigrationFeatures(live=True, uri_transports=["tcp", "rdma"]),
        topology=_topology(),
        secmodels=[SecurityModel(model="none", doi="0")],
    )
    guests = [_guest(arch, capabilities) for arch, capabilities in emulators.items()]
    return format_capabilities(Capabilities(host=host, guests=guests))


def _offered(**enums: Iterable[str]) -> EnumeratedCapability:
    return EnumeratedCapability(
        supported=True, enums=[CapabilityEnum(name=name, values=list(values)) for name, values in enums.items()]
    )


def domain_capabilities(
    capabilities: EmulatorCapabilities, arch: Arch, machine: str | None, virttype: str | None
) -> str:
    """The domain capabilities document: what this driver gives guests of an emulator.

    :raises InvalidArg: there is no such machine or domain type.
    """
    kind = virttype or ("kvm" if capabilities.has("kvm") and arch == host_arch() else "qemu")
    if kind not in ("qemu", "kvm"):
        raise InvalidArg(f"unknown virttype: {kind}")
    if kind == "kvm" and not capabilities.has("kvm"):
        raise InvalidArg(f"KVM is not supported by '{capabilities.binary}' on this host")
    name = capabilities.canonical_machine(machine, kind) if machine else capabilities.default_machine(kind)
    found = capabilities.machine(name or "", kind)
    if found is None:
        raise InvalidArg(f"the machine '{machine}' is not supported by emulator '{capabilities.binary}'")
    has = capabilities.has
    models = [cpu for cpu in capabilities.accelerator(kind).cpus if cpu.name not in ("max", "host", "base")]
    return format_domain_capabilities(
        DomainCapabilities(
            path=capabilities.binary,
            domain=VirtType(kind),
            machine=found.name,
            arch=arch,
            max_vcpus=found.max_cpus or None,
            iothreads=True,
            os=OSCapability(
                supported=True,
                loader=LoaderCapability(supported=True, enums=_offered(type=["rom"], readonly=["yes", "no"]).enums),
            ),
            cpu=CPUModes(
                modes=[
                    PassthroughMode(name="host-passthrough", supported=kind == "kvm"),
                    PassthroughMode(name="maximum", supported=has("cpu-max")),
                    HostModelMode(supported=False),
                    CustomMode(
                        supported=True,
                        models=[SelectableModel(name=cpu.name, usable=_usable(cpu.blockers)) for cpu in models],
                    ),
                ]
            ),
            memory_backing=_offered(sourceType=["memfd", "anonymous"]),
            devices=DeviceCapabilities(
                disk=_offered(
                    diskDevice=["disk", "cdrom", "floppy", "lun"],
                    bus=["ide", "fdc", "scsi", "virtio", "usb", "sata"],
                ),
                graphics=_offered(type=["vnc"] if has("vnc") else []),
                rng=_offered(
                    model=["virtio", "virtio-transitional", "virtio-non-transitional"],
                    backendModel=["random", "builtin"],
                ),
            ),
        )
    )


def _usable(blockers: Iterable[str] | None) -> CPUUsable:
    if blockers is None:
        return CPUUsable.UNKNOWN
    return CPUUsable.NO if list(blockers) else CPUUsable.YES
