"""Mediated devices, as commands of ``mdevctl``, what it reads on its standard input and what it lists."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import NamedTuple

from virtcore.errors import ConfigUnsupported, ErrorDomain, InternalError, XMLError
from virtcore.model.nodedev import (
    MdevAttribute,
    MdevCapability,
    NodeDevice,
    ParentDevice,
)

__all__ = [
    "Command",
    "ListedDevice",
    "Operation",
    "autostart_command",
    "command",
    "list_command",
    "listed_devices",
    "modify_command",
]

_DOMAIN = ErrorDomain.NODEDEV
_MDEVCTL = "mdevctl"
#: The parent of devices whose parent is not there.
_HOST = "computer"


class Operation(Enum):
    """What is done with a mediated device; the value is mdevctl's word and whether it is told what the device is."""

    #: A device that has no definition is started.
    CREATE = ("start", True)
    DEFINE = ("define", True)
    START = ("start", False)
    STOP = ("stop", False)
    UNDEFINE = ("undefine", False)


class Command(NamedTuple):
    """A command and what it reads.

    :ivar arguments: the command line.
    :ivar stdin: text of the standard input; None: nothing.
    """

    arguments: list[str]
    stdin: str | None = None


class ListedDevice(NamedTuple):
    """A mediated device that mdevctl knows.

    :ivar device: what it is.
    :ivar autostart: whether it is started whenever its parent appears.
    """

    device: NodeDevice
    autostart: bool


# ------------------------------------------------------------------------------------------------------------- commands


def command(
    operation: Operation,
    device: NodeDevice,
    addresses: Mapping[str, str],
    *,
    autostart: bool = False,
    mdevctl: str = _MDEVCTL,
) -> Command:
    """The command for an operation. Where the device has no UUID, mdevctl makes one and prints it.

    :param addresses: of the host's devices, by name (see :func:`virtcore.driver.toolkit.mdevs.address_of`).
    :param autostart: the device is to be started whenever its parent appears.
    :raises ConfigUnsupported: the device is no mediated one.
    :raises XMLError: it is to be made and names no parent.
    :raises InternalError: its parent is not there.
    """
    word, described = operation.value
    mdev = _mediated(device)
    arguments, stdin = [mdevctl, word], None
    if described:
        if device.parent is None or device.parent.name is None:
            raise XMLError(f"cannot {operation.name.lower()} a mediated device without a parent", domain=_DOMAIN)
        more, stdin = _description(device, mdev, addresses, autostart)
        arguments += more
    if mdev.uuid is not None or not described:
        arguments.append(f"--uuid={_uuid(mdev)}")
    return Command(arguments, stdin)


def modify_command(
    device: NodeDevice,
    addresses: Mapping[str, str],
    *,
    defined: bool = False,
    live: bool = False,
    autostart: bool = False,
    mdevctl: str = _MDEVCTL,
) -> Command:
    """The command that changes a device (``virNodeDeviceUpdate``).

    :param addresses: of the host's devices, by name.
    :param defined: its definition is changed.
    :param live: the running device is changed.
    :raises VirtError: as :func:`command`.
    """
    mdev = _mediated(device)
    more, stdin = _description(device, mdev, addresses, autostart)
    arguments = [mdevctl, "modify", *more, f"--uuid={_uuid(mdev)}"]
    arguments += ["--defined"] if defined else []
    arguments += ["--live"] if live else []
    return Command(arguments, stdin)


def autostart_command(device: NodeDevice, autostart: bool, *, mdevctl: str = _MDEVCTL) -> Command:
    """The command that says whether a device is started whenever its parent appears
    (``virNodeDeviceSetAutostart``)."""
    return Command([mdevctl, "modify", "--uuid", _uuid(_mediated(device)), "--auto" if autostart else "--manual"])


def list_command(*, defined: bool, mdevctl: str = _MDEVCTL) -> Command:
    """The command that lists devices: those with a definition, or those running."""
    return Command([mdevctl, "list", "--dumpjson", *(["--defined"] if defined else [])])


def _mediated(device: NodeDevice) -> MdevCapability:
    mdev = device.capability(MdevCapability)
    if mdev is None:
        raise ConfigUnsupported("Unsupported device type", domain=_DOMAIN)
    return mdev


def _uuid(mdev: MdevCapability) -> str:
    """The UUID of a device there is; without one mdevctl would take the command for another."""
    if mdev.uuid is None:
        raise InternalError(None, domain=_DOMAIN, path="/device/capability/uuid", advice="the device has no UUID")
    return mdev.uuid


def _description(
    device: NodeDevice, mdev: MdevCapability, addresses: Mapping[str, str], autostart: bool
) -> tuple[list[str], str]:
    """What tells mdevctl about a device: arguments, and its configuration."""
    name = device.parent.name if device.parent is not None else None
    address = mdev.parent_addr or addresses.get(name or "")
    if address is None:
        raise InternalError(f"unable to find parent device '{name}'", domain=_DOMAIN)
    configuration: dict[str, object] = {"mdev_type": mdev.type_id, "start": "auto" if autostart else "manual"}
    if mdev.attributes:
        # The order counts, and a name may come several times.
        configuration["attrs"] = [{each.name: each.value} for each in mdev.attributes]
    text = json.dumps(configuration, separators=(",", ":"), ensure_ascii=False)
    return [f"--parent={address}", "--jsonfile=/dev/stdin"], text


# ---------------------------------------------------------------------------------------------------------------- lists


def listed_devices(text: str, addresses: Mapping[str, str]) -> list[ListedDevice]:
    """The devices in what mdevctl lists.

    A device may be defined while its parent is not there; then it belongs to the host itself.

    :param text: what :func:`list_command` printed.
    :param addresses: of the host's devices, by name.
    :raises InternalError: it is no such list.
    """
    if not text:
        return []
    try:
        document = json.loads(text)
    except ValueError:
        document = None
    if not isinstance(document, list):
        raise InternalError("mdevctl JSON response contains no devices", domain=_DOMAIN)
    if not document:
        return []
    if len(document) != 1:
        raise InternalError("Unexpected format for mdevctl response", domain=_DOMAIN)
    if not isinstance(document[0], dict):
        raise InternalError("device list is not an object", domain=_DOMAIN)
    names = {address: name for name, address in reversed(list(addresses.items()))}
    return list(_listed(document[0], names))


def _listed(parents: dict[str, object], names: Mapping[str, str]) -> Iterator[ListedDevice]:
    for address, children in parents.items():
        if not isinstance(children, list):
            raise InternalError("Parent device's JSON object data is not an array", domain=_DOMAIN)
        for child in children:
            yield _device(child, address, names.get(address, _HOST))


def _device(child: object, address: str, parent: str) -> ListedDevice:
    """A device from the object whose one name is its UUID."""
    unusable = InternalError("Unable to parse child device", domain=_DOMAIN)
    if not isinstance(child, dict) or len(child) != 1:
        raise unusable
    [(uuid, properties)] = child.items()
    if not isinstance(properties, dict) or not isinstance(kind := properties.get("mdev_type"), str):
        raise unusable
    settings = properties.get("attrs")
    attributes = []
    for setting in settings if isinstance(settings, list) else []:
        if not isinstance(setting, dict) or len(setting) != 1:
            raise unusable
        [(name, value)] = setting.items()
        if not isinstance(value, str):
            raise unusable
        attributes.append(MdevAttribute(name=name, value=value))
    mdev = MdevCapability(type_id=kind, uuid=uuid, parent_addr=address, iommu_group=0, attributes=attributes)
    device = NodeDevice(
        name=re.sub("[^A-Za-z0-9]", "_", f"mdev_{uuid}_{address}"),
        parent=ParentDevice(name=parent),
        capabilities=[mdev],
    )
    return ListedDevice(device, properties.get("start") == "auto")
