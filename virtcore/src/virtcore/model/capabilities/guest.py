"""``<guest>``: a kind of guest that the host can run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtcore.errors import ErrorCode
from virtcore.xml import ON_OFF, UINT, YES_NO, attribute, child, children, element, flag, leaf, text

if TYPE_CHECKING:
    from virtcore.model.arch import Arch
    from virtcore.model.domain.domain import VirtType
    from virtcore.model.domain.os import OSType

__all__ = ["FeatureToggle", "Guest", "GuestArch", "GuestDomain", "GuestFeatures", "GuestMachine"]


@element("machine")
class GuestMachine:
    """A machine type."""

    canonical: str | None = attribute(doc="what it stands for")
    max_cpus: int | None = attribute("maxCpus", codec=UINT, omit=0, doc="most vCPUs")
    deprecated: bool | None = attribute(codec=YES_NO, omit=False, doc="it may go away", since="6.10.0")
    name: str = text(required=True, doc="its name")


@element("domain", empty="keep")
class GuestDomain:
    """A way to run the guest, and what is different then."""

    type: VirtType = attribute(
        required=True, invalid="invalid domain type {value}", code=ErrorCode.CONFIG_UNSUPPORTED, doc="what runs it"
    )
    emulator: str | None = leaf(doc="path of the emulator")
    loader: str | None = leaf(doc="path of the firmware")
    machines: list[GuestMachine] = children("machine")


@element("arch")
class GuestArch:
    """An architecture guests can have."""

    name: Arch = attribute(required=True, invalid="Unknown architecture {value}", doc="its name")
    wordsize: int | None = leaf(codec=UINT, doc="in bits")
    emulator: str | None = leaf(doc="path of the emulator")
    loader: str | None = leaf(doc="path of the firmware")
    machines: list[GuestMachine] = children("machine")
    domains: list[GuestDomain] = children("domain")


@element(None)
class FeatureToggle:
    """A feature that can be switched."""

    default: bool = attribute(codec=ON_OFF, required=True, doc="whether it is on")
    toggle: bool = attribute(codec=YES_NO, required=True, doc="whether it can be changed")


@element("features")
class GuestFeatures:
    """What such guests can have."""

    pae: bool = flag(doc="more than 4 GiB of memory with 32 bits")
    nonpae: bool = flag(doc="32 bits without PAE")
    ia64_be: bool = flag(doc="big endian Itanium")
    acpi: FeatureToggle | None = child("acpi")
    apic: FeatureToggle | None = child("apic")
    cpuselection: bool = flag(doc="``<cpu>``")
    deviceboot: bool = flag(doc="``<boot order=…>`` of devices")
    disksnapshot: FeatureToggle | None = child("disksnapshot", doc="disk-only snapshots")
    hap: FeatureToggle | None = child("hap", doc="hardware assisted paging")
    external_snapshot: bool = flag("externalSnapshot", doc="external snapshots can be deleted and returned to")


@element("guest")
class Guest:
    """A kind of guest that the host can run."""

    os_type: OSType | None = leaf(doc="kind of guest")
    arch: GuestArch | None = child("arch")
    features: GuestFeatures | None = child("features")
