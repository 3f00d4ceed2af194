"""What an x86 processor answers when asked by the CPUID instruction."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from virtcore.model.cpu.x86_data import X86Data
from virtcore.model.cpu.x86_map import Word, x86_map

if TYPE_CHECKING:
    import mmap

__all__ = ["Registers", "cpuid_data", "cpuid_reader"]


class Registers(NamedTuple):
    """What the instruction leaves behind."""

    eax: int
    ebx: int
    ecx: int
    edx: int


#: ``eax`` (leaf) and ``ecx`` (subleaf) -> what the processor answers.
CPUIDReader = Callable[[int, int], Registers]

_DEVICE = "/dev/cpu/0/cpuid"

_ARCH_CAPABILITIES = 0x10A
#: First leaf of the ordinary and of the extended ones; it tells the last one there is.
_BASES = (0x0, 0x80000000)

#: void cpuid(uint32 leaf, uint32 subleaf, uint32 registers[4]), for the System V calling convention of x86_64.
_CODE = bytes.fromhex(
    "53"  # push rbx
    "4989d0"  # mov r8, rdx
    "89f8"  # mov eax, edi
    "89f1"  # mov ecx, esi
    "0fa2"  # cpuid
    "418900"  # mov [r8], eax
    "41895804"  # mov [r8+4], ebx
    "41894808"  # mov [r8+8], ecx
    "4189500c"  # mov [r8+12], edx
    "5b"  # pop rbx
    "c3"  # ret
)


def cpuid_reader() -> CPUIDReader | None:
    """A way to ask this machine's processor; None where there is none (another architecture, or not allowed)."""
    if os.uname().machine != "x86_64":
        return None
    with suppress(OSError):
        device = os.open(_DEVICE, os.O_RDONLY | os.O_CLOEXEC)
        os.close(device)
        return _from_device
    return _instruction()


def _from_device(leaf: int, subleaf: int) -> Registers:
    device = os.open(_DEVICE, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return Registers(*struct.unpack("=4I", os.pread(device, 16, subleaf << 32 | leaf)))
    finally:
        os.close(device)


def _instruction() -> CPUIDReader | None:
    """Asks by the instruction itself: there is no other way without privileges.

    The memory it stands in is never writable and executable at a time; where a system forbids executable memory
    altogether there is no answer.
    """
    import ctypes
    import mmap

    page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE)
    page.write(_CODE)
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    library = ctypes.CDLL(None, use_errno=True)
    length, protection = ctypes.c_size_t(mmap.PAGESIZE), mmap.PROT_READ | mmap.PROT_EXEC
    if library.mprotect(ctypes.c_void_p(address), length, protection) != 0:
        return None
    registers = ctypes.c_uint32 * 4
    function = ctypes.CFUNCTYPE(None, ctypes.c_uint32, ctypes.c_uint32, registers)(address)

    def ask(leaf: int, subleaf: int, _page: mmap.mmap = page) -> Registers:
        found = registers()
        function(leaf, subleaf, found)
        return Registers(*found)

    return ask


def cpuid_data(ask: CPUIDReader, msr: Callable[[int], int | None] | None = None) -> X86Data:
    """All of the processor's answers that say something about its model.

    :param msr: reads a model specific register; None from it: not allowed.
    """
    data = X86Data()
    last = {base: ask(base, 0).eax for base in _BASES}
    words = {(0x0, 0), (0x1, 0)} | {(word.leaf, word.subleaf) for word in x86_map().words if word.subleaf is not None}
    for leaf, subleaf in sorted(words):
        if subleaf is not None and leaf <= last.get(leaf & 0x80000000, 0):
            for name, bits in ask(leaf, subleaf)._asdict().items():
                data.add(Word(leaf, subleaf, name), bits)
    if msr is not None:
        # KVM tells it whether or not the processor says that it has the register, and libvirt takes it.
        value = msr(_ARCH_CAPABILITIES)
        if value is not None:
            data.add(Word(_ARCH_CAPABILITIES, None, "eax"), value & 0xFFFFFFFF)
            data.add(Word(_ARCH_CAPABILITIES, None, "edx"), value >> 32)
    return data
