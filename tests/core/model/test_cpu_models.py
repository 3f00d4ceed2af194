"""Comparing, updating, translating and reducing processors."""

from __future__ import annotations

import pytest

from virtcore.enums import CPUCompareResult
from virtcore.errors import (
    ConfigUnsupported,
    CPUIncompatible,
    NoSupport,
    OperationFailed,
    OperationUnsupported,
    VirtError,
)
from virtcore.model.arch import Arch
from virtcore.model.cpu import (
    baseline_cpu,
    canonical_cpu_model,
    compare_cpu,
    convert_legacy_cpu,
    cpu_has_feature,
    cpu_models,
    expand_cpu_features,
    load_cpu,
    load_guest_cpu,
    load_host_cpu,
    migratable_cpu,
    translate_cpu,
    update_cpu,
    validate_cpu_features,
    vendor_of_cpu_model,
)
from virtcore.model.cpu.element import GuestCPU, HostCPU
from virtcore.xml import format

X86 = Arch.X86_64


def host(model: str = "Westmere", *features: str, vendor: str | None = "Intel", arch: str = "x86_64") -> HostCPU:
    listed = "".join(f"<feature name='{name}'/>" for name in features)
    named = f"<vendor>{vendor}</vendor>" if vendor else ""
    return load_host_cpu(f"<cpu><arch>{arch}</arch><model>{model}</model>{named}{listed}</cpu>")


def guest(model: str, features: str = "", attributes: str = "match='exact'", vendor: str = "") -> GuestCPU:
    listed = "".join(
        f"<feature policy='{policy}' name='{name}'/>"
        for policy, _, name in (f.partition(":") for f in features.split())
    )
    named = f"<vendor>{vendor}</vendor>" if vendor else ""
    return load_guest_cpu(f"<cpu {attributes}><model>{model}</model>{named}{listed}</cpu>")


def features_of(cpu: GuestCPU) -> list[tuple[str | None, str]]:
    return [(feature.policy, feature.name) for feature in cpu.features]


@pytest.mark.parametrize(
    ("wanted", "result"),
    [
        (guest("Westmere"), CPUCompareResult.IDENTICAL),
        (guest("Nehalem"), CPUCompareResult.SUPERSET),
        (guest("Nehalem", "disable:aes require:popcnt"), CPUCompareResult.IDENTICAL),
        (guest("Haswell"), CPUCompareResult.INCOMPATIBLE),
        (guest("Westmere", "force:avx"), CPUCompareResult.IDENTICAL),
        (guest("Westmere", "require:avx"), CPUCompareResult.INCOMPATIBLE),
        (guest("Westmere", "optional:avx"), CPUCompareResult.IDENTICAL),
        (guest("Nehalem", "forbid:aes"), CPUCompareResult.INCOMPATIBLE),
        (guest("Nehalem", attributes="match='strict'"), CPUCompareResult.INCOMPATIBLE),
        (guest("Nehalem", vendor="AMD"), CPUCompareResult.INCOMPATIBLE),
        (host("Nehalem"), CPUCompareResult.SUPERSET),
        (host("Nehalem", arch="s390x"), CPUCompareResult.INCOMPATIBLE),
    ],
)
def test_compare(wanted: GuestCPU | HostCPU, result: CPUCompareResult) -> None:
    assert compare_cpu(X86, host(), wanted) is result


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        (guest("Westmere", "require:avx require:rdrand"), "Host CPU does not provide required features: avx, rdrand"),
        (guest("Nehalem", "forbid:aes"), "Host CPU provides forbidden features: aes"),
        (
            guest("Nehalem", attributes="match='strict'"),
            "Host CPU does not strictly match guest CPU: Extra features: aes",
        ),
        (guest("Nehalem", vendor="AMD"), "host CPU vendor does not match required CPU vendor AMD"),
        (host("Nehalem", arch="s390x"), "CPU arch s390x does not match host arch"),
    ],
)
def test_why_they_do_not_go_together(wanted: GuestCPU | HostCPU, reason: str) -> None:
    with pytest.raises(CPUIncompatible) as caught:
        compare_cpu(X86, host(), wanted, fail_incompatible=True)
    assert str(caught.value) == f"the CPU is incompatible with host CPU: {reason}"


def test_an_unknown_host_goes_with_nothing() -> None:
    assert compare_cpu(X86, None, guest("Nehalem")) is CPUCompareResult.INCOMPATIBLE
    assert compare_cpu(Arch.S390X, None, guest("z13")) is CPUCompareResult.IDENTICAL
    with pytest.raises(ConfigUnsupported, match="unknown host CPU model"):
        update_cpu(X86, load_guest_cpu("<cpu mode='host-model'/>"), None)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (guest("Foo"), "internal error: Unknown CPU model Foo"),
        (guest("Westmere", "require:bar"), "internal error: Unknown CPU feature bar"),
    ],
)
def test_unknown_names(wanted: GuestCPU, message: str) -> None:
    before = format(wanted)
    for attempt in (
        lambda: compare_cpu(X86, host(), wanted),
        lambda: translate_cpu(X86, wanted, {"Nehalem": ()}),
        lambda: baseline_cpu([wanted], X86),
    ):
        with pytest.raises(VirtError) as caught:
            attempt()
        assert str(caught.value) == message
    assert format(wanted) == before


def test_host_model_becomes_the_host_s() -> None:
    cpu = load_guest_cpu(
        "<cpu mode='host-model'><model fallback='forbid'/><feature policy='disable' name='vmx'/>"
        "<feature policy='optional' name='avx'/></cpu>"
    )
    update_cpu(X86, cpu, migratable_cpu(X86, host("Westmere", "vmx", "invtsc")))
    assert format(cpu) == (
        "<cpu mode='custom' match='exact'>\n"
        "  <model fallback='forbid'>Westmere</model>\n"
        "  <vendor>Intel</vendor>\n"
        "  <feature policy='disable' name='vmx'/>\n"
        "  <feature policy='disable' name='avx'/>\n"
        "</cpu>\n"
    )


def test_minimum_keeps_the_guest_s_vendor() -> None:
    cpu = guest("Nehalem", "require:ssse3", "match='minimum'")
    update_cpu(X86, cpu, host("Westmere", "vmx"))
    assert cpu.model is not None
    assert (cpu.model.name, cpu.vendor, cpu.match) == ("Westmere", None, "exact")
    assert features_of(cpu) == [("require", "vmx"), ("require", "ssse3")]


def test_features_a_model_once_had_are_named() -> None:
    cpu = guest("Skylake-Client")
    update_cpu(X86, cpu, None)
    assert features_of(cpu) == [("disable", "mpx")]
    cpu = guest("Skylake-Client", "require:mpx")
    update_cpu(X86, cpu, None)
    assert features_of(cpu) == [("require", "mpx")]


def test_what_is_passed_through_stays() -> None:
    cpu = load_guest_cpu("<cpu mode='host-passthrough'/>")
    update_cpu(X86, cpu, None)
    assert cpu.mode == "host-passthrough"
    assert not cpu.features


def test_translate() -> None:
    cpu = guest("Haswell-noTSX")
    translate_cpu(X86, cpu, {"SandyBridge": (), "Haswell": ()})
    assert cpu.model is not None
    assert cpu.model.name == "Haswell"
    assert features_of(cpu) == [("disable", "hle"), ("disable", "rtm")]


def test_translate_names_what_blocks_a_model() -> None:
    cpu = guest("Haswell-noTSX")
    translate_cpu(X86, cpu, {"Haswell": ("rtm", "avx2", "no-such-feature")})
    assert features_of(cpu) == [("disable", "hle"), ("disable", "avx2"), ("disable", "rtm")]


def test_translate_only_if_wanted_and_needed() -> None:
    cpu = guest("Haswell-noTSX")
    before = format(cpu)
    translate_cpu(X86, cpu, {"Haswell-noTSX": ()})
    translate_cpu(X86, cpu, None)
    assert format(cpu) == before
    strict = load_guest_cpu("<cpu match='exact'><model fallback='forbid'>Haswell-noTSX</model></cpu>")
    with pytest.raises(ConfigUnsupported) as caught:
        translate_cpu(X86, strict, {"Haswell": ()})
    assert str(caught.value) == "unsupported configuration: CPU model Haswell-noTSX is not supported by hypervisor"
    with pytest.raises(NoSupport, match="cannot translate CPU model z14 to a supported model"):
        translate_cpu(Arch.S390X, guest("z14"), {"z13": ()})


def test_baseline() -> None:
    result = baseline_cpu([host("Westmere", "avx", "invtsc"), host("Nehalem", "avx", "invtsc")], migratable=True)
    assert format(result) == (
        "<cpu mode='custom' match='exact'>\n"
        "  <model fallback='allow'>Nehalem</model>\n"
        "  <vendor>Intel</vendor>\n"
        "  <feature policy='require' name='avx'/>\n"
        "</cpu>\n"
    )
    same = baseline_cpu([host("Westmere"), host("Westmere")])
    assert same.model is not None
    assert (same.model.name, same.model.fallback) == ("Westmere", "forbid")


@pytest.mark.parametrize(
    ("cpus", "message"),
    [
        ([], "invalid argument: No CPUs given"),
        ([host("Penryn"), host("Opteron_G3", vendor="AMD")], "operation failed: CPU vendors do not match"),
        (
            [host("Penryn"), host("Opteron_G3")],
            "operation failed: CPU vendor AMD of model Opteron_G3 differs from vendor Intel",
        ),
        ([host("Penryn", vendor="Acme")], "operation failed: Unknown CPU vendor Acme"),
        (
            [host("POWER7", vendor="IBM", arch="ppc64"), host("POWER8", vendor="IBM", arch="ppc64")],
            "operation failed: CPUs are incompatible",
        ),
        ([host("POWER7", vendor="Acme", arch="ppc64")], "operation failed: Unknown CPU vendor Acme"),
        ([host("POWER7", vendor="Freescale", arch="ppc64")], "CPU vendor IBM of model POWER7 differs from vendor"),
        (
            [host("z13", vendor=None, arch="s390x")],
            "by the connection driver: cannot compute baseline CPU of s390x architecture",
        ),
        (
            [host("x", vendor=None, arch="sparc")],
            "'sparc' architecture is not supported by CPU driver",
        ),
        (
            [load_guest_cpu("<cpu><topology sockets='1' cores='1' threads='1'/></cpu>")],
            "no CPU model specified at index 0",
        ),
    ],
)
def test_no_baseline(cpus: list[HostCPU | GuestCPU], message: str) -> None:
    with pytest.raises(VirtError) as caught:
        baseline_cpu(cpus)
    assert message in str(caught.value)


def test_baseline_within_what_a_hypervisor_can_do() -> None:
    with pytest.raises(OperationFailed, match="CPUs are incompatible"):
        baseline_cpu([host()], features=["no-such-feature"])
    result = baseline_cpu([host("Westmere", "avx")], models={"Nehalem": ()})
    assert result.model is not None
    assert result.model.name == "Nehalem"


def test_features() -> None:
    assert cpu_has_feature(X86, host(), "aes")
    assert not cpu_has_feature(X86, host(), "avx")
    assert cpu_has_feature(X86, host("Westmere", "avx"), "avx")
    with pytest.raises(VirtError, match="unknown CPU feature foo"):
        cpu_has_feature(X86, host(), "foo")
    with pytest.raises(NoSupport):
        cpu_has_feature(Arch.AARCH64, host("x", vendor=None, arch="aarch64"), "sve")


def test_expand() -> None:
    cpu = guest("486", "disable:vme require:avx force:lm")
    expand_cpu_features(X86, cpu)
    assert features_of(cpu) == [("require", "avx"), ("require", "fpu"), ("require", "pse"), ("disable", "vme")]
    mine = host("486", "avx")
    expand_cpu_features(X86, mine)
    assert [feature.name for feature in mine.features] == ["avx", "fpu", "pse", "vme"]
    with pytest.raises(OperationUnsupported):
        expand_cpu_features(X86, load_guest_cpu("<cpu mode='host-model'/>"))


@pytest.mark.parametrize(
    ("wanted", "result"),
    [
        ("<cpu mode='host-model'><model>power6</model></cpu>", CPUCompareResult.IDENTICAL),
        ("<cpu mode='host-model'><model>power8</model></cpu>", CPUCompareResult.INCOMPATIBLE),
        ("<cpu mode='host-model'/>", CPUCompareResult.IDENTICAL),
        ("<cpu match='exact'><model>POWER7+_v2.1</model></cpu>", CPUCompareResult.IDENTICAL),
        ("<cpu match='exact'><model>POWER9</model></cpu>", CPUCompareResult.INCOMPATIBLE),
    ],
)
def test_power(wanted: str, result: CPUCompareResult) -> None:
    assert compare_cpu(Arch.PPC64LE, host("POWER7", vendor="IBM", arch="ppc64"), load_cpu(wanted)) is result


@pytest.mark.parametrize(
    ("model", "wanted", "message"),
    [
        ("POWER7", "<cpu mode='host-model'><model>power7+</model></cpu>", "Unknown compatibility mode power7+"),
        ("POWER7", "<cpu match='exact'><model>POWER8E_v1.0</model></cpu>", "Unknown CPU model POWER8E_v1.0"),
        (
            "POWERPC_e5500",
            "<cpu mode='host-model'><model>power7</model></cpu>",
            "Host CPU does not support compatibility modes",
        ),
    ],
)
def test_power_refuses(model: str, wanted: str, message: str) -> None:
    with pytest.raises(VirtError) as caught:
        compare_cpu(Arch.PPC64, host(model, vendor="IBM", arch="ppc64"), load_cpu(wanted))
    assert str(caught.value) == f"internal error: {message}"


def test_power_legacy_names() -> None:
    cpu = guest("POWER8_v1.0")
    convert_legacy_cpu(Arch.PPC64, cpu)
    assert cpu.model is not None
    assert cpu.model.name == "POWER8"


def test_arm() -> None:
    mine = host("cortex-a72", vendor="ARM", arch="aarch64")
    assert compare_cpu(Arch.AARCH64, mine, host("cortex-a72", vendor="ARM", arch="aarch64")) is (
        CPUCompareResult.IDENTICAL
    )
    with pytest.raises(CPUIncompatible, match="required CPU vendor <null> or\\(and\\) model a64fx"):
        compare_cpu(Arch.AARCH64, mine, host("a64fx", vendor=None, arch="aarch64"), fail_incompatible=True)
    assert compare_cpu(Arch.AARCH64, mine, guest("anything")) is CPUCompareResult.IDENTICAL
    validate_cpu_features(Arch.AARCH64, guest("x", "require:sve256"))
    with pytest.raises(ConfigUnsupported, match="unknown CPU feature: sve3"):
        validate_cpu_features(Arch.AARCH64, guest("x", "require:sve3"))


def test_s390() -> None:
    cpu = load_guest_cpu("<cpu mode='host-model'><feature policy='disable' name='te'/></cpu>")
    update_cpu(Arch.S390X, cpu, host("z14", "te", "vx", vendor=None, arch="s390x"))
    assert features_of(cpu) == [("disable", "te"), ("require", "vx")]
    with pytest.raises(ConfigUnsupported, match="match mode minimum not supported"):
        update_cpu(Arch.S390X, guest("z14", attributes="match='minimum'"), None)
    with pytest.raises(ConfigUnsupported, match="optional CPU features are not supported"):
        update_cpu(Arch.S390X, guest("z14", "optional:te"), None)
    with pytest.raises(ConfigUnsupported, match="policies 'require' and 'disable' are supported for te"):
        validate_cpu_features(Arch.S390X, guest("z14", "optional:te"))


def test_names() -> None:
    assert "Nehalem" in (cpu_models(X86) or [])
    assert cpu_models(Arch.AARCH64) is None
    assert vendor_of_cpu_model(X86, "EPYC") == "AMD"
    assert vendor_of_cpu_model(X86, "nonsense") is None
    assert vendor_of_cpu_model(Arch.S390X, "z14") == "IBM"
    assert canonical_cpu_model(X86, "EPYC-IBPB") == "EPYC-v2"
    assert canonical_cpu_model(Arch.PPC64, "POWER7") is None


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            "<cpu match='exact'><arch>x86_64</arch><model>x</model></cpu>",
            "XML error: 'arch' element cannot be used inside 'cpu' element with 'match' attribute'",
        ),
        (
            "<cpu><arch>x86_64</arch><model>x</model><feature name='a'/><feature name='a'/></cpu>",
            "XML error: CPU feature 'a' specified more than once",
        ),
        ("<cpu><feature name='a'/></cpu>", "XML error: Non-empty feature list specified without CPU model"),
        ("<cpu>", None),
        ("<domain/>", None),
    ],
)
def test_documents_that_are_refused(source: str, message: str | None) -> None:
    with pytest.raises(VirtError) as caught:
        load_cpu(source)
    assert message is None or str(caught.value) == message
