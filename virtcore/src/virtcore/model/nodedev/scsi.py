"""SCSI hosts, targets and units of the host, its disks and nodes of its graphics cards."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from virtcore.errors import ErrorCode
from virtcore.model.nodedev.fields import NUMBER, known_number
from virtcore.model.patterns import SCSI_WWN
from virtcore.xml import INT, ULONG, Codec, Mode, children, element, leaf

__all__ = [
    "DRMCapability",
    "DRMType",
    "FCHostCapability",
    "FCRemotePortCapability",
    "HotpluggableCapability",
    "RemovableCapability",
    "SCSICapability",
    "SCSIGenericCapability",
    "SCSIHostCapability",
    "SCSITargetCapability",
    "StorageCapability",
    "VportOpsCapability",
]


@element("capability", tag="fc_host", empty="open")
class FCHostCapability:
    """The host is a fibre channel adapter."""

    wwnn: str | None = leaf(demanded=True, pattern=SCSI_WWN, doc="world wide node name")
    wwpn: str | None = leaf(demanded=True, pattern=SCSI_WWN, doc="world wide port name")
    fabric_wwn: str | None = leaf(pattern=SCSI_WWN, doc="world wide name of the fabric", since="1.2.0")


@element("capability", tag="vport_ops", empty="open")
class VportOpsCapability:
    """Virtual adapters can be made on the host."""

    max_vports: int | None = leaf(codec=INT, read=Mode.LIVE, doc="how many there can be")
    vports: int | None = leaf(codec=INT, read=Mode.LIVE, doc="how many there are")


@element("capability", tag="scsi_host", empty="open")
class SCSIHostCapability:
    """A SCSI host."""

    host: int | None = leaf(
        codec=NUMBER,
        demanded=True,
        invalid="invalid SCSI host ID supplied for '{document}'",
        code=ErrorCode.INTERNAL_ERROR,
    )
    unique_id: int | None = leaf(
        codec=INT,
        omit=-1,
        invalid="invalid unique_id supplied for '{document}'",
        code=ErrorCode.INTERNAL_ERROR,
        doc="its number among the hosts of the PCI device",
        since="1.2.7",
    )
    capabilities: list[FCHostCapability | VportOpsCapability] = children(
        tag="@type",
        missing="missing SCSI host capability type for '{document}'",
        invalid="unknown SCSI host capability type '{value}' for '{document}'",
        code=ErrorCode.INTERNAL_ERROR,
        doc="what more it is",
    )


@element("capability", tag="fc_remote_port", empty="open")
class FCRemotePortCapability:
    """The target is behind a fibre channel port."""

    rport: str = leaf(
        required=True,
        missing="missing rport name for '{document}'",
        code=ErrorCode.INTERNAL_ERROR,
        doc="name of the remote port",
    )
    wwpn: str = leaf(
        required=True,
        missing="missing wwpn identifier for '{document}'",
        code=ErrorCode.INTERNAL_ERROR,
        doc="its world wide port name",
    )


@element("capability", tag="scsi_target", empty="open")
class SCSITargetCapability:
    """A SCSI target."""

    target: str = leaf(
        required=True,
        missing="no target name supplied for '{document}'",
        code=ErrorCode.INTERNAL_ERROR,
        doc="name of the target",
    )
    capabilities: list[FCRemotePortCapability] = children(
        tag="@type",
        missing="missing type for SCSI target capability for '{document}'",
        invalid="unknown SCSI target capability type '{value}' for '{document}'",
        code=ErrorCode.INTERNAL_ERROR,
        doc="what more it is",
    )


@element("capability", tag="scsi", empty="open")
class SCSICapability:
    """A SCSI unit."""

    host: int = known_number("SCSI host ID", "host it is on")
    bus: int = known_number("SCSI bus ID", "bus of the host")
    target: int = known_number("SCSI target ID", "target on the bus")
    lun: int = known_number("SCSI LUN ID", "unit of the target")
    type: str | None = leaf(doc="kind of unit")


@element("capability", tag="scsi_generic", empty="open")
class SCSIGenericCapability:
    """A device through which any SCSI command can be sent."""

    char: str | None = leaf(doc="path of the character device")


def _size(what: str, doc: str, *, required: bool = False) -> Any:
    return leaf(
        codec=ULONG,
        required=required,
        omit=None if required else 0,
        missing=f"no {what} supplied for '{{document}}'",
        invalid=f"invalid {what} supplied for '{{document}}'",
        code=ErrorCode.INTERNAL_ERROR,
        doc=doc,
    )


#: Anything but 1 is no.
_ONE_ZERO: Codec[bool] = Codec(
    lambda text: text == "1",
    {True: "1", False: "0"}.__getitem__,
    datatype="<choice><value>1</value><value>0</value></choice>",
    safe=True,
)


@element("capability", tag="removable", empty="open")
class RemovableCapability:
    """The medium of the disk can be changed."""

    media_available: bool | None = leaf(codec=_ONE_ZERO, doc="there is one")
    media_size: int | None = _size("removable media size", "its size in bytes", required=True)
    media_label: str | None = leaf(doc="its label", since="0.9.12")
    logical_block_size: int | None = _size("logical_block_size", "bytes of a block")
    num_blocks: int | None = _size("num_blocks", "number of blocks")


@element("capability", tag="hotpluggable", empty="keep")
class HotpluggableCapability:
    """The disk can be plugged in and out."""


@element("capability", tag="storage", empty="open")
class StorageCapability:
    """A disk."""

    block: str = leaf(
        required=True,
        missing="no block device path supplied for '{document}'",
        code=ErrorCode.INTERNAL_ERROR,
        doc="path of the block device",
    )
    bus: str | None = leaf(doc="bus it is on")
    drive_type: str | None = leaf(doc="disk, cdrom, ...")
    model: str | None = leaf(doc="model")
    vendor: str | None = leaf(doc="who made it")
    serial: str | None = leaf(doc="serial number")
    size: int | None = leaf(
        codec=ULONG,
        invalid="invalid size supplied for '{document}'",
        code=ErrorCode.INTERNAL_ERROR,
        doc="bytes, where the medium is fixed",
    )
    logical_block_size: int | None = _size("logical_block_size", "bytes of a block")
    num_blocks: int | None = _size("num_blocks", "number of blocks")
    capabilities: list[RemovableCapability | HotpluggableCapability] = children(
        tag="@type",
        missing="missing storage capability type for '{document}'",
        invalid="unknown storage capability type '{value}' for '{document}'",
        code=ErrorCode.INTERNAL_ERROR,
        doc="what more it is",
    )


class DRMType(StrEnum):
    """What a node of a graphics card is for."""

    PRIMARY = "primary"
    CONTROL = "control"
    RENDER = "render"


@element("capability", tag="drm", empty="open", since="3.1.0")
class DRMCapability:
    """A node of a graphics card."""

    type: DRMType = leaf(
        required=True,
        missing="unknown drm type '(null)' for '{document}'",
        invalid="unknown drm type '{value}' for '{document}'",
        code=ErrorCode.CONFIG_UNSUPPORTED,
        doc="what it is for",
    )
