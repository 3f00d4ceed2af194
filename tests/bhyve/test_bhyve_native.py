"""``bhyve-argv`` both ways, by the public function: round trips, refusals, odd input."""

from __future__ import annotations

import random

import pytest

import virtcore
from virt_bhyve.native import parse_command_lines
from virtcore.errors import VirtError
from virtcore.model.domain.document import format_domain
from virtcore.model.domain.domain import Domain
from virtcore.xml import parse

TEXT = """/usr/sbin/bhyveload \\
-m 214 -d '/tmp/a b.img' vm
/usr/sbin/bhyve -c 2 -m 214 -A -I -u -S -U 00000000-0000-0000-0000-000000000001 -H -P -s 0:0,hostbridge \\
-s 1:0,lpc -s "2:0,virtio-blk,/tmp/a b.img" -s 0:3:1,ahci-cd,/dev/cd0 -s 4,e1000,tap3,mac=52:54:00:b9:94:02 \\
-s 5:0,fbuf,tcp=[::1]:5902,w=800,h=600,vga=on,password=secret -s 6:0,virtio-rnd -l com2,/dev/nmdm1B vm
"""


def test_what_the_words_say() -> None:
    xml = virtcore.convert(TEXT, from_format="bhyve-argv")
    for part in (
        "<uuid>00000000-0000-0000-0000-000000000001</uuid>",
        "<memory unit='KiB'>219136</memory>",
        "<vcpu placement='static'>2</vcpu>",
        "<locked/>",
        "<acpi/>",
        "<apic/>",
        "<clock offset='utc'/>",
        "<source file='/tmp/a b.img'/>",
        "<disk type='block' device='cdrom'>\n      <source dev='/dev/cd0'/>\n      <target dev='sda' bus='sata'/>",
        "<address type='pci' domain='0x0000' bus='0x00' slot='0x03' function='0x1'/>",
        "<model type='e1000'/>",
        "<graphics type='vnc' port='5902' autoport='no' listen='::1' passwd='secret'>",
        "<resolution x='800' y='600'/>",
        "<driver vgaconf='on'/>",
        "<source master='/dev/nmdm1B' slave='/dev/nmdm1A'/>\n      <target port='1'/>",
        "<backend model='random'>/dev/random</backend>",
    ):
        assert part in xml
    assert "bootloader" not in xml


def test_there_and_back_again() -> None:
    plain = (
        "/usr/sbin/bhyveload -m 64 -d '/a b' g\n"
        "/usr/sbin/bhyve -c 1 -m 64 -u -H -P -s 0:0,hostbridge -s 3:0,virtio-net,tap0,mac=52:54:00:00:00:01"
        " -s '2:0,virtio-blk,/a b' g"
    )
    assert virtcore.convert(virtcore.convert(plain, from_format="bhyve-argv"), to_format="bhyve-argv") == plain


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Failed to convert the command string to argv-lists"),
        ("/bin/sh -c x", "Failed to convert the command string to argv-lists"),
        ("/usr/sbin/bhyve", "Failed to parse arguments for bhyve command"),
        ("/usr/sbin/bhyve ''", "Failed to parse arguments for bhyve command"),
        ("/usr/sbin/bhyve -A -c vm", "Missing argument for '-c'"),
        ("/usr/sbin/bhyve -c x vm", "Failed to parse number of vCPUs"),
        ("/usr/sbin/bhyve -c 99999999999 vm", "Failed to parse number of vCPUs"),
        ("/usr/sbin/bhyve -c 0 vm", "domain config can't have 0 maximum vCPUs"),
        ("/usr/sbin/bhyve -m 1Q vm", "Failed to parse memory"),
        ("/usr/sbin/bhyve -m 9999999999999T vm", "Failed to parse memory"),
        ("/usr/sbin/bhyve -m 1 -m 2 vm", "Failed to parse memory: size mismatch"),
        ("/usr/sbin/bhyve -U x vm", "Cannot parse UUID 'x'"),
        ("/usr/sbin/bhyve vm more", "Failed to parse arguments for bhyve command"),
        ("/usr/sbin/bhyve -l com3,/dev/nmdm0A vm", "Failed to parse com3: only com1 and com2 supported."),
        ("/usr/sbin/bhyve -s x,lpc vm", "Failed to parse PCI address 'x'"),
        ("/usr/sbin/bhyveload -m 1 -d /x a\n/usr/sbin/bhyve -m 1 b", "Failed to parse arguments: VM name mismatch"),
        ("/usr/sbin/bhyve a\x00b", "character U+0000 on line 1 of the configuration is no text"),
    ],
)
def test_refusals(text: str, message: str) -> None:
    with pytest.raises(VirtError) as caught:
        virtcore.convert(text, from_format="bhyve-argv")
    assert str(caught.value).endswith(message)


def test_devices_without_a_place_are_left_out(caplog: pytest.LogCaptureFixture) -> None:
    text = "/usr/sbin/bhyve -s 1,virtio-net,em0 -s 2,virtio-blk -s 3,fbuf,tcp=x -s 4,nonsense,y vm"
    assert "<devices>\n  </devices>" in virtcore.convert(text, from_format="bhyve-argv")
    assert [record.message.split("'")[1] for record in caplog.records] == ["virtio-net", "virtio-blk", "fbuf"]


def test_only_libvirt_errors_come_out_of_broken_text() -> None:
    chaos = random.Random(1)
    for end in range(0, len(TEXT), 3):
        _survive(TEXT[:end])
    for _ in range(300):
        text = list(TEXT)
        for _ in range(chaos.randint(1, 6)):
            text[chaos.randrange(len(text))] = chaos.choice("'\"\\\n\r\t ,:=-/\x00\x07\ud800\ufffeé9A")
        _survive("".join(text))
    _survive("x" * 1_000_000)
    _survive("/usr/sbin/bhyve " + "-s 1,ahci-hd,/x " * 5_000 + "vm")


def _survive(text: str) -> None:
    """Reads a text; what comes of it is a document, or a libvirt error."""
    try:
        domain = parse_command_lines(text)
    except VirtError:
        return
    assert parse(format_domain(domain), Domain).name
