"""VMX files that are none, or meant badly: an error of ours, soon."""

from __future__ import annotations

import contextlib
import random

import pytest
from hypothesis import given, strategies as st

from support import costs_less_than
from virt_esx.vmx import read_vmx, write_vmx
from virtcore.errors import VirtError
from virtcore.model.domain.document import format_domain
from vmx_files import ON_ESX, vmx

WHOLE = vmx(
    '.encoding = "UTF-8"',
    'annotation = "a|0Ab"',
    'memsize = "64"',
    'numvcpus = "2"',
    'sched.cpu.affinity = "1,2"',
    'scsi0.present = "true"',
    'scsi0.virtualDev = "lsilogic"',
    'scsi0:0.present = "true"',
    'scsi0:0.fileName = "a.vmdk"',
    'ide1:0.present = "true"',
    'ide1:0.deviceType = "cdrom-image"',
    'ide1:0.fileName = "/vmfs/volumes/x/y.iso"',
    'ethernet0.present = "true"',
    'ethernet0.networkName = "VM Network"',
    'ethernet0.generatedAddress = "00:0c:29:01:02:03"',
    'serial0.present = "true"',
    'serial0.fileType = "network"',
    'serial0.fileName = "tcp://h:1"',
    'RemoteDisplay.vnc.enabled = "true"',
    'svga.vramSize = "8388608"',
).encode()


def attempt(data: str | bytes) -> None:
    """Whatever it is, it is a machine that can be printed, or an error of ours."""
    with contextlib.suppress(VirtError):
        domain = read_vmx(data, ON_ESX)
        format_domain(domain)
        write_vmx(domain, ON_ESX, 8)


def test_the_whole_file_is_a_machine() -> None:
    assert "VM Network" in format_domain(read_vmx(WHOLE, ON_ESX))


def test_truncated_anywhere() -> None:
    for end in range(len(WHOLE)):
        attempt(WHOLE[:end])


def test_changed_anywhere() -> None:
    chance = random.Random(7)
    for _ in range(2000):
        data = bytearray(WHOLE)
        for _ in range(chance.randrange(1, 6)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        attempt(bytes(data))


@given(st.text() | st.binary())
def test_any_text_or_bytes(data: str | bytes) -> None:
    attempt(data)


@given(
    st.sampled_from(
        [b"memsize", b"numvcpus", b"vm.genid", b"svga.vramSize", b"RemoteDisplay.vnc.port", b"ethernet0.features"]
    ),
    st.integers() | st.text("0123456789-+ x", max_size=30),
)
def test_any_number(name: bytes, value: int | str) -> None:
    attempt(WHOLE.replace(b"memsize", b"other") + name + f' = "{value}"'.encode())


@pytest.mark.parametrize(
    "encoding", ["nonsense", "punycode", "idna", "unicode_escape", "hex", "zip", "", "utf-16", "a\x7fb"]
)
def test_encodings_that_are_none(encoding: str) -> None:
    data = b"\xff\xfe" + WHOLE if encoding == "utf-16" else WHOLE
    with pytest.raises(VirtError, match=r"encoding|syntax"):
        read_vmx(data.replace(b"UTF-8", encoding.encode()), ON_ESX)


def test_bytes_that_are_not_in_the_encoding_they_claim() -> None:
    with pytest.raises(VirtError, match="Could not convert from UTF-8 to UTF-8 encoding"):
        read_vmx(WHOLE + b'x = "\xff"', ON_ESX)
    with pytest.raises(VirtError, match="Could not convert from ascii to UTF-8 encoding"):
        read_vmx(WHOLE.replace(b"UTF-8", b"ascii") + 'x = "ü"'.encode(), ON_ESX)


def test_huge_files_and_numbers_cost_what_they_weigh() -> None:
    with costs_less_than(20):
        many = "".join(f'ethernet{n}.x{n} = "1"\nsharedFolder{n}.present = "true"\n' for n in range(30_000))
        head = WHOLE.decode() + 'isolation.tools.hgfs.disable = "false"\nsharedFolder.maxNum = "9000000000000000000"\n'
        read_vmx(head + many, ON_ESX)
        attempt(head + 'ethernet2147483647.present = "true"\n')
        attempt(head + f'ethernet{"9" * 100_000}.present = "true"\n')
        attempt(head.replace('numvcpus = "2"', 'numvcpus = "4000000000"'))
        attempt(head.replace('annotation = "a', 'annotation = "' + "|41" * 500_000))
