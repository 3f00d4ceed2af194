"""What is found of images in a folder, by virtcored and by libvirtd: the same XML to the byte."""

from __future__ import annotations

import os
import re
import shutil
import struct
from pathlib import Path
from typing import Any

import pytest

from compat.conftest import uri
from support import create_image

FORMATS = ("qcow2", "qcow", "vdi", "vmdk", "vpc", "vhdx", "qed", "raw", "parallels")
#: When something was read changes with each look at it.
PASSING = re.compile(r"<atime>.*</atime>")


def qcow2(backing: bytes, format: bytes | None = None) -> bytes:
    """The beginning of an image as other tools than today's ``qemu-img`` have made it."""
    extensions = b"" if format is None else struct.pack(">II", 0xE2792ACA, len(format)) + format.ljust(8, b"\0")
    extensions += struct.pack(">II", 0, 0)
    header = bytearray(104)
    struct.pack_into(">4sIQIIQ", header, 0, b"QFI\xfb", 3, 104 + len(extensions), len(backing), 16, 5 << 20)
    struct.pack_into(">II", header, 96, 4, 104)
    return bytes(header) + extensions + backing


def fill(folder: Path) -> None:
    """One image of each kind, and what is none."""

    def make(name: str, *words: str) -> None:
        create_image(*words[:-1], str(folder / name), words[-1])

    for format in FORMATS:
        make(f"image.{format}", "-f", format, "10M")
    make("old", "-f", "qcow2", "-o", "compat=0.10", "5M")
    make("features", "-f", "qcow2", "-o", "lazy_refcounts=on,extended_l2=on", "5M")
    make("over", "-f", "qcow2", "-b", str(folder / "image.raw"), "-F", "raw", "10M")
    make("over2", "-f", "qcow2", "-b", "over", "-F", "qcow2", "10M")
    make("nbd", "-u", "-f", "qcow2", "-b", "nbd://localhost/x", "-F", "raw", "5M")
    make("gone", "-u", "-f", "qcow2", "-b", "/nowhere", "-F", "qcow2", "5M")
    make("qed.over", "-f", "qed", "-b", str(folder / "image.raw"), "-F", "raw", "10M")
    make("vmdk.over", "-f", "vmdk", "-b", str(folder / "image.vmdk"), "-F", "vmdk", "10M")
    secret = ("--object", "secret,id=s,data=x")
    make("luks", *secret, "-f", "luks", "-o", "key-secret=s,iter-time=10", "5M")
    encrypted = "encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10"
    make("qcow2.luks", *secret, "-f", "qcow2", "-o", encrypted, "5M")
    whole = (folder / "image.qcow2").read_bytes()
    for name, content in {
        "tiny": b"x",
        "empty": b"",
        ".hidden": b"",
        "we ird&<'>": b"",
        "cut": whole[:100],
        "cut2": whole[:20],
        "iso": bytes(32769) + b"CD001" + bytes(7000),
        "unsaid": qcow2(b"image.qcow2"),
        "unsaid2": qcow2(b"/nowhere"),
        "json": qcow2(b'json:{"driver":"file","filename":"%s"}' % bytes(folder / "image.raw"), b"raw"),
        "json2": qcow2(b'json:{"file.driver":"nbd","file.host":"h"}'),
        "folder.over": qcow2(bytes(folder / "sub"), b"raw"),
        "self": qcow2(b"self", b"qcow2"),
        "wrong": qcow2(b"json:{", b"raw"),
        "rbd": qcow2(b"rbd:a/b:id=x", b"raw"),
    }.items():
        (folder / name).write_bytes(content)
    (folder / "tiny").chmod(0o4755)
    (folder / "sub").mkdir()
    (folder / "lost+found").mkdir()
    (folder / "link").symlink_to("image.raw")
    (folder / "linked").symlink_to("sub")
    (folder / "dangling").symlink_to("nowhere")
    (folder / "null").symlink_to("/dev/null")
    os.mkfifo(folder / "fifo")


def test_the_same_is_found_of_images(virsh: Any, virtcored: Path, libvirtd: Path, tmp_path: Path) -> None:
    if shutil.which("qemu-img") is None:
        pytest.skip("qemu-img is not installed (Debian: qemu-utils)")
    folder = tmp_path / "images"
    folder.mkdir()
    fill(folder)
    os.sync()  # what a file takes is settled when it is written
    found = []
    for where in (libvirtd, virtcored / "run" / "libvirt-sock"):
        connection = uri("qemu+unix:///system", where)
        virsh(connection, "pool-create-as", "beside", "dir", "--target", str(folder))
        try:
            names = re.findall(r"^ (.*?)  +/", virsh(connection, "vol-list", "beside").stdout, re.MULTILINE)
            shown: dict[tuple[str, str], str] = {}
            for command in ("vol-dumpxml", "vol-info --physical", "vol-info"):
                wanted = [name for name in names if " " not in name]
                told = virsh(connection, "; echo @@; ".join(f"{command} {name} --pool beside" for name in wanted))
                shown |= {
                    (command, name): PASSING.sub("", text)
                    for name, text in zip(wanted, told.stdout.split("@@"), strict=True)
                }
            found.append((names, shown))
        finally:
            virsh(connection, "pool-destroy", "beside")
    assert found[0] == found[1]
    assert len(found[0][0]) == len(FORMATS) + 10 + 15 + 4
