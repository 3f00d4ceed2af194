"""The agent's commands, with what is made of their answers."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from virt_qemu.agent.protocol import AgentCommandError
from virtcore.enums.network import IPAddrType
from virtcore.errors import InternalError, InvalidArg
from virtcore.operations.values import DomainInterface, DomainIPAddress, GuestTime

if TYPE_CHECKING:
    from virt_qemu.agent.channel import Agent
    from virt_qemu.monitor import JSON

__all__ = [
    "GuestDisk",
    "GuestFileSystem",
    "GuestVcpu",
    "add_keys",
    "disks",
    "file_systems",
    "freeze",
    "get_time",
    "host_name",
    "if_supported",
    "interfaces",
    "keys",
    "remove_keys",
    "set_password",
    "set_time",
    "set_vcpu_count",
    "set_vcpus",
    "shut_down",
    "suspend",
    "thaw",
    "trim",
    "vcpus",
]

_LONGEST_TIME = (1 << 63) - 1


class DiskPlace(NamedTuple):
    """Where a disk of the guest is: its PCI address or that of its controller, and its place there."""

    pci: tuple[int, int, int, int]
    bus: int
    target: int
    unit: int
    serial: str | None
    device: str | None
    bus_type: str | None


class GuestFileSystem(NamedTuple):
    """A file system that the guest has mounted."""

    mountpoint: str
    name: str
    fstype: str
    total: int | None
    used: int | None
    disks: Sequence[DiskPlace]


class GuestDisk(NamedTuple):
    """A disk or partition of the guest."""

    name: str
    partition: bool
    dependencies: Sequence[str]
    place: DiskPlace | None
    alias: str | None


class GuestVcpu(NamedTuple):
    """A virtual CPU as the guest sees it."""

    number: int
    online: bool
    offlinable: bool


def if_supported(error: AgentCommandError) -> None:
    """Pass over that the agent has no such command.

    :raises AgentCommandError: it is another refusal.
    """
    if not error.unsupported:
        raise error


def _rows(command: str, value: object) -> list[Mapping[str, JSON]]:
    """The objects of a list.

    :raises InternalError: the agent has answered something else.
    """
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise InternalError(f"Malformed return value of {command}")
    return value


def _text(row: Mapping[str, JSON], name: str, command: str) -> str:
    value = row.get(name)
    if not isinstance(value, str):
        raise InternalError(f"'{name}' missing in reply of {command}")
    return value


def _number(row: Mapping[str, JSON], name: str, command: str) -> int:
    value = row.get(name)
    if not isinstance(value, int):
        raise InternalError(f"'{name}' missing in reply of {command}")
    return value


def _optional(row: Mapping[str, JSON], name: str) -> str | None:
    value = row.get(name)
    return value if isinstance(value, str) else None


# -- file systems


async def freeze(agent: Agent, mountpoints: Sequence[str] | None) -> int:
    """Stop writing; how many file systems."""
    if mountpoints:
        command = "guest-fsfreeze-freeze-list"
        return _count(command, await agent.execute(command, {"mountpoints": list(mountpoints)}))
    return _count("guest-fsfreeze-freeze", await agent.execute("guest-fsfreeze-freeze"))


async def thaw(agent: Agent) -> int:
    """Write again; how many file systems."""
    return _count("guest-fsfreeze-thaw", await agent.execute("guest-fsfreeze-thaw"))


def _count(command: str, value: object) -> int:
    if not isinstance(value, int):
        raise InternalError(f"malformed return value of {command}")
    return value


async def trim(agent: Agent, minimum: int) -> None:
    """Give unused blocks back."""
    await agent.execute("guest-fstrim", {"minimum": minimum})


async def file_systems(agent: Agent) -> list[GuestFileSystem]:
    """What is mounted, in the order of mounting."""
    command = "guest-get-fsinfo"
    found = []
    for row in reversed(_rows(command, await agent.execute(command))):
        total, used = row.get("total-bytes"), row.get("used-bytes")
        found.append(
            GuestFileSystem(
                _text(row, "mountpoint", command),
                _text(row, "name", command),
                _text(row, "type", command),
                total if isinstance(total, int) else None,
                used if isinstance(used, int) else None,
                [_place(disk, command) for disk in _rows(command, row.get("disk", []))],
            )
        )
    return found


async def disks(agent: Agent) -> list[GuestDisk]:
    """Disks and partitions."""
    command = "guest-get-disks"
    found = []
    for row in _rows(command, await agent.execute(command)):
        address, below = row.get("address"), row.get("dependencies")
        found.append(
            GuestDisk(
                _text(row, "name", command),
                row.get("partition") is True,
                [str(name) for name in below] if isinstance(below, list) else [],
                _place(address, command) if isinstance(address, dict) else None,
                _optional(row, "alias"),
            )
        )
    return found


def _place(row: Mapping[str, JSON], command: str) -> DiskPlace:
    pci = row.get("pci-controller")
    if not isinstance(pci, dict):
        raise InternalError(f"'pci-controller' missing in {command} response")
    return DiskPlace(
        (
            _number(pci, "domain", command),
            _number(pci, "bus", command),
            _number(pci, "slot", command),
            _number(pci, "function", command),
        ),
        _number(row, "bus", command),
        _number(row, "target", command),
        _number(row, "unit", command),
        _optional(row, "serial"),
        _optional(row, "dev"),
        _optional(row, "bus-type"),
    )


# -- what it is


async def host_name(agent: Agent) -> str:
    """The guest's name."""
    answer = await agent.execute("guest-get-host-name")
    name = answer.get("host-name") if isinstance(answer, dict) else None
    if not isinstance(name, str):
        raise InternalError("malformed return value")
    return name


async def get_time(agent: Agent) -> GuestTime:
    """The guest's clock."""
    value = await agent.execute("guest-get-time")
    if not isinstance(value, int):
        raise InternalError("malformed return value")
    return GuestTime(*divmod(value, 1_000_000_000))


async def set_time(agent: Agent, time: GuestTime | None) -> None:
    """Set the guest's clock; None: to that of its hardware.

    :raises InvalidArg: the agent cannot be told such a time.
    """
    if time is None:
        await agent.execute("guest-set-time")
        return
    nanoseconds = time.seconds * 1_000_000_000 + time.nseconds
    if nanoseconds > _LONGEST_TIME:
        raise InvalidArg(f"Time '{time.seconds}' is too big for guest agent")
    await agent.execute("guest-set-time", {"time": nanoseconds})


async def interfaces(agent: Agent) -> list[DomainInterface]:
    """Network interfaces; addresses of ``eth0:1`` are those of ``eth0``."""
    command = "guest-network-get-interfaces"
    found: dict[str, tuple[str | None, list[DomainIPAddress]]] = {}
    for row in _rows(command, await agent.execute(command)):
        name = _text(row, "name", command).partition(":")[0]
        _, addresses = found.setdefault(name, (_optional(row, "hardware-address"), []))
        listed = row.get("ip-addresses")
        for one in _rows(command, listed) if listed is not None else ():
            kind = _text(one, "ip-address-type", command)
            if kind not in ("ipv4", "ipv6"):
                raise InternalError(f"unknown ip address type '{kind}'")
            addresses.append(
                DomainIPAddress(
                    IPAddrType.IPV4 if kind == "ipv4" else IPAddrType.IPV6,
                    _text(one, "ip-address", command),
                    _number(one, "prefix", command),
                )
            )
    return [DomainInterface(name, address, addresses) for name, (address, addresses) in found.items()]


# -- virtual CPUs


async def vcpus(agent: Agent) -> list[GuestVcpu]:
    """Virtual CPUs."""
    command = "guest-get-vcpus"
    return [
        GuestVcpu(_number(row, "logical-id", command), row.get("online") is True, row.get("can-offline") is True)
        for row in _rows(command, await agent.execute(command))
    ]


async def set_vcpus(agent: Agent, numbers: Iterable[int], online: bool) -> None:
    """Take virtual CPUs into use, or out of it; the agent may do a part at a time.

    :raises InternalError: it does not get on.
    """
    left = list(numbers)
    while left:
        told: list[JSON] = [{"logical-id": number, "online": online} for number in left]
        done = await agent.execute("guest-set-vcpus", {"vcpus": told})
        if not isinstance(done, int) or not 0 < done <= len(left):
            raise InternalError(f"failed to set state of cpu {left[0]} via guest agent")
        left = left[done:]


async def set_vcpu_count(agent: Agent, count: int) -> None:
    """Take as many virtual CPUs into use, the first ones that can be.

    :raises InvalidArg: there are not as many, or the guest cannot do with so few.
    """
    known = await vcpus(agent)
    used = [vcpu for vcpu in known if vcpu.online]
    spare = [vcpu.number for vcpu in known if not vcpu.online]
    offlinable = [vcpu.number for vcpu in used if vcpu.offlinable]
    if count > len(known):
        raise InvalidArg("guest agent reports less cpu than requested")
    if count < len(used) - len(offlinable):
        raise InvalidArg("Cannot offline enough CPUs")
    if count > len(used):
        await set_vcpus(agent, spare[: count - len(used)], True)
    else:
        await set_vcpus(agent, offlinable[: len(used) - count], False)


# -- users


async def set_password(agent: Agent, user: str, password: str, encrypted: bool) -> None:
    """Set a user's password."""
    encoded = base64.b64encode(password.encode()).decode()
    await agent.execute("guest-set-user-password", {"crypted": encrypted, "username": user, "password": encoded})


async def keys(agent: Agent, user: str) -> list[str]:
    """A user's authorized SSH keys."""
    answer = await agent.execute("guest-ssh-get-authorized-keys", {"username": user})
    found = answer.get("keys") if isinstance(answer, dict) else None
    if not isinstance(found, list):
        raise InternalError("malformed return value")
    return [str(key) for key in found]


async def add_keys(agent: Agent, user: str, added: Sequence[str], *, reset: bool) -> None:
    """Add authorized SSH keys of a user.

    :param reset: those are to be all.
    """
    await agent.execute("guest-ssh-add-authorized-keys", {"username": user, "keys": list(added), "reset": reset})


async def remove_keys(agent: Agent, user: str, removed: Sequence[str]) -> None:
    """Remove authorized SSH keys of a user."""
    await agent.execute("guest-ssh-remove-authorized-keys", {"username": user, "keys": list(removed)})


# -- life


async def shut_down(agent: Agent, *, reboot: bool) -> None:
    """Power off, or reboot; returns when the guest has."""
    mode = "reboot" if reboot else "powerdown"
    await agent.execute_until("guest-shutdown", {"mode": mode}, "RESET" if reboot else "SHUTDOWN", "SHUTDOWN")


async def suspend(agent: Agent, how: str) -> None:
    """Go to sleep: ``ram``, ``disk`` or ``hybrid``; returns when the guest has."""
    events = ("SUSPEND_DISK", "SHUTDOWN") if how == "disk" else ("SUSPEND",)
    await agent.execute_until(f"guest-suspend-{how}", None, *events)
