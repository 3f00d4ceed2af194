"""Input devices: ``<input>``."""

from __future__ import annotations

from enum import StrEnum

from virtcore.errors import ErrorCode
from virtcore.model.domain.address import Device
from virtcore.model.domain.disk import VirtioOptions
from virtcore.xml import ON_OFF, attribute, child, element, union

__all__ = [
    "EvdevInputSource",
    "GrabToggle",
    "Input",
    "InputBus",
    "InputDriver",
    "InputGrab",
    "InputModel",
    "InputType",
    "PassthroughInputSource",
    "is_default_keyboard",
]


class InputType(StrEnum):
    """Kind of input device."""

    MOUSE = "mouse"
    TABLET = "tablet"
    KEYBOARD = "keyboard"
    PASSTHROUGH = "passthrough"
    EVDEV = "evdev"


class InputBus(StrEnum):
    """Bus of an input device."""

    PS2 = "ps2"
    USB = "usb"
    XEN = "xen"
    PARALLELS = "parallels"
    VIRTIO = "virtio"
    NONE = "none"


class InputModel(StrEnum):
    """Variant of the virtio device."""

    VIRTIO = "virtio"
    VIRTIO_TRANSITIONAL = "virtio-transitional"
    VIRTIO_NON_TRANSITIONAL = "virtio-non-transitional"


class InputGrab(StrEnum):
    """Whether all input devices are grabbed together."""

    ALL = "all"


class GrabToggle(StrEnum):
    """Keys that release the grab."""

    CTRL_CTRL = "ctrl-ctrl"
    ALT_ALT = "alt-alt"
    SHIFT_SHIFT = "shift-shift"
    META_META = "meta-meta"
    SCROLLLOCK = "scrolllock"
    CTRL_SCROLLLOCK = "ctrl-scrolllock"


def is_default_keyboard(device: Input) -> bool:
    """Whether a device is a keyboard that documents did not have once: guests of some buses always have one."""
    return device.type is InputType.KEYBOARD and device.bus in (InputBus.PS2, InputBus.XEN)


@element("driver")
class InputDriver(VirtioOptions):
    """Options of the virtio device."""


@element("source", tag=InputType.PASSTHROUGH)
class PassthroughInputSource:
    """An event device of the host, given to the guest."""

    evdev: str | None = attribute(doc="path of the event device")


@element("source", tag=InputType.EVDEV)
class EvdevInputSource:
    """An event device of the host, whose events the emulator passes on."""

    dev: str | None = attribute(doc="path of the event device")
    grab: InputGrab | None = attribute(doc="grab all devices together")
    grab_toggle: GrabToggle | None = attribute("grabToggle", doc="keys that release the grab")
    repeat: bool | None = attribute(codec=ON_OFF, doc="repeat keys that are held")


@element("input")
class Input(Device):
    """A mouse, tablet, keyboard or host event device."""

    type: InputType = attribute(
        required=True,
        missing="missing input device type",
        missing_code=ErrorCode.INTERNAL_ERROR,
        invalid="unknown input device type '{value}'",
        code=ErrorCode.CONFIG_UNSUPPORTED,
        doc="kind of device",
    )
    bus: InputBus | None = attribute(
        omit=InputBus.NONE,
        invalid="unknown input bus type '{value}'",
        code=ErrorCode.CONFIG_UNSUPPORTED,
        doc="bus it is on",
    )
    model: InputModel | None = attribute(
        invalid="unknown input model '{value}'",
        code=ErrorCode.CONFIG_UNSUPPORTED,
        doc="variant of the virtio device",
        since="5.2.0",
    )
    driver: InputDriver | None = child()
    source: PassthroughInputSource | EvdevInputSource | None = union(tag="type")
