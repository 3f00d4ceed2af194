"""Network interfaces, input, graphics, video and the small devices."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import TYPE_CHECKING

from virt_qemu.command.address import place, virtio
from virt_qemu.command.characters import add_chardev
from virt_qemu.command.line import Builder, unsupported
from virtcore.errors import InternalError
from virtcore.model.domain.address import ISAAddress
from virtcore.model.domain.input import EvdevInputSource, InputBus, InputType, PassthroughInputSource
from virtcore.model.domain.interface import InterfaceType, TXMode
from virtcore.model.domain.panic import PanicModel
from virtcore.model.domain.rng import BuiltinBackend, EGDBackend, RandomBackend
from virtcore.model.domain.video import VideoType
from virtcore.model.domain.watchdog import WatchdogAction, WatchdogModel

if TYPE_CHECKING:
    from virtcore.model.domain.interface import Interface
    from virtcore.model.domain.video import Video

__all__ = [
    "add_balloon",
    "add_inputs",
    "add_interfaces",
    "add_panics",
    "add_rngs",
    "add_videos",
    "add_watchdogs",
]

_VIRTIO_NETS = ("virtio", "virtio-transitional", "virtio-non-transitional")


def add_interfaces(builder: Builder, boot: Mapping[int, int]) -> None:
    """Network interfaces; those that need nothing of the host but a user's network."""
    devices = builder.domain.devices
    assert devices is not None
    for interface in devices.interfaces:
        if interface.type is not InterfaceType.USER:
            raise unsupported(f"a network interface of type '{interface.type}'")
        if interface.backend is not None and interface.backend.type is not None:
            raise unsupported(f"the network backend '{interface.backend.type}'")
        alias = interface.alias or ""
        _add_user_network(builder, interface, f"host{alias}")
        builder.device(_interface(builder, interface, boot))


def _add_user_network(builder: Builder, interface: Interface, name: str) -> None:
    props: dict[str, object] = {"type": "user"}
    for address in interface.ips:
        found = ipaddress.ip_address(str(address.address))
        if found.version == 4:
            props["net"] = f"{found}/{address.prefix}" if address.prefix else str(found)
        else:
            props |= {"ipv6-prefix": str(found), "ipv6-prefixlen": address.prefix or None}
    props["id"] = name
    if builder.capabilities.has("netdev.json"):
        builder.json("-netdev", props)
    else:
        plain = {key: value for key, value in props.items() if key != "type"}
        builder.options("-netdev", "user", plain)


def _interface(builder: Builder, interface: Interface, boot: Mapping[int, int]) -> dict[str, object]:
    driver = interface.driver
    props: dict[str, object]
    if interface.model in _VIRTIO_NETS:
        props = virtio("virtio-net", interface, interface.model, driver)
        if driver is not None:
            queues = driver.queues or 0
            props |= {
                "tx": {TXMode.IOTHREAD: "bh", TXMode.TIMER: "timer"}.get(driver.txmode) if driver.txmode else None,
                "ioeventfd": driver.ioeventfd,
                "event_idx": driver.event_idx,
            }
            if driver.host is not None:
                host = driver.host
                props |= {
                    "csum": host.csum,
                    "gso": host.gso,
                    "host_tso4": host.tso4,
                    "host_tso6": host.tso6,
                    "host_ecn": host.ecn,
                    "host_ufo": host.ufo,
                    "mrg_rxbuf": host.mrg_rxbuf,
                }
            if driver.guest is not None:
                guest = driver.guest
                props |= {
                    "guest_csum": guest.csum,
                    "guest_tso4": guest.tso4,
                    "guest_tso6": guest.tso6,
                    "guest_ecn": guest.ecn,
                    "guest_ufo": guest.ufo,
                }
            props |= {
                "mq": True if queues > 1 else None,
                "vectors": 2 * queues + 2 if queues > 1 else None,
                "rx_queue_size": driver.rx_queue_size or None,
                "tx_queue_size": driver.tx_queue_size or None,
                "rss": driver.rss,
                "hash": driver.rss_hash_report,
            }
        props["host_mtu"] = interface.mtu or None
    else:
        if interface.model is None:
            raise InternalError("a network interface was not completed")
        props = {"driver": interface.model}
    return (
        props
        | {
            "netdev": f"host{interface.alias}",
            "id": interface.alias,
            "mac": str(interface.mac.address) if interface.mac is not None else None,
            "bootindex": boot.get(id(interface)),
        }
        | place(builder, interface)
        | {
            "rombar": {True: 1, False: 0}.get(interface.rom_bar) if interface.rom_bar is not None else None,
            "romfile": "" if interface.rom_enabled is False else interface.rom_file,
        }
    )


def add_inputs(builder: Builder) -> None:
    """Mice, tablets, keyboards; those of PS/2 are built in."""
    devices = builder.domain.devices
    assert devices is not None
    names = {InputType.MOUSE: "mouse", InputType.TABLET: "tablet"}
    for device in devices.inputs:
        if device.bus is InputBus.PS2:
            continue
        if device.bus is InputBus.USB:
            name = names.get(device.type, "kbd")
            builder.device({"driver": f"usb-{name}", "id": device.alias} | place(builder, device))
        elif device.bus is InputBus.VIRTIO:
            kinds = names | {InputType.KEYBOARD: "keyboard", InputType.PASSTHROUGH: "input-host"}
            name = kinds[device.type]
            evdev = device.source.evdev if isinstance(device.source, PassthroughInputSource) else None
            builder.device(
                virtio(f"virtio-{name}", device, device.model, device.driver)
                | {"id": device.alias, "evdev": evdev}
                | place(builder, device)
            )
        elif isinstance(device.source, EvdevInputSource):
            source = device.source
            builder.object(
                {
                    "qom-type": "input-linux",
                    "id": device.alias,
                    "evdev": source.dev,
                    "repeat": source.repeat,
                    "grab_all": True if source.grab == "all" else None,
                    "grab-toggle": str(source.grab_toggle) if source.grab_toggle is not None else None,
                }
            )
        else:
            raise unsupported(f"an input device on bus '{device.bus}'")


_VGA_CARDS = {
    VideoType.VGA: "VGA",
    VideoType.CIRRUS: "cirrus-vga",
    VideoType.VMVGA: "vmware-svga",
    VideoType.QXL: "qxl-vga",
    VideoType.BOCHS: "bochs-display",
    VideoType.RAMFB: "ramfb",
}


def add_videos(builder: Builder) -> None:
    """Graphics cards."""
    devices = builder.domain.devices
    assert devices is not None
    for video in devices.videos:
        if video.model is None or video.model.type is VideoType.NONE:
            continue
        if video.driver is not None and video.driver.name == "vhostuser":
            raise unsupported("a graphics card in another process")
        builder.device(_video(builder, video) | place(builder, video))


def _video(builder: Builder, video: Video) -> dict[str, object]:
    model = video.model
    assert model is not None
    assert model.type is not None
    has = builder.capabilities.has
    kind = model.type
    accelerated = model.acceleration is not None and bool(model.acceleration.accel3d)
    props: dict[str, object]
    if kind is VideoType.VIRTIO:
        if model.primary and has("virtio-vga"):
            name = "virtio-vga-gl" if accelerated and has("virtio-vga-gl") else "virtio-vga"
            props = {"driver": name}
        else:
            gl = accelerated and has("virtio-gpu-gl-pci")
            props = virtio("virtio-gpu-gl" if gl else "virtio-gpu", video, None, video.driver)
    elif model.primary or kind in (VideoType.BOCHS, VideoType.RAMFB):
        if kind not in _VGA_CARDS:
            raise InternalError(f"invalid model for video type '{kind}'")
        props = {"driver": _VGA_CARDS[kind]}
    elif kind is VideoType.QXL:
        props = {"driver": "qxl"}
    else:
        raise InternalError(f"invalid model for video type '{kind}'")
    heads = model.heads or None if kind in (VideoType.QXL, VideoType.VIRTIO) else None
    props |= {"id": video.alias, "max_outputs": heads}
    if kind is VideoType.QXL:
        props |= {
            "ram_size": (model.ram or 0) << 10 or None,
            "vram_size": (model.vram or 0) << 10 or None,
            "vram64_size_mb": (model.vram64 or 0) >> 10,
            "vgamem_mb": (model.vgamem or 0) >> 10,
        }
    elif kind in (VideoType.VGA, VideoType.VMVGA):
        props["vgamem_mb"] = (model.vram or 0) >> 10 or None
    elif kind is VideoType.BOCHS:
        props["vgamem"] = (model.vram or 0) << 10 or None
    elif kind is VideoType.VIRTIO:
        props["blob"] = model.blob
    if model.resolution is not None:
        props |= {"xres": model.resolution.x or None, "yres": model.resolution.y or None}
    return props


def add_watchdogs(builder: Builder) -> None:
    """Watchdogs, and what happens when one expires."""
    devices = builder.domain.devices
    assert devices is not None
    if not devices.watchdogs:
        return
    for watchdog in devices.watchdogs:
        if watchdog.model is not WatchdogModel.ITCO:
            builder.device({"driver": str(watchdog.model), "id": watchdog.alias} | place(builder, watchdog))
    if any(watchdog.model is WatchdogModel.ITCO for watchdog in devices.watchdogs):
        builder.add("-global", "ICH9-LPC.noreboot=off")
    action = devices.watchdogs[0].action or WatchdogAction.RESET
    # QEMU cannot dump: it pauses, and the driver does the rest.
    builder.add("-watchdog-action", str(WatchdogAction.PAUSE if action is WatchdogAction.DUMP else action))


def add_balloon(builder: Builder) -> None:
    """The memory balloon."""
    devices = builder.domain.devices
    assert devices is not None
    balloon = devices.memballoon
    if balloon is None or balloon.model == "none":
        return
    builder.device(
        virtio("virtio-balloon", balloon, balloon.model, balloon.driver)
        | {
            "id": balloon.alias,
            "deflate-on-oom": balloon.autodeflate,
            "free-page-reporting": balloon.free_page_reporting,
        }
        | place(builder, balloon)
    )


def add_rngs(builder: Builder) -> None:
    """Random number generators."""
    devices = builder.domain.devices
    assert devices is not None
    for rng in devices.rngs:
        name = f"obj{rng.alias}"
        if isinstance(rng.backend, RandomBackend):
            builder.object({"qom-type": "rng-random", "id": name, "filename": rng.backend.path})
        elif isinstance(rng.backend, BuiltinBackend):
            builder.object({"qom-type": "rng-builtin", "id": name})
        else:
            assert isinstance(rng.backend, EGDBackend)
            chardev = add_chardev(builder, rng.backend, rng.alias or "")
            builder.object({"qom-type": "rng-egd", "id": name, "chardev": chardev})
        rate = rng.rate.bytes if rng.rate is not None else None
        period = (rng.rate.period or 1000) if rng.rate is not None and rate else None
        builder.device(
            virtio("virtio-rng", rng, rng.model, rng.driver)
            | {"rng": name, "id": rng.alias, "max-bytes": rate or None, "period": period}
            | place(builder, rng)
        )


def add_panics(builder: Builder) -> None:
    """Panic notifiers that are devices."""
    devices = builder.domain.devices
    assert devices is not None
    for panic in devices.panics:
        if panic.model is PanicModel.ISA:
            port = panic.address.iobase if isinstance(panic.address, ISAAddress) else None
            builder.device({"driver": "pvpanic", "ioport": port})
        elif panic.model is PanicModel.PVPANIC:
            builder.device({"driver": "pvpanic-pci"} | place(builder, panic))
