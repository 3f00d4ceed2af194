"""What only KVM, or a privileged device, tells of an x86 host's processor."""

from __future__ import annotations

import fcntl
import os
import struct
from contextlib import ExitStack, suppress
from typing import NamedTuple

__all__ = ["TSC", "max_vcpus", "read_msr", "read_tsc"]

_DEVICE = "/dev/kvm"
_MSR_DEVICE = "/dev/cpu/0/msr"

# Requests of linux/kvm.h.
_CREATE_VM = 0xAE01
_CHECK_EXTENSION = 0xAE03
_CREATE_VCPU = 0xAE41
_GET_MSRS = 0xC008AE88
_GET_TSC_KHZ = 0xAEA3
_CAP_NR_VCPUS = 9
_CAP_TSC_CONTROL = 60
_CAP_MAX_VCPUS = 66


class TSC(NamedTuple):
    """The time stamp counter.

    :ivar frequency: in Hz.
    :ivar scaling: whether guests can be given another one.
    """

    frequency: int
    scaling: bool


def read_msr(index: int) -> int | None:
    """A model specific register of this machine's processor, or what KVM says of it; None where neither can be had."""
    with suppress(OSError), ExitStack() as stack:
        device = _open(stack, _MSR_DEVICE, os.O_RDONLY)
        return int.from_bytes(os.pread(device, 8, index), "little")
    with suppress(OSError), ExitStack() as stack:
        device = _open(stack, _DEVICE, os.O_RDONLY)
        request = bytearray(struct.pack("=IIIIQ", 1, 0, index, 0, 0))
        if fcntl.ioctl(device, _GET_MSRS, request) == 1:
            return int(struct.unpack_from("=Q", request, 16)[0])
    return None


def read_tsc() -> TSC | None:
    """The time stamp counter, as a guest would get it; None where KVM cannot be asked."""
    with suppress(OSError), ExitStack() as stack:
        device = _open(stack, _DEVICE, os.O_RDWR)
        machine = fcntl.ioctl(device, _CREATE_VM, 0)
        stack.callback(os.close, machine)
        cpu = fcntl.ioctl(machine, _CREATE_VCPU, 0)
        stack.callback(os.close, cpu)
        khz = fcntl.ioctl(cpu, _GET_TSC_KHZ, 0)
        return TSC(khz * 1000, bool(fcntl.ioctl(machine, _CHECK_EXTENSION, _CAP_TSC_CONTROL)))
    return None


def max_vcpus() -> int | None:
    """Most virtual CPUs of a guest; None where KVM cannot be asked."""
    with suppress(OSError), ExitStack() as stack:
        device = _open(stack, _DEVICE, os.O_RDONLY)
        # Older kernels know only how many they recommend.
        for capability in (_CAP_MAX_VCPUS, _CAP_NR_VCPUS):
            found = fcntl.ioctl(device, _CHECK_EXTENSION, capability)
            if found > 0:
                return found
    return None


def _open(stack: ExitStack, path: str, flags: int) -> int:
    found = os.open(path, flags | os.O_CLOEXEC)
    stack.callback(os.close, found)
    return found
