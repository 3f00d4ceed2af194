"""``<adapter>``: the SCSI or fibre channel host of a SCSI pool."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING

from virtcore.errors import InternalError, XMLError
from virtcore.model.patterns import SCSI_WWN
from virtcore.model.pci import settle_pci
from virtcore.xml import INT, YES_NO, attribute, child, element

if TYPE_CHECKING:
    from virtcore.model.storage.source import SourcePCIAddress

__all__ = ["AdapterType", "ParentAddress", "StorageAdapter", "settle_adapter", "validate_adapter"]

_WWN = re.compile(SCSI_WWN)


class AdapterType(StrEnum):
    """Kind of host adapter."""

    SCSI_HOST = "scsi_host"
    FC_HOST = "fc_host"


# Attributes of the other kind are not looked at; without a kind they are refused later.
_SCSI = {"type": (AdapterType.SCSI_HOST, None)}
_FC = {"type": (AdapterType.FC_HOST, None)}
_FC_ONLY = {"type": (AdapterType.FC_HOST,)}
_UNIQUE_ID = "Missing or invalid scsi adapter 'unique_id' value"


@element("parentaddr", since="1.2.2")
class ParentAddress:
    """Where an adapter is, so that it is found whatever its number."""

    unique_id: int = attribute(
        codec=INT, required=True, minimum=0, missing=_UNIQUE_ID, invalid=_UNIQUE_ID, doc="its number at this address"
    )
    address: SourcePCIAddress | None = child(required=True, missing="Missing scsi_host PCI address element")


@element("adapter")
class StorageAdapter:
    """A host adapter whose units are the pool's volumes."""

    type: AdapterType | None = attribute(doc="kind of adapter", since="1.0.5")
    name: str | None = attribute(only=_SCSI, doc="name of a SCSI host, as host5")
    parent: str | None = attribute(only=_FC, doc="adapter the virtual one is made on, as scsi_host5")
    parent_wwnn: str | None = attribute(only=_FC_ONLY, doc="the parent, by world wide names", since="1.3.5")
    parent_wwpn: str | None = attribute(only=_FC_ONLY, doc="the parent, by world wide names", since="1.3.5")
    parent_fabric_wwn: str | None = attribute(only=_FC_ONLY, doc="the parent, by its fabric", since="1.3.5")
    managed: bool | None = attribute(
        codec=YES_NO, only=_FC_ONLY, doc="the virtual adapter goes when the pool stops", since="1.2.11"
    )
    wwnn: str | None = attribute(only=_FC, doc="world wide node name of the virtual adapter")
    wwpn: str | None = attribute(only=_FC, doc="world wide port name of the virtual adapter")
    parent_address: ParentAddress | None = child(
        only=_SCSI, shown=lambda self: self.name is None, doc="where the SCSI host is"
    )


def settle_adapter(adapter: StorageAdapter) -> None:
    """An adapter without a kind is a SCSI host with a name.

    :raises XMLError: it needs a kind, or its address is none.
    """
    if adapter.type is None:
        if adapter.wwnn is not None or adapter.wwpn is not None or adapter.parent is not None:
            raise XMLError(
                "Use of 'wwnn', 'wwpn', and 'parent' attributes requires use of the adapter 'type'",
                path="/pool/source/adapter",
            )
        if adapter.parent_address is not None:
            raise XMLError(
                "Use of 'parentaddr' element requires use of the adapter 'type'",
                path="/pool/source/adapter/parentaddr",
            )
        if adapter.name is not None:
            adapter.type = AdapterType.SCSI_HOST
    if adapter.parent_address is not None and adapter.parent_address.address is not None:
        settle_pci(adapter.parent_address.address)


def validate_adapter(adapter: StorageAdapter | None) -> None:
    """Refuses an adapter that cannot be found.

    :raises XMLError: it has no kind, no names or too many.
    :raises InternalError: a world wide name is malformed.
    """
    path = "/pool/source/adapter"
    if adapter is None or adapter.type is None:
        raise XMLError("missing storage pool source adapter", path=path)
    if adapter.type is AdapterType.SCSI_HOST:
        if adapter.name is None and adapter.parent_address is None:
            raise XMLError("Either 'name' or 'parent' must be specified for the 'scsi_host' adapter", path=path)
        if adapter.name is not None and adapter.parent_address is not None:
            raise XMLError("Both 'name' and 'parent' cannot be specified for the 'scsi_host' adapter", path=path)
        return
    if adapter.wwnn is None or adapter.wwpn is None:
        raise XMLError("'wwnn' and 'wwpn' must be specified for adapter type 'fchost'", path=path)
    _require_wwn(adapter.wwnn, adapter.wwpn)
    if adapter.parent_wwnn is not None and adapter.parent_wwpn is None:
        raise XMLError(
            f"when providing parent_wwnn='{adapter.parent_wwnn}', the parent_wwpn must also be provided", path=path
        )
    if adapter.parent_wwnn is None and adapter.parent_wwpn is not None:
        raise XMLError(
            f"when providing parent_wwpn='{adapter.parent_wwpn}', the parent_wwnn must also be provided", path=path
        )
    _require_wwn(adapter.parent_wwnn, adapter.parent_wwpn, adapter.parent_fabric_wwn)


def _require_wwn(*names: str | None) -> None:
    for name in names:
        if name is not None and not _WWN.fullmatch(name):
            raise InternalError(f"Malformed wwn: {name}", path="/pool/source/adapter", value=name)
