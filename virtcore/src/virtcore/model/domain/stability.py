"""Whether a guest can be given another document without seeing another machine."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from virtcore.errors import ConfigUnsupported
from virtcore.model.cpu import CPUFeaturePolicy
from virtcore.model.domain.address import (
    CCIDAddress,
    DIMMAddress,
    DriveAddress,
    ISAAddress,
    PCIAddress,
    VirtioSerialAddress,
)
from virtcore.model.domain.addresses.pci import spell
from virtcore.xml.declare import declaration

if TYPE_CHECKING:
    from virtcore.model.cpu.element import GuestCPU
    from virtcore.model.domain.domain import Domain

__all__ = ["check_stability"]

_Get = Callable[[Any], object]


#: How libvirt says it of most things, and of those whose values it does not tell.
_PLAIN = "Target {noun} {new} does not match source {old}"
_BARE = "Target {noun} does not match source"
_BRIEF = "Target {noun} doesn't match source"


def _again(what: str = "", negation: str = "does not") -> str:
    """What is quoted, and said again at the source."""
    return f"Target {{noun}} '{{new}}' {negation} match source {what}'{{old}}'"


_QUOTED = _again()


class _Property(NamedTuple):
    """Something that has to stay: what messages call it, where it is, how they say it."""

    noun: str
    get: _Get
    form: str = _PLAIN

    def check(self, old: object, new: object) -> None:
        was, becomes = self.get(old), self.get(new)
        if was != becomes:
            raise ConfigUnsupported(self.form.format(noun=self.noun, new=_told(becomes), old=_told(was)))


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


def _kind(at: int = -1) -> _Get:
    """What a class stands for, as its document says it; of several such values one."""

    def get(part: object) -> object:
        tag = declaration(type(part)).tag
        return tag[at] if isinstance(tag, tuple) else tag

    return get


def _numbers(*names: str) -> _Get:
    """Some numbers of an address; those that are not given are 0."""
    return lambda address: ":".join(str(getattr(address, name) or 0) for name in names)


def _number(*names: str) -> _Get:
    """A number at the end of a path; 0 where there is none."""
    get = _path(*names)
    return lambda start: get(start) or 0


_DOMAIN = (
    _Property("domain virt type", _path("type")),
    _Property("domain uuid", _path("uuid")),
    _Property("domain name", _path("name"), _QUOTED),
    _Property("domain max memory", _path("memory_total")),
    _Property("domain current memory", lambda domain: domain.current_memory or domain.memory_total),
    _Property("maximum memory size", _number("max_memory", "size"), _again(negation="doesn't")),
    _Property(
        "domain memory slots count",
        _number("max_memory", "slots"),
        _again(negation="doesn't"),
    ),
    _Property("domain vCPU max", _path("vcpu_maximum")),
    _Property("domain OS type", lambda domain: domain.os_type.value if domain.os_type is not None else None),
    _Property("domain architecture", _path("arch")),
    _Property("domain machine type", _path("machine")),
    _Property("domain SMBIOS mode", _path("os", "smbios", "mode")),
)
_CPU = (
    _Property("CPU mode", _path("mode")),
    _Property("CPU check", _path("check")),
    _Property("CPU model", _path("model", "name")),
    _Property("CPU vendor", _path("vendor")),
    _Property("CPU vendor id", _path("model", "vendor_id")),
    _Property("CPU sockets", _number("topology", "sockets")),
    _Property("CPU dies", _number("topology", "dies")),
    _Property("CPU cores", _number("topology", "cores")),
    _Property("CPU threads", _number("topology", "threads")),
    _Property("CPU feature count", lambda cpu: len(cpu.features)),
)
_CPU_FEATURE = (
    _Property("CPU feature", _path("name")),
    _Property("CPU feature policy", lambda feature: feature.policy or CPUFeaturePolicy.REQUIRE),
)


def _place(channel: Any) -> str:
    """Where connections of the guest become a channel."""
    target = channel.target
    return f"{getattr(target, 'address', None) or ''}:{getattr(target, 'port', None) or 0}"


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
            _Property("disk wwn", _path("wwn"), _QUOTED),
            _Property("disk access mode", lambda disk: bool(disk.readonly), _BARE),
            _Property("disk model", _path("model")),
            _Property(
                "disk rotation rate",
                _number("target", "rotation_rate"),
                "Target {noun} {new} RPM does not match source {old} RPM",
            ),
            _Property("disk queue count", _number("driver", "queues")),
            _Property("disk queue size", _number("driver", "queue_size")),
        ),
    ),
    _Family(
        "domain controller count",
        _list("controllers"),
        (
            _Property("controller type", _kind()),
            _Property("controller index", _path("index")),
            _Property("controller model", _path("model")),
            _Property("controller ports", _path("ports")),
            _Property("controller vectors", _path("vectors")),
        ),
    ),
    _Family(
        "domain filesystem count",
        _list("filesystems"),
        (
            _Property("filesystem guest target", _path("target")),
            _Property("filesystem access mode", _path("accessmode"), _BARE),
            _Property("filesystem model", _path("model"), _BARE),
        ),
    ),
    _Family(
        "domain net card count",
        _list("interfaces"),
        (
            _Property("network card mac", _path("mac", "address")),
            _Property("network card model", _path("model", "type")),
            _Property("network card MTU", _number("mtu")),
        ),
    ),
    _Family(
        "domain input device count",
        _list("inputs"),
        (
            _Property("input device type", _path("type")),
            _Property("input device bus", _path("bus")),
            _Property("input model", _path("model")),
        ),
    ),
    _Family("domain sound card count", _list("sounds"), (_Property("sound card model", _path("model")),)),
    _Family(
        "domain video card count",
        _list("videos"),
        (
            _Property("video card model", _path("model", "type")),
            _Property("video card ram", _number("model", "ram")),
            _Property("video card vram", _number("model", "vram")),
            _Property("video card vram64", _number("model", "vram64")),
            _Property("video card vgamem", _number("model", "vgamem")),
            _Property("video card heads", _number("model", "heads")),
        ),
    ),
    _Family(
        "domain host device count",
        _list("hostdevs"),
        (_Property("host device mode", _kind(0)), _Property("host device subsystem", _kind(1))),
    ),
    _Family("domain smartcard count", _list("smartcards")),
    _Family(
        "domain serial port count",
        _list("serials"),
        (
            _Property("serial type", _path("target", "type")),
            _Property("serial model", _path("target", "model")),
            _Property("serial port", _number("target", "port")),
        ),
    ),
    _Family("domain parallel port count", _list("parallels"), (_Property("parallel port", _number("target", "port")),)),
    _Family(
        "domain channel count",
        _list("channels"),
        (
            _Property("channel type", lambda channel: _kind()(channel.target)),
            _Property("channel name", _path("target", "name")),
            _Property("channel addr", _place),
        ),
    ),
    _Family("domain console count", _list("consoles"), (_Property("console type", _path("target", "type")),)),
    _Family("domain hub device count", _list("hubs"), (_Property("hub device type", _path("type")),)),
    _Family("domain redirected devices count", _list("redirdevs"), (_Property("redirected device bus", _path("bus")),)),
    _Family("domain watchdog count", _list("watchdogs"), (_Property("watchdog model", _path("model")),)),
    _Family("domain RNG device count", _list("rngs"), (_Property("RNG model", _path("model"), _QUOTED),)),
    _Family("domain panic device count", _list("panics"), (_Property("panic model", _path("model"), _QUOTED),)),
    _Family(
        "domain shared memory device count",
        _list("shmems"),
        (
            _Property("shared memory role", _path("role"), _again("role ")),
            _Property("shared memory model", _path("model"), _again("model ")),
            _Property("shared memory size", _number("size"), _again("size ")),
            _Property("shared memory server usage", lambda shmem: shmem.server is not None, _BRIEF),
        ),
    ),
    _Family(
        "domain TPM device count",
        _list("tpms"),
        (
            _Property("TPM device type", lambda tpm: _kind()(tpm.backend), _BRIEF),
            _Property("TPM device model", _path("model"), _BRIEF),
            _Property("TPM version", _path("backend", "version"), _BRIEF),
        ),
    ),
    _Family(
        "domain memory device count",
        _list("memory"),
        (
            _Property("memory device model", _kind(), _again("model ", negation="doesn't")),
            _Property(
                "memory device targetNode",
                _path("target", "node"),
                _again("targetNode ", negation="doesn't"),
            ),
            _Property(
                "memory device size",
                _path("target", "size"),
                _again("memory device size ", negation="doesn't"),
            ),
        ),
    ),
)
_BALLOON = _Property("balloon model", _path("memballoon", "model"))

_ADDRESS_TYPE = _Property("device address type", lambda address: "none" if address is None else _kind()(address))
_ADDRESSES: dict[type, tuple[_Property, ...]] = {
    PCIAddress: (_Property("device PCI address", spell),),
    DriveAddress: (_Property("device drive address", _numbers("controller", "bus", "unit")),),
    VirtioSerialAddress: (_Property("device virtio serial address", _numbers("controller", "bus", "port")),),
    CCIDAddress: (_Property("device ccid address", _numbers("controller", "slot")),),
    ISAAddress: (_Property("device isa address", _numbers("iobase", "irq")),),
    DIMMAddress: (
        _Property("device dimm slot", _numbers("slot")),
        _Property("device dimm base address", lambda address: f"{address.base or 0:x}", _QUOTED),
    ),
}


def check_stability(old: Domain, new: Domain) -> None:
    """Refuse a document that makes another machine of a guest (``virDomainDefCheckABIStability``).

    Both are complete. What only the host sees may differ: where images are, addresses of the network, ...

    :raises ConfigUnsupported: it says what differs.
    """
    for each in _DOMAIN:
        each.check(old, new)
    if old.vcpu_count != new.vcpu_count:
        first = min(old.vcpu_count, new.vcpu_count)
        raise ConfigUnsupported(f"State of vCPU '{first}' differs between source and destination definitions")
    _check_features(old, new)
    _check_cpu(old.cpu, new.cpu)
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


def _check_cpu(was: GuestCPU | None, becomes: GuestCPU | None) -> None:
    if was is None or becomes is None:
        if was is not becomes:
            raise ConfigUnsupported("Target CPU does not match source")
        return
    for each in _CPU:
        each.check(was, becomes)
    for old, new in zip(was.features, becomes.features, strict=True):
        for each in _CPU_FEATURE:
            each.check(old, new)


def _check_address(was: Any, becomes: Any) -> None:
    old, new = getattr(was, "address", None), getattr(becomes, "address", None)
    _ADDRESS_TYPE.check(old, new)
    for each in _ADDRESSES.get(type(old), ()):
        each.check(old, new)
