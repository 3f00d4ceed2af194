"""Cookies of a migration: read as the other side's, told of a guest of ours."""

from __future__ import annotations

import json
from collections.abc import Collection

import pytest

from support import SHARED
from virt_qemu.capabilities.model import EmulatorCapabilities
from virt_qemu.migration_cookie import (
    CookieFeature,
    MigrationCapability,
    MigrationCookie,
    bitmap_mapping,
    cookie_of,
    format_cookie,
    load_cookie,
)
from virt_qemu.rules import QemuRules
from virt_qemu.status import DomainStatus, StatusFolders, load_status, status_flags
from virtcore.errors import InternalError
from virtcore.model.arch import Arch
from virtcore.model.domain.rules.context import ParseFlag

UUID = "c7a5fdbd-edaf-9455-926a-d65c16db1809"
OTHER = "8b3f4dc4-6a8e-5f9b-94a5-4c35babd8d95"
HERE = "0a81f5b2-8403-7b23-c8d6-21ccc2f80d6f"
HEAD = f"<name>guest</name><uuid>{UUID}</uuid><hostname>there</hostname><hostuuid>{OTHER}</hostuuid>"

STATUS = f"""<domstatus state='running' reason='booted' pid='5'>
  <domain type='kvm' id='7'>
    <name>guest</name>
    <uuid>{UUID}</uuid>
    <memory unit='KiB'>219136</memory>
    <os><type arch='x86_64' machine='pc-i440fx-9.0'>hvm</type></os>
    <cpu><model>Haswell</model><numa><cell id='0' cpus='0' memory='219136' unit='KiB'/></numa></cpu>
    <devices>
      <emulator>/qemu</emulator>
      <disk type='file' device='disk'>
        <source file='/x'>
          <privateData><nodenames><nodename type='format' name='node-1'/></nodenames></privateData>
        </source>
        <target dev='vda' bus='virtio'/>
      </disk>
      <graphics type='vnc' port='5900'><listen type='address' address='10.0.0.1'/></graphics>
      <graphics type='spice' port='5901' tlsPort='5902'><listen type='address' address='10.0.0.2'/></graphics>
    </devices>
  </domain>
</domstatus>"""


def _rules() -> QemuRules:
    arch = Arch("x86_64")
    emulator = EmulatorCapabilities(binary="", arch=arch, version=0, package="", flags=frozenset(), accelerators={})
    return QemuRules(lambda arch: None, lambda path: emulator)


def _status() -> DomainStatus:
    rules = _rules()
    context = rules.context(status_flags(), arch=Arch("x86_64"), security_model="none")
    return load_status(STATUS, rules, context, StatusFolders(lib="/lib", channels="/channels", memory="/ram"))


def _load(inside: str, head: str = HEAD, features: Collection[CookieFeature] = tuple(CookieFeature)) -> MigrationCookie:
    rules = _rules()
    flags = ParseFlag.INACTIVE | ParseFlag.ABI_UPDATE_MIGRATION | ParseFlag.SKIP_VALIDATE
    context = rules.context(flags, arch=Arch("x86_64"), security_model="none")
    document = f"<qemu-migration>{head}{inside}</qemu-migration>"
    return load_cookie(document, rules, context, name="guest", uuid=UUID, host_uuid=HERE, features=features)


@pytest.mark.parametrize(
    ("inside", "message"),
    [
        ("<feature/>", "missing feature name"),
        ("<feature name='x'/>", "Unknown migration cookie feature x"),
        ("<feature name='nbd'/>", "Unsupported migration cookie feature nbd"),
        ("<graphics type='vnc' port='1'/>", "missing listen attribute in migration data"),
        ("<graphics type='x' port='1' listen='a'/>", "unknown graphics type x"),
        ("<graphics type='spice' port='1' listen='a'/>", "missing tlsPort attribute in migration data"),
        ("<lockstate/>", "Missing lock driver name in migration cookie"),
        ("<network><interface/></network>", "missing vporttype attribute in migration data"),
        ("<capabilities><cap/></capabilities>", "missing migration capability name"),
        (
            "<blockDirtyBitmaps><disk target='vda'><bitmap name='a'/></disk></blockDirtyBitmaps>",
            "malformed <blockDirtyBitmaps> in migration cookie",
        ),
    ],
)
def test_malformed_or_unknown(inside: str, message: str) -> None:
    features = [feature for feature in CookieFeature if feature is not CookieFeature.NBD]
    with pytest.raises(InternalError) as caught:
        _load(inside, features=features)
    assert str(caught.value) == f"internal error: {message}"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("<name>guest</name>", "", "missing name element in migration data"),
        ("guest", "x", "Incoming cookie data had unexpected name x vs guest"),
        (UUID, OTHER, f"Incoming cookie data had unexpected UUID {OTHER} vs {UUID}"),
        (OTHER, HERE, f"Attempt to migrate guest to the same host {HERE}"),
        (OTHER, "x", "malformed hostuuid element in migration data"),
    ],
)
def test_of_another_guest_or_this_host(old: str, new: str, message: str) -> None:
    with pytest.raises(InternalError) as caught:
        _load("", head=HEAD.replace(old, new))
    assert str(caught.value) == f"internal error: {message}"


def test_parts_that_are_not_known_are_dropped() -> None:
    inside = (
        "<nbd port='5'/><cpu mode='host-passthrough'/><capabilities><cap name='multifd' auto='yes'/></capabilities>"
    )
    cookie = _load(inside, features=[CookieFeature.NBD])
    assert cookie.nbd is not None
    assert cookie.nbd.port == 5
    assert cookie.cpu is None
    assert cookie.capabilities is None


def test_capabilities_have_an_order_and_unknown_ones_go() -> None:
    caps = "<cap name='multifd'/><cap name='x' auto='yes'/><cap name='xbzrle' auto='yes'/>"
    text = format_cookie(_load(f"<capabilities>{caps}</capabilities>"))
    assert "<cap name='xbzrle' auto='yes'/>\n    <cap name='multifd' auto='no'/>\n  </capabilities>" in text


def test_statistics_that_nobody_told() -> None:
    text = format_cookie(_load("<statistics><compression_cache>5</compression_cache></statistics>"))
    assert "<compression_overflow>0</compression_overflow>" in text
    assert "<memory_total>0</memory_total>" in text
    assert "downtime" not in text
    assert "memory_constant" not in text


def test_cookie_of_a_guest() -> None:
    cookie = cookie_of(
        _status().domain,
        host_name="here",
        host_uuid=HERE,
        features=list(CookieFeature),
        capabilities=["multifd", "events"],
    )
    assert format_cookie(cookie).splitlines()[5:] == [
        "  <feature name='memory-hotplug'/>",
        "  <feature name='cpu-hotplug'/>",
        "  <graphics type='spice' port='5901' listen='10.0.0.2' tlsPort='-1'/>",
        "  <cpu mode='custom' match='exact' check='partial'>",
        "    <model fallback='allow'>Haswell</model>",
        "  </cpu>",
        "  <capabilities>",
        "    <cap name='events' auto='no'/>",
        "    <cap name='multifd' auto='no'/>",
        "  </capabilities>",
        "</qemu-migration>",
    ]


def test_bitmaps_for_qemu() -> None:
    disk = "<disk target='{}'><bitmap name='a' alias='b'/></disk>"
    cookie = _load(f"<blockDirtyBitmaps>{disk.format('vda')}<disk target='vda'/></blockDirtyBitmaps>")
    assert bitmap_mapping(cookie.bitmap_disks, _status().domain) == [
        {"node-name": "node-1", "alias": "vda", "bitmaps": [{"name": "a", "alias": "b"}]}
    ]
    other = _load(f"<blockDirtyBitmaps>{disk.format('vdz')}</blockDirtyBitmaps>")
    with pytest.raises(InternalError, match="Can't find disk 'vdz' in domain definition"):
        bitmap_mapping(other.bitmap_disks, _status().domain)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the facts are not here")
@pytest.mark.parametrize(
    ("table", "ours"),
    [("qemuMigrationCookieFlag", CookieFeature), ("qemuMigrationCapability", MigrationCapability)],
)
def test_tables_are_those_of_libvirt(table: str, ours: type[CookieFeature] | type[MigrationCapability]) -> None:
    facts = json.loads((SHARED / "facts" / "enums.json").read_text(encoding="utf-8"))
    assert [each.value for each in ours] == facts["tables"][table]["values"]
