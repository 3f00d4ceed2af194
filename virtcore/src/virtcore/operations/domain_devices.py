"""Operations on one domain: its devices, while it runs and in its definition."""
# A declaration has no body.
# mypy: disable-error-code="empty-body"

from __future__ import annotations

from virtcore._typing import TYPE_CHECKING, Sequence
from virtcore.operations.declare import Kind, OperationSet, Result, operation

if TYPE_CHECKING:
    from virtcore.enums import (
        DomainBlockResizeFlags,
        DomainDeviceModifyFlags,
        DomainInterfaceAddressesSource,
        DomainModificationImpact,
    )
    from virtcore.operations.values import BlockInfo, DiskError, DomainInterface, InterfaceStats
    from virtcore.types import DomainRef, TypedParameters

__all__ = ["DomainDeviceOperations"]


class DomainDeviceOperations(OperationSet, family="domain"):
    """Devices that come, go and change; disks and network interfaces by themselves."""

    # -- devices

    @operation(Kind.CHANGE, secret=("xml",))
    def domain_attach_device(
        self, domain: DomainRef, xml: str, flags: DomainDeviceModifyFlags | int = 0
    ) -> Result[None]:
        """Add a device (``virDomainAttachDeviceFlags``).

        :param xml: the element of the device.
        :raises XMLError: the document is refused; nothing changed.
        """

    @operation(Kind.CHANGE, secret=("xml",))
    def domain_detach_device(
        self, domain: DomainRef, xml: str, flags: DomainDeviceModifyFlags | int = 0
    ) -> Result[None]:
        """Remove the device that the XML describes (``virDomainDetachDeviceFlags``). A guest may take its time: the
        device is gone when :class:`~virtcore.operations.events.DomainDeviceRemovedEvent` comes.
        """

    @operation(Kind.CHANGE)
    def domain_detach_device_alias(
        self, domain: DomainRef, alias: str, flags: DomainDeviceModifyFlags | int = 0
    ) -> Result[None]:
        """Remove a device by its alias (``virDomainDetachDeviceAlias``); as :meth:`domain_detach_device`."""

    @operation(Kind.CHANGE, secret=("xml",))
    def domain_update_device(
        self, domain: DomainRef, xml: str, flags: DomainDeviceModifyFlags | int = 0
    ) -> Result[None]:
        """Change a device: the medium of a CD drive, the link of an interface, ... (``virDomainUpdateDeviceFlags``)."""

    # -- disks

    @operation(Kind.QUERY)
    def domain_block_info(self, domain: DomainRef, disk: str, flags: int = 0) -> Result[BlockInfo]:
        """Sizes of a disk in bytes (``virDomainGetBlockInfo``).

        :param disk: its target, e.g. ``vda``, or the path of its source; so in all operations on disks.
        """

    @operation(Kind.QUERY)
    def domain_block_stats(self, domain: DomainRef, disk: str, flags: int = 0) -> Result[TypedParameters]:
        """Counters of a disk: bytes, requests, ns (``virDomainBlockStatsFlags``); empty for all disks together."""

    @operation(Kind.QUERY)
    def domain_block_peek(self, domain: DomainRef, disk: str, offset: int, size: int, flags: int = 0) -> Result[bytes]:
        """Bytes of a disk as the guest sees them (``virDomainBlockPeek``). For guests that are off: a running one
        writes meanwhile.

        :param size: bytes, at most 4 MiB.
        """

    @operation(Kind.CHANGE)
    def domain_block_resize(
        self, domain: DomainRef, disk: str, size: int, flags: DomainBlockResizeFlags | int = 0
    ) -> Result[None]:
        """Change the size of a running guest's disk (``virDomainBlockResize``).

        :param size: in KiB, in bytes with flag ``BYTES``.
        """

    @operation(Kind.QUERY)
    def domain_block_iotune(
        self, domain: DomainRef, disk: str | None = None, flags: DomainModificationImpact | int = 0
    ) -> Result[TypedParameters]:
        """Limits of a disk's I/O (``virDomainGetBlockIoTune``)."""

    @operation(Kind.CHANGE)
    def domain_set_block_iotune(
        self, domain: DomainRef, disk: str, params: TypedParameters, flags: DomainModificationImpact | int = 0
    ) -> Result[None]:
        """Set limits of a disk's I/O; 0 lifts one (``virDomainSetBlockIoTune``)."""

    @operation(Kind.CHANGE)
    def domain_set_throttle_group(
        self, domain: DomainRef, group: str, params: TypedParameters, flags: DomainModificationImpact | int = 0
    ) -> Result[None]:
        """Make or change a group of limits that disks share (``virDomainSetThrottleGroup``)."""

    @operation(Kind.CHANGE)
    def domain_del_throttle_group(
        self, domain: DomainRef, group: str, flags: DomainModificationImpact | int = 0
    ) -> Result[None]:
        """Remove a group of limits that no disk uses (``virDomainDelThrottleGroup``)."""

    @operation(Kind.CHANGE)
    def domain_set_block_threshold(self, domain: DomainRef, dev: str, threshold: int, flags: int = 0) -> Result[None]:
        """Have an event come once a disk's host storage grows past a size (``virDomainSetBlockThreshold``).

        :param dev: target of the disk, with ``[index]`` for one of its backing images.
        :param threshold: bytes; 0 for none.
        """

    @operation(Kind.QUERY)
    def domain_disk_errors(self, domain: DomainRef, flags: int = 0) -> Result[Sequence[DiskError]]:
        """Disks whose I/O is stopped by an error (``virDomainGetDiskErrors``)."""

    # -- network interfaces

    @operation(Kind.QUERY)
    def domain_interface_stats(self, domain: DomainRef, device: str) -> Result[InterfaceStats]:
        """Traffic of a network interface (``virDomainInterfaceStats``).

        :param device: target or MAC address of the interface.
        """

    @operation(Kind.QUERY)
    def domain_interface_parameters(
        self, domain: DomainRef, device: str, flags: DomainModificationImpact | int = 0
    ) -> Result[TypedParameters]:
        """Limits of an interface's bandwidth in KiB/s, bursts in KiB (``virDomainGetInterfaceParameters``)."""

    @operation(Kind.CHANGE)
    def domain_set_interface_parameters(
        self, domain: DomainRef, device: str, params: TypedParameters, flags: DomainModificationImpact | int = 0
    ) -> Result[None]:
        """Set limits of an interface's bandwidth; 0 lifts one (``virDomainSetInterfaceParameters``)."""

    @operation(Kind.QUERY)
    def domain_interface_addresses(
        self, domain: DomainRef, source: DomainInterfaceAddressesSource | int = 0, flags: int = 0
    ) -> Result[Sequence[DomainInterface]]:
        """Addresses of the guest's interfaces (``virDomainInterfaceAddresses``).

        :param source: who is asked: leases of networks, the guest's agent, or the host's ARP table.
        """
