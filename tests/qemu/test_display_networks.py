"""Displays that listen on the address of a network."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from virt_qemu.host_side.display_networks import find_display_addresses
from virtcore.errors import InternalError, NoNetwork
from virtcore.model.domain import Domain
from virtcore.model.domain.graphics import NetworkListen
from virtcore.xml import parse

NETWORKS = {
    "default": "<network><name>default</name><ip address='10.1.2.1'/><ip address='10.1.3.1'/></network>",
    "bare": "<network><name>bare</name></network>",
    "lower": "<network><name>lower</name><forward mode='bridge'/><bridge name='lo'/></network>",
    "macvtap": "<network><name>macvtap</name><forward mode='private'><interface dev='lo'/></forward></network>",
    "functions": "<network><name>functions</name><forward mode='hostdev'><pf dev='eth3'/></forward></network>",
}  # fmt: skip


class _Services:
    async def call(self, service: str, operation: str, *arguments: Any) -> Any:
        if operation == "network_xml":
            return NETWORKS[arguments[0]]
        if arguments[0] not in NETWORKS:
            raise NoNetwork(f"no network with matching name '{arguments[0]}'")
        return arguments[0]


def found(network: str) -> str | None:
    text = f"""<domain type='qemu'><name>x</name><memory>1</memory><os><type>hvm</type></os><devices>
      <graphics type='vnc' autoport='yes'><listen type='network' network='{network}'/></graphics></devices></domain>"""
    domain = parse(text, Domain)
    asyncio.run(find_display_addresses(_Services(), domain))  # type: ignore[arg-type]
    assert domain.devices is not None
    [listen] = domain.devices.graphics[0].listens  # type: ignore[union-attr]
    assert isinstance(listen, NetworkListen)
    return listen.address


@pytest.mark.skipif(not Path("/proc/net/if_inet6").exists(), reason="this host has no table of addresses")
@pytest.mark.parametrize(
    ("network", "address"), [("default", "10.1.2.1"), ("lower", "127.0.0.1"), ("macvtap", "127.0.0.1")]
)
def test_the_address_of_a_network(network: str, address: str) -> None:
    assert found(network) == address


@pytest.mark.parametrize("network", ["bare", "functions"])
def test_a_network_without_address(network: str) -> None:
    with pytest.raises(InternalError, match=f"network '{network}' doesn't have an IP address"):
        found(network)


def test_no_network() -> None:
    with pytest.raises(NoNetwork):
        found("nowhere")
