"""The agents of running guests: when they are there, and who may ask them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from virt_qemu.agent import commands
from virt_qemu.agent.channel import BLOCK, Agent
from virt_qemu.guest import Guest, guest_of
from virtcore.driver.toolkit import DomainObject, DriverState
from virtcore.enums.domain import DomainState
from virtcore.enums.domain_events import (
    ConnectDomainEventAgentLifecycleReason as Reason,
    ConnectDomainEventAgentLifecycleState as State,
)
from virtcore.errors import AgentUnresponsive, ArgumentUnsupported, OperationInvalid
from virtcore.model.domain.chardev import ChannelState, UnixChardev, VirtioTarget
from virtcore.operations.events import DomainAgentLifecycleEvent

if TYPE_CHECKING:
    from virtcore.model.domain import Domain
    from virtcore.model.domain.chardev import Channel

__all__ = ["AGENT_PORT", "AgentState", "find_agent_channel", "take_port_states"]

AGENT_PORT = "org.qemu.guest_agent.0"
"""Name of the port at which a guest's agent listens."""

log = logging.getLogger(__name__)


def find_agent_channel(domain: Domain | None) -> Channel | None:
    """The channel at whose other end the agent is; None where the guest has none."""
    for channel in domain.devices.channels if domain is not None and domain.devices is not None else ():
        target = channel.target
        if isinstance(target, VirtioTarget) and target.name == AGENT_PORT and isinstance(channel.source, UnixChardev):
            return channel
    return None


def take_port_states(domain: Domain, chardevs: object) -> None:
    """Put into a live configuration which of its channels the guest has opened, as ``query-chardev`` tells."""
    rows = [row for row in chardevs if isinstance(row, dict)] if isinstance(chardevs, list) else []
    opened = {str(row.get("label")): row.get("frontend-open") for row in rows}
    for channel in domain.devices.channels if domain.devices is not None else ():
        is_open = opened.get(f"char{channel.alias}")
        if isinstance(channel.target, VirtioTarget) and isinstance(is_open, bool):
            channel.target.state = ChannelState.CONNECTED if is_open else ChannelState.DISCONNECTED


class AgentState(DriverState):
    """The part of the driver's state that keeps guests' agents."""

    def state_changed(self, obj: DomainObject, guest: Guest) -> None:
        """Hook: state or configuration of a running guest has changed and is to be written down."""

    async def meet_agent(self, obj: DomainObject, guest: Guest, reason: Reason) -> None:
        """A guest runs, or was found: connect to its agent if that is there, and tell whether it is."""
        channel = find_agent_channel(obj.live)
        if channel is None or not isinstance(channel.target, VirtioTarget) or channel.target.state is None:
            return
        is_open = channel.target.state is ChannelState.CONNECTED
        if is_open:
            await self.connect_agent(obj, guest)
        self._tell(obj, is_open, reason)

    async def meet_agent_again(self, obj: DomainObject, guest: Guest) -> None:
        """A guest was found: follow what has become of its channels meanwhile, and connect to its agent."""
        channel = find_agent_channel(obj.live)
        if channel is None or obj.live is None or not isinstance(channel.target, VirtioTarget):
            return
        before = channel.target.state
        take_port_states(obj.live, await guest.channel().execute("query-chardev"))
        is_open = channel.target.state is ChannelState.CONNECTED
        if is_open:
            await self.connect_agent(obj, guest)
        if channel.target.state is not before:
            obj.touch()
            self._tell(obj, is_open, Reason.UNKNOWN)

    def port_changed(self, obj: DomainObject, guest: Guest, alias: str, is_open: bool) -> None:
        """The guest has opened or closed a channel."""
        changed = None
        for domain in guest.configurations(obj):
            for channel in domain.devices.channels if domain.devices is not None else ():
                if channel.alias == alias and isinstance(channel.target, VirtioTarget):
                    channel.target.state = ChannelState.CONNECTED if is_open else ChannelState.DISCONNECTED
                    changed = channel
        if changed is None:
            return
        obj.touch()
        self.state_changed(obj, guest)
        found = find_agent_channel(obj.live)
        if found is None or found.alias != alias:
            return
        guest.start_task(self.connect_agent(obj, guest) if is_open else self.leave_agent(guest))
        self._tell(obj, is_open, Reason.CHANNEL)

    def _tell(self, obj: DomainObject, is_open: bool, reason: Reason) -> None:
        state = State.CONNECTED if is_open else State.DISCONNECTED
        self.events.emit(DomainAgentLifecycleEvent(obj.ref, state, reason))

    async def connect_agent(self, obj: DomainObject, guest: Guest) -> None:
        """Connect to the agent; where that fails, it counts as broken until the guest opens the channel again."""
        await self.leave_agent(guest)
        channel = find_agent_channel(obj.live)
        source = channel.source if channel is not None else None
        if not isinstance(source, UnixChardev) or source.source is None or source.source.path is None:
            return
        timeout = guest.status.agent_timeout
        agent = Agent(obj.name, BLOCK if timeout is None else timeout, lambda: self._lost(guest, agent))
        try:
            await agent.connect(source.source.path)
        except OSError as error:
            log.warning("cannot connect to the agent of domain '%s': %s", obj.name, error)
            guest.agent_broken = True
            return
        guest.agent = agent

    def _lost(self, guest: Guest, agent: Agent) -> None:
        if guest.agent is agent:
            guest.agent = None

    async def leave_agent(self, guest: Guest) -> None:
        """End the connection to the agent."""
        agent, guest.agent, guest.agent_broken = guest.agent, None, False
        if agent is not None:
            await agent.close()

    def has_agent(self, obj: DomainObject) -> bool:
        """Whether a guest's agent can be asked."""
        return isinstance(obj.private, Guest) and obj.private.agent is not None

    def agent_of(self, obj: DomainObject) -> Agent:
        """The agent of a running guest.

        :raises OperationInvalid: it does not run.
        :raises AgentUnresponsive: the agent is not there.
        :raises ArgumentUnsupported: the guest has none.
        """
        guest = guest_of(obj)
        if obj.state != DomainState.RUNNING:
            raise OperationInvalid("domain is not running")
        if guest.agent_broken:
            raise AgentUnresponsive("QEMU guest agent is not available due to an error")
        if guest.agent is None:
            if find_agent_channel(obj.live) is not None:
                raise AgentUnresponsive("QEMU guest agent is not connected")
            raise ArgumentUnsupported("QEMU guest agent is not configured")
        return guest.agent

    def set_agent_timeout(self, obj: DomainObject, timeout: int) -> None:
        """Set how long the agent is waited for: of the running guest, and of the next ones of this process."""
        self.agent_timeouts[obj.uuid] = timeout
        if isinstance(obj.private, Guest):
            guest = obj.private
            guest.status.agent_timeout = timeout
            if guest.agent is not None:
                guest.agent.timeout = timeout
            self.state_changed(obj, guest)

    def agent_timeout(self, obj: DomainObject) -> int:
        """How long the agent of a guest that is started is waited for."""
        return self.agent_timeouts.get(obj.uuid, BLOCK)

    @cached_property
    def agent_timeouts(self) -> dict[str, int]:
        """How long agents are waited for, by the UUID of domains for which somebody has said so."""
        return {}

    # -- for whoever changes a guest's disks

    async def freeze_guest(self, obj: DomainObject, mountpoints: Sequence[str] | None = None) -> int:
        """Have the guest stop writing to its file systems; returns how many.

        :raises VirtError: as :meth:`agent_of`, or the agent refused it.
        """
        return await commands.freeze(self.agent_of(obj), mountpoints)

    async def thaw_guest(self, obj: DomainObject) -> int:
        """Let the guest write again; returns to how many file systems.

        :raises VirtError: as :meth:`freeze_guest`.
        """
        return await commands.thaw(self.agent_of(obj))
