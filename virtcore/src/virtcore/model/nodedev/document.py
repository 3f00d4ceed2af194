"""From a node device document to a complete, valid :class:`NodeDevice`, and back."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar, TypeVar

from virtcore.errors import ConfigUnsupported, ErrorDomain, InternalError, NoName, XMLError
from virtcore.model.definition import DefinitionContext, DefinitionRules
from virtcore.model.nodedev.device import (
    CapabilityType,
    DevnodeType,
    Firmware,
    NetCapability,
    NetFeatureName,
    NodeDevice,
    PartialCapability,
    SystemCapability,
    VDPACapability,
)
from virtcore.model.nodedev.mdev import MdevCapability, MdevTypesCapability
from virtcore.model.nodedev.pci import (
    LinkValidity,
    PCICapability,
    PCIHeaderCapability,
    PhysicalFunctionCapability,
    ReadOnlyFields,
    ReadWriteFields,
    SystemField,
    VendorField,
    VirtualFunctionsCapability,
    VPDCapability,
)
from virtcore.model.nodedev.s390 import APMatrixCapability, APQueueCapability, CSSCapability
from virtcore.model.nodedev.scsi import (
    FCHostCapability,
    HotpluggableCapability,
    RemovableCapability,
    SCSIGenericCapability,
    SCSIHostCapability,
    StorageCapability,
    VportOpsCapability,
)
from virtcore.model.pci import settle_pci
from virtcore.model.storage.source import SourcePCIAddress
from virtcore.xml import Mode, Stage

__all__ = ["NodeDeviceContext", "NodeDeviceRules", "format_node_device", "load_node_device"]

T = TypeVar("T")

_PATH = "/device/capability"
#: First digits behind the 5 of generated world wide names, by what the host is for.
_WWN_VENDORS = {
    "QEMU": 0x001A4A,
    "Xen": 0x00163E,
    "xenlight": 0x00163E,
    "ESX": 0x000569,
    "VMWARE": 0x000569,
    "HYPER-V": 0x0050F2,
    "test": 0x100000,
}
#: A name for messages about a device that has none yet.
_NEW = "new device"


@dataclass(slots=True, kw_only=True)
class NodeDeviceContext(DefinitionContext):
    """How a node device's document is read.

    :param create: the device is to be made: it has no name yet.
    :param virt_type: which vendor generated world wide names are from, as ``QEMU``; None: none are generated.
    :param random_bits: where generated numbers come from.
    """

    create: bool = False
    virt_type: str | None = None
    random_bits: Callable[[int], int] = random.getrandbits


def _one_each(capabilities: list[T], *order: type) -> list[T]:
    """The first capability of each kind, in the order they are printed."""
    return [found for kind in order for found in [each for each in capabilities if isinstance(each, kind)][:1]]


def _device(_rules: NodeDeviceRules, device: NodeDevice, context: NodeDeviceContext) -> None:
    """Name, paths and parent."""
    if context.create:
        device.name = _NEW
    elif device.name is None:
        raise NoName(path="/device/name")
    nodes = [node for node in device.devnodes if node.type is DevnodeType.DEV][-1:]
    device.devnodes = nodes + [node for node in device.devnodes if node.type is DevnodeType.LINK]
    parent = device.parent
    if parent is not None:
        if parent.wwnn is not None and parent.wwpn is None:
            raise XMLError(
                f"when providing parent wwnn='{parent.wwnn}', the wwpn must also be provided", path="/device/parent"
            )
        if parent.wwnn is None and parent.wwpn is not None:
            raise XMLError(
                f"when providing parent wwpn='{parent.wwpn}', the wwnn must also be provided", path="/device/parent"
            )
    if not device.capabilities:
        raise InternalError(f"no device capabilities for '{device.name}'", path=_PATH)


def _capabilities(_rules: NodeDeviceRules, device: NodeDevice, context: NodeDeviceContext) -> None:
    """Every capability as libvirt's parser leaves it."""
    for capability in device.capabilities:
        for kind, settle in _SETTLE.items():
            if isinstance(capability, kind):
                settle(capability, device.name or "", context)


# ------------------------------------------------------------------------------------------------------------ by kind


def _refuse(capability: PartialCapability | SCSIGenericCapability | VDPACapability, name: str, _: object) -> None:
    if isinstance(capability, PartialCapability):
        kind = capability.type
    else:
        kind = CapabilityType.VDPA if isinstance(capability, VDPACapability) else CapabilityType.SCSI_GENERIC
    number = list(CapabilityType).index(kind)
    raise InternalError(f"unknown capability type '{number}' for '{name}'", path=_PATH, value=kind)


def _settle_system(system: SystemCapability, _name: str, _: object) -> None:
    system.firmware = system.firmware or Firmware()


def _settle_net(net: NetCapability, _name: str, _: object) -> None:
    by_name = {feature.name: feature for feature in net.features}
    net.features = [by_name[name] for name in NetFeatureName if name in by_name]


def _settle_pci(device: PCICapability, _name: str, _: object) -> None:
    device.capabilities = _one_each(
        device.capabilities,
        PhysicalFunctionCapability,
        VirtualFunctionsCapability,
        PCIHeaderCapability,
        MdevTypesCapability,
        VPDCapability,
    )
    device.capabilities = [
        each for each in device.capabilities if not isinstance(each, MdevTypesCapability) or each.types
    ]
    for address in _addresses(device):
        settle_pci(address)
    if device.iommu_group is not None and not device.iommu_group.addresses:
        device.iommu_group = None
    for capability in device.capabilities:
        if isinstance(capability, VPDCapability):
            _settle_vpd(capability)
    if device.express is not None:
        links = device.express.links
        device.express.links = [
            found for validity in LinkValidity for found in [each for each in links if each.validity is validity][:1]
        ]


def _addresses(device: PCICapability) -> Iterator[SourcePCIAddress]:
    for capability in device.capabilities:
        if isinstance(capability, PhysicalFunctionCapability) and capability.address is not None:
            yield capability.address
        elif isinstance(capability, VirtualFunctionsCapability):
            yield from capability.addresses
    if device.iommu_group is not None:
        yield from device.iommu_group.addresses


def _settle_vpd(vpd: VPDCapability) -> None:
    kept: dict[type, ReadOnlyFields | ReadWriteFields] = {type(fields): fields for fields in vpd.fields}
    vpd.fields = [kept[kind] for kind in (ReadOnlyFields, ReadWriteFields) if kind in kept]
    for fields in vpd.fields:
        fields.vendor_fields = _usable(fields.vendor_fields)
        if isinstance(fields, ReadWriteFields):
            fields.system_fields = _usable(fields.system_fields)


F = TypeVar("F", VendorField, SystemField)


def _usable(fields: list[F]) -> list[F]:
    """Those with an index of one character and a value; the last of each index counts, at the place of the first."""
    found: dict[str, F] = {}
    for field in fields:
        if field.index is not None and len(field.index) == 1 and field.value is not None:
            found[field.index] = field
    return list(found.values())


def _settle_scsi_host(host: SCSIHostCapability, name: str, context: NodeDeviceContext) -> None:
    if context.create:
        host.host, host.unique_id = 0, None
    elif host.host is None:
        raise InternalError(f"no SCSI host ID supplied for '{name}'", path=f"{_PATH}/host")
    host.capabilities = _one_each(host.capabilities, FCHostCapability, VportOpsCapability)
    for capability in host.capabilities:
        if isinstance(capability, FCHostCapability):
            capability.wwnn = capability.wwnn or _new_wwn("WWNN", name, context)
            capability.wwpn = capability.wwpn or _new_wwn("WWPN", name, context)
        else:
            capability.max_vports, capability.vports = capability.max_vports or 0, capability.vports or 0


def _new_wwn(what: str, name: str, context: NodeDeviceContext) -> str:
    vendor = _WWN_VENDORS.get(context.virt_type or "")
    if vendor is None:
        raise InternalError(f"no {what} supplied for '{name}', and auto-generation failed", path=_PATH)
    return f"5{vendor:06x}{context.random_bits(36):09x}"


def _settle_storage(disk: StorageCapability, name: str, _: object) -> None:
    disk.capabilities = _one_each(disk.capabilities, RemovableCapability, HotpluggableCapability)
    removable = next((each for each in disk.capabilities if isinstance(each, RemovableCapability)), None)
    if removable is not None:
        removable.media_available = bool(removable.media_available)
        disk.size = disk.logical_block_size = disk.num_blocks = None
    elif disk.size is None:
        raise InternalError(f"no size supplied for '{name}'", path=f"{_PATH}/size")


def _settle_mdev(mdev: MdevCapability, name: str, _: object) -> None:
    if mdev.type_id is None:
        raise ConfigUnsupported(f"missing type id attribute for '{name}'", path=f"{_PATH}/type/@id")
    mdev.iommu_group = mdev.iommu_group or 0
    mdev.attributes = [each for each in mdev.attributes if each.name is not None and each.value is not None]


def _settle_mdev_parent(parent: CSSCapability | APMatrixCapability, _name: str, _: object) -> None:
    parent.capabilities = [each for each in _one_each(parent.capabilities, MdevTypesCapability) if each.types]


def _settle_queue(queue: APQueueCapability, name: str, _: object) -> None:
    if queue.domain > 255:
        raise ConfigUnsupported(
            f"ap-domain value '{queue.domain:#x}' is out of range for '{name}'", path=f"{_PATH}/ap-domain"
        )


_SETTLE: dict[type, Callable[..., None]] = {
    PartialCapability: _refuse,
    SCSIGenericCapability: _refuse,
    VDPACapability: _refuse,
    SystemCapability: _settle_system,
    NetCapability: _settle_net,
    PCICapability: _settle_pci,
    SCSIHostCapability: _settle_scsi_host,
    StorageCapability: _settle_storage,
    MdevCapability: _settle_mdev,
    CSSCapability: _settle_mdev_parent,
    APMatrixCapability: _settle_mdev_parent,
    APQueueCapability: _settle_queue,
}


class NodeDeviceRules(DefinitionRules[NodeDevice, NodeDeviceContext]):
    """What makes the description of a node device complete and valid."""

    error_domain: ClassVar[ErrorDomain] = ErrorDomain.NODEDEV
    completion = (Stage("device", _device), Stage("capabilities", _capabilities))


def load_node_device(
    source: str | bytes, *, validate: bool = False, context: NodeDeviceContext | None = None
) -> NodeDevice:
    """Reads the description of a node device, completes and checks it (``virNodeDeviceDefineXML``,
    ``virNodeDeviceCreateXML``).

    :param validate: the schema is checked first (``VIR_NODE_DEVICE_DEFINE_XML_VALIDATE``).
    :param context: by default that of a device there is.
    :raises VirtError: the document is malformed, or refused by libvirt's parser.
    """
    from virtcore.xml import load

    return load(
        source,
        NodeDevice,
        NodeDeviceRules(),
        context or NodeDeviceContext(),
        mode=Mode.INACTIVE,
        validate=validate,
        name="(node_device_definition)",
    )


def format_node_device(device: NodeDevice, *, inactive: bool = False) -> str:
    """A node device as libvirt prints it.

    :param inactive: without what only a present device has (``VIR_NODE_DEVICE_XML_INACTIVE``).
    """
    from virtcore.xml import format

    return format(device, Mode.INACTIVE if inactive else Mode.LIVE)
