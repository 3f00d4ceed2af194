"""Ports whose traffic is filtered: the rules of each, and finding out the guest's address where the rules need it."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from virt_host.links import devices as links
from virt_host.nwfilter.firewall import Firewall
from virt_host.nwfilter.leases import FOREVER, Lease, Leases, guest_key
from virt_host.nwfilter.listening import Frame, Listener, for_addresses, for_dhcp
from virt_host.nwfilter.traffic import DHCPMessage, DHCPType, address_in, dhcp_message
from virt_host.nwfilter.tree import missing_variables, placed_rules
from virt_host.nwfilter.variables import collect
from virtcore.driver.toolkit.nwfilters import Filters
from virtcore.errors import ConfigUnsupported, InternalError, ParseFailed, VirtError
from virtcore.model.nwfilter.reference import FilterParameter

if TYPE_CHECKING:
    from virtcore.driver.toolkit.disk import DiskWorker
    from virtcore.model.nwfilter import FilterBinding

__all__ = ["HostFilters"]

log = logging.getLogger(__name__)

_MAC, _IP = "MAC", "IP"
#: Variables that say how the guest's address is found out, and who may give it one.
_LEARNING, _SERVERS = "CTRL_IP_LEARNING", "DHCPSERVER"

Spawn = Callable[[Coroutine[object, object, None]], object]


class HostFilters(Filters):
    """Filters that take effect on this host.

    :param run: where leases are kept.
    :param spawn: does something beside.
    """

    def __init__(self, folder: Path, disk: DiskWorker, status: Path, run: Path, spawn: Spawn) -> None:
        super().__init__(folder, disk, status)
        self.firewall = Firewall()
        self._leases = Leases(run, disk)
        self._spawn = spawn
        #: The addresses of guests that were found out, by port.
        self._addresses: dict[str, list[str]] = {}
        self._watches: dict[str, _Watch] = {}

    async def open(self) -> None:
        await super().open()
        await self._leases.open()

    def close(self) -> None:
        """Find out nothing more. Rules stay."""
        while self._watches:
            self._watches.popitem()[1].close()

    async def rebuild(self) -> None:
        """Make the rules of all ports anew: after a restart, or when somebody has removed them."""
        async with self.changing:
            for binding in list(self.bindings.values()):
                watch = self._watches.get(binding.portdev)
                if watch is not None and watch.lasting:
                    self._addresses.pop(binding.portdev, None)  # it begins anew, and knows them from the leases
                self._stop_watching(binding.portdev)
                try:
                    await self._instantiate(binding)
                except VirtError as error:
                    log.error("cannot filter the traffic of '%s': %s", binding.portdev, error)

    # -- hooks

    async def bind(self, binding: FilterBinding) -> None:
        try:
            await self._instantiate(binding)
        except BaseException:
            await self.unbind(binding)
            raise

    async def unbind(self, binding: FilterBinding) -> None:
        self._stop_watching(binding.portdev)
        self._addresses.pop(binding.portdev, None)
        await self.firewall.remove(binding.portdev)

    def has_port(self, binding: FilterBinding) -> bool:
        return _index(binding.portdev) is not None

    async def rebind(self, bindings: Sequence[FilterBinding]) -> None:
        for binding in bindings:
            await self._instantiate(binding)

    # -- rules

    async def _instantiate(self, binding: FilterBinding) -> None:
        """Let the rules of a port be those of its filter now; a port that is not there has none.

        :raises VirtError: they cannot.
        """
        port = binding.portdev
        index = _index(port)
        if index is None:
            return
        subject = self.definition(binding.filterref.filter or "")
        _add_mac(binding)
        variables = collect((each.name or "", each.value or "") for each in binding.filterref.parameters)
        if port in self._addresses:
            variables.setdefault(_IP, self._addresses[port])
        rules = list(placed_rules(subject, variables, self.definition))
        missing = [str(access) for access in missing_variables(rules)]
        learning = variables.get(_LEARNING, ["any"])[0]
        if missing == [_IP] and learning.lower() != "none":
            way = _WAYS.get(learning.lower())
            if way is None:
                raise ParseFailed(f"filter '{subject.name}' learning value '{learning}' invalid.")
            await self._watch(binding, way, variables.get(_SERVERS, []))
            return
        if missing:
            names = [name for name in missing if name not in (_IP, _MAC)] if missing != [_IP] else missing
            raise InternalError(
                "Cannot instantiate filter due to unresolvable variables or unavailable list elements: "
                + ", ".join(names)
            )
        watch = self._watches.get(port)
        if watch is not None and not watch.lasting:
            self._stop_watching(port)
        await self.firewall.apply(port, rules)
        if _index(port) != index:
            await self.firewall.remove(port)  # it has gone meanwhile, or another one has its name

    # -- the guest's address

    async def _watch(self, binding: FilterBinding, way: type[_Watch], servers: Sequence[str]) -> None:
        """Begin to find out the address of a guest, whose traffic is held back until then."""
        port = binding.portdev
        known = self._watches.get(port)
        if known is not None and known.working:
            return
        if not self.firewall.available():
            raise ConfigUnsupported(
                "IP parameter must be provided since snooping the IP address does not work "
                "possibly due to missing tools"
            )
        self._stop_watching(port)
        watch = way(self, binding, servers)
        await watch.hold_back()
        self._watches[port] = watch
        watch.listen()
        await watch.begun()

    def _stop_watching(self, port: str) -> None:
        watch = self._watches.pop(port, None)
        if watch is not None:
            watch.close()

    def beside(self, work: Callable[[FilterBinding], Coroutine[object, object, None]], binding: FilterBinding) -> None:
        """Do something to a port when nothing else is done to one, if it is still there then."""

        async def done() -> None:
            async with self.changing:
                if self.bindings.get(binding.portdev) is binding:
                    await work(binding)

        self._spawn(done())

    async def use(self, binding: FilterBinding, addresses: list[str]) -> None:
        """A guest has these addresses: let its rules be for them. A port for which that fails is switched off."""
        self._addresses[binding.portdev] = addresses
        try:
            await self._instantiate(binding)
        except VirtError as error:
            log.error("cannot filter the traffic of '%s', which is switched off: %s", binding.portdev, error)
            try:
                links.set_up(binding.portdev, False)
            except VirtError:
                await self.firewall.remove(binding.portdev)  # it has gone

    def forget(self, port: str) -> None:
        """A guest has no address any more."""
        self._addresses.pop(port, None)

    def leases_of(self, binding: FilterBinding) -> list[Lease]:
        """A guest's leases."""
        return self._leases.of(guest_key(binding))

    async def note_lease(self, binding: FilterBinding, lease: Lease) -> bool:
        """A guest has an address, or has it longer: whether it is new."""
        return await self._leases.add(guest_key(binding), lease)

    async def drop_lease(self, binding: FilterBinding, address: str) -> bool:
        """A guest has an address no more: whether it had it."""
        return await self._leases.remove(guest_key(binding), address)


def _index(port: str) -> int | None:
    try:
        return socket.if_nametoindex(port)
    except OSError:
        return None


def _add_mac(binding: FilterBinding) -> None:
    """The guest's MAC address is a variable of its own; who says another one has it."""
    parameters = binding.filterref.parameters
    if not any(each.name == _MAC for each in parameters):
        parameters.append(FilterParameter(name=_MAC, value=binding.mac))
        parameters.sort(key=lambda each: each.name or "")


class _Watch:
    """Finding out the address of one guest."""

    #: It goes on when an address is known.
    lasting = False

    def __init__(self, filters: HostFilters, binding: FilterBinding, servers: Sequence[str]) -> None:
        self._filters = filters
        self._binding = binding
        self._servers = servers
        self._listener: Listener | None = None

    @property
    def working(self) -> bool:
        """Whether it listens."""
        return self._listener is not None

    async def hold_back(self) -> None:
        """Let only that traffic through that is needed to find out."""
        raise NotImplementedError

    def listen(self) -> None:
        """Begin to listen."""
        raise NotImplementedError

    async def begun(self) -> None:
        """Hook: it listens."""

    def close(self) -> None:
        """Listen no more."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None


class _Learning(_Watch):
    """Any packet will do: the first that tells."""

    async def hold_back(self) -> None:
        await self._filters.firewall.allow_basics(self._binding.portdev, self._binding.mac)

    def listen(self) -> None:
        binding, below = self._binding, self._binding.linkdev
        interface = below.name if below is not None else binding.portdev
        self._listener = Listener(interface, for_addresses(binding.mac), self._heard, below=below is not None)

    def _heard(self, frame: Frame) -> None:
        address = address_in(frame, self._binding.mac)
        if address is not None and self.working:
            self.close()
            self._filters.beside(lambda binding: self._filters.use(binding, [address]), self._binding)


class _Snooping(_Watch):
    """The guest has what servers of DHCP give it, for as long as they say."""

    lasting = True

    def __init__(self, filters: HostFilters, binding: FilterBinding, servers: Sequence[str]) -> None:
        super().__init__(filters, binding, servers)
        self._timer: asyncio.TimerHandle | None = None

    async def hold_back(self) -> None:
        await self._filters.firewall.allow_dhcp(self._binding.portdev, self._binding.mac, self._servers)

    def listen(self) -> None:
        self._listener = Listener(self._binding.portdev, for_dhcp(self._binding.mac), self._heard)

    async def begun(self) -> None:
        if self._filters.leases_of(self._binding):
            await self._changed(self._binding)

    def close(self) -> None:
        super().close()
        if self._timer is not None:
            self._timer.cancel()

    def _heard(self, frame: Frame) -> None:
        message = dhcp_message(frame.data)
        if message is None or message.client != self._binding.mac or message.address is None:
            return
        if message.reply and not frame.sent and message.type == DHCPType.ACK:
            self._filters.beside(lambda binding: self._given(binding, message), self._binding)
        elif not message.reply and frame.sent and message.type in (DHCPType.RELEASE, DHCPType.DECLINE):
            self._filters.beside(lambda binding: self._given_back(binding, message), self._binding)

    async def _given(self, binding: FilterBinding, message: DHCPMessage) -> None:
        if message.lease is None or message.address is None:
            return  # it has an address from elsewhere and only asked for the rest
        end = FOREVER if message.lease == FOREVER else int(time.time()) + message.lease
        lease = Lease(message.address, end, message.server or "0.0.0.0")  # no address to listen at
        if await self._filters.note_lease(binding, lease):
            await self._changed(binding)
        else:
            self._wake()

    async def _given_back(self, binding: FilterBinding, message: DHCPMessage) -> None:
        if message.address is not None and await self._filters.drop_lease(binding, message.address):
            await self._changed(binding)

    async def _changed(self, binding: FilterBinding) -> None:
        """The guest has other addresses."""
        leases = self._filters.leases_of(binding)
        if leases:
            await self._filters.use(binding, [lease.address for lease in leases])
        else:
            self._filters.forget(binding.portdev)
            await self.hold_back()
        self._wake()

    def _wake(self) -> None:
        """Look again when the next lease ends."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        ends = [lease.end for lease in self._filters.leases_of(self._binding) if lease.end != FOREVER]
        if ends and self.working:
            # Once a day at least: clocks are set, and timers have a limit.
            wait = min(max(ends[0] - time.time(), 0.0) + 0.1, 86400.0)
            self._timer = asyncio.get_running_loop().call_later(wait, self._ended)

    def _ended(self) -> None:
        self._timer = None
        self._filters.beside(self._changed, self._binding)


_WAYS: dict[str, type[_Watch]] = {"any": _Learning, "dhcp": _Snooping}
