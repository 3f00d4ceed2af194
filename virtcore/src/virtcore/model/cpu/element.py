"""``<cpu>``: the processor a guest asks for, or the one a host has."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from virtcore.errors import ErrorCode
from virtcore.model.patterns import FILLED
from virtcore.xml import INT, ON_OFF, UINT, ULONG, YES_NO, attribute, child, children, element, inherited, leaf, text

if TYPE_CHECKING:
    from virtcore.model.arch import Arch
    from virtcore.model.cpu.numa import NUMA

__all__ = [
    "CPUCache",
    "CPUCacheMode",
    "CPUCheck",
    "CPUFallback",
    "CPUFeature",
    "CPUFeaturePolicy",
    "CPUMatch",
    "CPUMode",
    "CPUModel",
    "CPUTopology",
    "GuestCPU",
    "HostCPU",
    "HostCPUCounter",
    "HostCPUFeature",
    "HostCPUSignature",
    "MaxPhysAddr",
    "MaxPhysAddrMode",
]


class CPUMode(StrEnum):
    """Where a guest's processor comes from."""

    CUSTOM = "custom"
    HOST_MODEL = "host-model"
    HOST_PASSTHROUGH = "host-passthrough"
    MAXIMUM = "maximum"


class CPUMatch(StrEnum):
    """How close the processor must be to what is described."""

    EXACT = "exact"
    MINIMUM = "minimum"
    STRICT = "strict"


class CPUCheck(StrEnum):
    """How the virtual processor is checked against the description when the guest starts."""

    DEFAULT = "default"
    NONE = "none"
    PARTIAL = "partial"
    FULL = "full"


class CPUFallback(StrEnum):
    """Whether a similar model may be used where the hypervisor lacks the named one."""

    ALLOW = "allow"
    FORBID = "forbid"


class CPUFeaturePolicy(StrEnum):
    """What a guest wants of a processor feature."""

    FORCE = "force"
    REQUIRE = "require"
    OPTIONAL = "optional"
    DISABLE = "disable"
    FORBID = "forbid"


class CPUCacheMode(StrEnum):
    """What the guest sees of processor caches."""

    EMULATE = "emulate"
    PASSTHROUGH = "passthrough"
    DISABLE = "disable"


class MaxPhysAddrMode(StrEnum):
    """Where the number of physical address bits comes from."""

    EMULATE = "emulate"
    PASSTHROUGH = "passthrough"


@element("model", doc="Name of a processor model.")
class CPUModel:
    fallback: CPUFallback | None = attribute(
        blank=False,
        invalid="Invalid fallback attribute",
        code=ErrorCode.CONFIG_UNSUPPORTED,
        shown=lambda self: self.name is not None,
        doc="Whether a similar one will do.",
        since="0.9.9",
    )
    vendor_id: str | None = attribute(blank=False, doc="Vendor the guest sees: 12 characters.", since="0.10.0")
    name: str | None = text(doc="The model's name.")


@element("topology", doc="How the CPUs are arranged.")
class CPUTopology:
    sockets: int = attribute(codec=UINT, required=True, nonzero=True)
    dies: int | None = attribute(codec=UINT, nonzero=True, doc="Per socket; 1 by default.", since="6.1.0")
    clusters: int | None = attribute(codec=UINT, nonzero=True, doc="Per die; 1 by default.", since="10.1.0")
    cores: int = attribute(codec=UINT, required=True, nonzero=True, doc="Per cluster.")
    threads: int = attribute(codec=UINT, required=True, nonzero=True, doc="Per core.")

    @property
    def total(self) -> int:
        """How many there are."""
        return self.sockets * (self.dies or 1) * (self.clusters or 1) * self.cores * self.threads


@element("cache", doc="What the guest sees of processor caches.", since="3.3.0")
class CPUCache:
    level: int | None = attribute(codec=INT, minimum=0, doc="Cache level, 1 to 3.")
    mode: CPUCacheMode = attribute(required=True)


@element("maxphysaddr", doc="Bits of a physical address.", since="8.7.0")
class MaxPhysAddr:
    mode: MaxPhysAddrMode = attribute(required=True)
    bits: int | None = attribute(codec=INT, minimum=0, doc="How many.")
    limit: int | None = attribute(codec=UINT, nonzero=True, doc="Most that are passed through.", since="9.3.0")


@element("feature", doc="A processor feature and what the guest wants of it.")
class CPUFeature:
    policy: CPUFeaturePolicy | None = attribute(
        demanded=True,
        invalid="Invalid CPU feature policy",
        code=ErrorCode.CONFIG_UNSUPPORTED,
        doc="``require`` by default.",
    )
    name: str = attribute(required=True, pattern=FILLED, missing="Invalid CPU feature name")


@element("feature", doc="A feature that the host's processor has beyond its model.")
class HostCPUFeature:
    name: str = attribute(required=True, pattern=FILLED, missing="Invalid CPU feature name")


@element(None, doc="What guest and host processors share, behind model and vendor.")
class _CPUParts:
    topology: CPUTopology | None = child("topology")
    cache: CPUCache | None = child("cache", repeat="refuse", repeated="at most one CPU cache element may be specified")
    maxphysaddr: MaxPhysAddr | None = child("maxphysaddr")


@element("cpu", doc="The processor a guest asks for.")
class GuestCPU(_CPUParts):
    mode: CPUMode | None = attribute(
        invalid="Invalid mode attribute '{value}'",
        code=ErrorCode.CONFIG_UNSUPPORTED,
        doc="Where it comes from; custom by default.",
        since="0.9.10",
    )
    match: CPUMatch | None = attribute(
        shown=lambda self: self.mode is CPUMode.CUSTOM, doc="How close it must be (custom); exact by default."
    )
    check: CPUCheck | None = attribute(omit=CPUCheck.DEFAULT, doc="How it is checked.", since="3.2.0")
    migratable: bool | None = attribute(
        codec=ON_OFF, doc="Leave out what would prevent migration (host-passthrough, maximum).", since="6.5.0"
    )
    deprecated_features: bool | None = attribute(
        codec=ON_OFF, doc="Whether deprecated features of the model stay on.", since="11.0.0"
    )
    model: CPUModel | None = child("model")
    vendor: str | None = leaf(doc="Vendor the host's processor must be of.", since="0.8.3")
    _parts = inherited()
    features: list[CPUFeature] = children("feature")
    numa: NUMA | None = child("numa")


@element("signature", doc="Family, model and stepping by which the processor names itself.")
class HostCPUSignature:
    family: int = attribute(codec=UINT, required=True, nonzero=True)
    model: int = attribute(codec=UINT, required=True)
    stepping: int = attribute(codec=UINT, required=True)


@element("counter", doc="A time source of the processor.")
class HostCPUCounter:
    name: str = attribute(required=True)
    frequency: int = attribute(codec=ULONG, required=True, doc="In Hz.")
    scaling: bool | None = attribute(codec=YES_NO, doc="Whether its frequency can be scaled for guests.")


@element("cpu", root=True, doc="The processor a host has.")
class HostCPU(_CPUParts):
    arch: Arch = leaf(
        required=True,
        missing="Missing CPU architecture",
        invalid="Unknown architecture {value}",
        doc="Its architecture.",
    )
    model: str = leaf(required=True, missing="Missing CPU model name", doc="The best fitting known model.")
    vendor: str | None = leaf()
    microcode: int | None = attribute(
        "version", within="microcode", codec=UINT, omit=0, invalid="invalid microcode version"
    )
    signature: HostCPUSignature | None = child("signature")
    counter: HostCPUCounter | None = child("counter")
    _parts = inherited()
    features: list[HostCPUFeature] = children("feature")
