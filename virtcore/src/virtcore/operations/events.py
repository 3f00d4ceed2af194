"""Events: what drivers emit and subscribers receive. Plain values, one class per kind.

The first field is the object that an event is of, save where it is of the connection itself. Fields that are declared
as members of an enumeration are plain numbers where a newer hypervisor or daemon sends ones that virtcore knows not.
"""

from __future__ import annotations

from collections.abc import Sequence

from virtcore._tuples import NamedTuple
from virtcore._typing import TYPE_CHECKING
from virtcore.operations.families import family_of_reference
from virtcore.types import DomainRef, NetworkRef, NodeDeviceRef, SecretRef, StoragePoolRef, TypedParameters

if TYPE_CHECKING:
    from virtcore.enums import (
        ConnectCloseReason,
        ConnectDomainEventAgentLifecycleReason,
        ConnectDomainEventAgentLifecycleState,
        ConnectDomainEventBlockJobStatus,
        ConnectDomainEventDiskChangeReason,
        DomainBlockJobType,
        DomainEventGraphicsAddressType,
        DomainEventGraphicsPhase,
        DomainEventIOErrorAction,
        DomainEventTrayChangeReason,
        DomainEventType,
        DomainEventWatchdogAction,
        DomainMemoryFailureActionType,
        DomainMemoryFailureFlags,
        DomainMemoryFailureRecipientType,
        DomainMetadataType,
        NetworkEventLifecycleType,
        NetworkMetadataType,
        NodeDeviceEventLifecycleType,
        SecretEventLifecycleType,
        StoragePoolEventLifecycleType,
    )

__all__ = [
    "ConnectionClosedEvent",
    "DomainAgentLifecycleEvent",
    "DomainBalloonChangeEvent",
    "DomainBlockJob2Event",
    "DomainBlockJobEvent",
    "DomainBlockThresholdEvent",
    "DomainControlErrorEvent",
    "DomainDeviceAddedEvent",
    "DomainDeviceRemovalFailedEvent",
    "DomainDeviceRemovedEvent",
    "DomainDiskChangeEvent",
    "DomainGraphicsEvent",
    "DomainIOErrorEvent",
    "DomainIOErrorReasonEvent",
    "DomainJobCompletedEvent",
    "DomainLifecycleEvent",
    "DomainMemoryDeviceSizeChangeEvent",
    "DomainMemoryFailureEvent",
    "DomainMetadataChangeEvent",
    "DomainMigrationIterationEvent",
    "DomainNICMACChangeEvent",
    "DomainPMSuspendDiskEvent",
    "DomainPMSuspendEvent",
    "DomainPMWakeupEvent",
    "DomainRTCChangeEvent",
    "DomainRebootEvent",
    "DomainTrayChangeEvent",
    "DomainTunableEvent",
    "DomainWatchdogEvent",
    "Event",
    "EventSubject",
    "GapEvent",
    "GraphicsAddress",
    "GraphicsIdentity",
    "NetworkLifecycleEvent",
    "NetworkMetadataChangeEvent",
    "NodeDeviceLifecycleEvent",
    "NodeDeviceUpdateEvent",
    "QemuMonitorEvent",
    "SecretLifecycleEvent",
    "SecretValueChangedEvent",
    "StoragePoolLifecycleEvent",
    "StoragePoolRefreshEvent",
    "same_subject",
    "subject_of",
]

#: What an event can be of.
EventSubject = DomainRef | NetworkRef | StoragePoolRef | NodeDeviceRef | SecretRef


# -- domains


class DomainLifecycleEvent(NamedTuple):
    """A domain was defined, undefined, started, suspended, resumed, stopped, shut down, ... (id 0).

    ``detail`` has the value of a member of the enumeration that belongs to the type, such as
    ``DomainEventStartedDetailType(detail)``. It is an ``int``, since a newer daemon may have details that virtcore
    does not know.
    """

    domain: DomainRef
    type: DomainEventType
    detail: int


class DomainRebootEvent(NamedTuple):
    """The guest rebooted (id 1)."""

    domain: DomainRef


class DomainRTCChangeEvent(NamedTuple):
    """The guest set its clock; ``offset`` is how far it is from UTC, in seconds (id 2)."""

    domain: DomainRef
    offset: int


class DomainWatchdogEvent(NamedTuple):
    """The guest's watchdog ran out (id 3)."""

    domain: DomainRef
    action: DomainEventWatchdogAction


class DomainIOErrorEvent(NamedTuple):
    """I/O of a disk failed (id 4)."""

    domain: DomainRef
    source_path: str
    alias: str
    action: DomainEventIOErrorAction


class GraphicsAddress(NamedTuple):
    """One end of a graphics connection; ``service`` is the port."""

    family: DomainEventGraphicsAddressType
    node: str
    service: str


class GraphicsIdentity(NamedTuple):
    """Something that a graphics client proved about itself, e.g. ``x509dname``."""

    type: str
    name: str


class DomainGraphicsEvent(NamedTuple):
    """A client connected to the guest's graphics, was authenticated, or left (id 5)."""

    domain: DomainRef
    phase: DomainEventGraphicsPhase
    local: GraphicsAddress
    remote: GraphicsAddress
    auth_scheme: str
    subject: Sequence[GraphicsIdentity]


class DomainIOErrorReasonEvent(NamedTuple):
    """As :class:`DomainIOErrorEvent`, with the reason, e.g. ``enospc`` (id 6)."""

    domain: DomainRef
    source_path: str
    alias: str
    action: DomainEventIOErrorAction
    reason: str


class DomainControlErrorEvent(NamedTuple):
    """The control channel to the hypervisor broke: the domain cannot be managed any more (id 7)."""

    domain: DomainRef


class DomainBlockJobEvent(NamedTuple):
    """A block job ended, or can be completed; the disk by the path of its source (id 8)."""

    domain: DomainRef
    disk: str
    type: DomainBlockJobType
    status: ConnectDomainEventBlockJobStatus


class DomainDiskChangeEvent(NamedTuple):
    """The medium of a disk changed (id 9)."""

    domain: DomainRef
    old_source_path: str | None
    new_source_path: str | None
    alias: str
    reason: ConnectDomainEventDiskChangeReason


class DomainTrayChangeEvent(NamedTuple):
    """The tray of a drive was opened or closed (id 10)."""

    domain: DomainRef
    alias: str
    reason: DomainEventTrayChangeReason


class DomainPMWakeupEvent(NamedTuple):
    """The guest woke up (id 11)."""

    domain: DomainRef
    reason: int = 0


class DomainPMSuspendEvent(NamedTuple):
    """The guest went to sleep, its state in memory (id 12)."""

    domain: DomainRef
    reason: int = 0


class DomainBalloonChangeEvent(NamedTuple):
    """The guest's memory changed; ``actual`` is what it has now, in KiB (id 13)."""

    domain: DomainRef
    actual: int


class DomainPMSuspendDiskEvent(NamedTuple):
    """The guest went to sleep, its state on disk (id 14)."""

    domain: DomainRef
    reason: int = 0


class DomainDeviceRemovedEvent(NamedTuple):
    """A device has gone (id 15)."""

    domain: DomainRef
    alias: str


class DomainBlockJob2Event(NamedTuple):
    """As :class:`DomainBlockJobEvent`; the disk by its target (id 16)."""

    domain: DomainRef
    disk: str
    type: DomainBlockJobType
    status: ConnectDomainEventBlockJobStatus


class DomainTunableEvent(NamedTuple):
    """Limits changed; the fields are those of :data:`~virtcore.operations.parameters.TUNABLE` (id 17)."""

    domain: DomainRef
    params: TypedParameters


class DomainAgentLifecycleEvent(NamedTuple):
    """The guest agent connected or disconnected (id 18)."""

    domain: DomainRef
    state: ConnectDomainEventAgentLifecycleState
    reason: ConnectDomainEventAgentLifecycleReason


class DomainDeviceAddedEvent(NamedTuple):
    """A device was added (id 19)."""

    domain: DomainRef
    alias: str


class DomainMigrationIterationEvent(NamedTuple):
    """Migration began another pass over the guest's memory (id 20)."""

    domain: DomainRef
    iteration: int


class DomainJobCompletedEvent(NamedTuple):
    """The domain's job ended; the fields are those of :data:`~virtcore.operations.parameters.JOB` (id 21)."""

    domain: DomainRef
    params: TypedParameters


class DomainDeviceRemovalFailedEvent(NamedTuple):
    """The guest refused to give a device up (id 22)."""

    domain: DomainRef
    alias: str


class DomainMetadataChangeEvent(NamedTuple):
    """Title, description or a custom metadata element changed; ``uri`` is the element's namespace (id 23)."""

    domain: DomainRef
    type: DomainMetadataType
    uri: str | None


class DomainBlockThresholdEvent(NamedTuple):
    """A disk's host storage grew past the size that was asked for, in bytes, by ``excess`` bytes (id 24)."""

    domain: DomainRef
    dev: str
    path: str | None
    threshold: int
    excess: int


class DomainMemoryFailureEvent(NamedTuple):
    """A fault of the host's memory concerned the guest (id 25)."""

    domain: DomainRef
    recipient: DomainMemoryFailureRecipientType
    action: DomainMemoryFailureActionType
    flags: DomainMemoryFailureFlags


class DomainMemoryDeviceSizeChangeEvent(NamedTuple):
    """A memory device's size changed; ``size`` in KiB (id 26)."""

    domain: DomainRef
    alias: str
    size: int


class DomainNICMACChangeEvent(NamedTuple):
    """The guest changed the MAC address of a network interface (id 27)."""

    domain: DomainRef
    alias: str
    old_mac: str
    new_mac: str


class QemuMonitorEvent(NamedTuple):
    """What QEMU's monitor said, as it said it; only for subscribers that name this class
    (``virConnectDomainQemuMonitorEventRegister``)."""

    domain: DomainRef
    event: str
    seconds: int
    micros: int
    details: str | None


# -- networks, storage pools, node devices, secrets


class NetworkLifecycleEvent(NamedTuple):
    """A network was defined, undefined, started or stopped."""

    network: NetworkRef
    type: NetworkEventLifecycleType
    detail: int = 0


class NetworkMetadataChangeEvent(NamedTuple):
    """Title, description or a custom metadata element of a network changed."""

    network: NetworkRef
    type: NetworkMetadataType
    uri: str | None


class StoragePoolLifecycleEvent(NamedTuple):
    """A storage pool was defined, undefined, started, stopped, created or deleted."""

    pool: StoragePoolRef
    type: StoragePoolEventLifecycleType
    detail: int = 0


class StoragePoolRefreshEvent(NamedTuple):
    """The volumes of a storage pool were looked for again."""

    pool: StoragePoolRef


class NodeDeviceLifecycleEvent(NamedTuple):
    """A device of the host came, went, was defined or undefined."""

    device: NodeDeviceRef
    type: NodeDeviceEventLifecycleType
    detail: int = 0


class NodeDeviceUpdateEvent(NamedTuple):
    """A device of the host changed."""

    device: NodeDeviceRef


class SecretLifecycleEvent(NamedTuple):
    """A secret was defined or undefined."""

    secret: SecretRef
    type: SecretEventLifecycleType
    detail: int = 0


class SecretValueChangedEvent(NamedTuple):
    """A secret has another value."""

    secret: SecretRef


# -- the connection


class ConnectionClosedEvent(NamedTuple):
    """The connection to the hypervisor or daemon was lost: no more events come."""

    reason: ConnectCloseReason


class GapEvent(NamedTuple):
    """Events were lost before this one (a subscriber that is too slow, a reconnection): look at the state afresh.

    ``lost`` is how many, 0 where nobody could count them.
    """

    lost: int


Event = (
    DomainLifecycleEvent
    | DomainRebootEvent
    | DomainRTCChangeEvent
    | DomainWatchdogEvent
    | DomainIOErrorEvent
    | DomainGraphicsEvent
    | DomainIOErrorReasonEvent
    | DomainControlErrorEvent
    | DomainBlockJobEvent
    | DomainDiskChangeEvent
    | DomainTrayChangeEvent
    | DomainPMWakeupEvent
    | DomainPMSuspendEvent
    | DomainBalloonChangeEvent
    | DomainPMSuspendDiskEvent
    | DomainDeviceRemovedEvent
    | DomainBlockJob2Event
    | DomainTunableEvent
    | DomainAgentLifecycleEvent
    | DomainDeviceAddedEvent
    | DomainMigrationIterationEvent
    | DomainJobCompletedEvent
    | DomainDeviceRemovalFailedEvent
    | DomainMetadataChangeEvent
    | DomainBlockThresholdEvent
    | DomainMemoryFailureEvent
    | DomainMemoryDeviceSizeChangeEvent
    | DomainNICMACChangeEvent
    | QemuMonitorEvent
    | NetworkLifecycleEvent
    | NetworkMetadataChangeEvent
    | StoragePoolLifecycleEvent
    | StoragePoolRefreshEvent
    | NodeDeviceLifecycleEvent
    | NodeDeviceUpdateEvent
    | SecretLifecycleEvent
    | SecretValueChangedEvent
    | ConnectionClosedEvent
    | GapEvent
)


def subject_of(event: Event) -> EventSubject | None:
    """What an event is of; None for events of the connection."""
    subject = event[0]
    return subject if isinstance(subject, EventSubject) else None


def same_subject(one: EventSubject | None, other: EventSubject) -> bool:
    """Whether two references mean the same object, whatever its name and id are by now."""
    if one is None or type(one) is not type(other):
        return False
    family = family_of_reference(type(other).__name__)
    return family is not None and all(getattr(one, field) == getattr(other, field) for field in family.key)
