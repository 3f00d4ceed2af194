"""What guests see of processors: ``nestedhvm``, ``cpuid``, ``vnuma``."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

from virtcore.errors import ConfigUnsupported, ConfSyntax, InternalError, InvalidArg
from virtcore.model.cpu.element import CPUFeature, CPUFeaturePolicy, CPUMode, GuestCPU
from virtcore.model.cpu.numa import NUMA, NUMACell, NUMASibling
from virtcore.model.domain.cputune import VCPUMaximum
from virtcore.model.domain.os import OSType
from virtcore.xml import CPU_SET

if TYPE_CHECKING:
    from virt_xen.config.settings import Output, Settings
    from virt_xen.host import XenHost
    from virtcore.model.domain.domain import Domain
    from virtcore.runtime.conf import ConfValue

__all__ = [
    "OFF",
    "VIRTUALIZATION",
    "cells_of",
    "distance",
    "read_cpuid",
    "read_nested",
    "read_vnuma",
    "write_cpuid",
    "write_nested",
    "write_vnuma",
]

log = logging.getLogger("virtcore")

#: Names of features: libvirt's, Xen's.
_NAMES = (
    ("cx16", "cmpxchg16"),
    ("cid", "cntxid"),
    ("ds_cpl", "dscpl"),
    ("pclmuldq", "pclmulqdq"),
    ("pni", "sse3"),
    ("ht", "htt"),
    ("pn", "psn"),
    ("clflush", "clfsh"),
    ("sep", "sysenter"),
    ("cx8", "cmpxchg8"),
    ("nodeid_msr", "nodeid"),
    ("cr8legacy", "altmovcr8"),
    ("lahf_lm", "lahfsahf"),
    ("cmp_legacy", "cmplegacy"),
    ("fxsr_opt", "ffxsr"),
    ("pdpe1gb", "page1gb"),
    ("spec-ctrl", "ibrsb"),
)
_TO_XEN = dict(_NAMES)
_TO_LIBVIRT = {xen: libvirt for libvirt, xen in _NAMES}
#: Features for guests of a guest, of which Xen has a switch of its own.
VIRTUALIZATION = ("vmx", "svm")
_POLICIES = {
    "1": CPUFeaturePolicy.FORCE,
    "0": CPUFeaturePolicy.DISABLE,
    "x": CPUFeaturePolicy.OPTIONAL,
    "k": CPUFeaturePolicy.OPTIONAL,
    "s": CPUFeaturePolicy.OPTIONAL,
}
#: Policies by which a guest has not got a feature.
OFF = (CPUFeaturePolicy.DISABLE, CPUFeaturePolicy.FORBID)
_NUMBER = re.compile(r"[0-9]{1,19}")
_LARGEST_MEMORY = 1 << 43
_LONGEST_TOKEN = 63
_LOCAL, _REMOTE = 10, 20


def _passthrough(domain: Domain) -> GuestCPU:
    domain.cpu = domain.cpu or GuestCPU(mode=CPUMode.HOST_PASSTHROUGH)
    return domain.cpu


def _add(cpu: GuestCPU, name: str, policy: CPUFeaturePolicy) -> None:
    if any(feature.name == name for feature in cpu.features):
        raise InternalError(f"CPU feature '{name}' specified more than once", value=name)
    cpu.features.append(CPUFeature(name=name, policy=policy))


# -- nested virtualization and features


def read_nested(settings: Settings, domain: Domain, host: XenHost) -> None:
    """``nestedhvm``: whether the guest has the processor's virtualization."""
    if domain.os_type is not OSType.HVM:
        return
    nested = settings.boolean("nestedhvm")
    if nested is None:
        return
    cpu = _passthrough(domain)
    if not nested:
        _add(cpu, host.virtualization, CPUFeaturePolicy.DISABLE)


def write_nested(domain: Domain, output: Output) -> None:
    """``nestedhvm``."""
    cpu = domain.cpu
    if domain.os_type is OSType.HVM and cpu is not None and cpu.mode is CPUMode.HOST_PASSTHROUGH:
        hidden = any(feature.name in VIRTUALIZATION and feature.policy in OFF for feature in cpu.features)
        output.set("nestedhvm", not hidden)


def read_cpuid(settings: Settings, domain: Domain) -> None:
    """``cpuid`` in libxl's format: ``host,name=value...``.

    :raises ConfSyntax: it is in another one, or malformed.
    """
    text = settings.string("cpuid")
    if text is None:
        return
    cpu = _passthrough(domain)
    if not text:
        return
    first, *entries = text.split(",")
    if first != "host":
        raise ConfSyntax(f"cpuid starting with {first} is not supported, only libxl format is", value=first)
    for entry in entries:
        name, equals, value = entry.partition("=")
        if not equals:
            raise ConfSyntax(f"Invalid libxl cpuid key=value element: {entry}", value=entry)
        if value not in _POLICIES:
            raise ConfSyntax(f"Invalid libxl cpuid value: {entry}", value=entry)
        _add(cpu, _TO_LIBVIRT.get(name, name), _POLICIES[value])


def write_cpuid(domain: Domain, output: Output) -> None:
    """``cpuid`` in libxl's format."""
    cpu = domain.cpu
    if cpu is None:
        return
    if cpu.mode is not CPUMode.HOST_PASSTHROUGH:
        log.warning("ignoring CPU mode '%s', only host-passthrough mode is supported", cpu.mode or CPUMode.CUSTOM)
        return
    words = []
    for feature in cpu.features:
        if feature.name in VIRTUALIZATION:
            continue
        value = "0" if feature.policy in OFF else "x" if feature.policy is CPUFeaturePolicy.OPTIONAL else "1"
        words.append(f"{_TO_XEN.get(feature.name, feature.name)}={value}")
    if words:
        output.set("cpuid", ",".join(["host", *words]))


# -- NUMA


def read_vnuma(settings: Settings, domain: Domain) -> None:
    """``vnuma``: a list of strings for every node of the guest.

    :raises VirtError: a node is malformed or incomplete.
    """
    nodes = settings.items("vnuma")
    if not isinstance(settings.get("vnuma"), list):
        return
    cells = [_read_node(node, number, len(nodes)) for number, node in enumerate(nodes)]
    vcpus = sum(len(cell.cpus or ()) for cell in cells)
    if domain.vcpu_maximum < vcpus:
        raise ConfigUnsupported(
            f"vnuma configuration contains {vcpus} vcpus, which is greater than {domain.vcpu_maximum} maxvcpus"
        )
    if cells:
        domain.vcpu = domain.vcpu or VCPUMaximum(maximum=vcpus)
        domain.cpu = domain.cpu or GuestCPU()
        domain.cpu.numa = NUMA(cells=cells)


def _read_node(node: ConfValue, number: int, count: int) -> NUMACell:
    cell = NUMACell(id=number, memory=0)
    pnode = None
    for item in node if isinstance(node, list) else ():
        if not isinstance(item, str):
            break
        key, equals, _ = item.partition("=")
        if not equals:
            raise InternalError(f"vnuma vnode invalid format '{item}'", value=item)
        value = item.rpartition("=")[2]
        if not value:
            continue
        name = next((name for name in ("pnode", "size", "vcpus", "vdistances") if key.startswith(name)), None)
        if name is None:
            raise ConfSyntax(f"Invalid vnuma configuration for vnode {number}", value=item)
        if len(value) > _LONGEST_TOKEN:
            raise InternalError(f"vnuma vnode {number} {name} '{value}' too long for destination", value=value)
        if name == "pnode":
            if _NUMBER.fullmatch(value) is None or int(value) >= count:
                raise ConfigUnsupported(f"vnuma vnode {number} contains invalid pnode value '{value}'", value=value)
            pnode = int(value)
        elif name == "size":
            if _NUMBER.fullmatch(value) is None or int(value) > _LARGEST_MEMORY:
                raise ConfSyntax(f"Invalid vnuma configuration for vnode {number}", value=item)
            cell.memory = int(value) * 1024
        elif name == "vcpus":
            try:
                cell.cpus = CPU_SET.read(value)
            except ValueError:
                raise InvalidArg(f"Failed to parse bitmap '{value}'", value=value) from None
        else:
            cell.distances = _read_distances(item, value, number, count, pnode)
    if pnode is None or not cell.cpus or not cell.memory:
        raise ConfSyntax(f"Incomplete vnuma configuration for vnode {number}")
    return cell


def _read_distances(item: str, value: str, number: int, count: int, pnode: int | None) -> list[NUMASibling]:
    parts = value.split(",")
    if len(parts) != count:
        shown = -1 if pnode is None else pnode
        raise ConfigUnsupported(
            f"vnuma pnode {shown} configured '{item}' (count {len(parts)}) doesn't fit the number of specified vnodes "
            f"{count}",
            value=value,
        )
    if not all(_NUMBER.fullmatch(part) and int(part) <= 255 for part in parts):
        raise ConfSyntax(f"Invalid vnuma configuration for vnode {number}", value=item)
    return [NUMASibling(id=other, value=int(part)) for other, part in enumerate(parts)]


def cells_of(domain: Domain) -> list[NUMACell]:
    """The guest's nodes."""
    return domain.cpu.numa.cells if domain.cpu is not None and domain.cpu.numa is not None else []


def distance(cell: NUMACell, other: int) -> int:
    """How far another node is."""
    said = next((sibling.value for sibling in cell.distances if sibling.id == other), None)
    return said if said is not None else _LOCAL if other == cell.id else _REMOTE


def write_vnuma(domain: Domain, output: Output) -> None:
    """``vnuma``.

    :raises ConfigUnsupported: a node has no CPUs.
    """
    cells = cells_of(domain)
    nodes: list[ConfValue] = []
    for number, cell in enumerate(cells):
        if not cell.cpus:
            raise ConfigUnsupported(f"Incomplete vnuma configuration for vnode {number}")
        distances = ",".join(str(distance(cell, other)) for other in range(len(cells)))
        nodes.append(
            [
                f"pnode={number}",
                f"size={cell.memory // 1024}",
                f"vcpus={CPU_SET.write(cell.cpus)}",
                f"vdistances={distances}",
            ]
        )
    output.set_list("vnuma", nodes)
