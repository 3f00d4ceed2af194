"""Options of storage pools in namespaces of their own."""

from __future__ import annotations

import pytest

from virt_host.storage.namespace import MountOptions, register
from virtcore.errors import VirtError
from virtcore.model.storage import format_storage_pool, load_storage_pool

FS = "xmlns:fs='http://libvirt.org/schemas/storagepool/fs/1.0'"
RBD = "xmlns:r='http://libvirt.org/schemas/storagepool/rbd/1.0'"
NETFS = (
    f"<pool type='netfs' {FS}><name>p</name><source><host name='h'/><dir path='/d'/></source>"
    "<target><path>/p</path></target>{}</pool>"
)
CEPH = f"<pool type='rbd' {RBD}><source><name>p</name><host name='h'/></source>{{}}</pool>"


@pytest.fixture(autouse=True)
def _registered() -> None:
    register()


def test_mount_options() -> None:
    pool = load_storage_pool(NETFS.format("<fs:mount_opts><fs:option name='sync'/></fs:mount_opts>"))
    options = pool.options[0]
    assert isinstance(options, MountOptions)
    assert [option.name for option in options.options] == ["sync"]
    text = format_storage_pool(pool)
    assert text.startswith(f"<pool type='netfs' {FS}>\n")
    assert text.endswith("  <fs:mount_opts>\n    <fs:option name='sync'/>\n  </fs:mount_opts>\n</pool>\n")


def test_prefixes_are_libvirts() -> None:
    pool = load_storage_pool(CEPH.format("<r:config_opts><r:option name='a' value='b'/></r:config_opts>"))
    assert "    <rbd:option name='a' value='b'/>\n" in format_storage_pool(pool)


def test_other_pools_have_none() -> None:
    given = (
        f"<pool type='dir' {FS}><name>p</name><target><path>/p</path></target>"
        "<fs:mount_opts><fs:option name='sync'/></fs:mount_opts></pool>"
    )
    assert "fs:" not in format_storage_pool(load_storage_pool(given))


def test_no_options_no_namespace() -> None:
    assert "xmlns" not in format_storage_pool(load_storage_pool(NETFS.format("<fs:mount_opts/>")))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (NETFS.format("<fs:mount_opts><fs:option/></fs:mount_opts>"), "no fs mount option name specified"),
        (CEPH.format("<r:config_opts><r:option/></r:config_opts>"), "no rbd option name specified"),
        (
            CEPH.format("<r:config_opts><r:option name='' value='1'/></r:config_opts>"),
            "empty rbd option name specified",
        ),
        (
            CEPH.format("<r:config_opts><r:option name='a'/></r:config_opts>"),
            "no rbd option value specified for name 'a'",
        ),
        (
            CEPH.format("<r:config_opts><r:option name='a' value=''/></r:config_opts>"),
            "empty rbd option value specified for name 'a'",
        ),
    ],
)
def test_refused(given: str, message: str) -> None:
    with pytest.raises(VirtError) as caught:
        load_storage_pool(given)
    assert str(caught.value) == f"XML error: {message}"
