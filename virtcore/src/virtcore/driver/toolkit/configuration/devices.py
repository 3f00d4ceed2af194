"""Devices of a configuration that come, go and change by themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from virtcore.errors import (
    ConfigUnsupported,
    DeviceMissing,
    InternalError,
    InvalidArg,
    OperationFailed,
    OperationInvalid,
    OperationUnsupported,
)

if TYPE_CHECKING:
    from virtcore.model.domain import Domain
    from virtcore.model.domain.rules import DomainContext, DomainRules

__all__ = [
    "LoadedDevice",
    "attach",
    "by_alias",
    "check_alias",
    "check_boot_order",
    "detach",
    "devices_of",
    "insert",
    "load_device",
    "matching",
    "remove",
    "same_device",
    "update_disk",
]

#: Element -> where its devices are, and what messages call their kind.
_KINDS = {
    "disk": ("disks", "disk"),
    "lease": ("leases", "lease"),
    "filesystem": ("filesystems", "filesystem"),
    "interface": ("interfaces", "interface"),
    "input": ("inputs", "input"),
    "sound": ("sounds", "sound"),
    "video": ("videos", "video"),
    "hostdev": ("hostdevs", "hostdev"),
    "watchdog": ("watchdogs", "watchdog"),
    "controller": ("controllers", "controller"),
    "graphics": ("graphics", "graphics"),
    "hub": ("hubs", "hub"),
    "redirdev": ("redirdevs", "redirdev"),
    "smartcard": ("smartcards", "smartcard"),
    "serial": ("serials", "chr"),
    "parallel": ("parallels", "chr"),
    "console": ("consoles", "chr"),
    "channel": ("channels", "chr"),
    "memballoon": ("memballoon", "memballoon"),
    "nvram": ("nvram", "nvram"),
    "rng": ("rngs", "rng"),
    "shmem": ("shmems", "shmem"),
    "tpm": ("tpms", "tpm"),
    "panic": ("panics", "panic"),
    "memory": ("memory", "memory"),
    "iommu": ("iommu", "iommu"),
    "vsock": ("vsock", "vsock"),
    "audio": ("audios", "audio"),
    "crypto": ("cryptos", "crypto"),
    "pstore": ("pstore", "pstore"),
}


#: Kinds that are not taken out of definitions one by one.
_STAYING = frozenset(
    ("video", "graphics", "hub", "memballoon", "nvram", "panic", "iommu", "audio", "crypto", "pstore", "smartcard")
)


class LoadedDevice(NamedTuple):
    """A device, and where it is or would be in a configuration."""

    device: Any
    #: Name of the field of ``Devices``.
    field: str
    #: What messages call its kind.
    kind: str
    #: Its document said its MAC address; else that was made.
    has_mac: bool = True

    @property
    def alias(self) -> str | None:
        """Its name within the domain."""
        alias: str | None = getattr(self.device, "alias", None)
        return alias


def load_device(xml: str, domain: Domain, rules: DomainRules, context: DomainContext) -> LoadedDevice:
    """Read the document of a device and make of it what it would be in a domain (``virDomainDeviceDefParse``).

    :raises VirtError: it is refused.
    """
    import copy

    from virtcore.model.domain.devices import Devices
    from virtcore.model.domain.document import reading_mode
    from virtcore.model.domain.rules import ParseFlag
    from virtcore.model.domain.rules.devices import settle_devices
    from virtcore.xml.document import document
    from virtcore.xml.reader import parse_part

    tag = str(document(xml, "(device_definition)").tag)
    if tag not in _KINDS:
        raise ConfigUnsupported(f"unknown device type '{tag}'")
    field, kind = _KINDS[tag]
    device: Any = parse_part(xml, Devices, mode=reading_mode(context.flags), keep=False)
    has_mac = kind != "interface" or (device.mac is not None and device.mac.address is not None)
    port = device.target.port if field == "consoles" and device.target is not None else None
    # Alone in a domain that is otherwise the same: what is looked at is the device and what it depends on.
    alone = copy.copy(domain)
    alone.devices = Devices()
    held = getattr(alone.devices, field)
    if isinstance(held, list):
        held.append(device)
    else:
        setattr(alone.devices, field, device)
    settle_devices(alone, context)
    if field == "consoles" and device.target is not None:
        # It is numbered as the last one of all, unless its document says otherwise.
        device.target.port = port if port is not None else len(devices_of(domain, field))
    rules.complete_device(device, domain, context)
    if not context.has(ParseFlag.SKIP_VALIDATE):
        rules.check_device(device, domain, context)
    return LoadedDevice(device, field, kind, has_mac)


def devices_of(domain: Domain, field: str) -> list[Any]:
    """The devices in a field of a configuration, which may hold one only."""
    held = getattr(domain.devices, field, None)
    if isinstance(held, list):
        return held
    return [] if held is None else [held]


def check_alias(domain: Domain, device: object) -> None:
    """Refuse a device that is called as another one is."""
    alias = getattr(device, "alias", None)
    if alias is None:
        return
    from virtcore.model.domain.rules.device_list import iterate_devices

    if any(getattr(other, "alias", None) == alias for other in iterate_devices(domain)):
        raise ConfigUnsupported(f"non unique alias detected: {alias}")


def check_boot_order(domain: Domain, device: object, old: object = None) -> None:
    """Refuse a device whose place in the boot order is taken.

    :param old: the device whose place it takes.
    """
    order = getattr(device, "boot_order", None)
    if not order:
        return
    if domain.os is not None and domain.os.boot:
        raise ConfigUnsupported("per-device boot elements cannot be used together with os/boot elements")
    from virtcore.model.domain.rules.device_list import iterate_devices

    for other in iterate_devices(domain):
        if other is not old and getattr(other, "boot_order", None) == order:
            raise ConfigUnsupported(f"boot order {order} is already used by another device")


# -- definitions


def attach(domain: Domain, loaded: LoadedDevice) -> None:
    """Add a device to a definition."""
    check_boot_order(domain, loaded.device)
    check_alias(domain, loaded.device)
    device, present = loaded.device, devices_of(domain, loaded.field)
    match loaded.kind:
        case "disk":
            name = device.target.dev
            if any(disk.target is not None and disk.target.dev == name for disk in present):
                raise OperationInvalid(f"target {name} already exists.")
        case "controller":
            same = [one for one in present if type(one) is type(device)]
            if device.index is not None and any(one.index == device.index for one in same):
                raise OperationInvalid(f"controller index='{device.index}' already exists")
        case "filesystem":
            if any(one.target == device.target for one in present):
                raise OperationInvalid("Target already exists")
        case "hostdev" | "shmem":
            if any(same_device(one, device) for one in present):
                raise OperationInvalid("device is already in the domain configuration")
        case "lease":
            for one in present:
                if (one.lockspace, one.key) == (device.lockspace, device.key):
                    raise OperationInvalid(f"Lease {device.key} in lockspace {device.lockspace or ''} already exists")
        case "vsock":
            if present:
                raise OperationInvalid("domain already has a vsock device")
        case "interface" | "sound" | "chr" | "redirdev" | "rng" | "memory" | "input" | "watchdog":
            pass
        case _:
            raise OperationUnsupported(f"persistent attach of device '{loaded.kind}' is not supported")
    insert(domain, loaded)


def insert(domain: Domain, loaded: LoadedDevice) -> None:
    """Put a device among those of a configuration, where it belongs."""
    from virtcore.model.domain.rules.device_list import devices_of as all_of, sort_controllers, sort_disks

    devices = all_of(domain)
    held = getattr(devices, loaded.field)
    if not isinstance(held, list):
        setattr(devices, loaded.field, loaded.device)
        return
    held.append(loaded.device)
    if loaded.kind == "disk":
        devices.disks = sort_disks(held)
    elif loaded.kind == "controller":
        devices.controllers = sort_controllers(held)


def detach(domain: Domain, loaded: LoadedDevice) -> None:
    """Take the device that a document describes out of a definition."""
    if loaded.kind in (
        "video",
        "graphics",
        "hub",
        "memballoon",
        "nvram",
        "panic",
        "iommu",
        "audio",
        "crypto",
        "pstore",
    ):
        raise OperationUnsupported(f"persistent detach of device '{loaded.kind}' is not supported")
    remove(domain, matching(domain, loaded))


def remove(domain: Domain, found: LoadedDevice) -> None:
    """Take a device out of a configuration."""
    held = getattr(domain.devices, found.field)
    if isinstance(held, list):
        held[:] = [one for one in held if one is not found.device]
    else:
        setattr(domain.devices, found.field, None)


def update_disk(domain: Domain, loaded: LoadedDevice) -> None:
    """Put a disk in the place of the one with its target."""
    present = devices_of(domain, loaded.field)
    name = loaded.device.target.dev
    old = next((disk for disk in present if disk.target is not None and disk.target.dev == name), None)
    if old is None:
        raise InvalidArg(f"target {name} doesn't exist.")
    check_boot_order(domain, loaded.device, old)
    present[:] = [loaded.device if disk is old else disk for disk in present]


# -- finding one


def by_alias(domain: Domain, alias: str) -> LoadedDevice:
    """The device of an alias.

    :raises InternalError: there is none.
    """
    for field, kind in _KINDS.values():
        for device in devices_of(domain, field):
            if getattr(device, "alias", None) == alias:
                return LoadedDevice(device, field, kind)
    raise InternalError(f"no device found with alias {alias}")


def matching(domain: Domain, loaded: LoadedDevice) -> LoadedDevice:
    """The device of a configuration that a document describes, by what tells such devices from each other.

    :raises DeviceMissing: there is none.
    """
    present = devices_of(domain, loaded.field)
    if loaded.kind == "interface":
        return loaded._replace(device=_interface(present, loaded))
    device = loaded.device
    match loaded.kind:
        case "disk":
            name = device.target.dev
            found = [disk for disk in present if disk.target is not None and disk.target.dev == name]
            missing = f"no target device {name}"
        case "controller":
            found = [one for one in present if type(one) is type(device) and one.index == device.index]
            missing = "device not present in domain configuration"
        case "filesystem":
            found = [one for one in present if one.target == device.target]
            missing = "no matching filesystem device was found"
        case "lease":
            found = [one for one in present if (one.lockspace, one.key) == (device.lockspace, device.key)]
            missing = f"Lease {device.key} in lockspace {device.lockspace or ''} does not exist"
        case _:
            found = [one for one in present if same_device(one, device)]
            missing = "device not present in domain configuration"
    if not found:
        raise DeviceMissing(missing)
    return loaded._replace(device=found[0])


def same_device(one: Any, other: Any) -> bool:
    """Whether two devices differ in nothing but their names and addresses in the domain."""
    import copy

    if type(one) is not type(other):
        return False
    pair = copy.copy(one), copy.copy(other)
    for device in pair:
        for name in ("alias", "address", "boot_order"):
            if hasattr(device, name):
                setattr(device, name, None)
    return bool(pair[0] == pair[1])


def _interface(present: list[Any], loaded: LoadedDevice) -> Any:
    """The interface with a document's MAC address, address on the bus and alias, of which it has any."""
    wanted = loaded.device
    mac = wanted.mac.address if loaded.has_mac and wanted.mac is not None else None
    found = [
        one
        for one in present
        if (mac is None or (one.mac is not None and one.mac.address == mac))
        and (wanted.address is None or one.address == wanted.address)
        and (wanted.alias is None or one.alias == wanted.alias)
    ]
    described = f" matching MAC address {mac}" if mac is not None else ""
    if not found:
        raise DeviceMissing(f"no device{described} found" if described else "no matching device found")
    if len(found) > 1:
        raise OperationFailed(f"multiple devices{described} found" if described else "multiple matching devices found")
    return found[0]
