"""The processor of a host, and what stands in a guest's beside the model."""

from __future__ import annotations

import pytest

from virtcore.errors import VirtError
from virtcore.model.arch import Arch
from virtcore.model.cpu import CPUMode, GuestCPU, HostCPU
from virtcore.xml import format, parse

HOST = """<cpu>
  <arch>x86_64</arch>
  <model>Skylake-Client-IBRS</model>
  <vendor>Intel</vendor>
  <microcode version='240'/>
  <signature family='6' model='94' stepping='3'/>
  <counter name='tsc' frequency='2592000000' scaling='no'/>
  <topology sockets='1' dies='1' clusters='1' cores='4' threads='2'/>
  <maxphysaddr mode='emulate' bits='39'/>
  <feature name='ds'/>
  <feature name='acpi'/>
</cpu>
"""


def test_host_processor_round_trip() -> None:
    cpu = parse(HOST, HostCPU)
    assert cpu.arch is Arch.X86_64
    assert cpu.signature is not None
    assert (cpu.signature.family, cpu.signature.model, cpu.signature.stepping) == (6, 94, 3)
    assert [feature.name for feature in cpu.features] == ["ds", "acpi"]
    assert format(cpu) == HOST


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("<cpu><model>x</model></cpu>", "XML error: Missing CPU architecture"),
        ("<cpu><arch>x86_64</arch></cpu>", "XML error: Missing CPU model name"),
        ("<cpu><arch>x86_64</arch><model>x</model><feature/></cpu>", "XML error: Invalid CPU feature name"),
    ],
)
def test_incomplete_host_processor(given: str, message: str) -> None:
    with pytest.raises(VirtError) as caught:
        parse(given, HostCPU)
    assert str(caught.value) == message


def test_guest_processor_keeps_what_it_does_not_know() -> None:
    given = "<cpu mode='host-model' glow='red'><model fallback='forbid'/><sparkle/></cpu>"
    cpu = parse(given, GuestCPU)
    assert cpu.mode is CPUMode.HOST_MODEL
    printed = format(cpu)
    assert "glow='red'" in printed
    assert "<sparkle/>" in printed


def test_architectures() -> None:
    assert Arch.X86_64.bits == 64
    assert Arch.I686.bits == 32
    assert Arch.S390X.big_endian
    assert not Arch.PPC64LE.big_endian
    assert [arch for arch in Arch if arch.is_arm] == [Arch.ARMV6L, Arch.ARMV7L, Arch.ARMV7B, Arch.AARCH64]
