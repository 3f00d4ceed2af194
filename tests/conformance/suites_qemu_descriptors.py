"""Descriptors of firmware images and vhost-user programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from virt_qemu.descriptors import descriptor_files, descriptor_folders
from virt_qemu.firmware import Descriptor, FirmwareCatalog
from virt_qemu.vhost_user import VhostUserProgram
from virtcore.model.arch import Arch


def firmware(case: Any) -> Any:
    """A descriptor read and written, or what there is for a machine."""
    if case.params["op"] == "parse-format":
        return Descriptor.parse(case.text("json")).document()
    root = Path(case.path("root"))
    config = None if case.params["privileged"] else root / "home/user/.config"
    catalog = FirmwareCatalog.of_host("", root=root, config=config)
    found = catalog.supported(Arch(case.params["arch"]), case.params["machine"])
    return {
        "interfaces": [str(firmware) for firmware in found.interfaces],
        "secure": found.secure,
        "firmwares": [list(pair) for pair in found.images],
    }


def vhost_user(case: Any) -> Any:
    """A descriptor read and written, or which files count."""
    if case.params["op"] == "parse-format":
        return VhostUserProgram.parse(case.text("json")).document()
    root = Path(case.path("root"))
    config = None if case.params["privileged"] else root / "home/user/.config"
    files = descriptor_files(descriptor_folders("vhost-user", root=root, config=config))
    return [f"/{path.relative_to(root)}" for path in files]
