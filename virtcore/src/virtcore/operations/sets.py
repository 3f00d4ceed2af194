"""Every set of operations; importing this registers them all."""

from __future__ import annotations

from virtcore.operations.connection import ConnectionOperations
from virtcore.operations.domain import DomainOperations
from virtcore.operations.interface import InterfaceService
from virtcore.operations.network import NetworkService
from virtcore.operations.nodedev import NodeDeviceService
from virtcore.operations.nwfilter import NWFilterService
from virtcore.operations.secret import SecretService
from virtcore.operations.storage import StorageService

__all__ = ["AllOperations"]


class AllOperations(
    ConnectionOperations,
    DomainOperations,
    NetworkService,
    StorageService,
    NodeDeviceService,
    InterfaceService,
    NWFilterService,
    SecretService,
):
    """Everything that a driver may implement."""
