"""Every set of operations; importing this registers them all."""

from __future__ import annotations

from virtcore.operations.connection import ConnectionOperations
from virtcore.operations.connection_guests import GuestOperations
from virtcore.operations.connection_host import HostOperations
from virtcore.operations.domain import DomainOperations
from virtcore.operations.domain_blockjobs import DomainBlockJobOperations
from virtcore.operations.domain_checkpoint import CheckpointOperations
from virtcore.operations.domain_devices import DomainDeviceOperations
from virtcore.operations.domain_guest import DomainGuestOperations
from virtcore.operations.domain_input import DomainInputOperations
from virtcore.operations.domain_jobs import DomainJobOperations
from virtcore.operations.domain_saving import DomainSavingOperations
from virtcore.operations.domain_snapshot import SnapshotOperations
from virtcore.operations.domain_snapshots import DomainSnapshotOperations
from virtcore.operations.domain_statistics import DomainStatisticsOperations
from virtcore.operations.domain_tuning import DomainTuningOperations
from virtcore.operations.interface import InterfaceService
from virtcore.operations.lxc import LxcOperations
from virtcore.operations.network import NetworkService
from virtcore.operations.nodedev import NodeDeviceService
from virtcore.operations.nwfilter import NWFilterService
from virtcore.operations.qemu import QemuOperations
from virtcore.operations.secret import SecretService
from virtcore.operations.storage import StorageService

__all__ = ["AllOperations"]


class AllOperations(
    ConnectionOperations,
    HostOperations,
    GuestOperations,
    DomainOperations,
    DomainInputOperations,
    DomainDeviceOperations,
    DomainBlockJobOperations,
    DomainTuningOperations,
    DomainStatisticsOperations,
    DomainSavingOperations,
    DomainJobOperations,
    DomainGuestOperations,
    DomainSnapshotOperations,
    SnapshotOperations,
    CheckpointOperations,
    QemuOperations,
    LxcOperations,
    NetworkService,
    StorageService,
    NodeDeviceService,
    InterfaceService,
    NWFilterService,
    SecretService,
):
    """Everything that a driver may implement."""
