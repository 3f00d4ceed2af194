"""What guests can have, by emulator, machine and host."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import shutil
from pathlib import Path

import pytest

from virt_host.description.tree import HostTree
from virt_qemu import host_facts as facts_module
from virt_qemu.capabilities.model import GIC, SEV, Accelerator, CPUExpansion, EmulatorCapabilities, Machine
from virt_qemu.domain_capabilities import HostFacts, SEVRegisters, choose_machine, domain_capabilities
from virt_qemu.firmware import FirmwareCatalog, SupportedFirmware
from virt_qemu.host_facts import host_facts
from virtcore.errors import InternalError, InvalidArg
from virtcore.model.arch import Arch
from virtcore.model.cpu.element import HostCPU
from virtcore.model.domain import VirtType
from virtcore.model.domain_capabilities import format_domain_capabilities

HOST = HostFacts(firmware=SupportedFirmware((), False, (("/fw", None),)))


def emulator(arch: Arch, machine: str, *flags: str, **more: object) -> EmulatorCapabilities:
    machines = [Machine(name=machine, alias="alias", max_cpus=300)]
    known = EmulatorCapabilities(
        binary="/qemu",
        arch=arch,
        version=10_000_000,
        package="",
        flags=frozenset(flags),
        accelerators={"kvm": Accelerator(machines=machines), "tcg": Accelerator(machines=machines)},
    )
    return dataclasses.replace(known, **more)  # type: ignore[arg-type]


def test_which_machine_is_meant() -> None:
    known = emulator(Arch.X86_64, "pc-1", "kvm")
    assert choose_machine(known, Arch.I686, None, None) == (VirtType.KVM, "pc-1")
    assert choose_machine(known, Arch.X86_64, "alias", "qemu") == (VirtType.QEMU, "pc-1")
    for arch, machine, kind, message in (
        (Arch.S390X, None, None, "architecture from emulator 'x86_64' doesn't match given architecture 's390x'"),
        (Arch.X86_64, "pc-2", None, "the machine 'pc-2' is not supported by emulator '/qemu'"),
        (Arch.X86_64, None, "warp", "unknown virttype: warp"),
    ):
        with pytest.raises(InvalidArg, match=f": {message}$"):
            choose_machine(known, arch, machine, kind)
    with pytest.raises(InvalidArg, match="KVM is not supported by '/qemu' on this host"):
        choose_machine(emulator(Arch.X86_64, "pc-1"), Arch.X86_64, None, "kvm")


def test_power() -> None:
    known = emulator(Arch.PPC64, "pseries-9.0", "tpm-spapr", "tpm-passthrough", "tpm-emulator", "ich9-ahci")
    found = domain_capabilities(known, Arch.PPC64LE, VirtType.KVM, "pseries-9.0", HOST)
    assert found.devices is not None
    assert found.devices.disk is not None
    assert found.devices.disk.values("diskDevice") == ["disk", "cdrom", "lun"]
    assert found.devices.disk.values("bus") == ["scsi", "virtio", "sata"]
    assert found.devices.panic is not None
    assert found.devices.panic.values("model") == ["pseries"]
    assert found.devices.tpm is not None
    assert found.devices.tpm.values("backendModel") == ["passthrough", "external"]
    assert found.devices.tpm.values("backendVersion") == []
    assert "<arch>ppc64le</arch>\n  <vcpu max='300'/>" in format_domain_capabilities(found)
    cpu = HostCPU(arch=Arch.PPC64, model="POWER8")
    text = format_domain_capabilities(
        domain_capabilities(known, Arch.PPC64, VirtType.KVM, "pseries-9.0", dataclasses.replace(HOST, cpu=cpu))
    )
    assert "<mode name='host-model' supported='yes'>\n      <model fallback='allow'>POWER8</model>\n" in text
    few = domain_capabilities(known, Arch.PPC64, VirtType.KVM, "pseries-9.0", dataclasses.replace(HOST, max_vcpus=8))
    assert few.max_vcpus == 8


def test_interrupt_controllers_by_who_makes_them() -> None:
    gics = [GIC(version=3, kernel=True, emulated=True), GIC(version=2, kernel=False, emulated=True)]
    known = emulator(Arch.AARCH64, "virt-9.0", gics=gics)

    def versions(kind: VirtType, machine: str) -> list[str]:
        found = domain_capabilities(known, Arch.AARCH64, kind, machine, HOST)
        assert found.features is not None
        assert found.features.gic is not None
        return found.features.gic.values("version")

    assert versions(VirtType.KVM, "virt-9.0") == ["3"]
    assert versions(VirtType.QEMU, "virt-9.0") == ["2", "3"]
    assert versions(VirtType.QEMU, "raspi3b") == []


def test_encrypted_guests() -> None:
    sev = SEV(cbitpos=51, reduced_phys_bits=1, pdh="x", cert_chain="y")
    known = emulator(Arch.X86_64, "pc-q35-9.0", "sev-guest", sev=sev, hyperv=["vapic"])
    host = dataclasses.replace(HOST, sev=SEVRegisters(guests=10, first_plain=4))
    text = format_domain_capabilities(domain_capabilities(known, Arch.X86_64, VirtType.KVM, "pc-q35-9.0", host))
    assert "<maxGuests>7</maxGuests>\n      <maxESGuests>3</maxESGuests>" in text
    assert "<enum name='sectype'>\n        <value>sev</value>\n      </enum>" in text
    assert "<enum name='features'>\n        <value>vapic</value>" in text
    assert "s390-pv" not in text


def test_features_that_go_away_are_left_out_of_host_model() -> None:
    machines = [Machine(name="s390-ccw-virtio-9.0", max_cpus=8)]
    cpu = CPUExpansion(name="gen16a-base", properties={"nnpa": True, "te": True}, deprecated=["te", "bpb"])
    known = emulator(Arch.S390X, "x", accelerators={"kvm": Accelerator(machines=machines, host_cpu=cpu)})

    def features(disable: bool) -> list[tuple[str, str | None]]:
        found = domain_capabilities(
            known, Arch.S390X, VirtType.KVM, "s390-ccw-virtio-9.0", HOST, disable_deprecated=disable
        )
        assert found.cpu is not None
        return [(feature.name, feature.policy) for mode in found.cpu.modes for feature in getattr(mode, "features", ())]

    assert features(False) == [("nnpa", "require"), ("te", "require")]
    assert features(True) == [("nnpa", "require"), ("te", "disable"), ("bpb", "disable")]


def test_what_the_host_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = {"swtpm": "/bin/swtpm", "swtpm_setup": "/bin/setup", "swtpm_ioctl": "/bin/ioctl"}
    said = {"features": ["tpm-2.0", "cmdarg-pwd-fd"]}

    async def run(argv: list[str]) -> tuple[str, str]:
        assert argv == ["/bin/setup", "--print-capabilities"]
        return json.dumps(said), "oops"

    monkeypatch.setattr(facts_module, "run_program", run)
    monkeypatch.setattr(shutil, "which", programs.get)
    (tmp_path / "groups/1").mkdir(parents=True)
    (tmp_path / "vfio").touch()
    tree = HostTree(iommu_groups=tmp_path / "groups", vfio=tmp_path / "vfio")
    catalog = FirmwareCatalog.of_host("/nvram", root=tmp_path)
    found = asyncio.run(host_facts(tree, catalog, Arch.X86_64, "pc-q35-9.0", lambda: None))
    assert found.tpm_versions == ("2.0",)
    assert found.device_assignment
    assert not asyncio.run(
        host_facts(HostTree(vfio=tmp_path / "none"), catalog, Arch.X86_64, "pc", lambda: None)
    ).device_assignment
    del said["features"]
    with pytest.raises(InternalError, match="/bin/setup does not tell its features: oops"):
        asyncio.run(facts_module.tpm_versions())
    del programs["swtpm"]
    assert asyncio.run(facts_module.tpm_versions()) is None
