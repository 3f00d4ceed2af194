"""What a domain is before it has devices: its kind, its memory, what it boots, what its machine is like."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virt_xen.config.boot import boot_letters
from virt_xen.config.characters import write_source
from virt_xen.config.cpu import OFF, VIRTUALIZATION, cells_of, distance
from virt_xen.config.displays import listen_address
from virt_xen.libxl.devices import defbool
from virt_xen.namespace import words_of
from virt_xen.rules import VIDEO_MEMORY, has_old_style_uefi, traditional_device_model
from virtcore.errors import ConfigUnsupported
from virtcore.model.cpu.element import CPUMode
from virtcore.model.domain.clock import Clock, ClockBasis, ClockOffset, TimerMode, TimerName
from virtcore.model.domain.controller import XenbusController
from virtcore.model.domain.features import Features, HyperV, HyperVMode, RequiredState
from virtcore.model.domain.graphics import MouseMode, SpiceGraphics
from virtcore.model.domain.input import InputBus, InputType
from virtcore.model.domain.os import ACPITableType, Firmware, OSType
from virtcore.model.domain.video import VideoType

if TYPE_CHECKING:
    from virt_xen.libxl.resources import JSON, Resources
    from virtcore.model.domain.domain import Domain

__all__ = ["build_information", "creation_information"]

_TSC_MODES = {
    TimerMode.NATIVE: "native",
    TimerMode.PARAVIRT: "native_paravirt",
    TimerMode.EMULATE: "always_emulate",
}
_INPUTS = (InputType.MOUSE, InputType.TABLET, InputType.KEYBOARD)
_MIB = 1024
#: Cards: libxl's name, and how libvirt calls those that have too little memory.
_CARDS = {
    VideoType.VGA: ("std", "VGA"),
    VideoType.XEN: ("std", "VGA"),
    VideoType.CIRRUS: ("cirrus", "CIRRUS"),
    VideoType.QXL: ("qxl", "QXL"),
}
#: Groups of Hyper-V interfaces that Xen has and a domain cannot name: base, time_ref_count, reference_tsc, crash_ctl.
_ALWAYS = (0, 2, 3, 6)
#: And those it can.
_ENLIGHTENMENTS = {
    "vapic": 5,
    "vpindex": 0,
    "synic": 7,
    "stimer": 8,
    "frequencies": 1,
    "tlbflush": 4,
    "ipi": 9,
}
_EVERY_ENLIGHTENMENT = 64


def kind_of(domain: Domain) -> str:
    """libxl's name for a kind of guest."""
    return {OSType.HVM: "hvm", OSType.XENPVH: "pvh"}.get(domain.os_type or OSType.LINUX, "pv")


def creation_information(domain: Domain) -> dict[str, JSON]:
    """``c_info``."""
    found: dict[str, JSON] = {"type": kind_of(domain)}
    features = domain.features or Features()
    if domain.os_type is OSType.HVM and features.hap is not None:
        found["hap"] = defbool(features.hap.state is not False)
    found["name"] = domain.name
    found["uuid"] = domain.uuid
    passthrough = features.xen.passthrough if features.xen is not None else None
    if passthrough is not None and passthrough.state:
        found["passthrough"] = passthrough.mode.value if passthrough.mode is not None else "enabled"
    return found


def build_information(domain: Domain, resources: Resources, framebuffers: list[dict[str, JSON]]) -> dict[str, JSON]:
    """``b_info``.

    :param framebuffers: of the displays, which a fully virtual guest's device model shows.
    :raises VirtError: Xen cannot do what the domain asks for.
    """
    devices = domain.devices
    assert devices is not None
    full = domain.os_type is OSType.HVM
    found: dict[str, JSON] = {
        "max_vcpus": domain.vcpu_maximum,
        "avail_vcpus": list(range(domain.vcpu_count)),
    }
    machine: dict[str, JSON] = {}
    _timers(domain, found, machine)
    found["max_memkb"] = domain.memory_total
    found["target_memkb"] = domain.current_memory
    if full and devices.videos:
        model = devices.videos[0].model
        found["video_memkb"] = (model.vram if model is not None else None) or 0
    found["shadow_memkb"] = resources.shadow_memory(domain.memory_total, domain.vcpu_maximum)
    _clock(domain, found)
    _nodes(domain, found)
    for controller in devices.controllers:
        if isinstance(controller, XenbusController):
            if controller.max_event_channels:
                found["event_channels"] = controller.max_event_channels
            if controller.max_grant_frames:
                found["max_grant_frames"] = controller.max_grant_frames
    if full and devices.emulator is not None:
        resources.check_emulator(devices.emulator)
        found["device_model_version"] = "qemu_xen_traditional" if traditional_device_model(domain) else "qemu_xen"
        found["device_model"] = devices.emulator
    words = words_of(domain)
    if words:
        found["extra"] = list(words)
    shares = domain.cputune.shares if domain.cputune is not None else None
    found["sched_params"] = {"weight": shares} if shares else {}
    if full:
        features = domain.features or Features()
        found["apic"] = defbool(features.apic is not None)
        found["acpi"] = defbool(features.acpi)
        _kernel(domain, found)
        _full_machine(domain, machine, resources, framebuffers)
    elif domain.os_type is OSType.XENPVH:
        _kernel(domain, found)
        _bootloader(domain, found, resources)
    else:
        _bootloader(domain, machine, resources)
        _kernel(domain, machine)
    found[f"type.{kind_of(domain)}"] = machine
    found["arch_arm"] = {}
    return found


def _timers(domain: Domain, found: dict[str, JSON], machine: dict[str, JSON]) -> None:
    for timer in domain.clock.timers if domain.clock is not None else ():
        if timer.name is TimerName.TSC:
            if timer.mode in _TSC_MODES:
                found["tsc_mode"] = _TSC_MODES[timer.mode]
        elif timer.name is TimerName.HPET and domain.os_type is OSType.HVM:
            if timer.present:
                machine["hpet"] = defbool(True)
        else:
            raise ConfigUnsupported(f"unsupported timer type (name) '{timer.name}'", value=timer.name)


def _clock(domain: Domain, found: dict[str, JSON]) -> None:
    clock = domain.clock or Clock(offset=ClockOffset.UTC)
    if clock.offset is ClockOffset.VARIABLE:
        if isinstance(clock.adjustment, int) and clock.adjustment:
            found["rtc_timeoffset"] = clock.adjustment
        if clock.basis is ClockBasis.LOCALTIME:
            found["localtime"] = defbool(True)
    elif clock.offset is ClockOffset.LOCALTIME:
        found["localtime"] = defbool(True)
    elif clock.offset not in (None, ClockOffset.UTC):
        raise ConfigUnsupported(f"unsupported clock offset '{clock.offset}'", value=clock.offset)


def _nodes(domain: Domain, found: dict[str, JSON]) -> None:
    """The guest's NUMA nodes, each on the host's node of the same number."""
    cells = cells_of(domain)
    nodes: list[JSON] = []
    for number, cell in enumerate(cells):
        if not cell.cpus:
            raise ConfigUnsupported(f"Incomplete vnuma configuration for vnode {number}")
        distances: list[JSON] = [distance(cell, other) for other in range(len(cells))]
        vcpus: list[JSON] = [*sorted(cell.cpus)]
        nodes.append({"memkb": cell.memory, "distances": distances, "pnode": number, "vcpus": vcpus})
    if nodes:
        found["vnuma_nodes"] = nodes


def _kernel(domain: Domain, found: dict[str, JSON]) -> None:
    assert domain.os is not None
    for name, value in (
        ("kernel", domain.os.kernel),
        ("cmdline", domain.os.cmdline),
        ("ramdisk", domain.os.initrd),
    ):
        if value is not None:
            found[name] = value


def _bootloader(domain: Domain, found: dict[str, JSON], resources: Resources) -> None:
    """What finds the kernel of a guest that has none."""
    assert domain.os is not None
    if domain.bootloader is not None:
        found["bootloader"] = domain.bootloader
    elif domain.os.kernel is None:
        found["bootloader"] = resources.bootloader
    if domain.bootloader_args is not None:
        # Whatever they are, libvirt hands them over as one word.
        found["bootloader_args"] = [domain.bootloader_args]


# -- fully virtual machines


def _full_machine(
    domain: Domain, machine: dict[str, JSON], resources: Resources, framebuffers: list[dict[str, JSON]]
) -> None:
    """``type.hvm``, in the order in which libxl writes it."""
    os, devices = domain.os, domain.devices
    assert os is not None
    assert devices is not None
    features = domain.features or Features()
    timers = dict(machine)
    machine.clear()
    uefi = has_old_style_uefi(domain)
    if uefi or os.firmware is Firmware.EFI:
        machine["bios"] = "ovmf"
    machine["pae"] = defbool(features.pae)
    if features.viridian:
        machine["viridian"] = defbool(True)
    if features.hyperv is not None:
        machine["viridian_enable"] = _enlightenments(features.hyperv)
    machine.update(timers)
    _nested(domain, machine, resources)
    if uefi and os.loader is not None and os.loader.path is not None:
        machine["system_firmware"] = os.loader.path
    for table in os.acpi_tables:
        if table.type is ACPITableType.RAWSET:
            machine["acpi_firmware"] = table.path
    _video(domain, machine)
    _displays(domain, machine, resources, framebuffers)
    _ports(domain, machine)
    machine["boot"] = boot_letters(os)
    on_usb = [device for device in devices.inputs if device.bus is InputBus.USB]
    if not all(device.type in _INPUTS for device in on_usb):
        raise ConfigUnsupported("Unknown input device type")
    if on_usb:
        machine["usbdevice_list"] = [device.type.value for device in on_usb]
    if devices.sounds:
        # libxl has one sound card.
        machine["soundhw"] = devices.sounds[0].model.value
    machine["rdm"] = {}


def _enlightenments(hyperv: HyperV) -> list[JSON]:
    if hyperv.mode is HyperVMode.PASSTHROUGH:
        return [*range(_EVERY_ENLIGHTENMENT)]
    found = set(_ALWAYS)
    for name, feature in vars(hyperv).items():
        if isinstance(feature, RequiredState) and feature.state:
            if name not in _ENLIGHTENMENTS:
                raise ConfigUnsupported(f"unsupported HyperV Enlightenment feature: {name}", value=name)
            found.add(_ENLIGHTENMENTS[name])
    return [*sorted(found)]


def _nested(domain: Domain, machine: dict[str, JSON], resources: Resources) -> None:
    cpu = domain.cpu
    if cpu is None or cpu.mode is not CPUMode.HOST_PASSTHROUGH:
        return
    nested = resources.nested
    for feature in cpu.features:
        if feature.name not in VIRTUALIZATION:
            raise ConfigUnsupported(f"CPU feature '{feature.name}' cannot be given to libxl by name")
        if feature.policy in OFF:
            nested = False
    machine["nested_hvm"] = defbool(nested)


def _video(domain: Domain, machine: dict[str, JSON]) -> None:
    assert domain.devices is not None
    if not domain.devices.videos:
        machine["nographic"] = defbool(True)
        machine["vga"] = {"kind": "none"}
        return
    model = domain.devices.videos[0].model
    kind = model.type if model is not None else None
    if model is None or kind not in _CARDS:
        raise ConfigUnsupported(f"video type {kind} is not supported by libxl")
    name, shown = _CARDS[kind]
    # What a card gets by itself is the least it can have.
    needed = VIDEO_MEMORY[kind][traditional_device_model(domain)]
    if (model.vram or 0) < needed:
        raise ConfigUnsupported(f"videoram must be at least {needed // _MIB}MB for {shown}")
    machine["vga"] = {"kind": name}


def _displays(
    domain: Domain, machine: dict[str, JSON], resources: Resources, framebuffers: list[dict[str, JSON]]
) -> None:
    """The device model's display: Spice, or else what the first frame buffer is."""
    assert domain.devices is not None
    off: dict[str, JSON] = {"enable": defbool(False)}
    spice = next((graphics for graphics in domain.devices.graphics if isinstance(graphics, SpiceGraphics)), None)
    if spice is not None:
        machine.update({"vnc": off, "sdl": off, "spice": _spice(spice, resources)})
        if spice.keymap is not None:
            machine["keymap"] = spice.keymap
        return
    first = framebuffers[0] if framebuffers else {}
    machine["vnc"] = first.get("vnc", off)
    if "keymap" in first:
        machine["keymap"] = first["keymap"]
    machine["sdl"] = first.get("sdl", off)
    machine["spice"] = {}


def _spice(spice: SpiceGraphics, resources: Resources) -> dict[str, JSON]:
    if spice.autoport:
        spice.port = resources.display_port()
    found: dict[str, JSON] = {"enable": defbool(True)}
    if spice.port:
        found["port"] = spice.port
    if spice.tls_port:
        found["tls_port"] = spice.tls_port
    address = listen_address(spice)
    if address is not None:
        found["host"] = address
    found["disable_ticketing"] = defbool(spice.passwd is None)
    if spice.passwd is not None:
        found["passwd"] = spice.passwd
    found["agent_mouse"] = defbool(spice.mouse is not MouseMode.SERVER)
    found["vdagent"] = defbool(bool(spice.clipboard))
    found["clipboard_sharing"] = defbool(bool(spice.clipboard))
    return found


def _ports(domain: Domain, machine: dict[str, JSON]) -> None:
    assert domain.devices is not None
    serials = [write_source(serial.source, libxl=True) for serial in domain.devices.serials]
    if len(serials) == 1:
        machine["serial"] = serials[0]
    elif serials:
        machine["serial_list"] = [*serials]
    if domain.devices.parallels:
        raise ConfigUnsupported("Parallel devices are not supported by libxl")
