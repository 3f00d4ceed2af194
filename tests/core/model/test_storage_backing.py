"""Backing store strings and the headers they stand in."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, strategies as st

from virtcore.errors import VirtError
from virtcore.model.storage import (
    EncryptionFormat,
    FileSource,
    HostTransport,
    NetProtocol,
    NetworkSource,
    StorageFormat,
)
from virtcore.model.storage.backing import is_relative, parse_backing
from virtcore.model.storage.image_header import HEADER_SIZE, probe_format, read_header

COW = b"OOOM" + struct.pack(">I", 2) + b"base".ljust(1028, b"\0") + struct.pack(">Q", 5)


def network(text: str) -> NetworkSource:
    source = parse_backing(text).source
    assert isinstance(source, NetworkSource)
    return source


def qcow2(
    backing: str = "", told: str | None = None, *, data_file: str | None = None, version: int = 3, crypt: int = 0
) -> bytes:
    """The header of a qcow2 image of a MiB."""
    extensions = b""
    for kind, word in ((0xE2792ACA, told), (0x44415441, data_file)):
        if word is not None:
            padded = word.encode().ljust(-(-len(word) // 8) * 8, b"\0")
            extensions += struct.pack(">II", kind, len(word)) + padded
    extensions += bytes(8)
    start = 104 if version == 3 else 72
    at = start + len(extensions) if backing else 0
    head = struct.pack(">4sIQIIQI", b"QFI\xfb", version, at, len(backing), 16, 1 << 20, crypt).ljust(72, b"\0")
    if version == 3:
        head += struct.pack(">QQQII", 4 if data_file is not None else 0, 1, 0, 4, 104)
    return head + extensions + backing.encode()


@pytest.mark.parametrize(
    ("text", "host", "port", "name"),
    [
        ("nbd://h", "h", 10809, None),
        ("gluster+tcp://h/volume/folder/image", "h", 24007, "volume/folder/image"),
        ("nbd:[fe80::1]:7:exportname=a:b", "fe80::1", 7, "a:b"),
        (r"rbd:pool/image@snap:mon_host=a\:1\;[\:\:1]\:2:conf=/c", "a", 1, "pool/image"),
        ('json:{"driver":"iscsi","transport":"tcp","portal":"[::1]:1","target":"t","lun":3}', "::1", 1, "t/3"),
        (
            'json:{"driver":"rbd","pool":"p","namespace":"n","image":"i","server":[{"host":"h","port":"9"}]}',
            "h",
            9,
            "p/n/i",
        ),
    ],
)
def test_servers(text: str, host: str, port: int, name: str | None) -> None:
    source = network(text)
    assert (source.hosts[0].name, source.hosts[0].port, source.name) == (host, port, name)


def test_parts_of_a_ceph_image() -> None:
    source = network(r"rbd:pool/image@snap:mon_host=a\:1\;[\:\:1]\:2:conf=/c")
    assert [(host.name, host.port) for host in source.hosts] == [("a", 1), ("::1", 2)]
    assert (source.snapshot, source.config) == ("snap", "/c")


def test_sockets_and_paths() -> None:
    source = network("nbd+unix:///export?socket=/run/s")
    assert (source.hosts[0].transport, source.hosts[0].socket) == (HostTransport.UNIX, "/run/s")
    assert parse_backing("/a:b").source == FileSource(file="/a:b")
    assert is_relative("./a:b")
    assert not is_relative("a:b")


def test_credentials_are_dropped() -> None:
    found = parse_backing("http://user:password@h/file")
    assert found.credentials
    assert "password" not in repr(found)
    assert not parse_backing("ssh://user@h/file").credentials


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("://", "internal error: failed to parse backing file location '://'"),
        ("pigeon://h/", "internal error: invalid backing protocol 'pigeon'"),
        ("nbd+pigeon://h/", "internal error: invalid protocol transport type 'pigeon'"),
        ("gluster://h/volume", "internal error: missing volume name or file name in gluster source path 'volume'"),
        ("nbd:h", "internal error: malformed nbd string 'nbd:h'"),
        ("vxhs:h", "internal error: backing store parser is not implemented for protocol vxhs"),
        ('json:{"driver":"nbd"}', None),
        ('json:{"file":{"driver":"raw","file":{}}}', None),
        ('json:{"a.b":1,"a":{"b":2}}', None),
        ("json:" + '{"a":' * 200 + "1" + "}" * 200, None),
        ('json:{"driver":"nvme","device":"1","namespace":1}', "invalid argument: malformed PCI address '1'"),
    ],
)
def test_refused(text: str, message: str | None) -> None:
    with pytest.raises(VirtError) as caught:
        parse_backing(text)
    if message is not None:
        assert str(caught.value) == message


@given(st.text())
def test_any_string_is_understood_or_refused(text: str) -> None:
    for prefix in ("", "json:", "nbd:", "rbd:", "http://"):
        try:
            parse_backing(prefix + text)
        except VirtError:
            pass


# ------------------------------------------------------------------------------------------------------------- headers


def test_qcow2() -> None:
    header = read_header(qcow2("base", "qcow2", crypt=2), StorageFormat.QCOW2)
    assert (header.capacity, header.cluster_size) == (1 << 20, 65536)
    assert (header.backing, header.backing_format) == ("base", StorageFormat.QCOW2)
    assert header.encryption is EncryptionFormat.LUKS
    assert (header.compat, header.features) == ("1.1", ("lazy_refcounts",))
    old = read_header(qcow2("base", version=2), StorageFormat.QCOW2)
    assert (old.backing, old.backing_format, old.compat) == ("base", None, None)


def test_a_protocol_as_format_is_raw() -> None:
    assert read_header(qcow2("base", "host_device")).backing_format is StorageFormat.RAW


def test_data_files() -> None:
    assert read_header(qcow2(data_file="data")).data_file == "data"
    assert read_header(qcow2(data_file="")).data_file == ""
    assert read_header(qcow2()).data_file is None


def test_the_format_that_was_told_counts() -> None:
    image = qcow2("base")
    assert probe_format(image) is StorageFormat.QCOW2
    assert read_header(image, StorageFormat.RAW).backing is None


@pytest.mark.parametrize(
    ("image", "format", "capacity", "backing"),
    [
        (b"KDMV" + struct.pack("<IIQ", 1, 0, 4) + bytes(0x200), StorageFormat.VMDK, 2048, None),
        (
            (b"KDMV" + struct.pack("<IIQ", 3, 0, 4)).ljust(0x200, b"\0") + b'parentFileNameHint="base.vmdk"\n',
            StorageFormat.VMDK,
            2048,
            "base.vmdk",
        ),
        (b"conectix" + struct.pack(">II", 0, 0x10000) + bytes(24) + struct.pack(">Q", 7), StorageFormat.VPC, 7, None),
        (bytes(32769) + b"CD001", StorageFormat.ISO, None, None),
        (
            b"OOOM" + struct.pack(">I", 2) + b"base".ljust(1028, b"\0") + struct.pack(">Q", 5),
            StorageFormat.COW,
            5,
            "base",
        ),
        (b"QFI\xfb" + struct.pack(">I", 9), StorageFormat.RAW, None, None),
    ],
)
def test_other_formats(image: bytes, format: StorageFormat, capacity: int | None, backing: str | None) -> None:
    header = read_header(image)
    assert (header.format, header.capacity, header.backing) == (format, capacity, backing)


def test_a_backing_store_behind_the_header_is_not_believed() -> None:
    image = bytearray(qcow2("base", "raw"))
    struct.pack_into(">Q", image, 8, 1 << 40)
    header = read_header(bytes(image))
    assert (header.backing, header.capacity) == (None, 1 << 20)


@given(st.binary(max_size=300), st.sampled_from([None, *StorageFormat]), st.sampled_from([0, 8, 72, 100, 104]))
def test_any_header_can_be_read(noise: bytes, format: StorageFormat | None, at: int) -> None:
    read_header((qcow2("base", "raw", data_file="d")[:at] + noise)[:HEADER_SIZE], format)


def test_protocols_know_their_ports() -> None:
    assert network("sheepdog://h/image").hosts[0].port == 7000
    assert network("sheepdog://h/image").protocol is NetProtocol.SHEEPDOG
