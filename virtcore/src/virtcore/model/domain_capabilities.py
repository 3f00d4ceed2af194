"""``<domainCapabilities>``: what guests of one emulator, machine and way to run can have
(``virConnectGetDomainCapabilities``)."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from virtcore.errors import ErrorCode
from virtcore.model.arch import Arch
from virtcore.model.cpu.element import CPUFeature, CPUModel, MaxPhysAddr
from virtcore.model.domain.domain import VirtType
from virtcore.xml import UINT, YES_NO, attribute, child, children, element, extras, leaf, scaled, text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from virtcore.xml import Extras

__all__ = [
    "CPUBlocker",
    "CPUModes",
    "CPUUsable",
    "CapabilityEnum",
    "CustomMode",
    "DeviceCapabilities",
    "DomainCapabilities",
    "EnumeratedCapability",
    "FeatureCapabilities",
    "HostModelMode",
    "LoaderCapability",
    "ModelBlockers",
    "OSCapability",
    "PassthroughMode",
    "SEVCapability",
    "SGXCapability",
    "SGXSection",
    "SelectableModel",
    "capability_enums",
    "format_domain_capabilities",
    "no_cpu_modes",
    "no_features",
    "offered",
    "parse_domain_capabilities",
]


class CPUUsable(StrEnum):
    """Whether a processor model runs on this host without changes."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


@element("enum")
class CapabilityEnum:
    """The values an attribute or element of the domain document may have."""

    name: str = attribute(required=True, doc="of what")
    values: list[str] = leaf("value")


@element(None)
class EnumeratedCapability:
    """Whether guests can have something, and which values are possible."""

    supported: bool = attribute(codec=YES_NO, required=True)
    enums: list[CapabilityEnum] = children("enum")

    def values(self, name: str) -> list[str]:
        """The possible values of one name; none where it is not known."""
        return next((enum.values for enum in self.enums if enum.name == name), [])


def offered(*, supported: bool = True, **enums: Iterable[str]) -> EnumeratedCapability:
    """Something that guests can have, with the values it may have; what they cannot have says nothing of values."""
    found = EnumeratedCapability(supported=supported)
    if supported:
        found.enums = capability_enums(**enums)
    return found


def capability_enums(**enums: Iterable[str]) -> list[CapabilityEnum]:
    """Names with the values they may have."""
    return [CapabilityEnum(name=name, values=[str(value) for value in values]) for name, values in enums.items()]


@element("loader")
class LoaderCapability:
    """Firmware that guests can have."""

    supported: bool = attribute(codec=YES_NO, required=True)
    images: list[str] = leaf("value", doc="paths")
    enums: list[CapabilityEnum] = children("enum")


@element("os")
class OSCapability:
    """How guests can boot."""

    supported: bool = attribute(codec=YES_NO, required=True)
    enums: list[CapabilityEnum] = children("enum")
    loader: LoaderCapability | None = child()


@element("mode", tag=frozenset({"host-passthrough", "maximum"}))
class PassthroughMode:
    """The host's processor as it is, or all that the hypervisor can do."""

    name: str = attribute(required=True, doc="host-passthrough or maximum")
    supported: bool = attribute(codec=YES_NO, required=True)
    enums: list[CapabilityEnum] = children("enum")


@element("mode", tag="host-model")
class HostModelMode:
    """A named model with features that comes close to the host's processor."""

    supported: bool = attribute(codec=YES_NO, required=True)
    model: CPUModel | None = child()
    vendor: str | None = leaf()
    maxphysaddr: MaxPhysAddr | None = child()
    features: list[CPUFeature] = children("feature")


@element("model")
class SelectableModel:
    """A processor model guests can name."""

    usable: CPUUsable = attribute(required=True, doc="whether it runs here", since="2.3.0")
    deprecated: bool | None = attribute(codec=YES_NO, omit=False, doc="it may go away", since="6.10.0")
    vendor: str | None = attribute(doc="vendor of such processors", since="8.9.0")
    canonical: str | None = attribute(doc="the versioned model it stands for", since="10.2.0")
    name: str = text(required=True)


@element("feature")
class CPUBlocker:
    """A feature that the host lacks."""

    name: str = attribute(required=True)


@element("blockers", since="10.2.0")
class ModelBlockers:
    """Why a model is not usable."""

    model: str = attribute(required=True)
    features: list[CPUBlocker] = children("feature")


@element("mode", tag="custom")
class CustomMode:
    """Processor models guests can name."""

    supported: bool = attribute(codec=YES_NO, required=True)
    models: list[SelectableModel | ModelBlockers] = children(doc="each followed by what is in its way")


@element("cpu", empty="open")
class CPUModes:
    """Where guests' processors can come from."""

    modes: list[PassthroughMode | HostModelMode | CustomMode] = children("mode", tag="@name")


def no_cpu_modes() -> CPUModes:
    """All modes, none of which guests can have."""
    return CPUModes(
        modes=[
            PassthroughMode(name="host-passthrough", supported=False),
            PassthroughMode(name="maximum", supported=False),
            HostModelMode(supported=False),
            CustomMode(supported=False),
        ]
    )


@element("devices", empty="open")
class DeviceCapabilities:
    """Devices guests can have."""

    disk: EnumeratedCapability | None = child("disk")
    graphics: EnumeratedCapability | None = child("graphics")
    video: EnumeratedCapability | None = child("video")
    hostdev: EnumeratedCapability | None = child("hostdev")
    rng: EnumeratedCapability | None = child("rng")
    filesystem: EnumeratedCapability | None = child("filesystem")
    tpm: EnumeratedCapability | None = child("tpm")
    redirdev: EnumeratedCapability | None = child("redirdev")
    channel: EnumeratedCapability | None = child("channel")
    crypto: EnumeratedCapability | None = child("crypto")
    interface: EnumeratedCapability | None = child("interface")
    panic: EnumeratedCapability | None = child("panic")


@element("sev")
class SEVCapability:
    """AMD's encryption of guests."""

    supported: bool = attribute(codec=YES_NO, required=True)
    cbitpos: int | None = leaf(codec=UINT, doc="position of the bit that marks encrypted pages")
    reduced_phys_bits: int | None = leaf("reducedPhysBits", codec=UINT, doc="bits of addresses that are lost")
    max_guests: int | None = leaf("maxGuests", codec=UINT)
    max_es_guests: int | None = leaf("maxESGuests", codec=UINT)
    cpu0_id: str | None = leaf("cpu0Id", doc="identifier of the first processor, base64")


@element("section")
class SGXSection:
    """Protected memory of a NUMA node."""

    node: int = attribute(codec=UINT, required=True)
    size: int = attribute(codec=scaled("KiB"), required=True, doc="in KiB")


@element("sgx")
class SGXCapability:
    """Intel's enclaves."""

    supported: bool = attribute(codec=YES_NO, required=True)
    flc: bool | None = leaf(codec=YES_NO, doc="flexible launch control")
    sgx1: bool | None = leaf(codec=YES_NO)
    sgx2: bool | None = leaf(codec=YES_NO)
    section_size: int | None = leaf(codec=scaled("KiB"), doc="protected memory, in KiB")
    sections: list[SGXSection] = children("section", within="sections")


def _simple(name: str | None = None) -> bool | None:
    """A feature that is there or not."""
    found: bool | None = attribute("supported", within=name, codec=YES_NO)
    return found


@element("features", empty="open")
class FeatureCapabilities:
    """What else guests can have."""

    gic: EnumeratedCapability | None = child("gic")
    vmcoreinfo: bool | None = _simple("vmcoreinfo")
    genid: bool | None = _simple("genid")
    backing_store_input: bool | None = _simple("backingStoreInput")
    backup: bool | None = _simple("backup")
    async_teardown: bool | None = _simple("async-teardown")
    s390_pv: bool | None = _simple("s390-pv")
    ps2: bool | None = _simple("ps2")
    sev: SEVCapability | None = child()
    sgx: SGXCapability | None = child()
    hyperv: EnumeratedCapability | None = child("hyperv")
    launch_security: EnumeratedCapability | None = child("launchSecurity")


def no_features() -> FeatureCapabilities:
    """What drivers of hypervisors without any of it answer for."""
    return FeatureCapabilities(
        gic=offered(supported=False),
        vmcoreinfo=False,
        genid=False,
        sev=SEVCapability(supported=False),
        sgx=SGXCapability(supported=False),
    )


@element("domainCapabilities", root=True)
class DomainCapabilities:
    """What guests of one emulator, machine and way to run can have."""

    path: str | None = leaf(doc="path of the emulator")
    domain: VirtType = leaf(
        required=True, invalid="invalid domain type {value}", code=ErrorCode.CONFIG_UNSUPPORTED, doc="what runs them"
    )
    machine: str | None = leaf(doc="machine type")
    arch: Arch = leaf(required=True, invalid="Unknown architecture {value}", doc="their architecture")
    max_vcpus: int | None = attribute("max", within="vcpu", codec=UINT, omit=0, doc="most vCPUs")
    iothreads: bool | None = attribute("supported", within="iothreads", codec=YES_NO)
    os: OSCapability | None = child()
    cpu: CPUModes | None = child()
    memory_backing: EnumeratedCapability | None = child("memoryBacking")
    devices: DeviceCapabilities | None = child()
    features: FeatureCapabilities | None = child()
    extra: Extras = extras()


def parse_domain_capabilities(source: str | bytes) -> DomainCapabilities:
    """Reads a domain capabilities document; what it does not know it keeps.

    :raises VirtError: it is malformed, or not one.
    """
    from virtcore.xml import parse

    return parse(source, DomainCapabilities, name="(domainCapabilities)")


def format_domain_capabilities(capabilities: DomainCapabilities) -> str:
    """The document as libvirt prints it."""
    from virtcore.xml import format

    return format(capabilities)
