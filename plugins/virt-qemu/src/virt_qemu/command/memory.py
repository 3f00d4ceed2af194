"""The guest's memory: its size, the objects it is made of, its cells, and the modules plugged into it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from virt_qemu.command.address import device_address, virtio
from virt_qemu.command.line import Builder, on_off
from virtcore.errors import ConfigUnsupported, InternalError
from virtcore.model.arch import Arch
from virtcore.model.domain.memory import AllocationMode, MemoryAccess, MemorySource, NUMAMode, NUMAPlacement
from virtcore.model.domain.memory_device import DIMM, NVDIMM, SGXEPC, NVDIMMTarget, VirtioMEM, VirtioPMEM
from virtcore.xml import CpuSet

if TYPE_CHECKING:
    from virtcore.model.cpu.numa import NUMACell
    from virtcore.model.domain import Domain
    from virtcore.model.domain.memory import MemoryBacking

__all__ = [
    "Module",
    "add_backend",
    "add_memory",
    "add_module",
    "add_modules",
    "align_memory",
    "align_module",
    "cell_backend",
    "default_ram",
    "is_immediate",
    "memory_at_boot",
]

#: A module of memory.
Module = DIMM | NVDIMM | VirtioMEM | VirtioPMEM | SGXEPC

_PAGE = 4  # KiB
_MIB = 1024  # KiB
_MOST = (1 << 53) - 1  # KiB
_POLICIES = {NUMAMode.STRICT: "bind", NUMAMode.PREFERRED: "preferred", NUMAMode.INTERLEAVE: "interleave"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """A part of the memory, as an object is wanted for it.

    :ivar cell: the guest's cell it belongs to.
    :ivar system: whether it is the machine's own memory, which keeps its name in migration streams.
    """

    id: str
    name: str
    size: int
    cell: int | None = None
    module: Module | None = None
    system: bool = False


def _up(size: int, to: int) -> int:
    return -(-size // to) * to


def align_memory(domain: Domain) -> None:
    """Round the memory up as the guest will have it: to whole MiB, on POWER to 256."""
    memory = domain.memory
    if memory is None or memory.size is None:
        return
    block = _block(domain)
    whole = domain.current_memory == memory.size
    cells = _cells(domain)
    modules = _modules(domain)
    initial = memory.size - sum(_size(module) for module in modules)
    if cells:
        for cell in cells:
            cell.memory = _up(cell.memory, block)
            if cell.memory > _MOST:
                raise ConfigUnsupported(f"memory size of NUMA node '{cell.id}' overflowed after alignment")
        initial = sum(cell.memory for cell in cells)
    initial = _up(initial, block)
    if domain.max_memory is not None and domain.max_memory.size:
        domain.max_memory.size = _up(domain.max_memory.size, block)
        if domain.max_memory.size > _MOST:
            raise ConfigUnsupported("maximum memory size overflowed after alignment")
    for module in modules:
        align_module(domain, module)
    memory.size = initial + sum(_size(module) for module in modules)
    if whole:
        domain.current_memory = memory.size


def _block(domain: Domain) -> int:
    """What memory comes in, in KiB."""
    return 256 * _MIB if domain.arch in (Arch.PPC64, Arch.PPC64LE) else _MIB


def align_module(domain: Domain, module: Module) -> None:
    """Round the size of a module as :func:`align_memory` does."""
    if module.target is None or not module.target.size:
        return
    block = _block(domain)
    align = block if block > _MIB else (2 * _MIB if domain.arch in (Arch.I686, Arch.X86_64) else _MIB)
    if isinstance(module, NVDIMM) and block > _MIB:
        label = (module.target.label_size or 0) if isinstance(module.target, NVDIMMTarget) else 0
        module.target.size = (module.target.size - label) // block * block + label
    else:
        module.target.size = _up(module.target.size, align)


def _modules(domain: Domain) -> list[Module]:
    return list(domain.devices.memory) if domain.devices is not None else []


def _size(module: Module) -> int:
    return (module.target.size or 0) if module.target is not None else 0


def memory_at_boot(builder: Builder) -> int:
    """Memory without memory devices, in KiB."""
    return builder.domain.memory_total - sum(_size(module) for module in _modules(builder.domain))


def default_ram(builder: Builder) -> str | None:
    """Id of the object the machine's memory is, where it is given as one; cells have objects of their own."""
    domain = builder.domain
    if _cells(domain):
        return None
    machine = builder.capabilities.machine(domain.machine or "", domain.type)
    return machine.default_ram_id if machine is not None else None


def add_memory(builder: Builder) -> None:
    """Size and origin of the guest's memory."""
    domain = builder.domain
    size = memory_at_boot(builder)
    maximum = domain.max_memory
    words = f"size={size & ~1023}k"
    if maximum is not None:
        words += f",slots={maximum.slots}" if maximum.slots else ""
        words += f",maxmem={maximum.size}k" if maximum.size else ""
    builder.add("-m", words)
    backing = domain.memory_backing
    ram = default_ram(builder)
    if ram is not None:
        _add_object(builder, _Part(id=ram, name=ram, size=size, system=True))
    elif backing is not None and backing.hugepages is not None and not _cells(domain):
        page = _page_size(builder, None)
        if page:
            builder.add("-mem-prealloc")
            builder.add("-mem-path", builder.host.hugepage_folder(page, builder.short_name))
    builder.add("-overcommit", f"mem-lock={on_off(backing is not None and backing.locked)}")


def cell_backend(builder: Builder, cell: int, size: int) -> tuple[str, dict[str, object]]:
    """Id and properties of the object that is the memory of a cell.

    :param size: KiB.
    """
    name = f"ram-node{cell}"
    return name, _object(builder, _Part(id=name, name=name, size=size, cell=cell))


def _page_size(builder: Builder, cell: int | None) -> int:
    """Size of the huge pages a part of the memory is made of, in KiB; 0 for ordinary ones."""
    backing = builder.domain.memory_backing
    if backing is None or backing.hugepages is None:
        return 0
    if not backing.hugepages.pages:
        return builder.host.default_hugepage()
    general = None
    for page in backing.hugepages.pages:
        if page.nodeset is None:
            general = general or page
        elif cell is not None and cell in page.nodeset:
            general = page
            break
    if general is None or general.size == _PAGE:
        return 0
    return general.size or builder.host.default_hugepage()


def _page_of(builder: Builder, part: _Part) -> int:
    """Size of the huge pages of a part, in KiB; 0 for ordinary ones. A module may have pages of its own."""
    page: int | None = getattr(part.module.source, "pagesize", None) if part.module is not None else None
    if page is None:
        return _page_size(builder, part.cell)
    return 0 if page == _PAGE else page


def is_immediate(backing: MemoryBacking | None) -> bool:
    """Whether all memory is taken at the start."""
    allocation = backing.allocation if backing is not None else None
    return allocation is not None and allocation.mode is AllocationMode.IMMEDIATE


def _access(builder: Builder, part: _Part) -> MemoryAccess | None:
    if part.module is not None and part.module.access is not None:
        return MemoryAccess(str(part.module.access))
    if part.cell is not None:
        cell = next((one for one in _cells(builder.domain) if one.id == part.cell), None)
        if cell is not None and cell.mem_access is not None:
            return MemoryAccess(str(cell.mem_access))
    backing = builder.domain.memory_backing
    return backing.access if backing is not None else None


def _cells(domain: Domain) -> list[NUMACell]:
    return list(domain.cpu.numa.cells) if domain.cpu is not None and domain.cpu.numa is not None else []


def _discard(builder: Builder, part: _Part) -> bool | None:
    if part.module is not None and part.module.discard is not None:
        return part.module.discard
    if part.cell is not None:
        cell = next((one for one in _cells(builder.domain) if one.id == part.cell), None)
        if cell is not None and cell.discard is not None:
            discard: bool = cell.discard
            return discard
    backing = builder.domain.memory_backing
    return True if backing is not None and backing.discard else None


def _binding(builder: Builder, part: _Part) -> tuple[list[int], NUMAMode] | None:
    """The host's nodes a part is taken from, and how strictly."""
    numatune = builder.domain.numatune
    mode, nodes = NUMAMode.STRICT, None
    if numatune is not None:
        general = numatune.memory
        if general is not None:
            mode = general.mode or NUMAMode.STRICT
            nodes = builder.host.auto_nodeset if general.placement is NUMAPlacement.AUTO else general.nodeset
        for node in numatune.memnodes:
            if node.cellid == part.cell:
                mode, nodes = node.mode or NUMAMode.STRICT, node.nodeset
    mask = getattr(part.module.source, "nodemask", None) if part.module is not None else None
    if mask is not None:
        nodes = mask
        mode = NUMAMode.STRICT if mode is NUMAMode.RESTRICTIVE and numatune is None else mode
    _check_nodes(builder, nodes or ())
    if not nodes or mode is NUMAMode.RESTRICTIVE:
        return None
    return sorted(nodes), mode


def _check_nodes(builder: Builder, nodes: Iterable[int]) -> None:
    known = builder.host.cells
    for node in sorted(nodes):
        if known is not None and node not in known:
            raise ConfigUnsupported(f"NUMA node {node} is unavailable")


def _object(builder: Builder, part: _Part) -> dict[str, object]:
    """Properties of the object a part of the memory is."""
    domain, has, module = builder.domain, builder.capabilities.has, part.module
    backing = domain.memory_backing
    access, discard = _access(builder, part), _discard(builder, part)
    page = _page_of(builder, part)
    path = module.source.path if isinstance(module, NVDIMM | VirtioPMEM) and module.source is not None else None
    prealloc = is_immediate(backing)
    threads = backing.allocation.threads if backing is not None and backing.allocation is not None else None
    share = {MemoryAccess.SHARED: True, MemoryAccess.PRIVATE: False}.get(access) if access is not None else None
    source = backing.source if backing is not None else None
    if isinstance(module, VirtioPMEM):
        share = True
    props: dict[str, object]
    filed = False
    if isinstance(module, SGXEPC):
        props, prealloc = {"qom-type": "memory-backend-epc", "id": part.id}, True
        discard = None
    elif source is MemorySource.MEMFD and path is None:
        props = {"qom-type": "memory-backend-memfd", "id": part.id}
        if page:
            props |= {"hugetlb": True, "hugetlbsize": page << 10}
            prealloc = True
        props["share"] = share
        filed, discard = True, None
    elif page or path is not None or access is not None or source is MemorySource.FILE:
        if path is not None:
            where, prealloc = path, isinstance(module, NVDIMM)
        elif page:
            where, prealloc = builder.host.hugepage_folder(page, builder.short_name), True
        else:
            where = f"{builder.host.memory_folder}/{builder.short_name}/{part.name}"
        props = {
            "qom-type": "memory-backend-file",
            "id": part.id,
            "mem-path": where,
            "discard-data": discard,
            "share": share,
        }
        filed = True
    else:
        props = {"qom-type": "memory-backend-ram", "id": part.id}
    pmem = isinstance(module, NVDIMM) and module.source is not None and module.source.pmem
    if pmem:
        prealloc = False
    canonical = "memory-backend-file.x-use-canonical-path-for-ramblock-id"
    if filed and part.system and has(canonical):
        props["x-use-canonical-path-for-ramblock-id"] = False
    if isinstance(module, VirtioMEM) and has("memory-backend-file.reserve"):
        # Taken as the guest asks for it.
        prealloc, props["reserve"] = False, False
    props |= {
        "prealloc": True if prealloc else None,
        "prealloc-threads": threads or None,
        "size": part.size << 10,
    }
    if isinstance(module, NVDIMM) and module.source is not None:
        props["align"] = module.source.alignsize << 10 if module.source.alignsize else None
        props["pmem"] = True if pmem else None
    bound = _binding(builder, part)
    if bound is not None and not isinstance(module, VirtioPMEM):
        props |= {"host-nodes": bound[0], "policy": _POLICIES[bound[1]]}
        if prealloc and has("thread-context") and _touching_nodes(builder, bound[0]):
            props["prealloc-context"] = f"tc-{part.id}"
    return props


def _touching_nodes(builder: Builder, nodes: list[int]) -> list[int]:
    """Those of the host's nodes whose CPUs touch memory first: where the emulator's threads may run."""
    tune = builder.domain.cputune
    pinned = tune.emulatorpin.cpuset if tune is not None and tune.emulatorpin is not None else None
    cpus = pinned or (builder.domain.vcpu.cpuset if builder.domain.vcpu is not None else None)
    if not cpus or builder.host.cells is None:
        return nodes
    return [node for node in nodes if builder.host.cells.get(node, CpuSet()) & cpus]


def _add_object(builder: Builder, part: _Part) -> None:
    add_backend(builder, _object(builder, part))


def add_backend(builder: Builder, props: dict[str, object]) -> None:
    """Add an object of memory, before it the threads that touch it first."""
    context = props.get("prealloc-context")
    if context is not None:
        nodes = _touching_nodes(builder, cast("list[int]", props["host-nodes"]))
        builder.object({"qom-type": "thread-context", "id": context, "node-affinity": nodes})
    builder.object(props)


def add_modules(builder: Builder) -> None:
    """Modules of memory."""
    for module in _modules(builder.domain):
        add_module(builder, module)


def add_module(builder: Builder, module: Module) -> None:
    """A module of memory: the object it is made of, and the device."""
    if module.alias is None or module.target is None:
        raise InternalError("missing alias for memory device")
    part = _Part(
        id=f"mem{module.alias}",
        name=module.alias,
        size=module.target.size or 0,
        cell=getattr(module.target, "node", None),
        module=module,
    )
    _add_object(builder, part)
    if not isinstance(module, SGXEPC):
        builder.device(_module(builder, module, part))


def _module(builder: Builder, module: DIMM | NVDIMM | VirtioMEM | VirtioPMEM, part: _Part) -> dict[str, object]:
    target = module.target
    assert target is not None
    props: dict[str, object]
    if isinstance(module, DIMM):
        props = {"driver": "pc-dimm", "node": part.cell}
    elif isinstance(module, NVDIMM):
        label = target.label_size << 10 if target.label_size else None  # type: ignore[union-attr]
        props = {
            "driver": "nvdimm",
            "node": part.cell,
            "label-size": label,
            "uuid": module.uuid,
            "unarmed": True if target.readonly else None,  # type: ignore[union-attr]
        }
    elif isinstance(module, VirtioPMEM):
        props = virtio("virtio-pmem", module)
    else:
        props = virtio("virtio-mem", module)
        props |= {
            "node": part.cell,
            "block-size": (target.block or 0) << 10,  # type: ignore[union-attr]
            "requested-size": (target.requested or 0) << 10,  # type: ignore[union-attr]
        }
    props["memdev"] = part.id
    if isinstance(module, VirtioMEM):
        props["prealloc"] = True if _wants_prealloc(builder, part) else None
    if isinstance(module, VirtioMEM | VirtioPMEM):
        props["memaddr"] = target.address or None  # type: ignore[union-attr]
    if isinstance(module, VirtioMEM):
        props["dynamic-memslots"] = target.dynamic_memslots or None  # type: ignore[union-attr]
    return props | {"id": module.alias} | device_address(builder.domain, module)


def _wants_prealloc(builder: Builder, part: _Part) -> bool:
    if not builder.capabilities.has("virtio-mem-pci.prealloc"):
        return False
    return bool(_page_of(builder, part)) or is_immediate(builder.domain.memory_backing)
