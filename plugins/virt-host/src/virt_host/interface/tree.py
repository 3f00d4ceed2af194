"""The kernel's files about network devices, and what they say of one as an ``<interface>``."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from virtcore.errors import InternalError, NoInterface, SystemError, VirtError
from virtcore.model.interface.device import (
    ARPMonitor,
    ARPValidation,
    Bond,
    BondMember,
    BondMode,
    Bridge,
    BridgeMember,
    HostInterface,
    InterfaceType,
    MIICarrier,
    MIIMonitor,
    VLANInterface,
)
from virtcore.model.interface.link import InterfaceLink, LinkState

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["NetworkDevice", "NetworkTree"]

AnyInterface = TypeVar("AnyInterface", HostInterface, BridgeMember, BondMember)

#: Devices that guests have in a bridge: which they are in is told by the guests.
_OF_GUESTS: Final = re.compile(r"vnet\d")
_ENSLAVED: Final = "slave_"
_NUMBER: Final = re.compile(r"-?[0-9]+")


class NetworkDevice:
    """One device.

    :ivar folder: its files.
    """

    __slots__ = ("folder", "name")

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = folder.name

    def value(self, path: str) -> str | None:
        """What a file says; None where there is none."""
        try:
            return (self.folder / path).read_text(encoding="utf-8", errors="surrogateescape").rstrip("\n")
        except OSError:
            return None

    @property
    def mac(self) -> str:
        """Its address."""
        return self.value("address") or ""

    @property
    def up(self) -> bool:
        """Whether it works."""
        return self.value("operstate") == "up"

    @property
    def listed(self) -> bool:
        """Whether it is one of the host's own: no port of a bridge, nothing that a guest has the other end of."""
        return not (self.folder / "brport" / "state").exists() and not (self.folder / "tun_flags").exists()

    @property
    def kind(self) -> InterfaceType:
        """What it is, as far as libvirt tells devices apart."""
        found = re.search(r"^DEVTYPE=(vlan|bridge|bond)$", self.value("uevent") or "", re.MULTILINE)
        if found is not None:
            return InterfaceType(found[1])
        if (self.folder / "bonding" / "mode").exists():
            return InterfaceType.BOND
        return InterfaceType.VLAN if "." in self.name else InterfaceType.ETHERNET

    @property
    def mtu(self) -> int:
        """Its largest packet, in bytes.

        :raises InternalError: that is no number.
        """
        text = self.value("mtu")
        return self._number(text, f"Could not parse MTU value '{text}'")

    def link(self) -> InterfaceLink:
        """State and speed.

        :raises SystemError: they are not told.
        :raises InternalError: they make no sense.
        """
        state = self._told("operstate")
        try:
            link = InterfaceLink(state=LinkState(state))
        except ValueError:
            raise InternalError(f"Unable to parse: {state}") from None
        if link.state is LinkState.UP:  # one that is not there has none
            link.speed = self._speed()
        return link

    def _speed(self) -> int | None:
        try:
            text = self._told("speed")
        except SystemError as error:
            if isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.EINVAL:
                return None  # there are devices without
            raise
        # libvirt reads an unsigned number, also where the kernel says -1.
        return self._number(text, f"Unable to parse: {text}") & 0xFFFFFFFF

    def _told(self, path: str) -> str:
        file = self.folder / path
        try:
            return file.read_text(encoding="utf-8", errors="surrogateescape").rstrip("\n")
        except OSError as error:
            raise SystemError(f"unable to read: {file}: {error.strerror}") from error

    @staticmethod
    def _number(text: str | None, complaint: str) -> int:
        if text is None or _NUMBER.fullmatch(text) is None:
            raise InternalError(complaint)
        return int(text)

    # -- what kinds have

    def attribute(self, path: str) -> str:
        """What a file must say.

        :raises InternalError: there is none.
        """
        found = self.value(path)
        if found is None:
            raise InternalError(f"Could not retrieve '{path}' for '{self.name}'")
        return found

    def number(self, path: str) -> int:
        """The number that a file must say.

        :raises InternalError: there is none.
        """
        text = self.attribute(path)
        return self._number(text, f"Could not parse '{path}' '{text}' for '{self.name}'")

    def numbered(self, path: str) -> int:
        """The number behind the word that a file must say: ``none 0``.

        :raises InternalError: there is none.
        """
        _, space, text = self.attribute(path).partition(" ")
        if not space:
            raise InternalError(f"Invalid format for '{path}' for '{self.name}'")
        if not text:
            raise InternalError(f"Unable to find correct value in '{path}' for '{self.name}'")
        return self._number(text, f"Could not parse '{path}' '{text}' for '{self.name}'")

    def entries(self, folder: str, complaint: str) -> list[str]:
        """Names in a folder, in order.

        :raises SystemError: it cannot be read.
        """
        try:
            return sorted(os.listdir(self.folder / folder))
        except OSError as error:
            raise SystemError(f"{complaint} '{self.name}': {error.strerror}") from None


@dataclass(frozen=True, slots=True)
class NetworkTree:
    """Where the files are.

    :ivar devices: a folder for each device.
    :ivar vlans: a file for each VLAN.
    """

    devices: Path = Path("/sys/class/net")
    vlans: Path = Path("/proc/net/vlan")

    def __iter__(self) -> Iterator[NetworkDevice]:
        """The host's own devices, in the order of where they are in the host (which is udev's)."""
        try:
            folders = [path for path in self.devices.iterdir() if path.is_dir()]
        except OSError:
            folders = []
        for folder in sorted(folders, key=os.path.realpath):
            device = NetworkDevice(folder)
            if device.listed:
                yield device

    def device(self, name: str) -> NetworkDevice:
        """The device of a name, whichever it is.

        :raises NoInterface: there is none.
        """
        folder = self.devices / name
        if not name or "/" in name or "\0" in name or name in (".", "..") or not folder.is_dir():
            raise NoInterface(f"couldn't find interface named '{name}'")
        return NetworkDevice(folder)

    def interface(self, name: str) -> HostInterface:
        """All that is told of a device.

        :raises NoInterface: there is none of the name.
        :raises VirtError: what the kernel tells makes no sense.
        """
        device = self.device(name)
        interface = self._described(device, HostInterface(type=device.kind, name=name))
        interface.mtu = device.mtu
        if interface.type is InterfaceType.BRIDGE:
            interface.bridge = self._bridge(device)
        return interface

    def _described(self, device: NetworkDevice, interface: AnyInterface) -> AnyInterface:
        """Fill in what an interface has by itself as well as in others."""
        interface.mac = device.mac
        interface.link = device.link()
        if not isinstance(interface, BondMember):
            fill = _KINDS.get(interface.type)
            if fill is not None:
                fill(self, device, interface)
        return interface

    def _bridge(self, device: NetworkDevice) -> Bridge:
        bridge = Bridge(delay=device.attribute("bridge/forward_delay"))
        stp = device.number("bridge/stp_state")
        if stp not in (-1, 0, 1):
            raise InternalError(f"Invalid STP state value {stp} received for '{device.name}'. Must be -1, 0, or 1.")
        bridge.stp = None if stp < 0 else bool(stp)
        for name in device.entries("brif", "Could not get members of bridge"):
            if not _OF_GUESTS.match(name):
                bridge.interfaces.append(self._part(BridgeMember, name, name, f"a member of bridge '{device.name}'"))
        return bridge

    def _part(self, cls: type[AnyInterface], name: str, entry: str, role: str) -> AnyInterface:
        try:
            device = self.device(name)
            return self._described(device, cls(type=device.kind, name=name))
        except VirtError as error:
            message = f"Could not get interface information for '{entry}', which is {role}"
            raise InternalError(message) from error

    def add_bond(self, device: NetworkDevice, interface: HostInterface | BridgeMember) -> None:
        """Say how a bond works."""
        down, up, frequency, interval = map(
            device.number, ("bonding/downdelay", "bonding/updelay", "bonding/miimon", "bonding/arp_interval")
        )
        mode = device.numbered("bonding/mode")
        validate = device.numbered("bonding/arp_validate")
        carrier = device.number("bonding/use_carrier")
        target = device.attribute("bonding/arp_ip_target")
        bond = interface.bond = Bond(mode=_at(list(BondMode), mode))
        if interval > 0:
            bond.arpmon = ARPMonitor(interval=interval, target=target, validate=_at([None, *ARPValidation], validate))
        elif frequency > 0:
            bond.miimon = MIIMonitor(freq=frequency, downdelay=down, updelay=up, carrier=_at(list(MIICarrier), carrier))
        for entry in device.entries("", "Could not get slaves of bond"):
            if entry.startswith(_ENSLAVED):
                name = entry.removeprefix(_ENSLAVED)
                if not name:
                    raise InternalError(f"Invalid enslaved interface name '{entry}' seen for bond '{device.name}'")
                bond.interfaces.append(self._part(BondMember, name, entry, f"a enslaved in bond '{device.name}'"))

    def add_vlan(self, device: NetworkDevice, interface: HostInterface | BridgeMember) -> None:
        """Say which part of whose traffic a VLAN is."""
        file = self.vlans / device.name
        try:
            text = file.read_text(encoding="utf-8", errors="surrogateescape")
        except OSError as error:
            raise SystemError(f"Failed to open file '{file}': {error.strerror}") from None
        tag = re.search(r"VID: (\d+)\s", text)
        if tag is None:
            raise InternalError(f"failed to find the VID for the VLAN device '{device.name}'")
        real = re.search(r"\nDevice: ([^\n]+)", text[tag.end(1) :])
        if real is None:
            raise InternalError(f"failed to find the real device for the VLAN device '{device.name}'")
        interface.vlan = VLANInterface(tag=tag[1], interface=real[1])


_KINDS: Final[Mapping[InterfaceType, Callable[[NetworkTree, NetworkDevice, HostInterface | BridgeMember], None]]] = {
    InterfaceType.BOND: NetworkTree.add_bond,
    InterfaceType.VLAN: NetworkTree.add_vlan,
}

V = TypeVar("V")


def _at(values: list[V], index: int) -> V | None:
    """The value of a number, where it has one."""
    return values[index] if 0 <= index < len(values) else None
