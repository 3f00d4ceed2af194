"""From a complete domain to QEMU's command line, in libvirt's order and with its identifiers.

A module per family of devices; what this driver cannot give a guest yet is refused, never left out.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from virt_qemu.command import (
    audio,
    characters,
    controllers,
    cpu,
    devices,
    disks,
    displays,
    filesystems,
    firmware,
    hostdevs,
    machine,
    memory,
    networks,
    numa,
    peripherals,
    security,
)
from virt_qemu.command.line import Builder, HostSettings, Resources, on_off
from virt_qemu.namespace import QemuCommandLine, QemuDeprecation, QemuOverride, find
from virtcore.errors import ConfigUnsupported
from virtcore.model.domain import Domain
from virtcore.model.domain.audio import PipewireAudio
from virtcore.model.domain.disk import DiskDevice
from virtcore.model.domain.os import BootDevice

__all__ = ["Builder", "HostSettings", "Resources", "boot_indexes", "build", "incoming_uri", "overrides_of"]


def boot_indexes(domain: Domain) -> dict[int, int]:
    """Place in the boot order of every device that has one, by ``id()`` of the device."""
    assert domain.devices is not None
    assert domain.os is not None
    places: dict[int, int] = {}
    found = domain.devices
    bootable = [*found.disks, *found.interfaces, *found.hostdevs, *found.redirdevs, *found.filesystems]
    for device in bootable:
        if device.boot_order is not None:
            places[id(device)] = device.boot_order
    classes = {kind: place for place, kind in enumerate(domain.os.boot, 1)}
    kinds = {DiskDevice.CDROM: BootDevice.CDROM, DiskDevice.FLOPPY: BootDevice.FD}
    for disk in domain.devices.disks:
        # The first device of a class stands for it.
        place = classes.pop(kinds.get(disk.device or DiskDevice.DISK, BootDevice.HD), None)
        if place is not None:
            places[id(disk)] = place
    network = classes.get(BootDevice.NETWORK)
    if network is not None and domain.devices.interfaces:
        places[id(domain.devices.interfaces[0])] = network
    return places


#: What the user wants to happen -> what QEMU does about deprecated input.
_REACTIONS = {"omit": ("hide", "accept"), "reject": ("hide", "reject"), "crash": ("hide", "crash")}


def _deprecation(builder: Builder) -> None:
    """What QEMU does when it is used in a deprecated way."""
    wanted = find(builder.domain, QemuDeprecation)
    behavior = wanted.behavior or "" if wanted is not None else builder.host.deprecation
    reaction = _REACTIONS.get(behavior)
    if reaction is not None:
        builder.json("-compat", {"deprecated-output": reaction[0], "deprecated-input": reaction[1]})


def overrides_of(domain: Domain) -> dict[str, dict[str, object]]:
    """Properties of devices that the user gives them, by alias; None for those taken away."""
    override = find(domain, QemuOverride)
    found: dict[str, dict[str, object]] = {}
    for device in override.devices if override is not None else ():
        changes = found.setdefault(device.alias, {})
        for change in device.frontend.properties if device.frontend is not None else ():
            value = change.value or ""
            if change.type == "remove":
                changes[change.name] = None
            elif change.type == "bool":
                changes[change.name] = value == "true"
            else:
                changes[change.name] = int(value, 0) if change.type in ("signed", "unsigned") else value
    return found


def _uuid(builder: Builder) -> None:
    builder.add("-uuid", builder.domain.uuid or "")


def _display(builder: Builder) -> None:
    if builder.domain.devices is not None and not builder.domain.devices.graphics:
        builder.add("-display", "none")
    builder.add("-no-user-config", "-nodefaults")


def _monitor(builder: Builder) -> None:
    where = {"path": f"{builder.state_folder}/monitor.sock"} if builder.standalone else {"fd": builder.monitor}
    builder.options("-chardev", "socket", {"id": "charmonitor"} | where | {"server": True, "wait": False})
    builder.add("-mon", "chardev=charmonitor,id=monitor,mode=control")


def _user_words(builder: Builder) -> None:
    """What the user adds to the command line, as it is."""
    words = find(builder.domain, QemuCommandLine)
    if words is not None:
        builder.add(*(argument.value for argument in words.arguments))
        builder.environment |= {variable.name: variable.value or "" for variable in words.variables}


def _sandbox(builder: Builder) -> None:
    wanted, able = builder.host.seccomp, builder.capabilities.has("seccomp-sandbox")
    if wanted > 0 and not able:
        raise ConfigUnsupported("QEMU does not support seccomp sandboxes")
    if wanted == 0 and able:
        builder.add("-sandbox", "off")
    elif able:
        denied = ("obsolete", "elevateprivileges", "spawn", "resourcecontrol")
        builder.add("-sandbox", ",".join(["on", *(f"{what}=deny" for what in denied)]))


def _async_teardown(builder: Builder) -> None:
    """Whether memory is given back after QEMU has ended."""
    features = builder.domain.features
    wanted = features.async_teardown.enabled if features is not None and features.async_teardown is not None else None
    if wanted is not None and builder.capabilities.has("run-with.async-teardown"):
        builder.add("-run-with", f"async-teardown={on_off(wanted)}")


def incoming_uri(source: str, descriptor: int) -> str:
    """Where QEMU takes a guest's state from: ``stdio`` is a descriptor it was handed, everything else is as it is."""
    return f"fd:{descriptor}" if source == "stdio" else source


def _incoming(builder: Builder) -> None:
    if builder.incoming is not None:
        builder.add("-incoming", builder.incoming)


def _message_format(builder: Builder) -> None:
    if builder.host.log_timestamp:
        builder.add("-msg", "timestamp=on")


_PIPEWIRE = "PIPEWIRE_RUNTIME_DIR"
#: Variables that QEMU inherits, in this order.
_INHERITED = ("LC_ALL", "LD_PRELOAD", "LD_LIBRARY_PATH", "PATH", "HOME", "USER", "LOGNAME", "TMPDIR")


def _environment(builder: Builder, inherited: Mapping[str, str]) -> dict[str, str]:
    """QEMU's environment: what it links to keeps its files in the guest's folder, not in whatever home there is."""
    known = {"PATH": os.defpath} | dict(inherited) | {"LC_ALL": "C"}
    environment = {name: known[name] for name in _INHERITED if name in known}
    folder = builder.state_folder
    if builder.privileged:
        environment["HOME"] = folder
        environment["XDG_DATA_HOME"] = f"{folder}/.local/share"
        environment["XDG_CACHE_HOME"] = f"{folder}/.cache"
        environment["XDG_CONFIG_HOME"] = f"{folder}/.config"
    else:
        environment["XDG_CACHE_HOME"] = f"{folder}/.cache"
    devices = builder.domain.devices
    if _PIPEWIRE in known and devices is not None and any(isinstance(each, PipewireAudio) for each in devices.audios):
        environment[_PIPEWIRE] = known[_PIPEWIRE]  # where the guest says no other
    return environment


def build(builder: Builder, inherited: Mapping[str, str]) -> list[str]:
    """The whole command line, the emulator first; the environment is ``builder.environment`` then.

    :param inherited: the environment of the process that starts the guest.
    :raises ConfigUnsupported: the guest has something that this emulator, or this driver, cannot give it.
    """
    domain = builder.domain
    assert domain.devices is not None
    assert domain.devices.emulator is not None
    builder.overrides = overrides_of(domain)
    boot = boot_indexes(domain)
    if builder.incoming is None:
        # A guest that runs elsewhere has the memory it has.
        memory.align_memory(domain)
    builder.hostdev_nodes, builder.node_index = disks.prepare_disks(domain, builder.host.image_tls)
    builder.environment |= _environment(builder, inherited)
    builder.add(domain.devices.emulator)
    steps: tuple[Callable[[Builder], None], ...] = (
        machine.add_name,
        _deprecation,
        machine.add_start,
        disks.add_reservations_helper,
        firmware.add_flash,
        machine.add_machine,
        machine.add_accelerator,
        cpu.add_cpu,
        firmware.add_firmware,
        memory.add_memory,
        machine.add_processors,
        disks.add_throttle_groups,
        numa.add_numa,
        _uuid,
        security.add_smbios,
        security.add_firmware_config,
        _display,
        _monitor,
        machine.add_clock,
        machine.add_power,
        machine.add_boot,
        peripherals.add_iommu,
        controllers.add_bridge_settings,
        controllers.add_controllers,
        memory.add_modules,
        peripherals.add_hubs,
        controllers.add_ccid_controllers,
        lambda each: disks.add_disks(each, boot),
        lambda each: filesystems.add_filesystems(each, boot),
        lambda each: networks.add_interfaces(each, boot),
        peripherals.add_smartcards,
        characters.add_serials,
        characters.add_parallels,
        characters.add_channels,
        characters.add_consoles,
        peripherals.add_tpms,
        devices.add_inputs,
        audio.add_audio,
        displays.add_graphics,
        devices.add_videos,
        audio.add_sounds,
        devices.add_watchdogs,
        lambda each: peripherals.add_redirdevs(each, boot),
        lambda each: networks.add_host_functions(each, boot),
        lambda each: hostdevs.add_hostdevs(each, boot),
        _incoming,
        devices.add_balloon,
        devices.add_rngs,
        peripherals.add_nvram,
        peripherals.add_generation_id,
        peripherals.add_vmcoreinfo,
        security.add_launch_security,
        _user_words,
        _sandbox,
        devices.add_panics,
        peripherals.add_shmems,
        peripherals.add_vsock,
        peripherals.add_cryptos,
        peripherals.add_pstore,
        _async_teardown,
        _message_format,
    )
    for step in steps:
        step(builder)
    return builder.argv
