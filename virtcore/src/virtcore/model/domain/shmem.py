"""Memory shared between guests: ``<shmem>``."""

from __future__ import annotations

from enum import StrEnum

from virtcore.model.domain.address import Device
from virtcore.xml import ON_OFF, UINT_ANY, attribute, child, element, leaf, scaled

__all__ = [
    "Shmem",
    "ShmemMSI",
    "ShmemModel",
    "ShmemRole",
    "ShmemServer",
]


class ShmemModel(StrEnum):
    """Device the guest sees."""

    IVSHMEM = "ivshmem"
    IVSHMEM_PLAIN = "ivshmem-plain"
    IVSHMEM_DOORBELL = "ivshmem-doorbell"


class ShmemRole(StrEnum):
    """Whose memory survives migration."""

    MASTER = "master"
    PEER = "peer"


@element("server", empty="keep")
class ShmemServer:
    """Server that hands out the memory and passes interrupts."""

    path: str | None = attribute(doc="path of its socket")


@element("msi", empty="keep")
class ShmemMSI:
    """Message signalled interrupts."""

    vectors: int | None = attribute(codec=UINT_ANY, omit=0, doc="number of vectors")
    ioeventfd: bool | None = attribute(codec=ON_OFF, doc="I/O in a thread of its own")


@element("shmem")
class Shmem(Device):
    """A piece of memory several guests see."""

    name: str = attribute(
        required=True, missing="shmem element must contain 'name' attribute", doc="name of the memory object"
    )
    role: ShmemRole | None = attribute(doc="whose memory survives migration", since="6.6.0")
    model: ShmemModel | None = attribute("type", within="model", doc="device the guest sees")
    size: int | None = leaf(codec=scaled("B", printed="M"), omit=0, doc="size in bytes")
    server: ShmemServer | None = child()
    msi: ShmemMSI | None = child()
