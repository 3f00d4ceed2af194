"""Storage volumes and the capabilities of pools: defaults, formats, and what is refused."""

from __future__ import annotations

import pytest

from virtcore.errors import VirtError
from virtcore.model.storage import (
    PartitionType,
    StorageFormat,
    StoragePoolType,
    Volume,
    VolumeParseFlag,
    format_storage_pool_capabilities,
    format_storage_vol,
    load_storage_vol,
    storage_pool_capabilities,
)
from virtcore.xml import Mode, format, parse

DIR = StoragePoolType.DIR
BARE = "<volume><name>v</name>{}</volume>"
VOLUME = "<volume><name>v</name><capacity>1</capacity>{}</volume>"


def test_as_libvirt_prints_it() -> None:
    given = BARE.format(
        "<capacity unit='KiB'>3</capacity><backingStore><path>/b</path></backingStore>"
        "<target><nocow/><features/><clusterSize unit='KiB'>64</clusterSize></target>"
    )
    assert (
        format_storage_vol(load_storage_vol(given, DIR))
        == """\
<volume type='file'>
  <name>v</name>
  <capacity unit='bytes'>3072</capacity>
  <allocation unit='bytes'>3072</allocation>
  <target>
    <format type='raw'/>
    <compat>1.1</compat>
    <clusterSize unit='B'>65536</clusterSize>
    <features/>
  </target>
  <backingStore>
    <path>/b</path>
    <format type='raw'/>
  </backingStore>
</volume>
"""
    )


def test_what_is_told_once_can_be_sent() -> None:
    volume = load_storage_vol(VOLUME.format("<target><nocow/></target>"), DIR)
    assert volume.target is not None
    assert volume.target.nocow
    assert "<nocow/>" in format(volume, Mode.INACTIVE)


def test_formats_depend_on_the_pool() -> None:
    given = VOLUME.format("<target><format type='linux-swap'/></target>")
    target = load_storage_vol(given, StoragePoolType.DISK).target
    assert target is not None
    assert target.format is PartitionType.LINUX_SWAP
    assert "<format" not in format_storage_vol(load_storage_vol(given, StoragePoolType.LOGICAL))
    with pytest.raises(VirtError, match="unknown volume format type linux-swap"):
        load_storage_vol(given, DIR)
    rbd = load_storage_vol(VOLUME.format(""), StoragePoolType.RBD).target
    assert rbd is not None
    assert rbd.format is StorageFormat.RAW


def test_state_is_kept_when_nothing_is_to_be_lost() -> None:
    given = """\
<volume type='block'>
  <name>v</name>
  <source>
    <device path='/dev/sda'>
      <extent start='0' end='512'/>
      <extent start='1024' end='2048'/>
    </device>
  </source>
  <capacity unit='bytes'>1536</capacity>
  <allocation unit='bytes'>1536</allocation>
  <physical unit='bytes'>1536</physical>
  <target>
    <timestamps>
      <atime>1341933637.273190990</atime>
      <mtime>1341930622</mtime>
    </timestamps>
  </target>
</volume>
"""
    volume = parse(given, Volume)
    assert volume.target is not None
    assert volume.target.timestamps is not None
    assert volume.target.timestamps.atime == 1341933637273190990
    assert format_storage_vol(volume) == given
    loaded = load_storage_vol(given, StoragePoolType.LOGICAL)
    assert not loaded.devices
    assert loaded.physical is None
    assert loaded.target is not None
    assert loaded.target.timestamps is None


def test_the_capacity_may_be_absent_on_request() -> None:
    load_storage_vol(BARE.format(""), DIR, flags=VolumeParseFlag.NO_CAPACITY)
    overlay = BARE.format("<backingStore><path>/b</path></backingStore>")
    load_storage_vol(overlay, DIR, flags=VolumeParseFlag.OPT_CAPACITY)
    with pytest.raises(VirtError, match="missing capacity element"):
        load_storage_vol(BARE.format(""), DIR, flags=VolumeParseFlag.OPT_CAPACITY)


@pytest.mark.parametrize(
    ("given", "message", "path"),
    [
        ("<volume/>", "XML error: missing volume name element", "/volume"),
        (
            "<volume type='tape'><name>v</name></volume>",
            "unsupported configuration: unknown volume type 'tape'",
            "/volume/@type",
        ),
        (BARE.format(""), "XML error: missing capacity element", "/volume/capacity"),
        (BARE.format("<capacity>-1</capacity>"), "XML error: malformed capacity element", "/volume/capacity"),
        (
            BARE.format("<capacity unit='mile'>1</capacity>"),
            "invalid argument: unknown suffix 'mile'",
            "/volume/capacity",
        ),
        (
            VOLUME.format("<allocation unit='E'>9</allocation>"),
            "numerical overflow: value too large: 9E",
            "/volume/allocation",
        ),
        (
            VOLUME.format("<target><format type='none'/></target>"),
            "unsupported configuration: unknown volume format type none",
            "/volume/target/format/@type",
        ),
        (
            VOLUME.format("<backingStore><path>/b</path><format type='aio'/></backingStore>"),
            "unsupported configuration: unknown volume format type aio",
            "/volume/backingStore/format/@type",
        ),
        (
            VOLUME.format("<target><compat>1.1b</compat></target>"),
            "XML error: forbidden characters in 'compat' attribute",
            "/volume/target/compat",
        ),
        (
            VOLUME.format("<target><features><wings/></features></target>"),
            "unsupported configuration: unsupported feature wings",
            "/volume/target/features/wings",
        ),
        (
            VOLUME.format("<target><clusterSize>x</clusterSize></target>"),
            "XML error: Invalid value 'x' for element or attribute './target/clusterSize'",
            "/volume/target/clusterSize",
        ),
        (
            VOLUME.format("<target><encryption format=''/></target>"),
            "XML error: unknown volume encryption format",
            "/volume/target/encryption/@format",
        ),
        (
            VOLUME.format("<target><encryption format='rot13'/></target>"),
            "unsupported configuration: unknown volume encryption format type rot13",
            "/volume/target/encryption/@format",
        ),
        (
            VOLUME.format("<target><encryption format='luks'><secret type='passphrase'/></encryption></target>"),
            "XML error: missing secret uuid or usage attribute",
            None,
        ),
    ],
)
def test_refused(given: str, message: str, path: str | None) -> None:
    with pytest.raises(VirtError) as caught:
        load_storage_vol(given, DIR)
    assert str(caught.value) == message
    if path is not None:
        assert caught.value.path == path


def test_capabilities_of_pools() -> None:
    capabilities = storage_pool_capabilities([StoragePoolType.RBD])
    assert [pool.type for pool in capabilities.pools if pool.supported] == [StoragePoolType.RBD]
    assert "<enum name='targetFormatType'>\n      </enum>" in format_storage_pool_capabilities(capabilities)
