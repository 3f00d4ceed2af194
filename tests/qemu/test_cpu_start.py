"""What a start makes of the processor a guest asks for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from virt_qemu.capabilities.model import Accelerator, CPUDefinition, CPUExpansion, EmulatorCapabilities
from virt_qemu.cpu_model import describe_live_cpu, hypervisor_models, x86_data_of, x86_host_model
from virt_qemu.cpu_modes import cpu_modes
from virt_qemu.cpu_start import decide_cpu
from virtcore.errors import ConfigUnsupported, CPUIncompatible, OperationFailed, VirtError
from virtcore.model.arch import Arch
from virtcore.model.cpu import GuestCPU, HostCPU, load_guest_cpu
from virtcore.model.cpu.x86_data import X86Data
from virtcore.model.cpu.x86_map import x86_map
from virtcore.model.domain import OS, Domain, OSType, OSVariant, VirtType
from virtcore.xml import format


def expansion(model: str, *features: str, without: str = "", **migratable: bool) -> CPUExpansion:
    """What QEMU says that can give all of a model, and some."""
    known = x86_map()
    found = known.require_model(model)
    names = [*known.names_of(found.features), *features]
    properties: dict[str, bool | int | str] = {name: name != without for name in names}
    properties |= {"vendor": "GenuineIntel", "family": 6, "model": 60, "stepping": 3, "phys-bits": 0}
    return CPUExpansion(name="base", properties=properties, migratable=migratable)


def capabilities(host: CPUExpansion | None, *models: CPUDefinition, arch: Arch = Arch.X86_64) -> EmulatorCapabilities:
    return EmulatorCapabilities(
        binary="/bin/qemu",
        arch=arch,
        version=0,
        package="",
        flags=frozenset(),
        accelerators={"kvm": Accelerator(cpus=list(models), host_cpu=host)},
    )


KNOWN = (
    CPUDefinition(name="Nehalem", usable=True),
    CPUDefinition(name="Westmere", usable=False, blockers=["aes"]),
)


def decided(
    xml: str, emulator: EmulatorCapabilities, arch: Arch = Arch.X86_64, host: HostCPU | None = None
) -> GuestCPU:
    domain = Domain(type=VirtType.KVM, name="x", cpu=load_guest_cpu(xml))
    domain.os = OS(type=OSVariant(arch=arch, type=OSType.HVM))
    decide_cpu(domain, emulator, host)
    assert domain.cpu is not None
    return domain.cpu


def said(cpu: GuestCPU) -> tuple[str | None, str | None, list[str]]:
    """Mode, model and features."""
    features = [f"{'-' if feature.policy == 'disable' else '+'}{feature.name}" for feature in cpu.features]
    return cpu.mode, cpu.model.name if cpu.model is not None else None, features


def test_host_model() -> None:
    host = expansion("Nehalem", "vmx", "invtsc", invtsc=False)
    cpu = decided("<cpu mode='host-model'/>", capabilities(host, *KNOWN))
    assert said(cpu) == ("custom", "Nehalem", ["+vmx"])
    assert (cpu.vendor, cpu.match) == ("Intel", "exact")
    assert cpu.model is not None
    assert cpu.model.fallback == "forbid"


def test_features_that_are_optional() -> None:
    cpu = decided(
        "<cpu match='exact'><model>Nehalem</model><feature policy='optional' name='vmx'/>"
        "<feature policy='optional' name='avx'/></cpu>",
        capabilities(expansion("Nehalem", "vmx"), *KNOWN),
    )
    assert said(cpu) == ("custom", "Nehalem", ["+vmx", "-avx"])


def test_a_model_qemu_does_not_know() -> None:
    emulator = capabilities(expansion("Nehalem"), *KNOWN)
    cpu = decided("<cpu match='exact'><model>Penryn</model></cpu>", emulator)
    assert said(cpu) == ("custom", "Nehalem", ["-sse4.2", "-popcnt"])
    with pytest.raises(ConfigUnsupported, match="CPU model Penryn is not supported by hypervisor"):
        decided("<cpu match='exact'><model fallback='forbid'>Penryn</model></cpu>", emulator)


def test_what_stays() -> None:
    emulator = capabilities(None)
    for xml in ("<cpu mode='host-passthrough'/>", "<cpu><topology sockets='1' cores='1' threads='1'/></cpu>"):
        assert said(decided(xml, emulator))[1] is None
    host = HostCPU(arch=Arch.PPC64LE, model="POWER9")
    power = decided("<cpu mode='host-model'><model>power8</model></cpu>", emulator, Arch.PPC64LE, host)
    assert said(power) == ("host-model", "power8", [])


def test_what_cannot_be_had() -> None:
    with pytest.raises(ConfigUnsupported, match=r"CPU mode 'host-model' for x86_64 kvm domain on .* host is not supp"):
        decided("<cpu mode='host-model'/>", capabilities(None))
    with pytest.raises(VirtError, match="Unknown CPU model Sofa"):
        decided("<cpu match='exact'><model>Sofa</model></cpu>", capabilities(expansion("Nehalem"), *KNOWN))


def test_what_the_host_must_have() -> None:
    emulator = capabilities(expansion("Nehalem", "vmx"), *KNOWN, CPUDefinition(name="Penryn", usable=True))
    full = "<cpu match='exact' check='full'><model>Westmere</model></cpu>"
    assert said(decided(full, emulator))[1] == "Westmere"  # checked when it runs
    with pytest.raises(CPUIncompatible, match="Host CPU does not provide required features: aes"):
        decided(full.replace("full", "partial"), emulator)
    # QEMU's word counts, where nothing is added to what it says.
    usable = "<cpu match='exact' check='partial'><model>Penryn</model><feature policy='disable' name='apic'/></cpu>"
    assert said(decided(usable, emulator))[1] == "Penryn"
    with pytest.raises(CPUIncompatible, match=r"required features: avx$"):
        decided(usable.replace("policy='disable' name='apic'", "policy='require' name='avx'"), emulator)
    for check in ("partial", "full"):
        forbidden = f"<cpu check='{check}'><model>Nehalem</model><feature policy='forbid' name='vmx'/></cpu>"
        with pytest.raises(CPUIncompatible, match="Host CPU provides forbidden feature 'vmx'"):
            decided(forbidden, emulator)
    assert [each.policy for each in decided(forbidden.replace("full", "none"), emulator).features] == ["forbid"]


def test_what_qemu_does_not_know() -> None:
    names = "<feature policy='require' name='cmt'/><feature policy='disable' name='pconfig'/>"
    cpu = decided(f"<cpu match='exact'><model>Nehalem</model>{names}</cpu>", capabilities(expansion("Nehalem"), *KNOWN))
    assert said(cpu)[2] == []


def test_features_that_are_deprecated() -> None:
    host = CPUExpansion(name="gen15a-base", properties={"aen": True, "te": True}, migratable={}, deprecated=["te"])
    emulator = capabilities(host, arch=Arch.S390X)
    off = "<cpu mode='host-model' deprecated_features='off'/>"
    with pytest.raises(ConfigUnsupported, match="toggling deprecated features for CPU model is unsupported"):
        decided(off, emulator, Arch.S390X)
    emulator = replace(emulator, flags=frozenset({"query-cpu-model-expansion.deprecated-props"}))
    assert said(decided(off, emulator, Arch.S390X))[2] == ["+aen", "-te"]


def test_s390() -> None:
    host = CPUExpansion(name="gen15a-base", properties={"aen": True, "te": False}, migratable={})
    cpu = decided("<cpu mode='host-model'/>", capabilities(host, arch=Arch.S390X), Arch.S390X)
    assert said(cpu) == ("custom", "gen15a-base", ["+aen", "-te"])


def test_qemu_s_names() -> None:
    assert hypervisor_models([]) is None
    assert hypervisor_models([CPUDefinition(name="X", blockers=["pclmulqdq"])]) == {"X": ("pclmuldq",)}
    data = x86_data_of(
        CPUExpansion(name="base", properties={"pclmulqdq": True, "no-such-thing": True, "vendor": "A" * 12})
    )
    assert data.has("pclmuldq")
    assert data.vendor is None
    blocked = x86_host_model(expansion("Westmere"), KNOWN[1:])
    assert said(blocked)[2] == ["-aes"]


def test_what_a_started_guest_got() -> None:
    got, refused = x86_data_of(expansion("Nehalem", without="sse4.2")), X86Data()
    refused.add_feature("vmx")
    asked = "<cpu match='exact'><model fallback='forbid'>Penryn</model><feature policy='require' name='vmx'/></cpu>"
    by_host, by_itself = load_guest_cpu(asked), load_guest_cpu(asked)
    describe_live_cpu(Arch.X86_64, by_host, got, refused, expansion=expansion("Nehalem"), cpus=KNOWN)
    assert said(by_host) == ("custom", "Nehalem", ["-vmx", "-sse4.2", "+popcnt"])
    describe_live_cpu(Arch.X86_64, by_itself, got, refused)
    # What its signature says.
    assert said(by_itself)[1] == "Haswell-noTSX"
    full = load_guest_cpu("<cpu match='exact' check='full'><model>Nehalem</model></cpu>")
    with pytest.raises(OperationFailed, match=r"doesn't match specification: missing features: sse4\.2"):
        describe_live_cpu(Arch.X86_64, full, got, X86Data(), expansion=expansion("Nehalem"), cpus=KNOWN)


def test_modes_of_domain_capabilities() -> None:
    printed = format(cpu_modes(capabilities(expansion("Nehalem", "vmx", "invtsc", invtsc=False), *KNOWN), "kvm", 40))
    assert "<mode name='host-passthrough' supported='yes'>" in printed
    assert "<mode name='maximum' supported='no'/>" in printed
    assert (
        "  <mode name='host-model' supported='yes'>\n"
        "    <model fallback='forbid'>Nehalem</model>\n"
        "    <vendor>Intel</vendor>\n"
        "    <maxphysaddr mode='passthrough' limit='40'/>\n"
        "    <feature policy='require' name='vmx'/>\n"
        "    <feature policy='require' name='invtsc'/>\n"
        "  </mode>\n"
    ) in printed
    assert (
        "    <model usable='yes' vendor='Intel' canonical='Nehalem-v1'>Nehalem</model>\n"
        "    <model usable='no' vendor='Intel' canonical='Westmere-v1'>Westmere</model>\n"
        "    <blockers model='Westmere'>\n"
        "      <feature name='aes'/>\n"
        "    </blockers>\n"
    ) in printed
    nothing = format(cpu_modes(capabilities(None, *KNOWN), "qemu"))
    assert "<mode name='host-model' supported='no'/>" in nothing
    assert "<mode name='custom' supported='no'/>" in nothing
