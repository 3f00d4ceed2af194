"""Disks whose images are descriptors that a client has lent (``virDomainFDAssociate``)."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from guest_image import idle_xml, write_qcow2

import virtcore
from virtcore.enums import DomainDeviceModifyFlags as Modify, DomainFDAssociateFlags as Flags
from virtcore.errors import ConfigUnsupported, InvalidArg, VirtError

pytestmark = pytest.mark.usefixtures("image_tools")

_DISK = (
    "<disk type='file' device='{0}'><driver name='qemu' type='{1}'/><source file='{2}' fdgroup='{3}'/>"
    "<target dev='{4}' bus='{5}'/></disk>"
)


def disk(path: Path, group: str, target: str = "vda", kind: str = "raw") -> str:
    return _DISK.format("disk", kind, path, group, target, "virtio")


def drive(path: Path, group: str) -> str:
    return _DISK.format("cdrom", "raw", path, group, "sda", "sata").replace("<target", "<readonly/><target")


@contextmanager
def opened(*files: tuple[Path, int]) -> Iterator[list[int]]:
    """Descriptors of files whose names are gone."""
    found = [os.open(path, mode) for path, mode in files]
    try:
        for path in {path for path, _ in files}:
            path.unlink()
        yield found
    finally:
        for descriptor in found:
            os.close(descriptor)


def ask(domain: virtcore.Domain, command: str, **arguments: object) -> Any:
    return json.loads(domain.qemu_monitor_command(json.dumps({"execute": command, "arguments": arguments})))["return"]


def storage(domain: virtcore.Domain) -> dict[str, tuple[str, bool]]:
    """File and whether it is only read, by node."""
    rows = ask(domain, "query-named-block-nodes", flat=True)
    return {row["node-name"]: (row["file"], row["ro"]) for row in rows if row["node-name"].endswith("-storage")}


def test_a_guest_starts_on_descriptors(connection: virtcore.Connection, tmp_path: Path) -> None:
    raw, qcow2, cd = (tmp_path / name for name in ("raw", "qcow2", "cd"))
    raw.write_bytes(bytes(1 << 20))
    cd.write_bytes(bytes(1 << 20))
    write_qcow2(qcow2, 2)
    disks = (disk(raw, "one"), disk(qcow2, "other", "vdb", "qcow2"), drive(cd, "read"))
    domain = connection.define_domain(idle_xml("lent", *disks))
    with opened((raw, os.O_RDWR), (qcow2, os.O_RDWR), (cd, os.O_RDONLY)) as (one, other, read):
        domain.associate_fds("one", [one], Flags.WRITABLE)
        domain.associate_fds("other", [other])
        for missing in ("nothing", "read"):
            with pytest.raises(InvalidArg, match="file descriptor group 'read' was not associated with the domain"):
                domain.create()
            domain.associate_fds(missing, [read])
        assert not domain.is_active()
        with pytest.raises(InvalidArg, match="nfds"):
            domain.associate_fds("none", [])
        with pytest.raises(VirtError, match="unsupported flags"):
            domain.associate_fds("none", [one], 1 << 9)
    domain.create()
    assert storage(domain) == {
        "libvirt-3-storage": ("/dev/fdset/0", False),
        "libvirt-2-storage": ("/dev/fdset/1", False),
        "libvirt-1-storage": ("/dev/fdset/2", True),
    }
    assert f"<source file='{qcow2}' fdgroup='other' index='2'/>" in domain.xml()
    assert domain.block_info("vdb").capacity == 2 << 20
    names = [each["opaque"] for row in ask(domain, "query-fdsets") for each in row["fds"]]
    assert set(names) == {"libvirt-3-storage-0", "libvirt-2-storage-0", "libvirt-1-storage-0"}
    domain.destroy()
    domain.create()  # they are still lent
    domain.destroy()


def test_disks_and_media_come_and_go(connection: virtcore.Connection, tmp_path: Path) -> None:
    first, second, cd = (tmp_path / name for name in ("first", "second", "cd"))
    for path in (first, cd):
        path.write_bytes(bytes(1 << 20))
    write_qcow2(second, 2)
    empty = "<disk type='file' device='cdrom'><target dev='sda' bus='sata'/><readonly/></disk>"
    ports = [f"<controller type='pci' model='pcie-root{kind}'/>" for kind in ("", *["-port"] * 4)]
    domain = connection.define_domain(idle_xml("plugged", empty, *ports))
    domain.create()
    before = ask(domain, "query-fdsets")
    with opened((first, os.O_RDWR), (second, os.O_RDWR), (cd, os.O_RDONLY)) as files:
        for name, file in zip(("first", "second", "cd"), files, strict=True):
            domain.associate_fds(name, [file])
    for xml in (disk(first, "first"), disk(second, "second", "vdb", "qcow2")):
        domain.attach_device(xml, Modify.LIVE)
    with pytest.raises(InvalidArg, match="group 'other' was not associated"):
        domain.attach_device(disk(first, "other", "vdc"), Modify.LIVE)
    domain.update_device(drive(cd, "cd"), Modify.LIVE)
    assert [file for file, _ in storage(domain).values()] == ["/dev/fdset/2", "/dev/fdset/1", "/dev/fdset/0"]
    assert len(ask(domain, "query-fdsets")) == len(before) + 3
    domain.update_device(empty, Modify.LIVE)
    assert len(ask(domain, "query-fdsets")) == len(before) + 2
    domain.destroy()


def test_what_is_lent_goes_with_its_connection(root: Path, tmp_path: Path) -> None:
    uri, image = f"qemu:///embed?root={root}", tmp_path / "image"
    image.write_bytes(bytes(1 << 20))
    with virtcore.connect(uri) as watching:
        with virtcore.connect(uri) as lending:
            domain = lending.define_domain(idle_xml("lent", disk(image, "group")))
            with opened((image, os.O_RDWR)) as files:
                domain.associate_fds("group", files)
            domain.create()
        domain = watching.lookup_domain("lent")
        assert storage(domain)
        domain.destroy()
        with pytest.raises(InvalidArg, match="file descriptor group 'group' was not associated with the domain"):
            domain.create()


def test_what_is_below_has_to_be_said(connection: virtcore.Connection, tmp_path: Path) -> None:
    base, top = tmp_path / "base", tmp_path / "top"
    write_qcow2(base, 2)
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", base, top], check=True)
    domain = connection.define_domain(idle_xml("based", disk(top, "top", kind="qcow2")))
    below = f"<backingStore type='file'><format type='qcow2'/><source file='{base}' fdgroup='base'/></backingStore>"
    said = connection.define_domain(
        idle_xml("said", disk(top, "top", kind="qcow2").replace("<target", f"{below}<target"))
    )
    with opened((top, os.O_RDWR), (base, os.O_RDONLY), (base, os.O_RDWR)) as (upper, *lower):
        for each in (domain, said):
            each.associate_fds("top", [upper])
        said.associate_fds("base", lower)
    with pytest.raises(ConfigUnsupported, match="on passed descriptors is based on other files"):
        domain.create()
    said.create()
    assert sorted(file for file, _ in storage(said).values()) == ["/dev/fdset/0", "/dev/fdset/1"]
    assert len(next(row for row in ask(said, "query-fdsets") if row["fdset-id"] == 0)["fds"]) == 2
    said.destroy()
