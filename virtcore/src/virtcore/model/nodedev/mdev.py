"""Mediated devices: what a device can be divided into, and the parts."""

from __future__ import annotations

from virtcore.errors import ErrorCode
from virtcore.xml import UUID, Mode, attribute, children, element, leaf, number

__all__ = ["MdevAttribute", "MdevCapability", "MdevType", "MdevTypesCapability"]

_INSTANCES = "missing number of available instances for mediated device type '{@id}'"


@element("type")
class MdevType:
    """A kind of mediated device that a device can be divided into."""

    id: str = attribute(
        required=True,
        blank=False,
        missing="missing 'id' attribute for mediated device's <type> element",
        doc="the vendor's name of it",
    )
    name: str | None = leaf(doc="name for people")
    device_api: str = leaf(
        "deviceAPI",
        required=True,
        missing="missing device API for mediated device type '{@id}'",
        doc="how it is shown to a guest, as vfio-pci",
    )
    available_instances: int = leaf(
        "availableInstances",
        required=True,
        missing=_INSTANCES,
        invalid=_INSTANCES,
        doc="how many more there can be",
    )


@element("capability", tag="mdev_types", since="3.4.0")
class MdevTypesCapability:
    """The device can be divided into mediated devices."""

    types: list[MdevType] = children(demanded=True, doc="kinds there are")


@element("attr")
class MdevAttribute:
    """A setting of the vendor's, written to the device in this order."""

    name: str | None = attribute(blank=False, demanded=True, doc="name of the setting")
    value: str | None = attribute(blank=False, demanded=True, doc="its value")


@element("capability", tag="mdev", empty="open", since="3.4.0")
class MdevCapability:
    """A mediated device."""

    type_id: str | None = attribute(
        "id", within="type", blank=False, demanded=True, doc="the vendor's name of its kind"
    )
    uuid: str | None = leaf(
        codec=UUID,
        invalid="Invalid uuid '{value}' for new mdev device",
        code=ErrorCode.INTERNAL_ERROR,
        doc="UUID of the device",
        since="7.3.0",
    )
    parent_addr: str | None = leaf(read=Mode.LIVE, doc="address of the device it is a part of", since="8.1.0")
    iommu_group: int | None = attribute(
        "number",
        within="iommuGroup",
        demanded=True,
        codec=number(32, wraps=True),
        blank=False,
        invalid="invalid iommuGroup number attribute for '{document}'",
        code=ErrorCode.INTERNAL_ERROR,
        doc="number of its IOMMU group",
    )
    attributes: list[MdevAttribute] = children("attr", doc="settings")
