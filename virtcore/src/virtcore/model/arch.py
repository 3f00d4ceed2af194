"""Processor architectures, by libvirt's names."""

from __future__ import annotations

import os
from enum import StrEnum
from functools import cache

__all__ = ["Arch", "host_arch"]


class Arch(StrEnum):
    """A processor architecture, as ``<type arch=…>`` names it."""

    ALPHA = "alpha"
    ARMV6L = "armv6l"
    ARMV7L = "armv7l"
    ARMV7B = "armv7b"
    AARCH64 = "aarch64"
    CRIS = "cris"
    I686 = "i686"
    IA64 = "ia64"
    LM32 = "lm32"
    LOONGARCH64 = "loongarch64"
    M68K = "m68k"
    MICROBLAZE = "microblaze"
    MICROBLAZEEL = "microblazeel"
    MIPS = "mips"
    MIPSEL = "mipsel"
    MIPS64 = "mips64"
    MIPS64EL = "mips64el"
    OPENRISC = "openrisc"
    PARISC = "parisc"
    PARISC64 = "parisc64"
    PPC = "ppc"
    PPCLE = "ppcle"
    PPC64 = "ppc64"
    PPC64LE = "ppc64le"
    PPCEMB = "ppcemb"
    RISCV32 = "riscv32"
    RISCV64 = "riscv64"
    S390 = "s390"
    S390X = "s390x"
    SH4 = "sh4"
    SH4EB = "sh4eb"
    SPARC = "sparc"
    SPARC64 = "sparc64"
    UNICORE32 = "unicore32"
    X86_64 = "x86_64"
    XTENSA = "xtensa"
    XTENSAEB = "xtensaeb"

    @property
    def bits(self) -> int:
        """Width of a machine word in bits."""
        return 32 if self in _WORD_32 else 64

    @property
    def big_endian(self) -> bool:
        """Whether the most significant byte comes first."""
        return self in _BIG_ENDIAN

    @property
    def is_x86(self) -> bool:
        """i686 or x86_64."""
        return self in (Arch.I686, Arch.X86_64)

    @property
    def is_arm(self) -> bool:
        """Any 32 or 64 bit ARM."""
        return self in (Arch.ARMV6L, Arch.ARMV7L, Arch.ARMV7B, Arch.AARCH64)

    @property
    def is_ppc64(self) -> bool:
        """64 bit POWER of either byte order."""
        return self in (Arch.PPC64, Arch.PPC64LE)

    @property
    def is_s390(self) -> bool:
        """s390 or s390x."""
        return self in (Arch.S390, Arch.S390X)

    @property
    def is_riscv(self) -> bool:
        """RISC-V of either width."""
        return self in (Arch.RISCV32, Arch.RISCV64)

    @property
    def is_mips64(self) -> bool:
        """64 bit MIPS of either byte order."""
        return self in (Arch.MIPS64, Arch.MIPS64EL)


_WORD_32 = frozenset(
    {
        Arch.ARMV6L,
        Arch.ARMV7L,
        Arch.ARMV7B,
        Arch.CRIS,
        Arch.I686,
        Arch.LM32,
        Arch.M68K,
        Arch.MICROBLAZE,
        Arch.MICROBLAZEEL,
        Arch.MIPS,
        Arch.MIPSEL,
        Arch.OPENRISC,
        Arch.PARISC,
        Arch.PPC,
        Arch.PPCLE,
        Arch.PPCEMB,
        Arch.RISCV32,
        Arch.S390,
        Arch.SH4,
        Arch.SPARC,
        Arch.UNICORE32,
        Arch.XTENSA,
        Arch.XTENSAEB,
    }
)
_BIG_ENDIAN = frozenset(
    {
        Arch.ALPHA,
        Arch.ARMV7B,
        Arch.LM32,
        Arch.M68K,
        Arch.MICROBLAZE,
        Arch.MIPS,
        Arch.MIPS64,
        Arch.OPENRISC,
        Arch.PARISC,
        Arch.PARISC64,
        Arch.PPC,
        Arch.PPC64,
        Arch.PPCEMB,
        Arch.S390,
        Arch.S390X,
        Arch.SH4EB,
        Arch.SPARC,
        Arch.SPARC64,
        Arch.XTENSAEB,
    }
)

# What the kernel calls some of them (uname -m), where that differs from libvirt's name.
_KERNEL_NAMES = {"amd64": Arch.X86_64, "arm64": Arch.AARCH64, "i386": Arch.I686, "i486": Arch.I686, "i586": Arch.I686}


@cache
def host_arch() -> Arch:
    """The architecture of this machine.

    :raises ValueError: the kernel names an architecture that libvirt does not know.
    """
    machine = os.uname().machine
    known = _KERNEL_NAMES.get(machine)
    return known if known is not None else Arch(machine)
