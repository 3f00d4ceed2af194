"""Putting a network's rules into the host's firewall, and taking them back.

A backend is a class that has a name; plugins may bring more (hook ``virtcore_network_firewall``). ``network.conf``
names it, or else the first of ours that the host has is used.
"""

from __future__ import annotations

import logging
import os
import re
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from virt_host.description.program import finish_program, must_finish
from virt_host.network.firewall import iptables_commands, nft_commands
from virt_host.network.traffic import run_tc
from virt_host.tools import find_tool, tool
from virtcore.errors import ConfigUnsupported, InternalError, NoSupport, VirtError

if TYPE_CHECKING:
    from virtcore.model.network import Network

__all__ = [
    "Firewall",
    "IPTablesFirewall",
    "NFTablesFirewall",
    "choose_firewall",
    "need_firewall",
]

log = logging.getLogger(__name__)

Commands = list[list[str]]

_VERSIONS = (4, 6)


class Firewall(ABC):
    """One way to the host's firewall.

    What is there already of our chains is found again; they are made when the first network needs them, since the
    kernel follows connections from then on.
    """

    #: As ``network.conf`` calls it.
    name: ClassVar[str]
    #: Programs it runs.
    programs: ClassVar[tuple[str, ...]]

    def __init__(self) -> None:
        #: Why the chains of a version of IP are not there; None: they are.
        self._ready: dict[int, VirtError | None] | None = None

    @classmethod
    def available(cls) -> bool:
        """Whether the host has it."""
        return all(find_tool(program) for program in cls.programs)

    async def prepare(self, *, again: bool = False) -> None:
        """Make the chains that our rules are in. What fails is told to the networks that need it.

        :param again: somebody may have removed them.
        """
        if self._ready is not None and not again:
            return
        ready: dict[int, VirtError | None] = {}
        for version in _VERSIONS:
            try:
                await self.make_chains(version)
                ready[version] = None
            except VirtError as error:
                log.debug("no firewall chains for IPv%d: %s", version, error)
                ready[version] = error
        self._ready = ready

    async def add(self, network: Network) -> Commands:
        """Put a network's rules in; returns the commands that take them back.

        :raises VirtError: they cannot be put in; none is left.
        """
        await self.prepare()
        assert self._ready is not None
        versions = {ip.parsed.version for ip in network.ips}
        versions |= {6 if ":" in (route.address or "") else 4 for route in network.routes}
        if network.ipv6:
            versions.add(6)
        for version in sorted(versions):
            problem = self._ready[version]
            if problem is not None:
                raise type(problem)(str(problem))
        return await self.apply(network)

    async def remove(self, removal: Commands) -> None:
        """Take rules back. Never raises: what is not there any more is no failure."""
        for argv in removal:
            try:
                _, errors, status = await finish_program([tool(argv[0]), *argv[1:]])
            except VirtError as error:
                errors, status = str(error), 1
            if status:
                log.debug("%s: %s", " ".join(argv), errors.strip())

    @abstractmethod
    async def make_chains(self, version: int) -> None:
        """Make the chains for a version of IP. Doing it again changes nothing."""

    @abstractmethod
    async def apply(self, network: Network) -> Commands:
        """Put the rules in; as :meth:`add`."""


# ------------------------------------------------------------------------------------------------------------------ nft


class NFTablesFirewall(Firewall):
    """nft, with a table of our own."""

    name = "nftables"
    programs: ClassVar[tuple[str, ...]] = ("nft",)

    _TABLE = "libvirt_network"
    _FORWARD = "forward"
    _PARTS = ("guest_output", "guest_input", "guest_cross")
    _HANDLE = re.compile(r"insert rule (\S+) (\S+) (\S+) .*# handle (\d+)")

    async def make_chains(self, version: int) -> None:
        family = "ip" if version == 4 else "ip6"
        table = f"{family} {self._TABLE}"
        said = await finish_program([tool("nft"), "list", "table", family, self._TABLE])
        there = said.output if not said.status else ""
        jumps = set(re.findall(r"jump (\S+)", there))
        lines = [
            f"add table {table}",
            f"add chain {table} {self._FORWARD} {{ type filter hook forward priority 0; policy accept; }}",
            *(f"add chain {table} {part}" for part in self._PARTS),
            f"add chain {table} guest_nat {{ type nat hook postrouting priority 100; policy accept; }}",
            *(f"insert rule {table} {self._FORWARD} counter jump {part}" for part in self._PARTS if part not in jumps),
        ]
        await self._batch(lines)

    async def _batch(self, lines: list[str]) -> str:
        """All of it or nothing; returns what nft says of it.

        :raises InternalError: nft refuses.
        """
        batch = os.memfd_create("rules")
        try:
            os.write(batch, "".join(f"{line}\n" for line in lines).encode())
            os.lseek(batch, 0, os.SEEK_SET)
            return await must_finish([tool("nft"), "-ae", "-f", "-"], fds={0: batch})
        finally:
            os.close(batch)

    async def _fill_in_checksums(self, commands: Commands) -> Commands:
        """Let answers of DHCP have checksums, which old clients want; a kernel that cannot is left as it is."""
        if not commands:
            return []
        device = commands[0][commands[0].index("dev") + 1]
        removal = [["tc", "qdisc", "del", "dev", device, "root"]]
        try:
            await run_tc(commands)
        except VirtError as error:
            log.warning("DHCP on %s has no checksums: %s", device, error)
            await self.remove(removal)
            return []
        return removal

    async def apply(self, network: Network) -> Commands:
        commands = nft_commands(network)
        removal = await self._fill_in_checksums([argv for argv in commands if argv[0] == "tc"])
        try:
            rules = [_line(argv[argv.index("insert") :]) for argv in commands if argv[0] == "nft"]
            told = await self._batch(rules)
        except BaseException:
            await self.remove(removal)
            raise
        for family, table, chain, handle in self._HANDLE.findall(told):
            removal.insert(0, ["nft", "delete", "rule", family, table, chain, "handle", handle])
        return removal


_DEVICES = ("iif", "oif", "iifname", "oifname")


def _line(words: list[str]) -> str:
    """A command as nft reads it from a file, where a name may not be more than a name.

    :raises InternalError: a device has a name that cannot be said.
    """
    said = list(words)
    for number, word in enumerate(words[1:], 1):
        if words[number - 1] in _DEVICES:
            if any(char.isspace() or char in '"\\' for char in word):
                raise InternalError(f"'{word}' is no name of a network device")
            said[number] = f'"{word}"'
    return " ".join(said)


# ------------------------------------------------------------------------------------------------------------- iptables


class IPTablesFirewall(Firewall):
    """iptables and ip6tables, with chains of our own in the tables of all."""

    name = "iptables"
    programs = ("iptables", "ip6tables")

    #: Table -> chains that are there anyway, and ours that they jump to, in the order they are put first.
    _CHAINS: ClassVar[dict[str, tuple[tuple[str, str], ...]]] = {
        "filter": (
            ("INPUT", "LIBVIRT_INP"),
            ("OUTPUT", "LIBVIRT_OUT"),
            ("FORWARD", "LIBVIRT_FWO"),
            ("FORWARD", "LIBVIRT_FWI"),
            ("FORWARD", "LIBVIRT_FWX"),
        ),
        "nat": (("POSTROUTING", "LIBVIRT_PRT"),),
        "mangle": (("POSTROUTING", "LIBVIRT_PRT"),),
    }

    async def make_chains(self, version: int) -> None:
        program = tool("iptables" if version == 4 else "ip6tables")
        for table, chains in self._CHAINS.items():
            run = [program, "-w", "--table", table]
            listed = (await must_finish([*run, "--list-rules"])).splitlines()
            for parent, chain in chains:
                if f"-N {chain}" not in listed:
                    await must_finish([*run, "--new-chain", chain])
                if f"-A {parent} -j {chain}" not in listed:
                    await must_finish([*run, "--insert", parent, "--jump", chain])

    async def apply(self, network: Network) -> Commands:
        removal: Commands = []
        try:
            for argv in iptables_commands(network):
                await must_finish([tool(argv[0]), *argv[1:]])
                removal.insert(0, ["--delete" if word == "--insert" else word for word in argv])
        except BaseException:
            await self.remove(removal)
            raise
        return removal


# --------------------------------------------------------------------------------------------------------------- choice

#: Those there are, the better one first.
_BACKENDS: dict[str, type[Firewall]] = {backend.name: backend for backend in (NFTablesFirewall, IPTablesFirewall)}


def choose_firewall(wanted: str | None) -> Firewall | None:
    """The backend to use; None: the host has none.

    :param wanted: what ``network.conf`` says.
    :raises ConfigUnsupported: there is no such backend, or the host has not got it.
    """
    if wanted is not None:
        backend = _BACKENDS.get(wanted) or _brought(wanted)
        if backend is None:
            raise ConfigUnsupported(f"unrecognized value for firewall_backend: '{wanted}'")
        if not backend.available():
            raise ConfigUnsupported(f"requested firewall_backend '{wanted}' is not available")
        return backend()
    return next((backend() for backend in _BACKENDS.values() if backend.available()), None)


def _brought(name: str) -> type[Firewall] | None:
    """A backend that a plugin has."""
    from virtcore.driver.hooks import manager

    found = manager().hook.virtcore_network_firewall(name=name)
    if found is None or not (isinstance(found, type) and issubclass(found, Firewall)):
        return None
    return found


def need_firewall(firewall: Firewall | None) -> Firewall:
    """The backend, for a network that has rules.

    :raises NoSupport: there is none.
    """
    if firewall is None:
        raise NoSupport("No firewall backend is available")
    return firewall
