"""Random number generators: ``<rng>``."""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias

from virtcore.errors import ErrorCode
from virtcore.model.domain.address import Device
from virtcore.model.domain.chardev import CharacterType, ChardevSource
from virtcore.model.domain.disk import VirtioOptions
from virtcore.xml import attribute, child, element, text, union

__all__ = [
    "BuiltinBackend",
    "EGDBackend",
    "RNG",
    "RNGBackend",
    "RNGBackendModel",
    "RNGDriver",
    "RNGModel",
    "RNGRate",
    "RandomBackend",
]


class RNGModel(StrEnum):
    """Device the guest sees."""

    VIRTIO = "virtio"
    VIRTIO_TRANSITIONAL = "virtio-transitional"
    VIRTIO_NON_TRANSITIONAL = "virtio-non-transitional"


class RNGBackendModel(StrEnum):
    """Source of the random numbers."""

    RANDOM = "random"
    EGD = "egd"
    BUILTIN = "builtin"


@element("rate")
class RNGRate:
    """Limit of what the guest may draw."""

    bytes: int | None = attribute(blank=False, omit=0, invalid="invalid RNG rate bytes value", doc="bytes per period")
    period: int | None = attribute(
        blank=False, omit=0, invalid="invalid RNG rate period value", doc="milliseconds, 1000 by default"
    )


@element("backend", tag=RNGBackendModel.RANDOM)
class RandomBackend:
    """A device of the host."""

    path: str | None = text(doc="path of the device; /dev/random by default")


@element("backend", tag=RNGBackendModel.EGD)
class EGDBackend:
    """An entropy gathering daemon at the other end of a character device."""

    type: CharacterType | None = attribute(
        required=True,
        missing="missing EGD backend type",
        missing_code=ErrorCode.XML_ERROR,
        invalid="unknown backend type '{value}' for egd",
        code=ErrorCode.CONFIG_UNSUPPORTED,
        doc="kind of character device",
    )
    source: ChardevSource | None = union(tag="type", inline=True)


@element("backend", tag=RNGBackendModel.BUILTIN)
class BuiltinBackend:
    """The emulator's own generator."""


RNGBackend: TypeAlias = RandomBackend | EGDBackend | BuiltinBackend


@element("driver")
class RNGDriver(VirtioOptions):
    """Options of the virtio device."""


@element("rng")
class RNG(Device):
    """A paravirtual random number generator."""

    model: RNGModel = attribute(required=True, doc="device the guest sees")
    rate: RNGRate | None = child(shown=lambda self: bool(self.rate.bytes))
    backend: RNGBackend | None = child(
        tag="@model",
        required=True,
        missing="only one RNG backend is supported",
        repeat="refuse",
        repeated="only one RNG backend is supported",
    )
    driver: RNGDriver | None = child()
