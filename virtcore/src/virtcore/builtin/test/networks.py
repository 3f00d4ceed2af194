"""The networks of a host that does not exist."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from virtcore.driver.service import DriverService
from virtcore.driver.toolkit.networks import NetworkObject, Networks, StatefulNetworks
from virtcore.errors import NoNetwork, OperationInvalid
from virtcore.operations.declare import inline

if TYPE_CHECKING:
    from virtcore.builtin.test.driver import TestDriver
    from virtcore.enums import NetworkXMLFlags
    from virtcore.types import NetworkRef

__all__ = ["TestNetworkTable", "TestNetworks"]

#: What every default host has.
DEFAULT_NETWORK = """\
<network>
  <name>default</name>
  <uuid>dd8fe884-6c02-601e-7551-cca97df1c5df</uuid>
  <bridge name='virbr0'/>
  <forward/>
  <ip address='192.168.122.1' netmask='255.255.255.0'>
    <dhcp>
      <range start='192.168.122.2' end='192.168.122.254'/>
    </dhcp>
  </ip>
</network>
"""


class TestNetworkTable(Networks):
    """The networks of one state of the test driver; nothing of them survives.

    :param documents: those of a host that a file describes, all running; None for the default host's.
    """

    __test__ = False  # no test case, whatever its name

    def __init__(self, documents: Sequence[str] | None) -> None:
        super().__init__()
        for text in (DEFAULT_NETWORK,) if documents is None else documents:
            self.adopt(self.load(text), active=True)


class TestNetworks(StatefulNetworks, DriverService):
    """Networks of the test driver, with the refusals of libvirt's."""

    __test__ = False  # no test case, whatever its name

    network_prefix = "test"
    driver: TestDriver

    @property
    def networks(self) -> Networks:  # type: ignore[override]  # shared by the connections of a state
        """The table."""
        return self.driver.state.networks

    def network(self, ref: NetworkRef) -> NetworkObject:
        found = self.networks.table.find(ref.name)  # libvirt's driver looks for the name
        if found is None or found.uuid != ref.uuid:
            raise NoNetwork(f"no network with matching name '{ref.name}'")
        return found

    async def network_create(self, network: NetworkRef) -> None:
        if self.network(network).active:
            raise OperationInvalid(f"Network '{network.name}' is already running")
        await super().network_create(network)

    async def network_undefine(self, network: NetworkRef) -> None:
        if self.network(network).active:
            raise OperationInvalid(f"Network '{network.name}' is still running")
        await super().network_undefine(network)

    @inline
    def network_xml(self, network: NetworkRef, flags: NetworkXMLFlags | int = 0) -> str:
        self._check(flags, 0, "network_xml")
        return super().network_xml(network)

    async def network_set_autostart(self, network: NetworkRef, autostart: bool) -> None:
        self.network(network).autostart = autostart  # also of transient ones, here
