"""Leases a lock manager holds for the domain: ``<lease>``."""

from __future__ import annotations

from virtcore.xml import ULONG, attribute, element, leaf

__all__ = [
    "Lease",
]


@element("lease")
class Lease:
    """A lease in a lock space."""

    lockspace: str | None = leaf(required=True, doc="name of the lock space")
    key: str | None = leaf(required=True, missing="Missing 'key' element for lease", doc="name of the lease")
    path: str | None = attribute(
        within="target", required=True, missing="Missing 'target' element for lease", doc="path of the storage"
    )
    offset: int | None = attribute(within="target", codec=ULONG, omit=0, doc="where in the storage, in bytes")
