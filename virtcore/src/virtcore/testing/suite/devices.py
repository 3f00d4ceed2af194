"""Devices of domains: plugged, changed and unplugged; disks and network interfaces as they work."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from virtcore import errors
from virtcore.enums import DomainDeviceModifyFlags as Modify, DomainXMLFlags
from virtcore.testing.suite.settings import unchanged
from virtcore.testing.suite.target import MAC, Target, asks, covers, needs

if TYPE_CHECKING:
    from virtcore.api.sync import Connection, Domain

__all__ = ["TestDevices", "TestDisks", "TestNetworkDevices"]

ALIAS = "ua-compliance"


class TestDevices:
    """Plugging and unplugging."""

    @covers("domain_attach_device", "domain_detach_device")
    @needs("domain_xml")
    def test_a_device_comes_and_goes(self, defined: Domain, target: Target) -> None:
        device = target.network_device()
        defined.attach_device(device, Modify.CONFIG)
        assert MAC in defined.xml(DomainXMLFlags.INACTIVE)
        unchanged(defined, defined.attach_device, "<interface", Modify.CONFIG)
        unchanged(defined, defined.attach_device, "<unheard-of/>", Modify.CONFIG)
        unchanged(defined, defined.attach_device, device, Modify.LIVE)
        defined.detach_device(device, Modify.CONFIG)
        assert MAC not in defined.xml(DomainXMLFlags.INACTIVE)
        unchanged(defined, defined.detach_device, device, Modify.CONFIG)

    @covers("domain_attach_device")
    @needs("domain_xml")
    @asks("disk")
    def test_a_target_has_one_disk(self, defined: Domain, target: Target) -> None:
        defined.attach_device(target.disk("vdb"), Modify.CONFIG)
        unchanged(defined, defined.attach_device, target.disk("vdb"), Modify.CONFIG)

    @covers("domain_update_device")
    @needs("domain_attach_device", "domain_xml")
    @asks("disk")
    def test_a_device_changes(self, defined: Domain, target: Target) -> None:
        device = target.disk("vdb")
        defined.attach_device(device, Modify.CONFIG)
        changed = device.replace("</disk>", "<serial>compliance</serial></disk>")
        defined.update_device(changed, Modify.CONFIG)
        assert "<serial>compliance</serial>" in defined.xml(DomainXMLFlags.INACTIVE)
        unchanged(defined, defined.update_device, target.disk("vdz"), Modify.CONFIG)

    @covers("domain_detach_device_alias")
    @needs("domain_attach_device", "domain_xml")
    def test_a_device_goes_by_its_alias(self, defined: Domain, target: Target) -> None:
        device = target.network_device().replace("</interface>", f"<alias name='{ALIAS}'/></interface>")
        defined.attach_device(device, Modify.CONFIG)
        unchanged(defined, defined.detach_device_alias, f"{ALIAS}-none", Modify.CONFIG)
        defined.detach_device_alias(ALIAS, Modify.CONFIG)
        assert MAC not in defined.xml(DomainXMLFlags.INACTIVE)


@pytest.fixture
def with_disk(connection: Connection, target: Target) -> Domain:
    """A running domain with a disk, ``vda``."""
    domain = connection.define_domain(target.domain_with("compliance", target.disk("vda")))
    domain.create()
    return domain


_LIFE = ("connection_define_domain", "domain_create", "domain_destroy", "domain_undefine")


class TestDisks:
    """Disks of a running guest."""

    @covers("domain_block_info")
    @needs(*_LIFE)
    @asks("disk")
    def test_size(self, with_disk: Domain) -> None:
        found = with_disk.block_info("vda")
        assert found.capacity > 0
        assert min(found.allocation, found.physical) >= 0
        with pytest.raises(errors.InvalidArg):
            with_disk.block_info("vdz")

    @covers("domain_block_stats")
    @needs(*_LIFE)
    @asks("disk")
    def test_traffic(self, with_disk: Domain) -> None:
        before, after = with_disk.block_stats("vda"), with_disk.block_stats("vda")
        for name in ("rd_bytes", "wr_bytes"):
            assert 0 <= int(before[name]) <= int(after[name])
        with pytest.raises(errors.InvalidArg):
            with_disk.block_stats("vdz")
        with_disk.destroy()
        with pytest.raises(errors.OperationInvalid):
            with_disk.block_stats("vda")

    @covers("domain_disk_errors")
    @needs(*_LIFE)
    @asks("disk")
    def test_errors_are_of_disks_that_are_there(self, with_disk: Domain) -> None:
        assert {found.disk for found in with_disk.disk_errors()} <= {"vda"}

    @covers("domain_block_peek")
    @needs(*_LIFE)
    @asks("disk")
    def test_content(self, connection: Connection, target: Target) -> None:
        domain = connection.define_domain(target.domain_with("compliance", target.raw_disk("vda")))
        domain.create()
        assert len(domain.block_peek("vda", 0, 512)) == 512
        with pytest.raises(errors.InvalidArg):
            domain.block_peek("vdz", 0, 512)

    @covers("domain_block_resize")
    @needs(*_LIFE, "domain_block_info")
    @asks("disk")
    def test_resize(self, with_disk: Domain) -> None:
        from virtcore.enums import DomainBlockResizeFlags

        wanted = with_disk.block_info("vda").capacity + (1 << 20)
        with_disk.block_resize("vda", wanted, DomainBlockResizeFlags.BYTES)
        assert with_disk.block_info("vda").capacity == wanted
        with pytest.raises(errors.InvalidArg):
            with_disk.block_resize("vdz", wanted, DomainBlockResizeFlags.BYTES)

    @covers("domain_set_block_threshold")
    @needs(*_LIFE, "connection_domain_stats")
    @asks("disk")
    def test_threshold(self, connection: Connection, with_disk: Domain) -> None:
        with_disk.set_block_threshold("vda", 4096)
        [row] = connection.domain_stats([with_disk])
        assert row.params["block.0.threshold"] == 4096
        with pytest.raises(errors.InvalidArg):
            with_disk.set_block_threshold("vdz", 4096)


class TestNetworkDevices:
    """Network interfaces of a running guest."""

    @covers("domain_interface_stats")
    @needs(*_LIFE, "domain_xml")
    def test_traffic(self, connection: Connection, target: Target) -> None:
        domain = connection.define_domain(target.domain_with("compliance", target.network_device()))
        with pytest.raises(errors.OperationInvalid):
            domain.interface_stats(MAC)
        domain.create()
        with pytest.raises(errors.VirtError):
            domain.interface_stats("compliance-none")
        try:
            before = domain.interface_stats(MAC)
        except (errors.InvalidArg, errors.InternalError):
            pytest.skip("the target's network device has nothing on the host that counts its traffic")
        after = domain.interface_stats(MAC)
        assert all(-1 <= early <= late for early, late in zip(before, after, strict=True))

    @covers("domain_interface_addresses")
    @needs(*_LIFE)
    def test_addresses(self, connection: Connection, target: Target) -> None:
        from ipaddress import ip_interface

        domain = connection.define_domain(target.domain_with("compliance", target.network_device()))
        domain.create()
        for found in domain.interface_addresses():
            assert found.hwaddr in (MAC, None)
            for address in found.addrs:
                assert ip_interface(f"{address.addr}/{address.prefix}")
        with pytest.raises(errors.VirtError):
            domain.interface_addresses(99)
