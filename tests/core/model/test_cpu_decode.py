"""From CPUID to a model, and from what a guest got to its description."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from virtcore.errors import InternalError, OperationFailed, VirtError
from virtcore.model.arch import Arch
from virtcore.model.cpu import load_cpu_data, load_guest_cpu, update_live_cpu
from virtcore.model.cpu.arm import host_cpu_of as arm_host
from virtcore.model.cpu.element import GuestCPU
from virtcore.model.cpu.ppc64 import host_cpu_of as power_host
from virtcore.model.cpu.x86 import guest_cpu_of, host_cpu_of
from virtcore.model.cpu.x86_data import X86Data
from virtcore.model.cpu.x86_map import Signature, x86_map
from virtcore.xml import format


def data_of(model: str, *features: str, signature: tuple[int, int, int] | None = None, without: str = "") -> X86Data:
    """What a processor says that has the features of a model, and some."""
    known = x86_map()
    found = known.require_model(model)
    data = X86Data()
    for name in [*known.names_of(found.features), *features]:
        if name not in without.split():
            data.add_feature(name)
    if found.vendor is not None:
        data.set_vendor(known.vendors[found.vendor])
    if signature is not None:
        data.set_signature(Signature(*signature))
    return data


def listed(cpu: GuestCPU) -> list[str]:
    return [f"{'-' if feature.policy == 'disable' else '+'}{feature.name}" for feature in cpu.features]


def name_of(cpu: GuestCPU) -> str | None:
    return cpu.model.name if cpu.model is not None else None


def test_document() -> None:
    data = X86Data.from_document(
        load_cpu_data(
            "<cpudata arch='x86'>"
            "<cpuid eax_in='0x0' ebx='0x756e6547' ecx='0x6c65746e' edx='0x49656e69'/>"
            "<cpuid eax_in='0x00000001' ecx_in='0x00' eax='0x000206a7' ebx='0x0' ecx='0x1' edx='0x0'/>"
            "<msr index='0x10a' eax='0x1' edx='0x0'/>"
            "</cpudata>"
        )
    )
    assert (data.vendor, data.signature) == ("Intel", (6, 42, 7))
    assert list(x86_map().names_of(data.features())) == ["pni", "rdctl-no"]
    assert data.has("pni")
    assert not data.has("vmx")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("<cpudata arch='x86'/>", "internal error: no x86 CPU data found"),
        ("<cpudata/>", "internal error: missing CPU data architecture"),
        ("<cpudata arch='vax'><cpuid eax_in='1'/></cpudata>", "internal error: CPU driver 'vax' does not exist"),
        ("<cpudata arch='x86'><cpuid eax_in='0x1ffffffff'/></cpudata>", None),
        ("<cpudata arch='x86'><cpuid/></cpudata>", None),
        ("<cpudata arch='x86'><msr index='0x1' eax='pear' edx='0'/></cpudata>", None),
    ],
)
def test_bad_documents(source: str, message: str | None) -> None:
    with pytest.raises(VirtError) as caught:
        load_cpu_data(source)
    assert message is None or str(caught.value) == message


def test_a_vendor_is_12_characters() -> None:
    with pytest.raises(InternalError, match="Invalid CPU vendor string 'short'"):
        X86Data().set_vendor("short")


def test_host() -> None:
    cpu = host_cpu_of(data_of("Westmere", "vmx", signature=(6, 44, 2)), Arch.X86_64)
    assert format(cpu) == (
        "<cpu>\n"
        "  <arch>x86_64</arch>\n"
        "  <model>Westmere-v1</model>\n"
        "  <vendor>Intel</vendor>\n"
        "  <signature family='6' model='44' stepping='2'/>\n"
        "  <feature name='vmx'/>\n"
        "</cpu>\n"
    )


def test_a_host_is_never_told_to_lack_something() -> None:
    cpu = host_cpu_of(data_of("Westmere", signature=(6, 44, 2), without="aes"), Arch.X86_64)
    assert cpu.model == "Nehalem-v1"


def test_the_signature_outweighs_the_list() -> None:
    lacking = "avx2 bmi1 bmi2 fma movbe fsgsbase erms smep invpcid"
    assert name_of(guest_cpu_of(data_of("Haswell", signature=(6, 60, 3), without=lacking))) == "Haswell-noTSX"
    assert name_of(guest_cpu_of(data_of("Haswell", without=lacking))) != "Haswell-noTSX"


def test_broken_transactional_memory_is_left_out() -> None:
    assert name_of(guest_cpu_of(data_of("Haswell", signature=(6, 63, 3)))) == "Haswell-noTSX"
    assert name_of(guest_cpu_of(data_of("Haswell", signature=(6, 63, 4)))) == "Haswell"


def test_models_of_the_hypervisor() -> None:
    data = data_of("Skylake-Client", signature=(6, 94, 3))
    cpu = guest_cpu_of(data, {"Haswell": (), "Nehalem": ()})
    assert name_of(cpu) == "Haswell"
    assert "+clflushopt" not in listed(cpu)
    assert "-rtm" in listed(guest_cpu_of(data, {"Haswell": ("rtm",)}))
    with pytest.raises(InternalError, match="Cannot find suitable CPU model for given data"):
        guest_cpu_of(data, {"EPYC": ()})


def test_features_once_had_are_told_of_guests_only() -> None:
    data = data_of("Skylake-Client", signature=(6, 94, 3))
    assert listed(guest_cpu_of(data)) == ["-mpx"]
    assert host_cpu_of(data, Arch.X86_64).features == []


def test_nothing_at_all_is_the_oldest_model() -> None:
    cpu = guest_cpu_of(X86Data())
    assert listed(cpu)
    assert all(entry.startswith("-") for entry in listed(cpu))


def test_update_live() -> None:
    cpu = load_guest_cpu("<cpu match='exact'><model>Nehalem</model><feature policy='require' name='vmx'/></cpu>")
    enabled = data_of("Nehalem", "x2apic", without="sse4.2")
    refused = X86Data()
    refused.add_feature("vmx")
    assert update_live_cpu(Arch.X86_64, cpu, enabled, refused)
    assert listed(cpu) == ["-vmx", "-sse4.2", "+x2apic"]


@pytest.mark.parametrize(
    ("given", "without", "message"),
    [
        ("x2apic", "", "extra features: x2apic"),
        ("", "sse4.2", "missing features: sse4.2"),
        ("x2apic", "sse4.1 sse4.2", "extra features: x2apic, missing features: sse4.1,sse4.2"),
    ],
)
def test_full_check(given: str, without: str, message: str) -> None:
    cpu = load_guest_cpu("<cpu match='exact' check='full'><model>Nehalem</model></cpu>")
    before = format(cpu)
    with pytest.raises(OperationFailed) as caught:
        update_live_cpu(Arch.X86_64, cpu, data_of("Nehalem", *given.split(), without=without), X86Data())
    assert str(caught.value) == f"operation failed: guest CPU doesn't match specification: {message}"
    assert format(cpu) == before


def test_update_live_of_what_is_passed_through() -> None:
    cpu = load_guest_cpu("<cpu mode='host-passthrough'><feature policy='disable' name='vmx'/></cpu>")
    assert not update_live_cpu(Arch.X86_64, cpu, data_of("Nehalem", "vmx"), X86Data())
    assert listed(cpu) == ["-vmx"]
    assert not update_live_cpu(Arch.AARCH64, cpu, X86Data(), X86Data())


def test_registers_of_other_architectures() -> None:
    power = power_host(0x004E1202, Arch.PPC64LE)
    assert (power.model, power.vendor) == ("POWER9", "IBM")
    arm = arm_host(0xD0C, 0x41, Arch.AARCH64, ["fp", "asimd"])
    assert (arm.model, arm.vendor, [feature.name for feature in arm.features]) == (
        "Neoverse-N1",
        "ARM",
        ["fp", "asimd"],
    )
    attempts: tuple[tuple[Callable[[], object], str], ...] = (
        (lambda: power_host(0x12345678, Arch.PPC64), "Cannot find CPU model with PVR 0x12345678"),
        (lambda: arm_host(0xFFF, 0x41, Arch.AARCH64), "Cannot find CPU model with PVR 0xfff"),
        (lambda: arm_host(0xD0C, 0x99, Arch.AARCH64), "Cannot find CPU vendor with vendor id 0x99"),
        (lambda: power_host(0x004E1202, Arch.PPC64, {"POWER8": ()}), "CPU model POWER9 is not supported by hypervisor"),
    )
    for attempt, message in attempts:
        with pytest.raises(VirtError, match=message):
            attempt()
