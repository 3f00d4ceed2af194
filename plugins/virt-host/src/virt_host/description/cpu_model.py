"""The host's processor as a model and what it has beyond it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from virt_host.description.cpuinfo import node_info
from virtcore.model.cpu.element import CPUTopology, HostCPUCounter, MaxPhysAddr, MaxPhysAddrMode

if TYPE_CHECKING:
    from virt_host.description.tree import HostTree
    from virtcore.model.arch import Arch
    from virtcore.model.cpu.element import HostCPU

__all__ = ["address_bits", "host_cpu", "microcode_version"]


def host_cpu(tree: HostTree, arch: Arch) -> HostCPU | None:
    """This machine's processor (``virCPUProbeHost``); None where it cannot be asked or libvirt knows no models.

    :raises VirtError: it answers what no model fits.
    """
    cpu = _model(tree, arch)
    if cpu is None:
        return None
    info = node_info(tree, arch)
    cpu.topology = CPUTopology(sockets=info.sockets, dies=1, clusters=1, cores=info.cores, threads=info.threads)
    return cpu


def address_bits(tree: HostTree) -> int | None:
    """Bits of a physical address (x86); None where the kernel does not say."""
    found = re.search(r"^address sizes\s*:\s*(\d+) bits physical", tree.text(tree.cpuinfo) or "", re.MULTILINE)
    return int(found[1]) if found else None


def microcode_version(tree: HostTree) -> int:
    """Version of the processor's microcode; 0 where the kernel does not tell."""
    found = re.search(r"^microcode\s*:\s*(0x[0-9a-fA-F]+|\d+)", tree.text(tree.cpuinfo) or "", re.MULTILINE)
    return int(found[1], 0) if found else 0


def _model(tree: HostTree, arch: Arch) -> HostCPU | None:
    said = tree.text(tree.cpuinfo) or ""

    def find(pattern: str) -> str | None:
        found = re.search(pattern, said, re.MULTILINE)
        return found[1] if found else None

    if arch.is_x86:
        from virt_host.description.cpuid import cpuid_data, cpuid_reader
        from virt_host.description.kvm import read_msr, read_tsc
        from virtcore.model.cpu.x86 import host_cpu_of

        ask = cpuid_reader()
        if ask is None:
            return None
        data = cpuid_data(ask, read_msr)
        cpu = host_cpu_of(data, arch)
        # A counter that changes its speed is of no use to guests.
        tsc = read_tsc() if data.has("invtsc") else None
        if tsc is not None:
            cpu.counter = HostCPUCounter(name="tsc", frequency=tsc.frequency, scaling=tsc.scaling)
        cpu.microcode = microcode_version(tree) or None
        bits = address_bits(tree)
        if bits is not None:
            cpu.maxphysaddr = MaxPhysAddr(mode=MaxPhysAddrMode.EMULATE, bits=bits)
        return cpu
    if arch.is_ppc64:
        from virtcore.model.cpu.ppc64 import host_cpu_of as power_cpu_of

        pvr = find(r"^revision\s*:.*\(pvr (\w+ \w+)\)")
        return power_cpu_of(int(pvr.replace(" ", ""), 16), arch) if pvr is not None else None
    if arch.is_arm:
        from virtcore.model.cpu.arm import host_cpu_of as arm_cpu_of

        register = tree.text(tree.cpus / "cpu0" / "regs" / "identification" / "midr_el1")
        if register is None:
            return None
        main_id = int(register, 16)
        features = (find(r"^Features\s*:\s*(.*)$") or "").split()
        return arm_cpu_of(main_id >> 4 & 0xFFF, main_id >> 24 & 0xFF, arch, features)
    return None
