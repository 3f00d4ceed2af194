"""What both formats have in common and is no device: name, memory, vCPUs, features, clock, reactions to events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virt_xen.host import machine_of
from virt_xen.rules import XenRules
from virtcore.errors import ConfigUnsupported, ConfSyntax, InternalError, InvalidArg
from virtcore.model.domain.clock import Clock, ClockBasis, ClockOffset, Timer, TimerMode, TimerName
from virtcore.model.domain.cputune import VCPUMaximum
from virtcore.model.domain.devices import Devices
from virtcore.model.domain.domain import Domain, LifecycleAction, VirtType
from virtcore.model.domain.features import (
    APIC,
    Features,
    RequiredState,
    StateFeature,
    XenFeatures,
    XenPassthrough,
    XenPassthroughMode,
)
from virtcore.model.domain.memory import Memory
from virtcore.model.domain.os import OS, OSType, OSVariant
from virtcore.model.domain.rules import ParseFlag
from virtcore.xml import CPU_SET, UUID

if TYPE_CHECKING:
    from virt_xen.config.settings import Output, Settings
    from virt_xen.host import XenHost
    from virtcore.model.domain.rules import DomainContext

__all__ = ["complete", "read_general", "write_general"]

_KINDS = {"pv": OSType.LINUX, "pvh": OSType.XENPVH, "hvm": OSType.HVM}
#: Twice what libvirt takes for the least memory of a Xen guest, in MiB.
_DEFAULT_MEMORY = 128
_LARGEST_MEMORY = 1 << 43
_LARGEST_INT = (1 << 31) - 1
_TSC_MODES = {
    "always_emulate": TimerMode.EMULATE,
    "native": TimerMode.NATIVE,
    "native_paravirt": TimerMode.PARAVIRT,
}
_TSC_NAMES = {mode: name for name, mode in _TSC_MODES.items()}


# -- reading


def read_general(settings: Settings, host: XenHost) -> Domain:
    """A domain with all that is no device.

    :raises VirtError: something is missing, or impossible.
    """
    name = settings.required("name")
    kind = _kind(settings)
    domain = Domain(
        type=VirtType.XEN,
        name=name,
        uuid=_uuid(settings),
        os=OS(type=OSVariant(type=kind, arch=host.arch, machine=machine_of(kind))),
        devices=Devices(),
    )
    _read_memory(settings, domain)
    domain.on_poweroff = _action(settings, "on_poweroff", LifecycleAction.DESTROY)
    domain.on_reboot = _action(settings, "on_reboot", LifecycleAction.RESTART)
    domain.on_crash = _action(settings, "on_crash", LifecycleAction.RESTART)
    _read_vcpus(settings, domain)
    domain.clock = _read_clock(settings, kind)
    _read_features(settings, domain)
    return domain


def _kind(settings: Settings) -> OSType:
    said = settings.string("type")
    if said is None:
        return OSType.HVM if settings.string("builder") == "hvm" else OSType.LINUX
    if said not in _KINDS:
        raise ConfigUnsupported(f"type {said} is not supported", value=said)
    return _KINDS[said]


def _uuid(settings: Settings) -> str | None:
    text = settings.string("uuid")
    if text is None:
        return None
    try:
        return str(UUID.read(text))
    except ValueError:
        raise ConfSyntax(f"{text} not parseable", value=text) from None


def _read_memory(settings: Settings, domain: Domain) -> None:
    current = settings.number("memory", _DEFAULT_MEMORY)
    most = settings.number("maxmem", current)
    if max(current, most) > _LARGEST_MEMORY:
        raise InternalError("config value memory was malformed", value=str(max(current, most)))
    domain.memory = Memory(size=most * 1024)
    domain.current_memory = current * 1024


def _action(settings: Settings, name: str, default: LifecycleAction) -> LifecycleAction:
    text = settings.string(name)
    if text is None:
        return default
    try:
        return LifecycleAction(text)
    except ValueError:
        raise InternalError(f"unexpected value {text} for {name}", value=text) from None


def _read_vcpus(settings: Settings, domain: Domain) -> None:
    count = settings.number("vcpus", 1)
    most = settings.number("maxvcpus", 0) if settings.get("maxvcpus") is not None else count
    if not count or not most:
        raise ConfigUnsupported("domain config can't have 0 maximum vCPUs")
    if max(count, most) > _LARGEST_INT:
        raise InternalError("config value vcpus was malformed", value=str(max(count, most)))
    domain.vcpu = VCPUMaximum(maximum=most, current=count)
    cpus = settings.string("cpus")
    if cpus is not None:
        try:
            domain.vcpu.cpuset = CPU_SET.read(cpus)
        except ValueError:
            raise InvalidArg(f"Failed to parse bitmap '{cpus}'", value=cpus) from None


def _read_clock(settings: Settings, kind: OSType) -> Clock:
    local = settings.boolean("localtime", False)
    if kind is not OSType.HVM:
        # A paravirtual guest has no clock of its own that could go wrong.
        return Clock(offset=ClockOffset.LOCALTIME if local else ClockOffset.UTC, adjustment="reset")
    offset = settings.get("rtc_timeoffset")
    seconds = offset if isinstance(offset, int) and offset < 0 else settings.number("rtc_timeoffset", 0)
    if abs(seconds) > _LARGEST_INT:
        raise InternalError("config value rtc_timeoffset was malformed", value=str(seconds))
    return Clock(
        offset=ClockOffset.VARIABLE, adjustment=seconds, basis=ClockBasis.LOCALTIME if local else ClockBasis.UTC
    )


def _read_features(settings: Settings, domain: Domain) -> None:
    clock, features = domain.clock, Features()
    assert clock is not None
    mode = settings.string("tsc_mode")
    if mode is not None:
        clock.timers.append(Timer(name=TimerName.TSC, present=True, mode=_TSC_MODES.get(mode, TimerMode.AUTO)))
    passthrough = _passthrough(settings)
    xen = XenFeatures(passthrough=passthrough)
    if domain.os_type is OSType.HVM:
        features.pae = settings.boolean("pae", True) is True
        features.acpi = settings.boolean("acpi", True) is True
        features.apic = APIC() if settings.boolean("apic", True) else None
        features.hap = None if settings.boolean("hap", True) else StateFeature(state=False)
        features.viridian = settings.boolean("viridian", False) is True
        hpet = settings.boolean("hpet")
        if hpet is not None:
            clock.timers.append(Timer(name=TimerName.HPET, present=hpet))
    elif settings.boolean("e820_host", False):
        xen.e820_host = RequiredState(state=True)
    if xen != XenFeatures():
        features.xen = xen
    if features != Features():
        domain.features = features


def _passthrough(settings: Settings) -> XenPassthrough | None:
    said = settings.string("passthrough")
    if said is None or said == "disabled":
        return None
    if said == "enabled":
        return XenPassthrough(state=True)
    try:
        return XenPassthrough(state=True, mode=XenPassthroughMode(said))
    except ValueError:
        raise ConfSyntax(f"Invalid passthrough mode {said}", value=said) from None


def complete(domain: Domain, host: XenHost, context: DomainContext | None) -> None:
    """Fill in what a configuration leaves to libvirt. Unlike those of a document, its disks stay in their order.

    :param context: where UUIDs and MAC addresses come from.
    :raises VirtError: what was said contradicts itself.
    """
    assert domain.devices is not None
    disks = list(domain.devices.disks)
    rules = XenRules()
    rules.complete(domain, context or rules.context(ParseFlag.INACTIVE | ParseFlag.ABI_UPDATE, arch=host.arch))
    domain.devices.disks = disks


# -- writing


def write_general(domain: Domain, output: Output) -> None:
    """All that is no device, up to the emulator.

    :raises ConfigUnsupported: Xen has no word for it.
    """
    output.set("name", domain.name)
    output.set("uuid", domain.uuid)
    output.set("maxmem", -(-domain.memory_total // 1024))
    output.set("memory", -(-(domain.current_memory or 0) // 1024))
    if domain.vcpu_count < domain.vcpu_maximum:
        output.set("maxvcpus", domain.vcpu_maximum)
    output.set("vcpus", domain.vcpu_count)
    if domain.vcpu is not None and domain.vcpu.cpuset is not None:
        output.set("cpus", CPU_SET.write(domain.vcpu.cpuset))
    _write_features(domain, output)
    _write_clock(domain, output)
    output.set("on_poweroff", domain.on_poweroff or LifecycleAction.DESTROY)
    output.set("on_reboot", domain.on_reboot or LifecycleAction.RESTART)
    output.set("on_crash", domain.on_crash or LifecycleAction.DESTROY)
    assert domain.devices is not None
    output.set("device_model_override", domain.devices.emulator)


def _write_features(domain: Domain, output: Output) -> None:
    features = domain.features or Features()
    full = domain.os_type is OSType.HVM
    xen = features.xen
    if full:
        output.set("pae", features.pae)
        output.set("acpi", features.acpi)
        output.set("apic", features.apic is not None)
        if features.hap is not None and features.hap.state is False:
            output.set("hap", 0)
        output.set("viridian", features.viridian)
    elif xen is not None and xen.e820_host is not None and xen.e820_host.state:
        output.set("e820_host", 1)
    if xen is not None and xen.passthrough is not None and xen.passthrough.state:
        output.set("passthrough", xen.passthrough.mode or "enabled")
    for timer in domain.clock.timers if domain.clock is not None else ():
        if timer.name is TimerName.TSC:
            output.set("tsc_mode", _TSC_NAMES.get(timer.mode or TimerMode.AUTO, "default"))
        elif timer.name is TimerName.HPET and full:
            output.set("hpet", timer.present is not False)
        else:
            raise ConfigUnsupported(f"unsupported timer type (name) '{timer.name}'", value=timer.name)


def _write_clock(domain: Domain, output: Output) -> None:
    clock = domain.clock or Clock(offset=ClockOffset.UTC)
    offset = clock.offset or ClockOffset.UTC
    full = domain.os_type is OSType.HVM
    if offset is ClockOffset.VARIABLE and full:
        output.set("rtc_timeoffset", clock.adjustment if isinstance(clock.adjustment, int) else 0)
        output.set("localtime", clock.basis is ClockBasis.LOCALTIME)
        return
    if offset not in (ClockOffset.UTC, ClockOffset.LOCALTIME):
        raise ConfigUnsupported(f"unsupported clock offset='{offset}'", value=offset)
    if full:
        if clock.adjustment == "reset":
            raise ConfigUnsupported("unsupported clock adjustment='reset'")
        output.set("rtc_timeoffset", 0)
    output.set("localtime", offset is ClockOffset.LOCALTIME)
