"""Adapter of suite ``qemu-argv``: domain XML to QEMU's command line, on recorded capabilities and a made-up host."""

from __future__ import annotations

from typing import Any

from suites_qemu_domain import capabilities_of
from virt_qemu.command import Builder, build
from virt_qemu.rules import QemuRules
from virt_qemu.rules.aliases import assign_aliases
from virtcore.model.arch import Arch
from virtcore.model.domain.chardev import UnixChardev
from virtcore.model.domain.document import load_domain
from virtcore.model.domain.graphics import AddressListen, SocketListen, VNCGraphics
from virtcore.model.domain.rules import ParseFlag

_ENVIRONMENT = {"LC_ALL": "C", "PATH": "/bin", "HOME": "/home/test", "USER": "test", "LOGNAME": "test"}


class _Host:
    """The host of the corpus: descriptor numbers and devices of ``common/qemu-host.json``."""

    def listen(self, path: str) -> int:
        return 1729

    def output(self, path: str, append: bool) -> int:
        return 1750

    def log(self, path: str, append: bool) -> int:
        return 1751

    def is_cdrom(self, path: str) -> bool:
        return path == "/dev/cdrom"


def qemu_argv(case: Any) -> list[str]:
    """Environment and command line of the guest."""
    capabilities = capabilities_of(case)
    binary = case.params["binary"]
    rules = QemuRules(lambda arch: binary, lambda path: capabilities)
    flags = ParseFlag.INACTIVE
    if "abi-update" in (case.params.get("parse_flags") or ()):
        flags |= ParseFlag.ABI_UPDATE
    domain = load_domain(case.text("xml"), rules, rules.context(flags, arch=Arch(case.params["host_arch"])))
    assign_aliases(domain)
    folder = f"/var/lib/libvirt/qemu/domain--1-{domain.name[:20]}"
    assert domain.devices is not None
    for channel in domain.devices.channels:
        source = channel.source
        if isinstance(source, UnixChardev) and source.source is not None and source.source.path is None:
            source.source.path = "/var/run/libvirt/qemu/channel/x"
    for graphics in domain.devices.graphics:
        if isinstance(graphics, VNCGraphics):
            for listen in graphics.listens:
                if isinstance(listen, SocketListen) and listen.socket is None:
                    listen.socket = f"{folder}/vnc.sock"
                elif isinstance(listen, AddressListen) and listen.address is None:
                    listen.address = "127.0.0.1"
            if graphics.autoport:
                graphics.port = 5900
    builder = Builder(
        domain=domain,
        capabilities=capabilities,
        resources=_Host(),
        state_folder=folder,
        monitor=1729,
        privileged=True,
    )
    argv = build(builder, _ENVIRONMENT | dict(case.params.get("env") or {}))
    return [*(f"{name}={value}" for name, value in builder.environment.items()), *argv]
