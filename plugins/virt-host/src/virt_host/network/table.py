"""The networks of one place on this host: starting and stopping them, and finding again what goes on."""

from __future__ import annotations

import logging
from textwrap import indent
from typing import TYPE_CHECKING

from virt_host.network.admission import admit_network
from virt_host.network.host_network import HostNetwork, format_status, load_status
from virt_host.network.modes import mode_of
from virt_host.network.ports import allocate, change_bandwidth, claim, release
from virtcore.driver.toolkit.networks import NetworkObject, Networks
from virtcore.enums.network import NetworkXMLFlags
from virtcore.errors import VirtError
from virtcore.model.network import format_network_port
from virtcore.runtime.threads import in_thread

if TYPE_CHECKING:
    from pathlib import Path

    from virt_host.hook_scripts import HookScripts
    from virt_host.network.daemons import Dnsmasq
    from virt_host.network.firewalls import Firewall
    from virt_host.network.modes import NetworkMode
    from virtcore.driver.toolkit.disk import DiskWorker
    from virtcore.model.network import Bandwidth, Network, NetworkPort

__all__ = ["HostNetworkTable"]

log = logging.getLogger(__name__)


class HostNetworkTable(Networks):
    """The networks of one place.

    :param folder: where definitions are kept.
    :param status: where is kept what is active.
    :param hooks: scripts that are told of transitions.
    """

    kind = HostNetwork

    def __init__(
        self,
        folder: Path,
        disk: DiskWorker,
        status: Path,
        *,
        firewall: Firewall | None,
        dnsmasq: Dnsmasq,
        hooks: HookScripts,
    ) -> None:
        super().__init__(folder, disk, status)
        self.firewall = firewall
        self.dnsmasq = dnsmasq
        self.hooks = hooks

    # -- definitions

    def admit(self, document: Network) -> None:
        admit_network(document, self._taken(document))

    def _taken(self, document: Network) -> set[str]:
        """Names of the bridges that other networks have."""
        others = [one for obj in self.table for one in (obj.live, obj.definition) if one is not None]
        return {
            one.bridge.name
            for one in (*self.arriving.values(), *others)
            if one.name != document.name and one.bridge is not None and one.bridge.name is not None
        }

    # -- what is kept of active ones

    def format_status(self, obj: NetworkObject) -> str:
        return format_status(_own(obj))

    def load_status(self, obj: NetworkObject, text: str) -> None:
        load_status(_own(obj), text)

    # -- life

    def mode(self, document: Network) -> NetworkMode:
        """How a network forwards."""
        return mode_of(document)(self.firewall, self.dnsmasq)

    async def start(self, obj: NetworkObject) -> None:
        network = _own(obj)
        assert network.live is not None
        mode = self.mode(network.live)
        await self.tell_hooks(network, "start", "begin")
        await mode.start(network)
        try:
            await self.tell_hooks(network, "started", "begin")
        except BaseException:
            await self._end(network, mode)
            raise
        network.complete = True

    async def stop(self, obj: NetworkObject) -> None:
        network = _own(obj)
        assert network.live is not None
        await self._end(network, self.mode(network.live))

    async def _end(self, network: HostNetwork, mode: NetworkMode) -> None:
        await mode.stop(network)
        try:
            await self.tell_hooks(network, "stopped", "end")
        except VirtError as error:
            log.warning("network '%s' has stopped, but %s", network.name, error)
        network.forget()

    async def recover(self, obj: NetworkObject) -> bool:
        network = _own(obj)
        assert network.live is not None
        return await self.mode(network.live).recover(network)

    async def live_changed(self, obj: NetworkObject, new: Network) -> None:
        network = _own(obj)
        await self.mode(new).changed(network, new)

    async def reload(self) -> None:
        """Put back what active networks may have lost: rules of the firewall, dnsmasq. Never raises."""
        if self.firewall is not None and any(obj.active for obj in self.table):
            await self.firewall.prepare(again=True)
        for obj in list(self.table):
            async with obj.lock:
                if obj.live is not None:
                    await self.mode(obj.live).restore(_own(obj))
                    await self.save_status(obj)

    async def undefine(self, obj: NetworkObject) -> None:
        document = obj.current
        await super().undefine(obj)
        await self._clear_away(obj, document)

    async def destroy(self, obj: NetworkObject) -> None:
        document = obj.current
        await super().destroy(obj)
        await self._clear_away(obj, document)

    async def _clear_away(self, obj: NetworkObject, document: Network) -> None:
        """Remove the files of a network that is no more."""
        if obj.removed:
            await in_thread(self.dnsmasq.forget, document)

    # -- ports

    async def plug(self, obj: NetworkObject, port: NetworkPort, reclaim: bool) -> None:
        network = _own(obj)
        assert network.live is not None
        mode = self.mode(network.live)
        if reclaim:
            claim(network, port, mode)
        else:
            await allocate(network, port, mode)
        network.ports[port.uuid] = port
        try:
            await self.tell_hooks(network, "port-created", "begin", port)
            await self.save_status(network)
        except BaseException:
            await release(network, port, mode)
            del network.ports[port.uuid]
            raise

    async def unplug(self, obj: NetworkObject, port: NetworkPort) -> None:
        network = _own(obj)
        assert network.live is not None
        await release(network, port, self.mode(network.live))
        del network.ports[port.uuid]
        await self.save_status(network)
        try:
            await self.tell_hooks(network, "port-deleted", "begin", port)
        except VirtError as error:
            log.warning("a port of network '%s' is deleted, but %s", network.name, error)

    async def limit(self, obj: NetworkObject, port: NetworkPort, bandwidth: Bandwidth | None) -> None:
        """Change the limits of a port.

        :raises VirtError: they cannot be.
        """
        await change_bandwidth(_own(obj), port, bandwidth)
        await self.save_status(obj)

    async def updated(self, obj: NetworkObject) -> None:
        """A network was updated.

        :raises HookScriptFailed: a script of the administrator fails at that.
        """
        await self.tell_hooks(_own(obj), "updated", "begin")

    # -- hook scripts

    async def tell_hooks(
        self, network: HostNetwork, operation: str, step: str, port: NetworkPort | None = None
    ) -> None:
        """Tell the administrator's scripts of a transition.

        :raises HookScriptFailed: one fails.
        """
        if not self.hooks.scripts():
            return
        texts = [self.text(network.current, NetworkXMLFlags(0))]
        if port is not None:
            texts.append(format_network_port(port))
        inner = indent("".join(texts), "  ")
        await self.hooks.tell(network.name, operation, step, f"<hookData>\n{inner}</hookData>")


def _own(obj: NetworkObject) -> HostNetwork:
    assert isinstance(obj, HostNetwork)
    return obj
