"""Network interfaces, input, graphics, video and the small devices."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virt_qemu.command.address import place, virtio
from virt_qemu.command.characters import add_chardev
from virt_qemu.command.line import Builder, unsupported
from virtcore.errors import InternalError
from virtcore.model.domain.address import ISAAddress
from virtcore.model.domain.input import EvdevInputSource, InputBus, InputType, PassthroughInputSource
from virtcore.model.domain.panic import PanicModel
from virtcore.model.domain.rng import BuiltinBackend, EGDBackend, RandomBackend
from virtcore.model.domain.video import VideoType
from virtcore.model.domain.watchdog import WatchdogAction, WatchdogModel

if TYPE_CHECKING:
    from virtcore.model.domain.input import Input
    from virtcore.model.domain.rng import RNG
    from virtcore.model.domain.video import Video
    from virtcore.model.domain.watchdog import Watchdog

__all__ = [
    "add_balloon",
    "add_input",
    "add_inputs",
    "add_panics",
    "add_rng",
    "add_rngs",
    "add_videos",
    "add_watchdog",
    "add_watchdogs",
    "watchdog_action",
]


def add_inputs(builder: Builder) -> None:
    """Mice, tablets, keyboards; those of PS/2 are built in."""
    devices = builder.domain.devices
    assert devices is not None
    for device in devices.inputs:
        add_input(builder, device)


def add_input(builder: Builder, device: Input) -> None:
    """A mouse, tablet, keyboard, or a device of the host that is one."""
    if device.bus is InputBus.PS2:
        return
    names = {InputType.MOUSE: "mouse", InputType.TABLET: "tablet"}
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
            number = builder.resources.vhost_user_gpu(video.alias or "")
            builder.options("-chardev", "socket", {"id": f"chr-vu-{video.alias}", "fd": number})
        builder.device(_video(builder, video) | place(builder, video))


def _video(builder: Builder, video: Video) -> dict[str, object]:
    model = video.model
    assert model is not None
    assert model.type is not None
    has = builder.capabilities.has
    kind = model.type
    accelerated = model.acceleration is not None and bool(model.acceleration.accel3d)
    props: dict[str, object]
    served = video.driver is not None and video.driver.name == "vhostuser"
    if kind is VideoType.VIRTIO and served:
        if model.primary and has("vhost-user-vga"):
            props = {"driver": "vhost-user-vga"}
        else:
            props = virtio("vhost-user-gpu", video, None, video.driver)
    elif kind is VideoType.VIRTIO:
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
        props["chardev"] = f"chr-vu-{video.alias}" if served else None
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
            add_watchdog(builder, watchdog)
    if any(watchdog.model is WatchdogModel.ITCO for watchdog in devices.watchdogs):
        builder.add("-global", "ICH9-LPC.noreboot=off")
    builder.add("-watchdog-action", watchdog_action(devices.watchdogs[0]))


def add_watchdog(builder: Builder, watchdog: Watchdog) -> None:
    """A watchdog that is a device."""
    builder.device({"driver": str(watchdog.model), "id": watchdog.alias} | place(builder, watchdog))


def watchdog_action(watchdog: Watchdog) -> str:
    """What QEMU does when a watchdog expires. It cannot dump: it pauses, and the driver does the rest."""
    action = watchdog.action or WatchdogAction.RESET
    return str(WatchdogAction.PAUSE if action is WatchdogAction.DUMP else action)


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
        add_rng(builder, rng)


def add_rng(builder: Builder, rng: RNG) -> None:
    """A random number generator."""
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
