"""Adapters of the bhyve suites: domain XML, command lines of loader and guest, and the way back."""

from __future__ import annotations

import uuid
from pathlib import PurePosixPath
from typing import Any

from virt_bhyve.capabilities import BhyveCapabilities, BhyveCapability, GrubCapability
from virt_bhyve.command import bhyve_command
from virt_bhyve.firmware import choose_firmware
from virt_bhyve.loader import loader_command
from virt_bhyve.namespace import register
from virt_bhyve.native import parse_command_lines
from virt_bhyve.rules import BhyveRules
from virtcore.model.arch import Arch
from virtcore.model.domain.document import format_domain, load_domain
from virtcore.model.domain.rules import DomainContext, ParseFlag
from virtcore.xml import Mode

register()

#: What the reference's generator of UUIDs always returned.
_GENERATED = uuid.UUID("c7a5fdbd-edaf-9455-926a-d65c16db1809")


class _Host:
    """The host of a case: its names and ports."""

    def __init__(self, params: dict[str, Any]) -> None:
        self.params = params

    def tap(self, bridge: str, interface: Any) -> str:
        name: str = self.params["tap_real_name"]
        return name

    def vnc_port(self, graphics: Any) -> int:
        first: int = self.params["vnc_ports"][0]
        return first if graphics.autoport else graphics.port

    def volume(self, source: Any) -> str:
        raise AssertionError("no case has a pool")


def _capabilities(params: dict[str, Any]) -> BhyveCapabilities:
    return BhyveCapabilities(
        frozenset(map(BhyveCapability, params["bhyve_caps"])),
        frozenset(map(GrubCapability, params.get("grub_caps", ()))),
    )


def _context(rules: BhyveRules, params: dict[str, Any]) -> DomainContext:
    context = rules.context(ParseFlag.INACTIVE, arch=Arch.X86_64)
    suffix = int(params.get("generated_mac_suffix", "00:00:00").replace(":", ""), 16)
    context.random_bits = lambda bits: suffix
    context.new_uuid = lambda: _GENERATED
    return context


def _without_folder(argv: list[str]) -> list[str]:
    """The reference has programs without their folders."""
    return [PurePosixPath(argv[0]).name, *argv[1:]]


def bhyve_domain_xml(case: Any) -> str:
    """The document as a stopped domain prints it."""
    rules = BhyveRules(_capabilities(case.params))
    domain = load_domain(case.text("xml"), rules, _context(rules, case.params))
    return format_domain(domain, Mode.SECURE if case.params["live"] else Mode.SECURE | Mode.INACTIVE)


def bhyve_argv(case: Any) -> dict[str, Any]:
    """The command lines of guest and loader, and grub's device map."""
    params = case.params
    capabilities = _capabilities(params)
    rules = BhyveRules(capabilities)
    domain = load_domain(case.text("xml"), rules, _context(rules, params))
    choose_firmware(domain, params["firmware_dir"], params["firmwares"])
    host = _Host(params)
    loader = loader_command(domain, capabilities, host, params["device_map"])
    produced: dict[str, Any] = {
        "args": _without_folder(bhyve_command(domain, capabilities, host)),
        "ldargs": _without_folder(loader.argv) if loader is not None else ["dummy"],
    }
    if loader is not None and loader.device_map is not None:
        produced["devmap"] = loader.device_map
    return produced


def bhyve_argv2xml(case: Any) -> str:
    """The document of command lines."""
    context = _context(BhyveRules(), case.params)
    domain = parse_command_lines(case.text("args"), new_uuid=lambda: _GENERATED, context=context)
    return format_domain(domain, Mode.SECURE | Mode.INACTIVE)
