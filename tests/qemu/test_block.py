"""QEMU's block layer as values: nodes, names of images, options of creation, transactions of bitmaps."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from virt_qemu.block.bitmaps import (
    actions_after_commit,
    actions_after_copy,
    actions_for_backup,
    actions_for_removal,
    is_valid,
    read_bitmaps,
)
from virt_qemu.block.create import create_format_options, create_storage_options
from virt_qemu.block.image import Image, backing_image, disk_image, source_image
from virt_qemu.block.layers import format_layer, image_layers
from virt_qemu.block.storage import backing_string, storage_properties
from virtcore.errors import CheckpointInconsistent, ConfigUnsupported, InternalError, OperationUnsupported
from virtcore.model.domain.disk import Disk
from virtcore.model.storage import FileSource, NetworkSource, StorageFormat
from virtcore.model.storage.backing import parse_backing
from virtcore.xml import parse


def disk(attributes: str, source: str, rest: str = "", type: str = "file") -> Image:
    text = f"<disk type='{type}'><driver name='qemu' {attributes}/>{source}{rest}<target dev='vda'/></disk>"
    read = parse(text, Disk)
    assert read.source is not None
    read.source.index = 7
    return disk_image(read)


def network(source: str, **more: Any) -> Image:
    read = parse(source, NetworkSource)
    return dataclasses.replace(source_image(read, StorageFormat.RAW, 7), **more)


SLICED = "<source file='/i'><slices><slice type='storage' offset='512' size='1024'/></slices></source>"
LUKS = (
    "<source file='/i'><encryption format='luks'>"
    "<secret type='passphrase' uuid='0a81f5b2-8403-7b23-c8d6-21ccc2f80d6f'/></encryption></source>"
)


def test_the_uppermost_node_is_opened_as_the_disk_says_and_the_ones_below_as_it_needs_them() -> None:
    image = disk("type='raw' cache='none' discard='unmap'", SLICED)
    storage, part = image_layers(dataclasses.replace(image, raw_layers=False))
    cache = {"direct": True, "no-flush": False}
    assert storage == {
        "driver": "file",
        "filename": "/i",
        "node-name": "libvirt-7-storage",
        "auto-read-only": True,
        "discard": "unmap",
        "cache": cache,
    }
    assert part == {
        "driver": "raw",
        "file": "libvirt-7-storage",
        "offset": 512,
        "size": 1024,
        "node-name": "libvirt-7-slice-sto",
        "read-only": False,
        "discard": "unmap",
        "cache": cache,
    }
    assert dataclasses.replace(image, raw_layers=False).top() == "libvirt-7-slice-sto"
    assert image_layers(image)[-1]["file"] == "libvirt-7-slice-sto"
    assert image.top() == "libvirt-7-format"


def test_an_encrypted_raw_image_has_a_layer_that_decrypts_it_in_any_version() -> None:
    assert image_layers(dataclasses.replace(disk("type='raw'", LUKS), raw_layers=False))[-1] == {
        "node-name": "libvirt-7-format",
        "read-only": False,
        "driver": "luks",
        "key-secret": "libvirt-7-format-encryption-secret0",
        "file": "libvirt-7-storage",
    }


def test_zeroes_are_recognised_where_the_guest_writes_only() -> None:
    below = "<backingStore type='file'><format type='qcow2'/><source file='/b'/><backingStore/></backingStore>"
    top, lower = map(format_layer, disk("type='qcow2' detect_zeroes='unmap'", "<source file='/i'/>", below).chain())
    assert top["detect-zeroes"] == "on"
    assert "detect-zeroes" not in lower
    assert lower["read-only"] is True
    assert lower["backing"] is None


def test_an_open_chain_says_nothing_of_what_is_below() -> None:
    assert "backing" not in format_layer(disk("type='qcow2'", "<source file='/i'/>"))


def test_layers_that_qemu_cannot_have() -> None:
    image = disk("type='raw'", "<source file='/i'/>")
    long = dataclasses.replace(image, nodes=dataclasses.replace(image.nodes, storage="n" * 32))
    with pytest.raises(InternalError, match=f"^internal error: node-name '{'n' * 32}' too long for qemu$"):
        image_layers(long)
    with pytest.raises(ConfigUnsupported, match="storage format 'raw' does not support backing store"):
        format_layer(dataclasses.replace(image, below=image))
    with pytest.raises(InternalError, match="mishandled storage format 'iso'"):
        format_layer(dataclasses.replace(image, format=StorageFormat.ISO))


RBD = """<source protocol='rbd' name='pool/image'><host name='::1' port='6321'/>
  <auth username='u'><secret type='ceph' usage='s'/></auth>
  <encryption format='luks2' engine='librbd'><secret type='passphrase' usage='a'/>
  <secret type='passphrase' usage='b'/></encryption></source>"""


def test_layers_of_librbd_hold_each_other_and_another_image_names_no_credentials() -> None:
    read = parse(RBD, NetworkSource)
    image = source_image(read, StorageFormat.RAW, 7)
    props = storage_properties(image)
    assert props["encrypt"] == {
        "format": "luks2",
        "key-secret": "libvirt-7-format-encryption-secret0",
        "parent": {"format": "luks2", "key-secret": "libvirt-7-format-encryption-secret1"},
    }
    assert (props["user"], props["key-secret"]) == ("u", "libvirt-7-storage-auth-secret0")
    assert not {"user", "key-secret", "auth-client-required"} & set(storage_properties(image, target_only=True))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("<source protocol='http' name='a b' query='x=1'><host name='h'/></source>", "http://h:80/a%20b?x=1"),
        ("<source protocol='nbd'><host name='::1' port='1'/></source>", "nbd://[::1]:1"),
        (
            "<source protocol='nbd' name='e'><host transport='unix' socket='/s'/></source>",
            'json:{"file":{"driver":"nbd","server":{"type":"unix","path":"/s"},"export":"e"}}',
        ),
        (
            "<source protocol='sheepdog' name='v'><host name='h'/></source>",
            'json:{"file":{"driver":"sheepdog","server":{"type":"inet","host":"h","port":"7000"},"vdi":"v"}}',
        ),
    ],
)
def test_what_an_image_above_calls_an_image_leads_back_to_it(source: str, expected: str) -> None:
    image = network(source)
    assert backing_string(image) == expected
    again = source_image(parse_backing(expected).source, StorageFormat.RAW, 7)
    assert storage_properties(again, target_only=True) == storage_properties(image, target_only=True)


def test_incomplete_sources_are_refused() -> None:
    with pytest.raises(InternalError, match="nbd protocol accepts only one host"):
        storage_properties(network("<source protocol='nbd'><host name='a'/><host name='b'/></source>"))
    with pytest.raises(InternalError, match="transport protocol 'rdma' is not yet supported"):
        storage_properties(network("<source protocol='gluster' name='v/i'><host name='a' transport='rdma'/></source>"))
    with pytest.raises(InternalError, match="cannot parse target for lunStr 'iqn'"):
        storage_properties(network("<source protocol='iscsi' name='iqn/x'><host name='a'/></source>"))


def test_nbdkit_serves_the_guest_but_names_no_image() -> None:
    source = "<source protocol='ssh' name='i'><host name='h'/></source>"
    image = network(source, nbdkit_socket="/run/s")
    assert storage_properties(image) == {"driver": "nbd", "server": {"type": "unix", "path": "/run/s"}}
    assert storage_properties(image, target_only=True)["driver"] == "ssh"
    assert create_storage_options(image, 1) is None
    assert create_storage_options(network(source), 1) == {
        "driver": "ssh",
        "location": {"path": "i", "server": {"host": "h", "port": "22"}},
        "size": 1,
    }


def test_images_are_formatted_on_what_is_below_them() -> None:
    base = disk("type='raw'", LUKS)
    top = disk("type='qcow2'", "<source file='/t'/>")
    assert create_format_options(top, 8, base, compat="1.1", cluster_size=4096) == {
        "driver": "qcow2",
        "file": "libvirt-7-storage",
        "size": 8,
        "version": "v3",
        "cluster-size": 4096,
        "backing-file": "/i",
        "backing-fmt": "luks",
    }
    assert create_format_options(disk("type='raw'", "<source file='/t'/>"), 8, base) is None
    assert "backing-fmt" not in (create_format_options(disk("type='vmdk'", "<source file='/t'/>"), 8, base) or {})
    old = disk("type='qcow'", LUKS.replace("'luks'", "'qcow'"))
    with pytest.raises(OperationUnsupported, match="supports only 'luks' encryption"):
        create_format_options(old, 8)


def nodes(*layout: str) -> dict[str, Any]:
    """Bitmaps of nodes ``n0``, ``n1``, …: a letter each; an upper-case one is not persistent."""
    return read_bitmaps(
        [
            {
                "node-name": f"n{number}",
                "dirty-bitmaps": [
                    {
                        "name": letter.lower(),
                        "recording": True,
                        "persistent": letter.islower(),
                        "busy": False,
                        "granularity": 65536 << number,
                        "count": 0,
                    }
                    for letter in letters
                ],
            }
            for number, letters in enumerate(layout)
        ]
    )


CHAIN = ["n0", "n1", "n2"]


@pytest.mark.parametrize(
    ("layout", "valid"),
    [
        (("a", "a", "a"), True),
        (("a", "", ""), True),
        (("a", "", "a"), False),
        (("", "a", "a"), False),
        (("a", "A", ""), False),
        (("", "", ""), False),
    ],
)
def test_a_checkpoints_bitmap_goes_down_from_the_top_without_gaps(layout: tuple[str, ...], valid: bool) -> None:
    assert is_valid(nodes(*layout), CHAIN, "a") is valid


def test_a_backup_merges_all_parts_with_the_coarsest_granularity() -> None:
    add, merge = actions_for_backup(nodes("ab", "a", "b"), CHAIN, "a", "target", "bitmap", "vda")
    assert add["data"] == {
        "node": "target",
        "name": "bitmap",
        "persistent": False,
        "disabled": True,
        "granularity": 131072,
    }
    assert merge["data"] == {
        "node": "target",
        "target": "bitmap",
        "bitmaps": [{"node": "n0", "name": "a"}, {"node": "n1", "name": "a"}],
    }
    with pytest.raises(CheckpointInconsistent, match="missing or broken bitmap 'b' for disk 'vda'"):
        actions_for_backup(nodes("ab", "a", "b"), CHAIN, "b", "target", "bitmap", "vda")


def test_what_was_written_during_a_job_is_merged_and_its_record_removed() -> None:
    found = nodes("ab", "b", "")
    inactive = actions_after_commit(found, CHAIN, 1, 2, active=False)
    assert [action["type"] for action in inactive] == ["block-dirty-bitmap-add", "block-dirty-bitmap-merge"]
    active: Any = actions_after_commit(found, CHAIN, 0, 1, active=True)
    assert [(action["type"].rpartition("-")[2], action["data"].get("target")) for action in active] == [
        ("merge", "b"),
        ("add", None),
        ("merge", "a"),
        ("remove", None),
    ]
    assert active[2]["data"]["bitmaps"][-1] == {"node": "n1", "name": "libvirt-tmp-activewrite"}
    assert [action["type"] for action in actions_after_copy(nodes(), CHAIN, "m", shallow=True)] == [
        "block-dirty-bitmap-remove"
    ]


def test_a_bitmap_is_removed_from_all_images_and_those_below_are_reopened() -> None:
    actions, reopened = actions_for_removal(nodes("a", "a", "a"), CHAIN, "a", "vda")
    assert [action["data"] for action in actions] == [{"node": node, "name": "a"} for node in CHAIN]
    assert reopened == ["n2", "n1"]
    with pytest.raises(InternalError, match="bitmap 'x' not found in backing chain of 'vda'"):
        actions_for_removal(nodes("a", "a", "a"), CHAIN, "x", "vda")


@pytest.mark.parametrize("reply", [None, {}, [1], [{"node-name": "n", "dirty-bitmaps": [{"name": 1}]}]])
def test_replies_that_are_none_are_refused(reply: object) -> None:
    with pytest.raises(InternalError, match="query-named-block-nodes"):
        read_bitmaps(reply)


def test_a_file_has_its_path() -> None:
    image = source_image(FileSource(file="/i"), StorageFormat.RAW, 7)
    assert storage_properties(dataclasses.replace(image, descriptors="/dev/fdset/1"))["filename"] == "/dev/fdset/1"
    assert backing_string(dataclasses.replace(image, descriptors="/dev/fdset/1")) == "/i"


def test_what_libvirt_does_not_model_of_ssh_is_given_back() -> None:
    text = 'json:{"file.driver":"ssh","file.user":"u","file.host":"h","file.port":7,"file.path":"p"%s}'
    unchecked = parse_backing(text % ',"file.host_key_check":"no"')
    props = storage_properties(backing_image(unchecked, StorageFormat.RAW, 7), target_only=True)
    assert props == {
        "driver": "ssh",
        "path": "p",
        "server": {"host": "h", "port": "22"},
        "user": "u",
        "host-key-check": {"mode": "none"},
    }
    checked = backing_image(parse_backing(text % ""), StorageFormat.RAW, 7)
    assert "host-key-check" not in storage_properties(checked, target_only=True)


def test_a_data_file_is_used_as_the_disk_says() -> None:
    store = "<dataStore type='file'><format type='raw'/><source file='/d' index='8'/></dataStore>"
    image = disk("type='qcow2' cache='none'", f"<source file='/t'>{store}</source>")
    assert image.data_file is not None
    data = dataclasses.replace(image.data_file, raw_layers=False)
    assert image_layers(data) == [
        {
            "driver": "file",
            "filename": "/d",
            "node-name": "libvirt-8-storage",
            "read-only": False,
            "cache": {"direct": True, "no-flush": False},
        }
    ]
    assert format_layer(dataclasses.replace(image, data_file=data))["data-file"] == "libvirt-8-storage"
