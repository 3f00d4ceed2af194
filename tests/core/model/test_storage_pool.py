"""Storage pools: what each kind needs, what is filled in, and what is refused."""

from __future__ import annotations

import uuid

import pytest

from virtcore.errors import ErrorDomain, VirtError
from virtcore.model.definition import DefinitionContext
from virtcore.model.storage import (
    FileSystemFormat,
    FileSystemPoolSource,
    PoolDevice,
    StoragePool,
    StoragePoolType,
    format_storage_pool,
    load_storage_pool,
)
from virtcore.model.storage.pool_types import POOL_TYPES
from virtcore.xml import format, parse

ID = "0b8f1a0e-7a3d-4a3b-9b60-5f2f8a3f2d11"
UNSUPPORTED = "this function is not supported by the connection driver"
PATH = "<target><path>/pool</path></target>"
DIRECTORY = f"<pool type='dir'><name>p</name>{PATH}{{}}</pool>"
PERMITTED = "<pool type='dir'><name>p</name><target><path>/p</path><permissions>{}</permissions></target></pool>"
SCSI = f"<pool type='scsi'><name>p</name><source>{{}}</source>{PATH}</pool>"
NETFS = f"<pool type='netfs'><name>p</name><source><host name='h'/><dir path='/d'/>{{}}</source>{PATH}</pool>"
WWN = "20000000c9831b4b"


def pool(kind: str, source: str, rest: str = PATH) -> str:
    return f"<pool type='{kind}'><name>p</name><source>{source}</source>{rest}</pool>"


def test_every_kind_is_known() -> None:
    assert list(POOL_TYPES) == list(StoragePoolType)


@pytest.mark.parametrize(
    ("kind", "source"),
    [
        ("dir", ""),
        ("mpath", ""),
        ("fs", "<device path='/dev/a'/>"),
        ("netfs", "<host name='h'/><dir path='/d'/>"),
        ("logical", "<device path='/dev/a'/>"),
        ("disk", "<device path='/dev/a' part_separator='no'/>"),
        ("iscsi", "<host name='h' port='3260'/><device path='iqn.a'/><initiator><iqn name='iqn.b'/></initiator>"),
        ("iscsi-direct", "<host name='h'/><initiator><iqn name='iqn.b'/></initiator>"),
        ("scsi", "<adapter name='host1'/>"),
        ("rbd", "<name>n</name><host name='h'/>"),
        ("sheepdog", "<host name='h'/>"),
        ("gluster", "<host name='h'/>"),
        ("zfs", ""),
        ("vstorage", ""),
    ],
)
def test_loading_what_was_printed_changes_nothing(kind: str, source: str) -> None:
    once = format_storage_pool(load_storage_pool(pool(kind, source)))
    assert format_storage_pool(load_storage_pool(once)) == once
    assert format(parse(once, StoragePool)) == once
    assert ("<target>" in once) is (kind not in ("rbd", "sheepdog", "gluster", "iscsi-direct"))


def test_what_a_kind_does_not_have_is_dropped() -> None:
    given = pool("dir", "<host name='h'/><device path='/d'/><name>n</name><format type='any'/>")
    assert "<source>\n  </source>" in format_storage_pool(load_storage_pool(given))


def test_figures_are_found_out_not_defined() -> None:
    text = format_storage_pool(load_storage_pool(DIRECTORY.format("<capacity>many</capacity>")))
    assert "<capacity unit='bytes'>0</capacity>" in text


def test_names_and_paths_are_filled_in() -> None:
    given = "<pool type='logical'><source><name>vg</name></source></pool>"
    found = load_storage_pool(given, context=DefinitionContext(new_uuid=lambda: uuid.UUID(ID)))
    assert (found.name, found.uuid) == ("vg", ID)
    assert found.target is not None
    assert found.target.path == "/dev/vg"
    assert "<dir path='/'/>" in format_storage_pool(load_storage_pool(pool("gluster", "<host name='h'/>")))


def test_made_by_hand() -> None:
    made = StoragePool(
        type=StoragePoolType.FS,
        name="p",
        source=FileSystemPoolSource(devices=[PoolDevice(path="/dev/a")], format=FileSystemFormat.HFSPLUS),
    )
    assert "<format type='hfs+'/>" in format(made)
    made.type = StoragePoolType.DISK
    with pytest.raises(VirtError):
        format(made)


def test_permissions() -> None:
    given = (
        "<pool type='dir'><name>p</name><target><path>/p</path><permissions><mode>755</mode>"
        "<owner>4294967295</owner><group>-1</group><label/></permissions></target></pool>"
    )
    text = format_storage_pool(load_storage_pool(given))
    assert "<permissions>\n      <mode>0755</mode>\n    </permissions>" in text


@pytest.mark.parametrize(
    ("given", "message", "path"),
    [
        ("<pool/>", "XML error: Missing required attribute 'type' in element 'pool'", "/pool/@type"),
        (
            "<pool type='lake'/>",
            "XML error: Invalid value for attribute 'type' in element 'pool': 'lake'.",
            "/pool/@type",
        ),
        (f"<pool type='dir'>{PATH}</pool>", "XML error: missing pool source name element", "/pool/name"),
        (f"<pool type='dir'><name>a/b</name>{PATH}</pool>", "XML error: name a/b cannot contain '/'", "/pool/name"),
        (DIRECTORY.format("<uuid>1</uuid>"), "XML error: malformed uuid element", "/pool/uuid"),
        ("<pool type='dir'><name>p</name></pool>", "XML error: missing storage pool target path", "/pool/target/path"),
        (
            pool("disk", "<device path='/d'/>", f"{PATH}<features><cow state='yes'/></features>"),
            f"{UNSUPPORTED}: cow feature may only be used for 'fs' and 'dir' pools",
            "/pool/features/cow/@state",
        ),
        (
            DIRECTORY.format("<refresh><volume allocation='all'/></refresh>"),
            "unsupported configuration: unknown storage pool volume refresh allocation type all",
            "/pool/refresh/volume/@allocation",
        ),
        (pool("fs", ""), "XML error: missing storage pool source device name", "/pool/source/device"),
        (
            pool("fs", "<device/>"),
            "XML error: missing storage pool source device path",
            "/pool/source/device/@path",
        ),
        (
            pool("fs", "<device path='/d'/><format type='ntfs'/>"),
            "unsupported configuration: unknown pool format type ntfs",
            "/pool/source/format/@type",
        ),
        (pool("netfs", "<dir path='/d'/>"), "XML error: missing storage pool source host name", "/pool/source/host"),
        (pool("netfs", "<host/>"), "XML error: missing storage pool host name", "/pool/source/host/@name"),
        (pool("netfs", "<host name='h'/>"), "XML error: missing storage pool source path", "/pool/source/dir/@path"),
        (
            NETFS.format("<format type='cifs'/><protocol ver='3'/>"),
            "unsupported configuration: storage pool protocol ver unsupported for pool type 'cifs'",
            "/pool/source/protocol/@ver",
        ),
        (
            NETFS.format("<protocol ver='3,rw'/>"),
            "storage pool protocol ver '3,rw' must not contain ','",
            "/pool/source/protocol/@ver",
        ),
        (
            NETFS.format("<auth username='u'><secret usage='s'/></auth>"),
            "unsupported configuration: storage pool missing auth type",
            "/pool/source/auth/@type",
        ),
        (
            NETFS.format("<auth type='' username='u'><secret usage='s'/></auth>"),
            "unsupported configuration: storage pool missing auth type",
            "/pool/source/auth/@type",
        ),
        (
            pool("rbd", "<host name='h'/>"),
            "XML error: element 'name' is mandatory for RBD pool",
            "/pool/source",
        ),
        (
            "<pool type='rbd'><name>p</name></pool>",
            "XML error: missing storage pool source host name",
            "/pool/source/host",
        ),
        (
            pool("iscsi-direct", "<host name='h'/>"),
            "unsupported configuration: missing initiator IQN",
            "/pool/source/initiator/iqn/@name",
        ),
        (
            PERMITTED.format("<mode>1777</mode>"),
            "XML error: malformed octal mode",
            "/pool/target/permissions/mode",
        ),
        (
            "<pool type='dir'><name>p</name><target><path>/p</path><permissions><owner/></permissions></target></pool>",
            "XML error: malformed owner element",
            "/pool/target/permissions/owner",
        ),
        # adapters
        (SCSI.format(""), "XML error: missing storage pool source adapter", "/pool/source/adapter"),
        (
            SCSI.format(f"<adapter wwnn='{WWN}'/>"),
            "XML error: Use of 'wwnn', 'wwpn', and 'parent' attributes requires use of the adapter 'type'",
            "/pool/source/adapter",
        ),
        (
            SCSI.format("<adapter><parentaddr unique_id='1'><address/></parentaddr></adapter>"),
            "XML error: Use of 'parentaddr' element requires use of the adapter 'type'",
            "/pool/source/adapter/parentaddr",
        ),
        (
            SCSI.format("<adapter type='scsi_host'/>"),
            "XML error: Either 'name' or 'parent' must be specified for the 'scsi_host' adapter",
            "/pool/source/adapter",
        ),
        (
            SCSI.format("<adapter type='scsi_host'><parentaddr unique_id='1'/></adapter>"),
            "XML error: Missing scsi_host PCI address element",
            "/pool/source/adapter/parentaddr",
        ),
        (
            SCSI.format("<adapter type='scsi_host'><parentaddr unique_id='-1'><address/></parentaddr></adapter>"),
            "XML error: Missing or invalid scsi adapter 'unique_id' value",
            "/pool/source/adapter/parentaddr/@unique_id",
        ),
        (
            SCSI.format("<adapter type='fc_host' wwnn='1'/>"),
            "XML error: 'wwnn' and 'wwpn' must be specified for adapter type 'fchost'",
            "/pool/source/adapter",
        ),
        (
            SCSI.format(f"<adapter type='fc_host' wwnn='{WWN}' wwpn='1'/>"),
            "internal error: Malformed wwn: 1",
            "/pool/source/adapter",
        ),
        (
            SCSI.format(f"<adapter type='fc_host' wwnn='{WWN}' wwpn='{WWN}' parent_wwnn='{WWN}'/>"),
            f"XML error: when providing parent_wwnn='{WWN}', the parent_wwpn must also be provided",
            "/pool/source/adapter",
        ),
    ],
)
def test_refused(given: str, message: str, path: str) -> None:
    with pytest.raises(VirtError) as caught:
        load_storage_pool(given)
    assert str(caught.value) == message
    assert caught.value.path == path


def test_errors_come_from_the_storage_driver() -> None:
    with pytest.raises(VirtError) as caught:
        load_storage_pool(pool("fs", ""))
    assert caught.value.domain is ErrorDomain.STORAGE
    assert "in stage requirements" in caught.value.__notes__


def test_the_schema_is_checked_on_demand() -> None:
    with pytest.raises(VirtError, match=r"Unable to validate doc against pool\.rng"):
        load_storage_pool(DIRECTORY.format("<depth/>"), validate=True)
