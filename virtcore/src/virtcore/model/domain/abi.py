"""What a running guest sees of its machine, and may not see change (``virDomainDefCheckABIStability``): neither when it
is restored nor when it moves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from virtcore.errors import ConfigUnsupported
from virtcore.model.domain.address import PCIAddress

if TYPE_CHECKING:
    from virtcore.model.domain.domain import Domain

__all__ = ["check_abi"]


def _text(start: object, path: str, default: str = "") -> str:
    """A property as messages show it."""
    value: object = start
    for name in path.split("."):
        value = getattr(value, name, None)
    return default if value is None else str(value)


def _kind(device: object) -> str:
    """The kind of a device or address that has a class of its own."""
    return type(device).__name__.removesuffix("Controller").removesuffix("Address").lower()


#: Devices: the field that lists them, and what messages call them.
_DEVICES = (
    ("disks", "disk"),
    ("controllers", "controller"),
    ("filesystems", "filesystem"),
    ("interfaces", "net card"),
    ("inputs", "input device"),
    ("sounds", "sound card"),
    ("videos", "video card"),
    ("hostdevs", "host device"),
    ("smartcards", "smartcard"),
    ("serials", "serial port"),
    ("parallels", "parallel port"),
    ("channels", "channel"),
    ("consoles", "console"),
    ("hubs", "hub device"),
    ("redirdevs", "redirected devices"),
    ("rngs", "RNG device"),
    ("panics", "panic device"),
    ("shmems", "shared memory device"),
    ("memory", "memory device"),
    ("tpms", "TPM device"),
    ("watchdogs", "watchdog"),
    ("vsocks", "vsock"),
    ("iommus", "IOMMU device"),
)
#: Of a kind of device: what messages call a property, and the property.
_PROPERTIES: dict[str, tuple[tuple[str, Callable[[object], str]], ...]] = {
    "disks": (
        ("disk device", lambda disk: _text(disk, "device", "disk")),
        ("disk bus", lambda disk: _text(disk, "target.bus")),
        ("disk", lambda disk: _text(disk, "target.dev")),
        ("disk serial", lambda disk: _text(disk, "serial")),
        ("disk wwn", lambda disk: _text(disk, "wwn")),
        ("disk vendor", lambda disk: _text(disk, "vendor")),
        ("disk product", lambda disk: _text(disk, "product")),
    ),
    "controllers": (
        ("controller type", _kind),
        ("controller index", lambda controller: _text(controller, "index")),
        ("controller model", lambda controller: _text(controller, "model")),
    ),
    "interfaces": (
        ("network card mac", lambda interface: _text(interface, "mac.address")),
        ("network card model", lambda interface: _text(interface, "model")),
    ),
    "filesystems": (("guest target", lambda filesystem: _text(filesystem, "target")),),
    "inputs": (
        ("input device type", lambda input: _text(input, "type")),
        ("input device bus", lambda input: _text(input, "bus")),
    ),
    "sounds": (("sound card model", lambda sound: _text(sound, "model")),),
    "videos": (("video card model", lambda video: _text(video, "model.type")),),
    "watchdogs": (("watchdog model", lambda watchdog: _text(watchdog, "model")),),
    "rngs": (("RNG model", lambda rng: _text(rng, "model")),),
    "panics": (("panic model", lambda panic: _text(panic, "model")),),
    "tpms": (("TPM device model", lambda tpm: _text(tpm, "model")),),
}


def check_abi(source: Domain, target: Domain) -> None:
    """Refuse a configuration in which the guest of another would see another machine.

    :param source: the guest's.
    :param target: the one that is to take its place.
    :raises ConfigUnsupported: the first difference.
    """
    for what, mine, theirs in _machine(source, target):
        if mine != theirs:
            raise _differs(what, mine, theirs)
    for field, what in _DEVICES:
        known, other = _listed(source, field), _listed(target, field)
        if len(known) != len(other):
            raise ConfigUnsupported(f"Target domain {what} count {len(other)} does not match source {len(known)}")
        for one, another in zip(known, other, strict=True):
            _check_device(field, one, another)
    mine, theirs = (_text(domain, "devices.memballoon.model", "none") for domain in (source, target))
    if mine != theirs:
        raise _differs("balloon model", mine, theirs)


def _machine(source: Domain, target: Domain) -> Iterable[tuple[str, str, str]]:
    """What there is one of: what messages call it, the guest's and the other's."""

    def both(what: str, path: str) -> tuple[str, str, str]:
        return what, _text(source, path), _text(target, path)

    yield both("domain virt type", "type")
    yield both("domain uuid", "uuid")
    yield "domain name", f"'{source.name}'", f"'{target.name}'"
    yield both("domain max memory", "memory_total")
    yield both("domain vCPU max", "vcpu_maximum")
    yield both("domain OS type", "os_type")
    yield both("domain architecture", "arch")
    yield both("domain machine type", "machine")
    yield both("domain SMBIOS mode", "os.smbios.mode")
    yield both("CPU mode", "cpu.mode")
    yield both("CPU model", "cpu.model.name")
    yield both("CPU vendor", "cpu.vendor")
    for part in ("sockets", "dies", "cores", "threads"):
        yield both(f"CPU {part}", f"cpu.topology.{part}")


def _differs(what: str, mine: str, theirs: str) -> ConfigUnsupported:
    # libvirt names the target's first.
    return ConfigUnsupported(f"Target {what} {theirs} does not match source {mine}")


def _listed(domain: Domain, field: str) -> list[object]:
    found = getattr(domain.devices, field, None)
    return list(found) if isinstance(found, list) else []


def _check_device(field: str, known: object, other: object) -> None:
    for what, value in _PROPERTIES.get(field, ()):
        mine, theirs = value(known), value(other)
        if mine != theirs:
            raise _differs(what, mine, theirs)
    if field == "disks" and getattr(known, "readonly", None) != getattr(other, "readonly", None):
        raise ConfigUnsupported("Target disk access mode does not match source")
    _check_address(getattr(known, "address", None), getattr(other, "address", None))


def _check_address(known: object, other: object) -> None:
    if known == other or known is None or other is None:  # one that nobody has chosen yet is no other one
        return
    if type(known) is not type(other):
        raise _differs("device address type", _kind(known), _kind(other))
    if isinstance(known, PCIAddress) and isinstance(other, PCIAddress):
        mine, theirs = _pci(known), _pci(other)
        if mine != theirs:
            raise _differs("device PCI address", mine, theirs)
        return
    raise ConfigUnsupported(f"Target device {_kind(known)} address does not match source")


def _pci(address: PCIAddress) -> str:
    return f"{address.domain or 0:04x}:{address.bus or 0:02x}:{address.slot or 0:02x}.{address.function or 0:x}"
