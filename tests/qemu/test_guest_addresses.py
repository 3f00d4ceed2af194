"""Addresses of guests: as networks have leased them, and as the host's neighbours."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from guest_image import idle_xml

import virtcore
from virt_host.links import netlink
from virtcore import errors
from virtcore.enums.network import IPAddrType
from virtcore.operations.values import DHCPLease, DomainInterface, DomainIPAddress

_MAC = "52:54:00:0a:0b:0c"


@pytest.fixture
def guest(connection: virtcore.Connection, kernel: Path) -> virtcore.Domain:
    interface = f"<interface type='user'><mac address='{_MAC}'/></interface>"
    domain = connection.define_domain(idle_xml("placed", interface))
    with pytest.raises(errors.OperationInvalid, match="domain is not running"):
        domain.interface_addresses()
    domain.create()
    return domain


def test_neighbours_are_told(guest: virtcore.Domain, monkeypatch: pytest.MonkeyPatch) -> None:
    known = [("192.0.2.9", _MAC), ("2001:db8::9", _MAC), ("192.0.2.10", "52:54:00:00:00:00")]
    monkeypatch.setattr(netlink, "neighbours", lambda: known)
    v4, v6 = IPAddrType.IPV4, IPAddrType.IPV6
    addresses = [DomainIPAddress(v4, "192.0.2.9", 0), DomainIPAddress(v6, "2001:db8::9", 0)]
    assert list(guest.interface_addresses(2)) == [DomainInterface("", _MAC, addresses)]
    assert list(guest.interface_addresses()) == []  # it is on no network that leases addresses
    with pytest.raises(errors.ArgumentUnsupported, match="Unknown IP address data source 9"):
        guest.interface_addresses(9)
    with pytest.raises(errors.ArgumentUnsupported, match="QEMU guest agent is not configured"):
        guest.interface_addresses(1)
    with pytest.raises(errors.NoHostname, match="no hostname found for domain placed"):
        guest.hostname(1)


def test_this_hosts_neighbours_can_be_read() -> None:
    for address, link in netlink.neighbours():
        assert address
        assert len(link.split(":")) >= 1


def test_leases_are_told() -> None:
    """The networks' service stands in for itself: it is told what it is asked."""
    import asyncio

    from virt_qemu.driver import QemuDriver
    from virtcore.model.domain import Domain
    from virtcore.xml import parse

    lease = DHCPLease("virbr0", 1, IPAddrType.IPV4, _MAC, None, "192.0.2.7", 24, "inside", None)
    asked: list[tuple[object, ...]] = []

    async def call(*arguments: object) -> object:
        asked.append(arguments)
        return "the network" if arguments[1] == "connection_lookup_network" else [lease]

    live = parse(
        f"<domain type='qemu'><name>n</name><devices><interface type='network'><mac address='{_MAC}'/>"
        "<source network='default'/><target dev='vnet3'/></interface></devices></domain>",
        Domain,
    )
    obj: Any = SimpleNamespace(live=live, name="n", require_active=lambda: None)
    driver: Any = QemuDriver.__new__(QemuDriver)
    driver.state = SimpleNamespace(host_side=SimpleNamespace(services=SimpleNamespace(call=call)))
    driver.domain = lambda ref: obj
    found = asyncio.run(driver.domain_interface_addresses(None))
    assert found == [DomainInterface("vnet3", _MAC, [DomainIPAddress(IPAddrType.IPV4, "192.0.2.7", 24)])]
    assert asked == [
        ("network", "connection_lookup_network", "default", None),
        ("network", "network_dhcp_leases", "the network", _MAC, 0),
    ]
    assert asyncio.run(driver.leased_host_name(obj)) == "inside"
