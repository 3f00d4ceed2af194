"""Chains of images: found at the start of a guest, numbered, shown."""

from __future__ import annotations

import re

import pytest
from block_guest import disk_xml, make_image, run
from guest_image import idle_xml

from virtcore.enums import DomainCreateFlags
from virtcore.errors import OperationFailed, SystemError

pytestmark = pytest.mark.usefixtures("image_tools")


def test_a_chain_is_read_from_the_images_and_numbered(connection, tmp_path):
    base = make_image(tmp_path / "base.qcow2")
    middle = make_image(tmp_path / "middle.qcow2", base=base)
    top = make_image(tmp_path / "top.qcow2", base="middle.qcow2")
    other = make_image(tmp_path / "other.raw", format="raw")
    devices = disk_xml(top), disk_xml(other, "vdb", format="raw")
    domain = connection.define_domain(idle_xml("chain", *devices))
    domain.create(DomainCreateFlags.START_PAUSED)
    live = domain.xml()
    assert f"<source file='{other}' index='1'/>\n      <backingStore/>" in live
    found = re.findall(
        r"<backingStore type='file' index='(\d)'>\s*<format type='(\w+)'/>\s*<source file='(.*?)'/>", live
    )
    assert found == [("3", "qcow2", str(middle)), ("4", "qcow2", str(base))]
    assert f"<source file='{top}' index='2'/>" in live
    assert "backingStore" not in domain.xml(2)
    domain.destroy()
    domain.undefine()
    domain = connection.create_domain(idle_xml("chain", *devices), DomainCreateFlags.START_PAUSED)
    assert "<backingStore type='file'" in domain.xml()
    assert "backingStore" not in domain.xml(2)  # of a transient guest neither


def test_what_the_document_says_of_a_chain_counts(connection, tmp_path):
    base = make_image(tmp_path / "base.qcow2")
    make_image(tmp_path / "stale.qcow2")
    top = make_image(tmp_path / "top.qcow2", base=tmp_path / "stale.qcow2")
    below = f"<backingStore type='file'><format type='qcow2'/><source file='{base}'/></backingStore>"
    disk = disk_xml(top).replace("<target", f"{below}<target")
    domain = connection.define_domain(idle_xml("told", disk))
    domain.create(DomainCreateFlags.START_PAUSED)
    assert "stale" not in domain.xml()
    assert re.search(rf"<source file='{base}'/>\s*<backingStore/>", domain.xml())


def test_a_missing_image_below_is_named(connection, tmp_path):
    base = make_image(tmp_path / "base.qcow2")
    top = make_image(tmp_path / "top.qcow2", base=base)
    base.unlink()
    domain = connection.define_domain(idle_xml("gone", disk_xml(top)))
    with pytest.raises(
        SystemError, match=rf"Cannot access backing file '{base}' of storage file '{top}'.*: No such file"
    ):
        domain.create()


def test_a_format_is_not_guessed(connection, tmp_path):
    base = make_image(tmp_path / "base.qcow2")
    make_image(tmp_path / "below.qcow2")
    run("qemu-img", "rebase", "-u", "-b", tmp_path / "below.qcow2", "-F", "qcow2", base)
    top = make_image(tmp_path / "top.qcow2", base=base)
    # The header's word about the format is taken out.
    data = bytearray(top.read_bytes())
    at = data.index(b"\xe2\x79\x2a\xca")
    data[at : at + 4] = b"\x00\x00\x00\x01"
    top.write_bytes(data)
    domain = connection.define_domain(idle_xml("guess", disk_xml(top)))
    with pytest.raises(OperationFailed, match=f"format of backing image '{base}' of image '{top}' was not specified"):
        domain.create()
