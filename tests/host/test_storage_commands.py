"""Command lines of storage pools and volumes: what the reference outputs have no case for."""

from __future__ import annotations

import pytest

from virt_host.storage.mount import start_command, stop_command
from virt_host.storage.qemu_img import Image, create_commands, resize_command
from virtcore.errors import ConfigUnsupported, InternalError, NoSupport, VirtError, XMLError
from virtcore.model.storage import StoragePool, load_storage_pool, load_storage_vol

DIR = "<pool type='dir'><name>p</name><target><path>/p</path></target></pool>"
LOGICAL = "<pool type='logical'><name>p</name><source><name>vg</name></source></pool>"
SECRET = "<secret type='passphrase' usage='u'/>"
LUKS = f"<encryption format='luks'>{SECRET}</encryption>"


def pool(kind: str, source: str) -> StoragePool:
    return load_storage_pool(
        f"<pool type='{kind}'><name>p</name><source>{source}</source><target><path>/t</path></target></pool>"
    )


def image(
    target: str = "", *, name: str = "v", content: str = "", where: str = DIR, secret: str | None = "/s,1"
) -> Image:
    owner = load_storage_pool(where)
    volume = load_storage_vol(
        f"<volume><name>{name}</name><capacity>1000000</capacity>{content}"
        f"<target><path>/p/{name}</path>{target}</target></volume>",
        owner,
    )
    return Image(volume=volume, pool=owner, secret=secret)


def qcow2(more: str = "", **rest: str) -> Image:
    return image(f"<format type='qcow2'/>{more}", **rest)


def test_network_file_systems_have_options_of_their_own() -> None:
    cifs = pool("netfs", "<host name='h'/><dir path='share'/><format type='cifs'/>")
    assert start_command(cifs) == ["mount", "-o", "nodev,nosuid,noexec,guest", "-t", "cifs", "//h/share", "/t"]
    automatic = pool("netfs", "<host name='h'/><dir path='/d'/><protocol ver='4.2'/>")
    assert start_command(automatic) == ["mount", "-o", "nodev,nosuid,noexec,nfsvers=4.2", "h:/d", "/t"]


def test_a_device_is_mounted_by_type_even_where_that_is_auto() -> None:
    assert start_command(pool("fs", "<device path='/dev/x'/>"))[3:] == ["-t", "auto", "/dev/x", "/t"]


def test_what_starts_a_pool_is_undone() -> None:
    assert stop_command(load_storage_pool(LOGICAL)) == ["vgchange", "-aln", "vg"]
    assert stop_command(pool("fs", "<device path='/dev/x'/>")) == ["umount", "/t"]
    for command in (start_command, stop_command):
        with pytest.raises(NoSupport):
            command(load_storage_pool(DIR))


def test_volumes_on_devices_are_raw() -> None:
    device = image(name="lv", where=LOGICAL)
    assert create_commands(device, qcow2()) == [
        ["qemu-img", "convert", "-f", "qcow2", "-O", "raw", "/p/v", "/p/lv"],
    ]


def test_commas_separate_nothing_in_values() -> None:
    [create, convert] = create_commands(image(LUKS, name="a,b"), qcow2(name="c,d"))
    assert create[4:8] == ["--object", "secret,id=x612c62_encrypt0,file=/s,,1", "-o", "key-secret=x612c62_encrypt0"]
    assert create[8:] == ["/p/a,b", "977K"]  # a path as a word is a path; sizes are rounded up
    assert convert[-2:] == [
        "driver=qcow2,file.filename=/p/c,,d",
        "driver=luks,file.filename=/p/a,,b,key-secret=x612c62_encrypt0",
    ]


def test_an_image_is_resized_in_sectors() -> None:
    assert resize_command(qcow2(), 1000001) == ["qemu-img", "resize", "/p/v", "1000448"]
    assert resize_command(qcow2(), 1000) == ["qemu-img", "resize", "--shrink", "/p/v", "1024"]
    assert resize_command(qcow2(LUKS), 1 << 20)[2:] == [
        *("--object", "secret,id=v_encrypt0,file=/s,,1"),
        *("--image-opts", "driver=qcow2,encrypt.key-secret=v_encrypt0,file.filename=/p/v", "1048576"),
    ]


BACKING = "<backingStore><path>/b</path><format type='raw'/></backingStore>"


@pytest.mark.parametrize(
    ("made", "kind", "message"),
    [
        (qcow2(f"<encryption format='qcow'>{SECRET}</encryption>"), ConfigUnsupported, "creation of qcow2 encrypted"),
        (image(f"<encryption format='qcow'>{SECRET}</encryption>"), InternalError, "Only luks encryption is supported"),
        (image("<compat>1.1</compat>"), ConfigUnsupported, "compatibility option only available with qcow2"),
        (image(content=BACKING), ConfigUnsupported, "cannot set backing store for raw volume"),
        (image("<encryption format='luks'/>"), XMLError, "no secret provided for luks encryption"),
        (
            image(f"<format type='vmdk'/>{LUKS}"),
            ConfigUnsupported,
            "volume encryption unsupported with format vmdk",
        ),
        (image(LUKS, secret=None), InternalError, "path to secret data file is required"),
        (
            qcow2("<compat>0.10</compat><features><extended_l2/></features>"),
            ConfigUnsupported,
            "'extended_l2' not supported with compat level 0.10",
        ),
    ],
)
def test_images_there_are_none_of_are_refused(made: Image, kind: type[VirtError], message: str) -> None:
    with pytest.raises(kind, match=message):
        create_commands(made)


def test_metadata_is_preallocated_in_images_of_their_own() -> None:
    with pytest.raises(ConfigUnsupported, match="metadata preallocation conflicts with backing store"):
        create_commands(qcow2(content=BACKING), preallocate_metadata=True)
    with pytest.raises(ConfigUnsupported, match="metadata preallocation only available with qcow2"):
        create_commands(image(), preallocate_metadata=True)
