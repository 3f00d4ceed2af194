"""Adapter of suite ``qemu-domain-xml``: domain XML through QEMU's rules, on recorded capabilities."""

from __future__ import annotations

import dataclasses
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import attrs

from virt_qemu.capabilities.derive import derive
from virt_qemu.capabilities.model import GIC, EmulatorCapabilities
from virt_qemu.capabilities.replies import Replies
from virt_qemu.firmware import FirmwareCatalog
from virt_qemu.migration_cookie import CookieFeature, bitmap_mapping, cookie_of, format_cookie, load_cookie
from virt_qemu.namespace import register
from virt_qemu.rules import QemuRules
from virt_qemu.rules.audio import HostAudio
from virt_qemu.rules.isolation_groups import IOMMUGroup
from virt_qemu.status import DomainStatus, StatusFolders, format_status, load_status, status_flags
from virtcore.model.arch import Arch
from virtcore.model.domain.addresses.pci import spell
from virtcore.model.domain.document import format_domain, load_domain
from virtcore.model.domain.rules import ParseFlag
from virtcore.model.domain.tpm import TPMVersion
from virtcore.xml import Mode

register()

#: Where the host of the reference keeps the guests' firmware variables.
NVRAM = "/var/lib/libvirt/qemu/nvram"
_FOLDERS = StatusFolders(
    lib="/var/lib/libvirt/qemu", channels="/var/run/libvirt/qemu/channel", memory="/var/lib/libvirt/qemu/ram"
)


@lru_cache(maxsize=8)
def _recorded(path: str, binary: str, without_aliases: bool, hvf: bool) -> EmulatorCapabilities:
    with open(path, encoding="utf-8") as file:
        probes = Replies.recorded(file.read())
    capabilities = derive(binary, probes[0], probes[1] if len(probes) > 1 else None, hvf=hvf)
    if without_aliases:
        for accelerator in capabilities.accelerators.values():
            for machine in list(accelerator.machines):
                if machine.alias is not None:
                    accelerator.machines.append(attrs.evolve(machine, alias=None, default=False))  # type: ignore[misc]
                    machine.name, machine.alias = machine.alias, None
    return capabilities


def capabilities_of(case: Any) -> EmulatorCapabilities:
    """The emulator of a case, as its recording and parameters say."""
    params = case.params
    binary = params.get("binary", "")
    known = _recorded(
        case.resolve(params["caps"]), binary, bool(params.get("latest")), params.get("caps_variant") == "+hvf"
    )
    flags = (known.flags | set(params.get("caps_add", ()))) - set(params.get("caps_del", ()))
    gics = known.gics
    if "gic" in params:
        gics = [GIC(version=version, kernel=True, emulated=True) for version in params["gic"]]
    return dataclasses.replace(known, flags=frozenset(flags), gics=gics)


def firmware_of(case: Any) -> FirmwareCatalog:
    """The firmware images of the corpus."""
    return FirmwareCatalog.of_host(NVRAM, root=Path(case.resolve("common/qemu-firmware")))


def rules_of(case: Any) -> QemuRules:
    """QEMU's rules on the host of a case."""
    capabilities = capabilities_of(case)
    binary = case.params.get("binary", f"/usr/bin/qemu-system-{case.params['arch']}")
    firmware = firmware_of(case)
    config = case.params.get("driver_config") or {}
    audio = HostAudio.of_environment(
        case.params.get("env") or {},
        vnc=bool(config.get("vncAllowHostAudio")),
        nographics=bool(config.get("nogfxAllowHostAudio")),
    )
    versions = tuple(map(TPMVersion, case.params.get("tpm_versions", TPMVersion)))
    return QemuRules(
        lambda arch: binary,
        lambda path: capabilities,
        firmware=firmware,
        sockets=_FOLDERS.lib,
        audio=audio,
        tpm_versions=lambda: versions,
        iommu_group=_iommu_groups(case.resolve("common/qemu-host.json")),
    )


@lru_cache
def _iommu_groups(facts: str) -> IOMMUGroup:
    """The groups of the devices of the corpus' host."""
    devices = json.loads(Path(facts).read_text())["pci_devices"]
    groups = {device["address"]: device["iommu_group"] for device in devices}
    return lambda address: groups.get(spell(address))


def qemu_domain_xml(case: Any) -> str:
    """The document as a stopped domain prints it, live."""
    rules = rules_of(case)
    flags = ParseFlag.INACTIVE
    if case.params.get("parse_flags") == "abi-update" or "abi-update" in (case.params.get("parse_flags") or ()):
        flags |= ParseFlag.ABI_UPDATE
    context = rules.context(flags, arch=Arch(case.params["host_arch"]), security_model="none")
    return format_domain(load_domain(case.text("xml"), rules, context), Mode.SECURE)


def qemu_active_xml(case: Any) -> dict[str, str]:
    """The document as a running domain prints it, and its definition."""
    rules = rules_of(case)
    context = rules.context(ParseFlag.NONE, arch=Arch(case.params["host_arch"]), security_model="none")
    domain = load_domain(case.text("xml"), rules, context)
    if domain.id is None:
        domain.id = case.params["domain_id_if_unset"]
    return {
        "active": format_domain(domain, Mode.SECURE),
        "inactive": format_domain(domain, Mode.SECURE | Mode.INACTIVE),
    }


def _status(case: Any, role: str) -> tuple[DomainStatus, QemuRules, Arch]:
    arch = Arch(case.params.get("host_arch", "x86_64"))
    emulator = EmulatorCapabilities(binary="", arch=arch, version=0, package="", flags=frozenset(), accelerators={})
    rules = QemuRules(lambda arch: None, lambda path: emulator)
    context = rules.context(status_flags(), arch=arch, security_model="none")
    return load_status(case.text(role), rules, context, _FOLDERS), rules, arch


def qemu_status_xml(case: Any) -> str:
    """A status file, read and written."""
    return format_status(_status(case, "xml")[0])


def qemu_migration_cookie(case: Any) -> Any:
    """What a running guest's host tells the other side; or a cookie, read and written."""
    params = case.params
    status, rules, arch = _status(case, "status")
    if params["op"] == "domain to cookie":
        features = [feature for feature in CookieFeature if feature not in params["exclude"]]
        cookie = cookie_of(
            status.domain, host_name=params["hostname"], host_uuid=params["host_uuid"], features=features
        )
        return dict.fromkeys(("source", "destination"), format_cookie(cookie))
    flags = ParseFlag.INACTIVE | ParseFlag.ABI_UPDATE_MIGRATION | ParseFlag.SKIP_VALIDATE
    context = rules.context(flags, arch=arch, security_model="none")
    domain = status.domain
    assert domain.name is not None
    assert domain.uuid is not None
    cookie = load_cookie(
        case.text("cookie"), rules, context, name=domain.name, uuid=domain.uuid, host_uuid=params["host_uuid"]
    )
    mapping = bitmap_mapping(cookie.bitmap_disks, domain)
    cookie.host_name, cookie.host_uuid = params["hostname"], params["host_uuid"]
    xml = format_cookie(cookie)
    return {"xml": xml, "migparams": {"block-bitmap-mapping": mapping}} if mapping else xml
