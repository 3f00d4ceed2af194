"""Adapter of suite ``cpu``: what libvirt knows of processor models."""

from __future__ import annotations

import json
from typing import Any

from virt_qemu.capabilities.derive import cpu_definitions, cpu_expansion
from virt_qemu.cpu_model import describe_live_cpu, hypervisor_models, x86_data_of, x86_host_model
from virtcore.model.arch import Arch
from virtcore.model.cpu import (
    baseline_cpu,
    compare_cpu,
    convert_legacy_cpu,
    cpu_has_feature,
    expand_cpu_features,
    load_cpu,
    load_cpu_data,
    load_guest_cpu,
    load_host_cpu,
    migratable_cpu,
    translate_cpu,
    update_cpu,
    validate_cpu_features,
)
from virtcore.model.cpu.x86 import guest_cpu_of, host_cpu_of
from virtcore.model.cpu.x86_data import X86Data
from virtcore.xml import format


def cpu(case: Any) -> Any:
    """The operation of a case."""
    return _OPERATIONS[case.params["op"]](case, Arch(case.params["arch"]))


def _replies(case: Any) -> list[Any]:
    """The JSON documents of a recorded talk with QEMU."""
    text = case.text("json").strip() if case.has("json") else ""
    found = []
    while text:
        answer, end = json.JSONDecoder().raw_decode(text)
        found.append(answer["return"])
        text = text[end:].lstrip()
    return found


def _models(case: Any) -> Any:
    replies = _replies(case)
    return cpu_definitions(replies[1]) if len(replies) > 1 else []


def _data(case: Any, role: str = "cpuid") -> X86Data:
    return X86Data.from_document(load_cpu_data(case.text(role)))


def _compare(case: Any, arch: Arch) -> str:
    host = load_host_cpu(case.text("host"))
    return compare_cpu(arch, host, load_cpu(case.text("cpu"))).name.lower()


def _update(case: Any, arch: Arch) -> str:
    host, guest = load_host_cpu(case.text("host")), load_guest_cpu(case.text("cpu"))
    update_cpu(arch, guest, migratable_cpu(arch, host))
    return format(guest)


def _baseline(case: Any, arch: Arch) -> str:
    from lxml import etree

    flags = case.params["flags"]
    hosts = [load_host_cpu(etree.tostring(node)) for node in etree.fromstring(case.data("cpus")).iter("cpu")]
    result = baseline_cpu(hosts, migratable="migratable" in flags)
    if "expand-features" in flags:
        expand_cpu_features(arch, result)
    return format(result)


def _cpuid_baseline(case: Any, arch: Arch) -> str:
    roles = sorted((role for role in case.inputs if role.startswith("cpu")), key=lambda role: int(role[3:]))
    return format(baseline_cpu([load_cpu(case.text(role)) for role in roles], arch))


def _has_feature(case: Any, arch: Arch) -> bool:
    return cpu_has_feature(arch, load_host_cpu(case.text("host")), case.params["feature"])


def _guest_cpu(case: Any, arch: Arch) -> str:
    host, guest = load_host_cpu(case.text("host")), load_guest_cpu(case.text("cpu"))
    convert_legacy_cpu(arch, guest)
    compare_cpu(arch, host, guest, fail_incompatible=True)
    update_cpu(arch, guest, host)
    translate_cpu(arch, guest, dict.fromkeys(case.params.get("models") or (), ()))
    return format(guest)


def _validate_features(case: Any, arch: Arch) -> str:
    validate_cpu_features(arch, load_guest_cpu(case.text("cpu")))
    return "valid"


def _cpuid_host(case: Any, arch: Arch) -> str:
    return format(host_cpu_of(_data(case), arch))


def _cpuid_guest(case: Any, arch: Arch) -> str:
    return format(guest_cpu_of(_data(case), hypervisor_models(_models(case))))


def _signature(data: X86Data) -> str:
    signature = data.signature
    assert signature is not None
    return (
        f"{data.signature_register:06x}\n"
        f"family:   {signature.family:3} (0x{signature.family:02x})\n"
        f"model:    {signature.model:3} (0x{signature.model:02x})\n"
        f"stepping: {signature.stepping:3} (0x{signature.stepping:02x})\n"
    )


def _cpuid_signature(case: Any, arch: Arch) -> str:
    return _signature(_data(case))


def _json_cpu(case: Any, arch: Arch) -> str:
    return format(x86_host_model(cpu_expansion(_replies(case)[0]["model"]), _models(case)))


def _json_signature(case: Any, arch: Arch) -> str:
    return _signature(x86_data_of(cpu_expansion(_replies(case)[0]["model"])))


def _update_live(case: Any, arch: Arch) -> str:
    guest = load_guest_cpu(case.text("guest"))
    expansion = cpu_expansion(_replies(case)[0]["model"]) if case.has("json") else None
    enabled, disabled = _data(case, "enabled"), _data(case, "disabled")
    describe_live_cpu(arch, guest, enabled, disabled, expansion=expansion, cpus=_models(case))
    return format(guest)


_OPERATIONS = {
    "compare": _compare,
    "update": _update,
    "baseline": _baseline,
    "cpuid-baseline": _cpuid_baseline,
    "has-feature": _has_feature,
    "guest-cpu": _guest_cpu,
    "validate-features": _validate_features,
    "cpuid-host": _cpuid_host,
    "cpuid-guest": _cpuid_guest,
    "cpuid-signature": _cpuid_signature,
    "json-cpu": _json_cpu,
    "json-signature": _json_signature,
    "update-live": _update_live,
}
