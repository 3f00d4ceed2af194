"""``<host>``: what the host is and has."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from virtcore.model.cpu.element import HostCPUCounter, HostCPUSignature, _CPUParts
from virtcore.xml import (
    UINT,
    UUID,
    YES_NO,
    attribute,
    child,
    children,
    element,
    flag,
    flags,
    inherited,
    leaf,
    text,
)

if TYPE_CHECKING:
    from virtcore.model.arch import Arch
    from virtcore.model.capabilities.topology import HostCache, HostMemoryBandwidth, HostTopology
    from virtcore.model.cpu.element import HostCPUFeature

__all__ = [
    "BaseLabel",
    "Host",
    "HostFeature",
    "HostIOMMU",
    "HostProcessor",
    "MigrationFeatures",
    "PageSize",
    "PowerManagementFeatures",
    "SecurityModel",
]


class HostFeature(StrEnum):
    """What hypervisors that look for themselves find in the processor."""

    PAE = "pae"
    NONPAE = "nonpae"
    SVM = "svm"
    VMX = "vmx"
    HAP = "hap"


@element("pages")
class PageSize:
    """A size of memory pages the host has."""

    unit: str = attribute(required=True, doc="always KiB")
    size: int = attribute(codec=UINT, required=True, doc="in KiB")


@element("cpu", empty="open")
class HostProcessor(_CPUParts):
    """The host's processor."""

    arch: Arch | None = leaf(invalid="Unknown architecture {value}", doc="its architecture")
    capabilities: list[HostFeature] = flags(within="features")
    model: str | None = leaf(doc="the best fitting known model")
    vendor: str | None = leaf(doc="its vendor")
    microcode: int | None = attribute("version", within="microcode", codec=UINT, omit=0, doc="version of the microcode")
    signature: HostCPUSignature | None = child()
    counter: HostCPUCounter | None = child()
    _parts = inherited()
    features: list[HostCPUFeature] = children("feature", doc="features beyond the model")
    pages: list[PageSize] = children("pages")


@element("power_management", empty="keep")
class PowerManagementFeatures:
    """How the host can sleep."""

    suspend_mem: bool = flag(doc="to memory (S3)")
    suspend_disk: bool = flag(doc="to disk (S4)")
    suspend_hybrid: bool = flag(doc="to both")


@element("iommu")
class HostIOMMU:
    """Whether devices can be handed to guests safely."""

    support: bool = attribute(codec=YES_NO, required=True, doc="whether there is an IOMMU", since="2.5.0")


@element("migration_features", empty="open")
class MigrationFeatures:
    """How guests can migrate."""

    live: bool = flag(doc="while they run")
    uri_transports: list[str] = leaf("uri_transport", within="uri_transports", doc="schemes of migration URIs")


@element("baselabel")
class BaseLabel:
    """Label that guests of a kind get by default."""

    type: str = attribute(required=True, doc="kind of guest: qemu, kvm, ...")
    label: str | None = text(doc="the label")


@element("secmodel", empty="keep")
class SecurityModel:
    """A security driver that is in use."""

    model: str | None = leaf(blank=True, doc="its name")
    doi: str | None = leaf(blank=True, doc="domain of interpretation")
    base_labels: list[BaseLabel] = children("baselabel", since="1.2.3")


@element("host", empty="open")
class Host:
    """What the host is and has."""

    uuid: str | None = leaf(codec=UUID, doc="names the host")
    cpu: HostProcessor | None = child("cpu")
    power_management: PowerManagementFeatures | None = child("power_management")
    iommu: HostIOMMU | None = child("iommu")
    migration_features: MigrationFeatures | None = child("migration_features")
    netprefix: str | None = leaf(doc="how generated names of network devices begin")
    topology: HostTopology | None = child("topology")
    cache: HostCache | None = child("cache")
    memory_bandwidth: HostMemoryBandwidth | None = child("memory_bandwidth")
    secmodels: list[SecurityModel] = children("secmodel")
