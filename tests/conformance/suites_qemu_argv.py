"""Adapter of suite ``qemu-argv``: domain XML to QEMU's command line, on recorded capabilities and a made-up host."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from suites_qemu_domain import capabilities_of, rules_of
from virt_qemu.command import Builder, HostSettings, build
from virt_qemu.prepare import decide
from virtcore.model.arch import Arch
from virtcore.model.cpu import HostCPU, HostCPUFeature, migratable_cpu
from virtcore.model.domain.document import load_domain
from virtcore.model.domain.rules import ParseFlag
from virtcore.xml import CpuSet

_ENVIRONMENT = {"LC_ALL": "C", "PATH": "/bin", "HOME": "/home/test", "USER": "test", "LOGNAME": "test"}


class _Host:
    """The host of the corpus: descriptor numbers and devices of ``common/qemu-host.json``."""

    def listen(self, path: str) -> int:
        return 1729

    def output(self, path: str, append: bool) -> int:
        return 1750

    def log(self, path: str, append: bool) -> int:
        return 1751

    def vhost_scsi(self) -> int:
        return 3

    def scsi_generic(self, source: object) -> str:
        return "sg0"

    def tpm(self, path: str) -> tuple[int, int]:
        return 1730, 1731

    def tpm_socket(self, alias: str) -> str:
        return "/dev/test"

    def vsock(self, cid: int | None, auto: bool) -> tuple[int, int]:
        return 6789, 42 if auto or cid is None else cid

    def is_cdrom(self, path: str) -> bool:
        return path == "/dev/cdrom"


def _settings(case: Any) -> HostSettings:
    """The host's folders, huge pages and nodes."""
    facts = json.loads(Path(case.resolve("common/qemu-host.json")).read_text())
    driver = facts["driver"] | (case.params.get("driver_config") or {})

    def directory(switch: str, name: str) -> str | None:
        return driver[name] if driver.get(switch) else None

    return HostSettings(
        memory_folder=driver["memoryBackingDir"],
        hugepages={mount["size_kib"]: mount["mount"] for mount in driver["hugetlbfs"]},
        vnc_tls=directory("vncTLS", "vncTLSx509certdir"),
        vnc_sasl=directory("vncSASL", "vncSASLdir"),
        spice_tls=directory("spiceTLS", "spiceTLSx509certdir"),
        spice_sasl=directory("spiceSASL", "spiceSASLdir"),
        spice_password=True,
        chardev_tls=directory("chardevTLS", "chardevTLSx509certdir"),
        auto_nodeset=CpuSet.parse(facts["auto_nodeset"]),
    )


def host_cpu_of(case: Any) -> HostCPU | None:
    """The host's processor, where the case is made on another one than the replies were recorded on."""
    name = case.params.get("host_cpu")
    if name is None:
        return None
    known = json.loads(Path(case.resolve("common/qemu-host.json")).read_text())["host_cpus"]
    described = next(cpu for title, cpu in known.items() if title.lower() == name.lower())
    arch = Arch(described["arch"])
    cpu = HostCPU(arch=arch, model=described["model"], vendor=described.get("vendor"))
    cpu.features = [HostCPUFeature(name=each) for each in described.get("features", ())]
    return migratable_cpu(arch, cpu)


def qemu_argv(case: Any) -> list[str]:
    """Environment and command line of the guest."""
    capabilities = capabilities_of(case)
    rules = rules_of(case)
    flags = ParseFlag.INACTIVE
    if "abi-update" in (case.params.get("parse_flags") or ()):
        flags |= ParseFlag.ABI_UPDATE
    domain = load_domain(case.text("xml"), rules, rules.context(flags, arch=Arch(case.params["host_arch"])))
    folder = f"/var/lib/libvirt/qemu/domain--1-{domain.name[:20]}"
    decide(domain, Path(folder), lambda address: 5900, capabilities, host_cpu_of(case))
    builder = Builder(
        domain=domain,
        capabilities=capabilities,
        resources=_Host(),
        state_folder=folder,
        monitor=1729,
        privileged=True,
        host=_settings(case),
    )
    argv = build(builder, _ENVIRONMENT | dict(case.params.get("env") or {}))
    return [*(f"{name}={value}" for name, value in builder.environment.items()), *argv]
