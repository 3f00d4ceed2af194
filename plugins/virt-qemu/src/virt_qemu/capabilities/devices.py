"""Which models of devices an emulator has: what domain capabilities tell is what definitions may ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtcore.model.domain.video import VideoType

if TYPE_CHECKING:
    from virt_qemu.capabilities.model import EmulatorCapabilities

__all__ = ["TRANSITIONAL", "choose", "rng_models", "video_models"]

#: The capability to have virtio devices of either generation.
TRANSITIONAL = "virtio-pci-non-transitional"


def choose(capabilities: EmulatorCapabilities, *rows: tuple[str, str | None]) -> list[str]:
    """The values whose capability is there; those that need none always."""
    return [value for value, flag in rows if flag is None or capabilities.has(flag)]


def video_models(capabilities: EmulatorCapabilities) -> list[str]:
    """Models of graphics cards."""
    return choose(
        capabilities,
        (VideoType.VGA, "VGA"),
        (VideoType.CIRRUS, "cirrus-vga"),
        (VideoType.VMVGA, "vmware-svga"),
        (VideoType.QXL, "qxl"),
        (VideoType.VIRTIO, "virtio-gpu"),
        (VideoType.NONE, None),
        (VideoType.BOCHS, "bochs-display"),
        (VideoType.RAMFB, "ramfb"),
    )


def rng_models(capabilities: EmulatorCapabilities) -> list[str]:
    """Models of random number generators."""
    return choose(
        capabilities,
        ("virtio", "virtio-rng"),
        ("virtio-transitional", TRANSITIONAL),
        ("virtio-non-transitional", TRANSITIONAL),
    )
