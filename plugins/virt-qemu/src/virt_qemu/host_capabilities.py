"""What the host and its emulators offer, as XML."""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from virtcore.errors import InvalidArg
from virtcore.model.arch import Arch, host_arch
from virtcore.operations.values import NodeInfo

if TYPE_CHECKING:
    from virt_qemu.capabilities.model import EmulatorCapabilities

__all__ = [
    "format_capabilities",
    "format_domain_capabilities",
    "free_memory",
    "node_info",
    "parse_arch",
]

_CPUS = Path("/sys/devices/system/cpu")
_NODES = Path("/sys/devices/system/node")


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


def _topology() -> Iterable[str]:
    cells = _cells()
    yield "    <topology>"
    yield f"      <cells num='{len(cells)}'>"
    for node, processors in cells.items():
        meminfo = re.search(r"MemTotal:\s+(\d+)", _read(_NODES / f"node{node}" / "meminfo"))
        memory = int(meminfo[1]) if meminfo is not None else _meminfo().get("MemTotal", 0)
        yield f"        <cell id='{node}'>"
        yield f"          <memory unit='KiB'>{memory}</memory>"
        for size in _page_sizes():
            count = memory // size
            if size != _page_sizes()[0]:
                folder = _NODES / f"node{node}" / "hugepages" / f"hugepages-{size}kB"
                count = int(_read(folder / "nr_hugepages") or 0)
            yield f"          <pages unit='KiB' size='{size}'>{count}</pages>"
        distances = _read(_NODES / f"node{node}" / "distance").split()
        if distances:
            yield "          <distances>"
            for other, distance in zip(cells, distances, strict=False):
                yield f"            <sibling id='{other}' value='{distance}'/>"
            yield "          </distances>"
        yield f"          <cpus num='{len(processors)}'>"
        for each in processors:
            yield (
                f"            <cpu id='{each.number}' socket_id='{each.socket}' die_id='{each.die}' "
                f"core_id='{each.core}' siblings='{each.siblings}'/>"
            )
        yield "          </cpus>"
        yield "        </cell>"
    yield "      </cells>"
    yield "    </topology>"


def _machines(capabilities: EmulatorCapabilities) -> Iterable[str]:
    machines = list(capabilities.accelerator("qemu").machines)
    default = capabilities.default_machine()
    machines.sort(key=lambda machine: machine.name != default)
    seen: set[str] = set()
    for machine in machines:
        limit = f" maxCpus='{machine.max_cpus}'" if machine.max_cpus else ""
        deprecated = " deprecated='yes'" if machine.deprecated else ""
        if machine.name not in seen:
            seen.add(machine.name)
            yield f"      <machine{limit}{deprecated}>{escape(machine.name)}</machine>"
        if machine.alias is not None and machine.alias not in seen:
            seen.add(machine.alias)
            canonical = f" canonical='{escape(machine.name)}'"
            yield f"      <machine{canonical}{limit}{deprecated}>{escape(machine.alias)}</machine>"


def _guest(arch: Arch, capabilities: EmulatorCapabilities) -> Iterable[str]:
    native = capabilities.has("kvm") and (arch == host_arch() or (arch is Arch.I686 and host_arch() is Arch.X86_64))
    yield "  <guest>"
    yield "    <os_type>hvm</os_type>"
    yield f"    <arch name='{arch}'>"
    yield f"      <wordsize>{arch.bits}</wordsize>"
    yield f"      <emulator>{escape(capabilities.binary)}</emulator>"
    yield from _machines(capabilities)
    if capabilities.has("tcg"):
        yield "      <domain type='qemu'/>"
    if native:
        yield "      <domain type='kvm'/>"
    yield "    </arch>"
    yield "    <features>"
    if arch is Arch.I686:
        yield "      <pae/>"
        yield "      <nonpae/>"
    if arch.is_x86 or arch is Arch.AARCH64:
        yield "      <acpi default='on' toggle='yes'/>"
    if arch.is_x86:
        yield "      <apic default='on' toggle='no'/>"
    yield "      <cpuselection/>"
    yield "      <deviceboot/>"
    yield "      <disksnapshot default='on' toggle='no'/>"
    if arch.is_x86 or arch is Arch.AARCH64:
        yield "      <externalSnapshot/>"
    yield "    </features>"
    yield "  </guest>"
    yield ""


def format_capabilities(emulators: Mapping[Arch, EmulatorCapabilities], folder: Path) -> str:
    """The capabilities document.

    :param folder: where this host's UUID is kept when the hardware has none.
    """
    lines = [
        "<capabilities>",
        "",
        "  <host>",
        f"    <uuid>{_host_uuid(folder)}</uuid>",
        "    <cpu>",
        f"      <arch>{host_arch()}</arch>",
        *(f"      <pages unit='KiB' size='{size}'/>" for size in _page_sizes()),
        "    </cpu>",
        "    <power_management/>",
        "    <iommu support='no'/>",
        "    <migration_features>",
        "      <live/>",
        "      <uri_transports>",
        "        <uri_transport>tcp</uri_transport>",
        "        <uri_transport>rdma</uri_transport>",
        "      </uri_transports>",
        "    </migration_features>",
        *_topology(),
        "    <secmodel>",
        "      <model>none</model>",
        "      <doi>0</doi>",
        "    </secmodel>",
        "  </host>",
        "",
    ]
    for arch, capabilities in emulators.items():
        lines += _guest(arch, capabilities)
    return "\n".join([*lines, "</capabilities>", ""])


def format_domain_capabilities(
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

    def values(enum: str, items: Iterable[str], indent: int = 6) -> list[str]:
        space = " " * indent
        return [
            f"{space}<enum name='{enum}'>",
            *(f"{space}  <value>{escape(item)}</value>" for item in items),
            f"{space}</enum>",
        ]

    has = capabilities.has
    models = [cpu for cpu in capabilities.accelerator(kind).cpus if cpu.name not in ("max", "host", "base")]
    lines = [
        "<domainCapabilities>",
        f"  <path>{escape(capabilities.binary)}</path>",
        f"  <domain>{kind}</domain>",
        f"  <machine>{escape(found.name)}</machine>",
        f"  <arch>{arch}</arch>",
        *([f"  <vcpu max='{found.max_cpus}'/>"] if found.max_cpus else []),
        "  <iothreads supported='yes'/>",
        "  <os supported='yes'>",
        "    <loader supported='yes'>",
        *values("type", ["rom"]),
        *values("readonly", ["yes", "no"]),
        "    </loader>",
        "  </os>",
        "  <cpu>",
        f"    <mode name='host-passthrough' supported='{'yes' if kind == 'kvm' else 'no'}'/>",
        f"    <mode name='maximum' supported='{'yes' if has('cpu-max') else 'no'}'/>",
        "    <mode name='host-model' supported='no'/>",
        "    <mode name='custom' supported='yes'>",
        *(
            f"      <model usable='{'unknown' if cpu.blockers is None else 'no' if cpu.blockers else 'yes'}'>"
            f"{escape(cpu.name)}</model>"
            for cpu in models
        ),
        "    </mode>",
        "  </cpu>",
        "  <memoryBacking supported='yes'>",
        *values("sourceType", ["memfd", "anonymous"], 4),
        "  </memoryBacking>",
        "  <devices>",
        "    <disk supported='yes'>",
        *values("diskDevice", ["disk", "cdrom", "floppy", "lun"]),
        *values("bus", ["ide", "fdc", "scsi", "virtio", "usb", "sata"]),
        "    </disk>",
        "    <graphics supported='yes'>",
        *values("type", ["vnc"] if has("vnc") else []),
        "    </graphics>",
        "    <rng supported='yes'>",
        *values("model", ["virtio", "virtio-transitional", "virtio-non-transitional"]),
        *values("backendModel", ["random", "builtin"]),
        "    </rng>",
        "    <console supported='yes'>",
        *values("type", ["null", "vc", "pty", "dev", "file", "pipe", "stdio", "udp", "tcp", "unix"]),
        "    </console>",
        "  </devices>",
        "</domainCapabilities>",
    ]
    return "\n".join([*lines, ""])
