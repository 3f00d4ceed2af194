"""Whether a guest can be given another document without seeing another machine."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from virtcore.errors import ConfigUnsupported
from virtcore.model.domain.address import (
    CCIDAddress,
    DIMMAddress,
    DriveAddress,
    PCIAddress,
    USBAddress,
    VirtioSerialAddress,
)
from virtcore.xml.declare import declaration

if TYPE_CHECKING:
    from virtcore.model.domain.domain import Domain

__all__ = ["check_stability"]

_Get = Callable[[Any], object]


class _Property(NamedTuple):
    """Something that has to stay: what messages call it, where it is."""

    noun: str
    get: _Get
    quoted: bool = False

    def check(self, old: object, new: object) -> None:
        was, becomes = self.get(old), self.get(new)
        if was != becomes:
            told = [_told(becomes), _told(was)]
            if self.quoted:
                told = [f"'{each}'" for each in told]
            raise ConfigUnsupported(f"Target {self.noun} {told[0]} does not match source {told[1]}")


def _told(value: object) -> str:
    return "<null>" if value is None else str(value)


def _path(*names: str) -> _Get:
    """What is at the end of a path of attributes; None where something on it is not."""

    def get(start: object) -> object:
        value: object = start
        for name in names:
            value = getattr(value, name, None)
            if value is None:
                return None
        return value

    return get


def _kind(device: object) -> object:
    """What the class of a device stands for, as its document says it."""
    tag = declaration(type(device)).tag
    return tag[-1] if isinstance(tag, tuple) else tag


_DOMAIN = (
    _Property("domain virt type", _path("type")),
    _Property("domain uuid", _path("uuid")),
    _Property("domain name", _path("name"), quoted=True),
    _Property("domain max memory", _path("memory_total")),
    _Property("domain current memory", lambda domain: domain.current_memory or domain.memory_total),
    _Property("domain vCPU max", _path("vcpu_maximum")),
    _Property("domain vCPU count", _path("vcpu_count")),
    _Property("domain OS type", lambda domain: domain.os_type.value if domain.os_type is not None else None),
    _Property("domain architecture", _path("arch")),
    _Property("domain OS type", _path("machine")),
    _Property("domain SMBIOS mode", _path("os", "smbios", "mode")),
    _Property("CPU mode", _path("cpu", "mode")),
    _Property("CPU model", _path("cpu", "model", "name")),
    _Property("CPU vendor", _path("cpu", "vendor")),
)


class _Family(NamedTuple):
    """Devices of a kind: what messages call them, where they are, what of each has to stay."""

    noun: str
    get: Callable[[Any], list[Any]]
    properties: tuple[_Property, ...] = ()


def _list(name: str) -> Callable[[Any], list[Any]]:
    return lambda devices: list(getattr(devices, name))


_FAMILIES = (
    _Family(
        "domain disk count",
        _list("disks"),
        (
            _Property("disk device", _path("device")),
            _Property("disk bus", _path("target", "bus")),
            _Property("disk", _path("target", "dev")),
            _Property("disk serial", _path("serial")),
            _Property("disk wwn", _path("wwn")),
            _Property("disk access mode", lambda disk: bool(disk.readonly)),
        ),
    ),
    _Family(
        "domain controller count",
        _list("controllers"),
        (
            _Property("controller type", _kind),
            _Property("controller index", _path("index")),
            _Property("controller model", _path("model")),
        ),
    ),
    _Family("domain filesystem count", _list("filesystems"), (_Property("guest filesystem", _path("target", "dir")),)),
    _Family(
        "domain net card count",
        _list("interfaces"),
        (
            _Property("network card mac", _path("mac", "address")),
            _Property("network card model", _path("model", "type")),
        ),
    ),
    _Family(
        "domain input device count",
        _list("inputs"),
        (_Property("input device type", _path("type")), _Property("input device bus", _path("bus"))),
    ),
    _Family("domain sound card count", _list("sounds"), (_Property("sound card model", _path("model")),)),
    _Family(
        "domain video card count",
        _list("videos"),
        (
            _Property("video card model", _path("model", "type")),
            _Property("video card vram", _path("model", "vram")),
            _Property("video card heads", _path("model", "heads")),
        ),
    ),
    _Family("domain host device count", _list("hostdevs"), (_Property("host device type", _kind),)),
    _Family("domain smartcard count", _list("smartcards")),
    _Family("domain serial port count", _list("serials"), (_Property("serial type", _path("target", "type")),)),
    _Family("domain parallel port count", _list("parallels")),
    _Family("domain channel count", _list("channels"), (_Property("channel name", _path("target", "name")),)),
    _Family("domain hub device count", _list("hubs")),
    _Family("domain redirected devices count", _list("redirdevs")),
    _Family("domain RNG device count", _list("rngs"), (_Property("RNG model", _path("model")),)),
    _Family("domain memory device count", _list("memory"), (_Property("memory device model", _path("model")),)),
    _Family("domain TPM device count", _list("tpms"), (_Property("TPM device model", _path("model")),)),
    _Family("domain shared memory device count", _list("shmems"), (_Property("shared memory name", _path("name")),)),
    _Family("domain panic device count", _list("panics"), (_Property("panic model", _path("model")),)),
    _Family("domain watchdog count", _list("watchdogs"), (_Property("watchdog model", _path("model")),)),
)
_BALLOON = _Property("balloon model", _path("memballoon", "model"))

#: Parts of an address by its class, and how they are told.
_PARTS: dict[type, tuple[str, ...]] = {
    PCIAddress: ("domain", "bus", "slot", "function"),
    DriveAddress: ("controller", "bus", "target", "unit"),
    VirtioSerialAddress: ("controller", "bus", "port"),
    USBAddress: ("bus", "port"),
    CCIDAddress: ("controller", "slot"),
    DIMMAddress: ("slot", "base"),
}
_NAMES = {
    PCIAddress: "PCI address",
    DriveAddress: "drive address",
    VirtioSerialAddress: "virtio serial address",
    USBAddress: "USB address",
    CCIDAddress: "ccid address",
    DIMMAddress: "DIMM address",
}


def check_stability(old: Domain, new: Domain) -> None:
    """Refuse a document that makes another machine of a guest (``virDomainDefCheckABIStability``).

    Both are complete. What only the host sees may differ: where images are, addresses of the network, ...

    :raises ConfigUnsupported: it says what differs.
    """
    for each in _DOMAIN:
        each.check(old, new)
    _check_features(old, new)
    assert old.devices is not None
    assert new.devices is not None
    for family in _FAMILIES:
        were, become = family.get(old.devices), family.get(new.devices)
        _Property(family.noun, len).check(were, become)
        for was, becomes in zip(were, become, strict=True):
            for each in family.properties:
                each.check(was, becomes)
            _check_address(was, becomes)
    _BALLOON.check(old.devices, new.devices)


def _check_features(old: Domain, new: Domain) -> None:
    was, becomes = old.features, new.features
    for name in ("acpi", "apic", "pae", "hyperv", "kvm", "vmport", "smm", "gic", "ioapic"):
        first, second = getattr(was, name, None), getattr(becomes, name, None)
        if first != second:
            states = ["off" if each is None or each is False else "on" for each in (first, second)]
            raise ConfigUnsupported(
                f"State of feature '{name}' differs: source: '{states[0]}', destination: '{states[1]}'"
            )


def _check_address(was: Any, becomes: Any) -> None:
    old, new = getattr(was, "address", None), getattr(becomes, "address", None)
    if type(old) is not type(new):
        types = [_told(getattr(each, "type", "none")) for each in (new, old)]
        raise ConfigUnsupported(f"Target device address type {types[0]} does not match source {types[1]}")
    parts = _PARTS.get(type(old))
    if parts is None:
        return
    told = [":".join(_told(getattr(each, part, None)) for part in parts) for each in (new, old)]
    if isinstance(old, PCIAddress) and isinstance(new, PCIAddress):
        told = [
            f"{each.domain or 0:04x}:{each.bus or 0:02x}:{each.slot or 0:02x}.{each.function or 0}"
            for each in (new, old)
        ]
    if told[0] != told[1]:
        raise ConfigUnsupported(f"Target device {_NAMES[type(old)]} {told[0]} does not match source {told[1]}")
