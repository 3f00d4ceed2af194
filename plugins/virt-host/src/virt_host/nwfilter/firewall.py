"""The firewall that filters the traffic of interfaces: ebtables, iptables and ip6tables."""

from __future__ import annotations

import asyncio
import logging
import os
import shlex
import time
from collections.abc import Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Protocol

from virt_host.description.program import Finished, finish_program
from virt_host.nwfilter import rulesets
from virt_host.nwfilter.saved import Saved, batch, can_be_batched
from virt_host.nwfilter.steps import Layer, Step
from virt_host.tools import find_tool, tool
from virtcore.errors import InternalError, OperationFailed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virt_host.nwfilter.tree import PlacedRule

__all__ = ["Firewall"]

log = logging.getLogger(__name__)

#: Seconds a program may wait for another one that changes the firewall.
_LIMIT = 60.0
#: What each program's restoring one is told: leave the rest as it is.
_RESTORING = {
    Layer.FRAMES: ("ebtables-restore", "--noflush"),
    Layer.IPV4: ("iptables-restore", "-w", "--noflush"),
    Layer.IPV6: ("ip6tables-restore", "-w", "--noflush"),
}


#: Whether packets that cross a bridge go through a program's chains.
_CROSSING = {
    Layer.IPV4: "/proc/sys/net/bridge/bridge-nf-call-iptables",
    Layer.IPV6: "/proc/sys/net/bridge/bridge-nf-call-ip6tables",
}
#: Seconds between warnings that they do not.
_WARNING_PAUSE = 10.0


class _Ruleset(Protocol):
    def __call__(self, *, temporary: bool) -> Iterator[Step]:
        """The steps that make chains, lasting or temporary ones."""


class Firewall:
    """Rules for interfaces, one set each. One change at a time.

    A change is done in one go where the host's programs can; else, and where that fails, command by command beside the
    rules that count, whose places the new ones then take. After a failure there may be rules of both.
    """

    def __init__(self) -> None:
        self._changing = asyncio.Lock()
        self._warned: dict[Layer, float] = {}

    def available(self) -> bool:
        """Whether traffic can be held back at all."""
        return find_tool(Layer.FRAMES) is not None

    async def apply(self, interface: str, rules: Sequence[PlacedRule]) -> None:
        """Filter an interface's traffic by these rules only.

        :raises InternalError: that cannot be done.
        """
        await self._replace(interface, partial(rulesets.new_rules, interface, rules))

    async def allow_basics(self, interface: str, mac: str) -> None:
        """Let a guest send IPv4 and ARP as itself, and nothing else."""
        await self._replace(interface, partial(rulesets.basic_rules, interface, mac))

    async def allow_dhcp(self, interface: str, mac: str, servers: Sequence[str]) -> None:
        """Let a guest talk to servers of DHCP only.

        :param servers: their addresses; none: any.
        """
        await self._replace(interface, partial(rulesets.dhcp_rules, interface, mac, servers))

    async def stop_traffic(self, interface: str) -> None:
        """Let no traffic through."""
        await self._replace(interface, partial(rulesets.no_traffic, interface))

    async def remove(self, interface: str) -> None:
        """Let all traffic through. What is not there is no failure."""
        async with self._changing:
            steps = list(rulesets.remove_rules(interface))
            if not await self._at_once(interface, steps):
                await _run(steps, ignore=True)

    async def _replace(self, interface: str, ruleset: _Ruleset) -> None:
        lasting = list(ruleset(temporary=False))  # what cannot be said is found out before anything changes
        for layer in {step.layer for step in lasting if not step.may_fail} & _CROSSING.keys():
            self._warn(layer)
        async with self._changing:
            if await self._at_once(interface, lasting):
                return
            await _run(rulesets.remove_new_rules(interface), ignore=True)
            try:
                await _run(ruleset(temporary=True))
            except BaseException:
                await _run(rulesets.remove_new_rules(interface), ignore=True)
                raise
            await _run(rulesets.take_places(interface), ignore=True)

    def _warn(self, layer: Layer) -> None:
        """Say that packets do not come to the rules that are made for them."""
        now = time.monotonic()
        if now - self._warned.get(layer, -_WARNING_PAUSE) < _WARNING_PAUSE:
            return
        try:
            with open(_CROSSING[layer], encoding="ascii") as file:
                off = file.read(1) == "0"
        except OSError:
            return  # the kernel's part for this is not loaded: no bridge has been asked for it
        if off:
            self._warned[layer] = now
            log.warning("To enable %s filtering for the VM do 'echo 1 > %s'", layer, _CROSSING[layer])

    async def _at_once(self, interface: str, steps: Sequence[Step]) -> bool:
        """Remove what an interface has and do the steps, a batch for each program.

        :returns: whether that was done.
        """
        if not can_be_batched(steps):
            return False
        layers = [layer for layer in Layer if find_tool(layer) is not None]
        if any(step.layer not in layers and not step.may_fail for step in steps):
            return False
        if not all(find_tool(_RESTORING[layer][0]) and find_tool(f"{layer}-save") for layer in layers):
            return False
        saved = await asyncio.gather(*(finish_program([tool(f"{layer}-save")], limit=_LIMIT) for layer in layers))
        # Packets first: frames, which go through their chains earlier, are held back until all is there.
        for layer, found in reversed(list(zip(layers, saved, strict=True))):
            if found.status:
                return False
            own = [step for step in steps if step.layer is layer]
            text = batch(layer, Saved.parse(layer, found.output), interface, own)
            if text:
                done = await _restore(layer, text)
                if done.status:
                    log.info("%s refused a batch: %s", _RESTORING[layer][0], done.errors.strip())
                    return False
        return True


async def _restore(layer: Layer, text: str) -> Finished:
    name, *arguments = _RESTORING[layer]
    file = os.memfd_create("rules")
    try:
        os.write(file, text.encode())
        os.lseek(file, 0, os.SEEK_SET)
        return await finish_program([tool(name), *arguments], fds={0: file}, limit=_LIMIT)
    finally:
        os.close(file)


async def _run(steps: Iterable[Step], *, ignore: bool = False) -> None:
    """Run commands one by one.

    :param ignore: failures do not matter.
    :raises InternalError: one fails that may not.
    """
    left = list(steps)
    for step in left:  # grows
        program, *arguments = step.command
        path = find_tool(program)
        if path is None:
            if ignore or step.may_fail:
                continue
            raise OperationFailed(f"Unable to find '{program}' binary in $PATH")
        done = await finish_program([path, *arguments], limit=_LIMIT)
        if done.status == 0:
            if step.then is not None:
                left += step.then(done.output)
        elif not ignore and not step.may_fail:
            raise InternalError(f"Failed to run firewall command {shlex.join(step.command)}: {done.errors}")
