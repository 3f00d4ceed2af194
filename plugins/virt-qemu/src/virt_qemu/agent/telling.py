"""What a guest tells of itself, as the typed parameters of ``virDomainGetGuestInfo``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from virt_qemu.agent import commands
from virt_qemu.agent.protocol import AgentCommandError
from virtcore.enums.common import TypedParameterType as Kind
from virtcore.enums.domain_more import DomainGuestInfoTypes as Types
from virtcore.enums.network import IPAddrType
from virtcore.errors import InternalError
from virtcore.model.domain.address import DriveAddress, PCIAddress
from virtcore.operations.values import DomainInterface, FSInfo
from virtcore.types import TypedParameters

if TYPE_CHECKING:
    from virt_qemu.agent.channel import Agent
    from virt_qemu.agent.commands import DiskPlace, GuestDisk, GuestFileSystem
    from virt_qemu.monitor import JSON
    from virtcore.model.domain import Domain

__all__ = ["KNOWN", "disk_target", "guest_info", "public_file_systems"]

KNOWN = (
    Types.USERS
    | Types.OS
    | Types.TIMEZONE
    | Types.HOSTNAME
    | Types.FILESYSTEM
    | Types.DISKS
    | Types.INTERFACES
    | Types.LOAD
)
#: What the agent says of the system.
_SYSTEM = (
    "id", "name", "pretty-name", "version", "version-id", "machine", "variant", "variant-id", "kernel-release",
    "kernel-version",
)  # fmt: skip


def disk_target(domain: Domain, place: DiskPlace) -> str | None:
    """Target of the disk at a place of the guest; None where the configuration has none there."""
    devices = domain.devices
    if devices is None:
        return None
    controllers = {controller.index for controller in devices.controllers if _pci(controller.address) == place.pci}
    for disk in devices.disks:
        address = disk.address
        found = _pci(address) == place.pci
        if isinstance(address, DriveAddress):
            found = (address.controller or 0) in controllers and (
                (address.bus or 0, address.target or 0, address.unit or 0) == (place.bus, place.target, place.unit)
            )
        if found and disk.target is not None:
            return disk.target.dev
    return None


def _pci(address: object) -> tuple[int, int, int, int] | None:
    if not isinstance(address, PCIAddress):
        return None
    return address.domain or 0, address.bus or 0, address.slot or 0, address.function or 0


def public_file_systems(domain: Domain, found: Sequence[GuestFileSystem]) -> list[FSInfo]:
    """File systems as ``virDomainGetFSInfo`` tells them."""
    return [
        FSInfo(
            system.mountpoint,
            system.name,
            system.fstype,
            [target for place in system.disks if (target := disk_target(domain, place)) is not None],
        )
        for system in found
    ]


async def guest_info(agent: Agent, domain: Domain, wanted: int, *, pass_over: bool) -> TypedParameters:
    """Ask for groups of information.

    :param pass_over: say nothing of what this agent cannot tell.
    :raises AgentCommandError: it was asked for by name and the agent cannot tell it.
    """
    rows = TypedParameters()

    async def tell(group: Types, add: Callable[[], Awaitable[None]]) -> None:
        if wanted & group:
            try:
                await add()
            except AgentCommandError as error:
                if not pass_over:
                    raise
                commands.if_supported(error)

    systems: list[GuestFileSystem] | None = None
    found_disks: list[GuestDisk] | None = None
    found_interfaces: list[DomainInterface] | None = None

    async def ask_systems() -> None:
        nonlocal systems
        systems = await commands.file_systems(agent)

    async def ask_disks() -> None:
        nonlocal found_disks
        found_disks = await commands.disks(agent)

    async def ask_interfaces() -> None:
        nonlocal found_interfaces
        found_interfaces = await commands.interfaces(agent)

    async def add_host_name() -> None:
        rows.add("hostname", Kind.STRING, await commands.host_name(agent))

    await tell(Types.USERS, lambda: _add_users(agent, rows))
    await tell(Types.OS, lambda: _add_system(agent, rows))
    await tell(Types.TIMEZONE, lambda: _add_time_zone(agent, rows))
    await tell(Types.HOSTNAME, add_host_name)
    await tell(Types.FILESYSTEM, ask_systems)
    await tell(Types.DISKS, ask_disks)
    await tell(Types.INTERFACES, ask_interfaces)
    await tell(Types.LOAD, lambda: _add_load(agent, rows))
    if systems is not None:
        _add_file_systems(domain, systems, rows)
    if found_disks is not None:
        _add_disks(domain, found_disks, rows)
    if found_interfaces is not None:
        _add_interfaces(found_interfaces, rows)
    return rows


async def _add_users(agent: Agent, rows: TypedParameters) -> None:
    answer = await agent.execute("guest-get-users")
    users = [row for row in answer if isinstance(row, dict)] if isinstance(answer, list) else []
    rows.add("user.count", Kind.UINT, len(users))
    for number, user in enumerate(users):
        name, domain, since = user.get("user"), user.get("domain"), user.get("login-time")
        if not isinstance(name, str):
            raise InternalError("'user' missing in reply of guest-get-users")
        if not isinstance(since, int | float):
            raise InternalError("'login-time' missing in reply of guest-get-users")
        rows.add(f"user.{number}.name", Kind.STRING, name)
        if isinstance(domain, str):
            rows.add(f"user.{number}.domain", Kind.STRING, domain)
        rows.add(f"user.{number}.login-time", Kind.ULLONG, int(since * 1000))


def _table(answer: JSON, command: str) -> Mapping[str, JSON]:
    if not isinstance(answer, dict):
        raise InternalError(f"Malformed return value of {command}")
    return answer


async def _add_system(agent: Agent, rows: TypedParameters) -> None:
    told = _table(await agent.execute("guest-get-osinfo"), "guest-get-osinfo")
    for name in _SYSTEM:
        value = told.get(name)
        if isinstance(value, str):
            rows.add(f"os.{name}", Kind.STRING, value)


async def _add_time_zone(agent: Agent, rows: TypedParameters) -> None:
    told = _table(await agent.execute("guest-get-timezone"), "guest-get-timezone")
    name, offset = told.get("zone"), told.get("offset")
    if isinstance(name, str):
        rows.add("timezone.name", Kind.STRING, name)
    if not isinstance(offset, int):
        raise InternalError("'offset' missing in reply of guest-get-timezone")
    rows.add("timezone.offset", Kind.INT, offset)


async def _add_load(agent: Agent, rows: TypedParameters) -> None:
    told = _table(await agent.execute("guest-get-load"), "guest-get-load")
    for name in ("1m", "5m", "15m"):
        value = told.get(f"load{name}")
        if not isinstance(value, int | float):
            raise InternalError(f"'load{name}' missing in reply of guest-get-load")
        rows.add(f"load.{name}", Kind.DOUBLE, float(value))


def _add_file_systems(domain: Domain, systems: Sequence[GuestFileSystem], rows: TypedParameters) -> None:
    rows.add("fs.count", Kind.UINT, len(systems))
    for number, system in enumerate(systems):
        prefix = f"fs.{number}."
        rows.add(prefix + "mountpoint", Kind.STRING, system.mountpoint)
        rows.add(prefix + "name", Kind.STRING, system.name)
        rows.add(prefix + "fstype", Kind.STRING, system.fstype)
        for name, size in (("total-bytes", system.total), ("used-bytes", system.used)):
            if size is not None:
                rows.add(prefix + name, Kind.ULLONG, size)
        rows.add(prefix + "disk.count", Kind.UINT, len(system.disks))
        for place_number, place in enumerate(system.disks):
            inner = f"{prefix}disk.{place_number}."
            _add_texts(rows, inner, alias=disk_target(domain, place), serial=place.serial, device=place.device)


def _add_disks(domain: Domain, found: Sequence[GuestDisk], rows: TypedParameters) -> None:
    rows.add("disk.count", Kind.UINT, len(found))
    for number, disk in enumerate(found):
        prefix = f"disk.{number}."
        rows.add(prefix + "name", Kind.STRING, disk.name)
        rows.add(prefix + "partition", Kind.BOOLEAN, disk.partition)
        if disk.dependencies:
            rows.add(prefix + "dependency.count", Kind.UINT, len(disk.dependencies))
            for below, name in enumerate(disk.dependencies):
                rows.add(f"{prefix}dependency.{below}.name", Kind.STRING, name)
        if disk.place is not None:
            place = disk.place
            _add_texts(rows, prefix, serial=place.serial, alias=disk_target(domain, place), guest_bus=place.bus_type)
        _add_texts(rows, prefix, guest_alias=disk.alias)


def _add_interfaces(found: Sequence[DomainInterface], rows: TypedParameters) -> None:
    rows.add("if.count", Kind.UINT, len(found))
    for number, interface in enumerate(found):
        prefix = f"if.{number}."
        _add_texts(rows, prefix, name=interface.name, hwaddr=interface.hwaddr)
        rows.add(prefix + "addr.count", Kind.UINT, len(interface.addrs))
        for place, address in enumerate(interface.addrs):
            kind = "ipv4" if address.type == IPAddrType.IPV4 else "ipv6"
            _add_texts(rows, f"{prefix}addr.{place}.", type=kind, addr=address.addr)
            rows.add(f"{prefix}addr.{place}.prefix", Kind.UINT, address.prefix)


def _add_texts(rows: TypedParameters, prefix: str, **texts: str | None) -> None:
    for name, value in texts.items():
        if value is not None:
            rows.add(prefix + name, Kind.STRING, value)
