"""Chains of images on the host: where they lead, and where they must not lead."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

from virt_host.storage.chain import ChainImage, read_chain
from virtcore.errors import VirtError
from virtcore.model.storage import FileSource, StorageFormat


def image(path: Path, backing: str = "", told: str | None = None) -> Path:
    """A qcow2 image's header, in a file."""
    extension = b"" if told is None else struct.pack(">II8s", 0xE2792ACA, len(told), told.encode())
    extension += bytes(8)
    head = struct.pack(">4sIQIIQ", b"QFI\xfb", 2, 72 + len(extension) if backing else 0, len(backing), 16, 4096)
    path.write_bytes(head.ljust(72, b"\0") + extension + backing.encode())
    return path


def chain(path: Path, format: StorageFormat | None = StorageFormat.QCOW2) -> list[ChainImage]:
    found: list[ChainImage] = []
    above: ChainImage | None = read_chain(FileSource(file=str(path)), format)
    while above is not None:
        found.append(above)
        above = above.backing
    return found


def test_an_overlay_of_an_overlay(tmp_path: Path) -> None:
    (tmp_path / "base").write_bytes(bytes(512))
    image(tmp_path / "middle", str(tmp_path / "base"), "raw")
    found = chain(image(tmp_path / "top", "middle", "qcow2"))
    assert [each.format for each in found] == [StorageFormat.QCOW2, StorageFormat.QCOW2, StorageFormat.RAW]
    assert [each.relative for each in found] == [None, "middle", None]
    assert found[0].header is not None
    assert found[0].header.capacity == 4096


def test_the_first_image_is_raw_unless_told(tmp_path: Path) -> None:
    assert len(chain(image(tmp_path / "top", "/etc/hostname", "raw"), None)) == 1


def test_a_probed_format_ends_the_chain(tmp_path: Path) -> None:
    image(tmp_path / "base")
    assert len(chain(image(tmp_path / "top", "base"))) == 2
    image(tmp_path / "base", "/etc/hostname", "raw")
    with pytest.raises(VirtError, match=r"format of backing image 'base' of image .* was not specified"):
        chain(tmp_path / "top")


def test_servers_are_not_asked(tmp_path: Path) -> None:
    found = chain(image(tmp_path / "top", "nbd://h/x", "raw"))
    assert [each.path for each in found] == [str(tmp_path / "top"), "x"]
    # Nobody can use what names a user.
    assert len(chain(image(tmp_path / "top", "http://u:p@h/x", "raw"))) == 1


def test_a_folder_below(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    assert chain(image(tmp_path / "top", "folder"))[1].format is StorageFormat.DIR


@pytest.mark.parametrize("name", ["loop", "./loop", "link"])
def test_a_loop(tmp_path: Path, name: str) -> None:
    (tmp_path / "link").symlink_to("loop")
    with pytest.raises(VirtError, match="self-referential"):
        chain(image(tmp_path / "loop", name, "qcow2"))


def test_what_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(VirtError, match=r"Cannot access storage file '.*/none' .*No such file"):
        chain(tmp_path / "none")
    with pytest.raises(VirtError, match=r"Cannot access backing file '.*/none' of storage file '.*/top'"):
        chain(image(tmp_path / "top", "none", "raw"))


def test_a_pipe_holds_up_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(VirtError, match="is no file and no block device"):
        chain(image(tmp_path / "top", "pipe", "raw"))
