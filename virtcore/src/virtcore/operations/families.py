"""The object families: what each is called, what stands for one of its objects.

The objects a user holds, the wire's references and the arguments of operations all follow from this table.
"""

from __future__ import annotations

from types import MappingProxyType

from virtcore._tuples import NamedTuple
from virtcore._typing import Final, Mapping

__all__ = ["FAMILIES", "Family", "family_of_reference"]


class Family(NamedTuple):
    """A kind of object that operations are about."""

    #: As operations begin with it, e.g. ``storage_pool``.
    name: str
    #: Class a user holds, e.g. ``StoragePool``.
    face: str
    #: libvirt's type, e.g. ``virStoragePoolPtr``.
    pointer: str
    #: What one is, e.g. ``A storage pool``.
    title: str
    #: Class in :mod:`virtcore.types` that stands for one; None for connections and streams, which live as long as they
    #: are open.
    reference: str | None = None
    #: Attribute paths of the reference that make two objects the same.
    key: tuple[str, ...] = ()
    #: Fields of the reference and what they are.
    fields: Mapping[str, str] = MappingProxyType({})
    #: Positions of the wire's fields in the reference's order; None when they are the same.
    wire: tuple[int, ...] | None = None

    @property
    def module(self) -> str:
        """Name of the module of each face that has the class."""
        return self.name

    @property
    def xdr(self) -> str:
        """The struct that carries the reference."""
        return f"remote_nonnull_{self.name}"


_NAME_AND_UUID = {"name": "Its name.", "uuid": "Its UUID, lower-case with hyphens."}

_ROWS = (
    Family("connection", "Connection", "virConnectPtr", "An open connection"),
    Family(
        "domain",
        "Domain",
        "virDomainPtr",
        "A domain",
        "DomainRef",
        ("uuid",),
        {
            **_NAME_AND_UUID,
            "id": "Its id when it was looked up or started through this object; -1 when it was not running then.",
        },
    ),
    Family(
        "domain_snapshot",
        "DomainSnapshot",
        "virDomainSnapshotPtr",
        "A snapshot of a domain",
        "DomainSnapshotRef",
        ("domain.uuid", "name"),
        {"domain": "The domain it is of.", "name": "Its name."},
        (1, 0),
    ),
    Family(
        "domain_checkpoint",
        "DomainCheckpoint",
        "virDomainCheckpointPtr",
        "A checkpoint of a domain",
        "DomainCheckpointRef",
        ("domain.uuid", "name"),
        {"domain": "The domain it is of.", "name": "Its name."},
        (1, 0),
    ),
    Family("network", "Network", "virNetworkPtr", "A virtual network", "NetworkRef", ("uuid",), _NAME_AND_UUID),
    Family(
        "network_port",
        "NetworkPort",
        "virNetworkPortPtr",
        "A port of a network",
        "NetworkPortRef",
        ("network.uuid", "uuid"),
        {"network": "The network it is of.", "uuid": "Its UUID, lower-case with hyphens."},
    ),
    Family(
        "storage_pool",
        "StoragePool",
        "virStoragePoolPtr",
        "A storage pool",
        "StoragePoolRef",
        ("uuid",),
        _NAME_AND_UUID,
    ),
    Family(
        "storage_vol",
        "StorageVol",
        "virStorageVolPtr",
        "A storage volume",
        "StorageVolRef",
        ("key",),
        {"pool": "Name of its pool.", "name": "Its name in the pool.", "key": "Its key, unique on the host."},
    ),
    Family(
        "secret",
        "Secret",
        "virSecretPtr",
        "A secret",
        "SecretRef",
        ("uuid",),
        {
            "uuid": "Its UUID, lower-case with hyphens.",
            "usage_type": "What it is for, a ``SecretUsageType``.",
            "usage_id": "Which thing of that type it is for.",
        },
    ),
    Family(
        "node_device",
        "NodeDevice",
        "virNodeDevicePtr",
        "A device of the host",
        "NodeDeviceRef",
        ("name",),
        {"name": "Its name, e.g. ``pci_0000_00_1f_2``."},
    ),
    Family(
        "interface",
        "Interface",
        "virInterfacePtr",
        "A network interface of the host",
        "InterfaceRef",
        ("name",),
        {"name": "Its name, e.g. ``eth0``.", "mac": "Its MAC address; empty where it has none."},
    ),
    Family("nwfilter", "NWFilter", "virNWFilterPtr", "A network filter", "NWFilterRef", ("uuid",), _NAME_AND_UUID),
    Family(
        "nwfilter_binding",
        "NWFilterBinding",
        "virNWFilterBindingPtr",
        "A binding of a network filter to a port",
        "NWFilterBindingRef",
        ("port_dev",),
        {"port_dev": "Name of the port's device, e.g. ``vnet0``.", "filter_name": "Name of the filter."},
    ),
    Family("stream", "Stream", "virStreamPtr", "A byte stream"),
)

#: Every family by name.
FAMILIES: Final[Mapping[str, Family]] = MappingProxyType({row.name: row for row in _ROWS})

_BY_REFERENCE = {row.reference: row for row in _ROWS if row.reference is not None}


def family_of_reference(name: str) -> Family | None:
    """The family that a class of :mod:`virtcore.types` stands for; None for other names."""
    return _BY_REFERENCE.get(name)
