"""Guests without a system for tests of disks: images made and read by ``qemu-img``, written to through QEMU itself."""

from __future__ import annotations

import asyncio
import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

from support import create_image
from virt_qemu.guest import guest_of
from virt_qemu.host import QemuState
from virtcore.driver.toolkit import shared
from virtcore.runtime.loop import core_loop

KIB, MIB = 1 << 10, 1 << 20


def run(*argv: object) -> str:
    """Run a program; what it prints."""
    done = subprocess.run([str(word) for word in argv], capture_output=True, text=True, check=False, timeout=150)
    assert done.returncode == 0, done.stderr
    return done.stdout


def make_image(path: Path, size: int = 4 * MIB, *, base: Path | str | None = None, format: str = "qcow2") -> Path:
    """An image; an overlay of another one where there is a base."""
    options = ["-b", base, "-F", "qcow2"] if base is not None else []
    run("qemu-img", "create", "-q", "-f", format, *options, path, *([size] if base is None else []))
    return path


def make_luks_image(path: Path, format: str, password: str, size: str = "1M") -> Path:
    """An image encrypted with LUKS; for qcow2, inside of it."""
    inside = "" if format == "luks" else "encrypt."
    options = f"{inside}key-secret=k,{inside}iter-time=10{inside and ',encrypt.format=luks'}"
    create_image("--object", f"secret,id=k,data={password}", "-f", format, "-o", options, str(path), size)
    return path


def write(path: Path, pattern: int, offset: int, length: int, format: str = "qcow2") -> None:
    """Write a pattern into an image nobody uses."""
    run("qemu-io", "-f", format, "-c", f"write -P {pattern} {offset} {length}", path)


def content(path: Path | str, format: str = "qcow2") -> str:
    """Hash of what a guest sees of an image."""
    raw = Path(str(path) + ".raw-content")
    run("qemu-img", "convert", "-U", "-f", format, "-O", "raw", path, raw)
    try:
        return hashlib.sha256(raw.read_bytes()).hexdigest()
    finally:
        raw.unlink()


def expected(size: int, *writes: tuple[int, int, int]) -> str:
    """Hash of a disk that patterns (pattern, offset, length) were written to in this order."""
    data = bytearray(size)
    for pattern, offset, length in writes:
        data[offset : offset + length] = bytes([pattern]) * length
    return hashlib.sha256(data).hexdigest()


def check(path: Path, format: str = "qcow2") -> None:
    """The image is whole."""
    run("qemu-img", "check", "-f", format, path)


def chain(path: Path) -> list[str]:
    """Names of the images of a chain, the top one first, as their headers tell."""
    return [
        each["filename"] for each in json.loads(run("qemu-img", "info", "-U", "--backing-chain", "--output=json", path))
    ]


def disk_xml(path: Path | str, target: str = "vda", *, format: str = "qcow2", more: str = "") -> str:
    return (
        f"<disk type='file' device='disk'><driver name='qemu' type='{format}'/><source file='{path}'/>"
        f"<target dev='{target}' bus='virtio'/>{more}</disk>"
    )


def state() -> QemuState:
    """The driver's state in this process; there has to be one."""
    (found,) = [slot.state for slot in shared._slots.values() if isinstance(slot.state, QemuState)]
    return found


def execute(domain: Any, command: str, arguments: dict[str, Any] | None = None) -> Any:
    """Run a QMP command behind the driver's back."""
    monitor = guest_of(state().domains.by_uuid(domain.uuid)).channel()
    real = getattr(type(monitor).execute, "__wrapped__", type(monitor).execute)
    return asyncio.run_coroutine_threadsafe(real(monitor, command, arguments), core_loop().loop).result(150)


def guest_writes(domain: Any, pattern: int, offset: int, length: int, disk: str = "virtio-disk0") -> None:
    """Write to a disk as the guest does: through its device."""
    device = f"/machine/peripheral/{disk}/virtio-backend"
    line = f'qemu-io -d {device} "write -P {pattern} {offset} {length}"'
    told = execute(domain, "human-monitor-command", {"command-line": line})
    assert told == "", told  # what it has done, it prints elsewhere


def bitmaps_in(path: Path) -> dict[str, list[str]]:
    """The bitmaps that an image nobody uses holds, with what is wrong with them."""
    told = json.loads(run("qemu-img", "info", "--output=json", path))
    rows = told["format-specific"]["data"].get("bitmaps", [])
    return {row["name"]: [flag for flag in row["flags"] if flag == "in-use"] for row in rows}
