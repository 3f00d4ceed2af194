"""What QEMU can do: as a document, and as what it offers guests."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from virt_qemu.capabilities.derive import derive
from virt_qemu.capabilities.document import format_emulator_capabilities, parse_emulator_capabilities
from virt_qemu.capabilities.replies import Replies
from virt_qemu.domain_capabilities import HostFacts, SEVRegisters, domain_capabilities as describe_domains
from virt_qemu.firmware import FirmwareCatalog
from virt_qemu.host_capabilities import guest_capabilities
from virtcore.model.arch import Arch
from virtcore.model.capabilities import (
    Capabilities,
    Host,
    HostIOMMU,
    HostProcessor,
    PowerManagementFeatures,
    format_capabilities,
)
from virtcore.model.cpu.element import HostCPU
from virtcore.model.domain import VirtType
from virtcore.model.domain.tpm import TPMVersion
from virtcore.model.domain_capabilities import format_domain_capabilities


def qemu_caps(case: Any) -> str:
    """Recorded traffic as the document of the cache."""
    params = case.params
    probes = Replies.recorded(case.text("replies"))
    return format_emulator_capabilities(
        derive(
            params["binary"],
            *probes,
            hvf=params["hvf"],
            microcode=params["microcode_version_when_tcg_and_accel"],
        )
    )


def qemu_caps_to_capabilities(case: Any) -> str:
    """What the flags of a document say that guests can be."""
    arch = Arch(case.params["arch"])
    known = parse_emulator_capabilities(case.text("caps_xml"))
    guest = guest_capabilities(arch, dataclasses.replace(known, accelerators={}))
    host = Host(
        cpu=HostProcessor(arch=arch), power_management=PowerManagementFeatures(), iommu=HostIOMMU(support=False)
    )
    return format_capabilities(Capabilities(host=host, guests=[guest]))


def domain_capabilities(case: Any) -> str:
    """What guests can have, by driver."""
    return _DRIVERS[case.params["driver"]](case)


def _qemu(case: Any) -> str:
    params = case.params
    probes = Replies.recorded(Path(case.resolve(params["caps"])).read_text(encoding="utf-8"))
    emulator = derive(params["emulator"], *probes, hvf=params["variant"] == "+hvf")
    machine = emulator.canonical_machine(params["machine"]) if params["machine"] else emulator.default_machine()
    assert machine is not None
    facts = json.loads(Path(case.resolve("common/qemu-host.json")).read_text(encoding="utf-8"))
    root = Path(case.resolve("common/qemu-firmware"))
    config = None if params["privileged"] else root / "home/user/.config"
    firmware = FirmwareCatalog.of_host("", root=root, config=config).supported(Arch(params["arch"]), machine)
    bits = facts["physical_address_bits"]
    host = HostFacts(
        firmware=firmware._replace(images=tuple((path, None) for path in params["firmware_values"])),
        tpm_versions=tuple(TPMVersion(version) for version in params["tpm_versions"]),
        device_assignment="vfio" in params["pci_backends"],
        rdp=True,
        cpu=_host_cpu(facts, Arch(params["arch"])),
        address_bits=bits.get(params["arch"], bits["other"]),
        sev=SEVRegisters(facts["cpuid_sev"]["ecx"], facts["cpuid_sev"]["edx"]),
        max_vcpus=facts["kvm_max_vcpus"],
    )
    return format_domain_capabilities(
        describe_domains(emulator, Arch(params["arch"]), VirtType(params["virttype"]), machine, host)
    )


def _host_cpu(facts: Any, arch: Arch) -> HostCPU | None:
    names = facts["host_cpu_for_domain_capabilities"]
    cpu = facts["host_cpus"][names["x86" if arch.is_x86 else str(arch)]]
    return HostCPU(arch=arch, model=cpu["model"], vendor=cpu.get("vendor")) if "model" in cpu else None


def _bhyve(case: Any) -> str:
    from virt_bhyve.capabilities import BhyveCapabilities, BhyveCapability
    from virt_bhyve.domain_capabilities import domain_capabilities as bhyve_domains

    params = case.params
    known = BhyveCapabilities(frozenset(map(BhyveCapability, params["bhyve_caps"])))
    firmware, arch = params["firmware_values"], Arch(params["arch"])
    return format_domain_capabilities(
        bhyve_domains(known, arch, emulator=params["emulator"], machine=params["machine"], firmware=firmware)
    )


def _libxl(case: Any) -> str:
    from virt_xen.domain_capabilities import domain_capabilities as xen_domains

    params = case.params
    firmware, arch = params["firmware_values"], Arch(params["arch"])
    return format_domain_capabilities(
        xen_domains(arch, params["machine"], emulator=params["emulator"], firmware=firmware)
    )


_DRIVERS = {"qemu": _qemu, "bhyve": _bhyve, "libxl": _libxl}
