"""What can be seen of guests that do not exist: counters that grow with the clock, memory that counts up."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from virtcore.builtin.test.state import TestState
from virtcore.driver.toolkit.stateful import StatefulDriver
from virtcore.enums.common import TypedParameterType
from virtcore.errors import ArgumentUnsupported, InvalidArg, OperationInvalid, OperationUnsupported
from virtcore.operations.declare import inline
from virtcore.operations.values import DiskError, DomainInterface, DomainIPAddress, InterfaceStats, VcpuInfo
from virtcore.types import CpuMap, TypedParameters

if TYPE_CHECKING:
    from virtcore.enums import DomainInterfaceAddressesSource, DomainMemoryFlags, DomainMemoryStatTags
    from virtcore.model.domain import Domain, Interface
    from virtcore.operations.values import BlockInfo
    from virtcore.types import DomainRef

__all__ = ["InspectingParts"]

_TOTAL_CPU_TIME = 48772617035
_VCPU_LESS = 1234567890
_CAPACITY, _ALLOCATION = 1099506450432, 1099511627776
_LAST_UPDATE = 627319920
#: Most bytes that may be asked for at once (the limit of libvirt's protocol).
_MOST_PEEKED = 4 << 20


def _microseconds() -> int:
    return time.time_ns() // 1000


class InspectingParts(StatefulDriver[TestState]):
    """Statistics and contents."""

    def live_config(self, domain: DomainRef) -> Domain:
        """The configuration of a running guest.

        :raises OperationInvalid: it does not run.
        """
        obj = self.domain(domain)
        obj.require_active()
        assert obj.live is not None
        return obj.live

    # -- CPU, memory

    @inline
    def domain_vcpus(self, domain: DomainRef) -> list[VcpuInfo]:
        from virtcore.driver.toolkit.configuration.vcpus import online, pins
        from virtcore.enums.domain import VcpuState

        obj = self.domain(domain)
        if not obj.active:
            raise OperationInvalid("cannot list vcpus for an inactive domain")
        assert obj.live is not None
        spent = _microseconds() // 10
        # libvirt looks at as many of the first as there are online, and says nothing of those that are not.
        allowed, running = pins(obj.live, self.state.host_cpus), online(obj.live)
        return [
            VcpuInfo(number, VcpuState.RUNNING, spent, max(cpus, default=-1), cpus)
            if number in running
            else VcpuInfo(number, VcpuState.OFFLINE, 0, 0, CpuMap())
            for number, cpus in enumerate(allowed[: len(running)])
        ]

    @inline
    def domain_cpu_stats(
        self, domain: DomainRef, start_cpu: int = -1, ncpus: int = 1, flags: int = 0
    ) -> list[TypedParameters]:
        from virtcore.driver.toolkit.arguments import invalid_argument

        self.check_flags(flags, 0, "domain_cpu_stats")
        if start_cpu < -1:
            raise invalid_argument("start_cpu in virDomainGetCPUStats must be -1 or zero or greater")
        if start_cpu == -1 and ncpus > 1:
            raise invalid_argument("ncpus in virDomainGetCPUStats must be 0 or 1 when start_cpu is -1")
        self.live_config(domain)
        if start_cpu == -1:
            return [_times(cpu_time=_TOTAL_CPU_TIME, user_time=5540000000, system_time=6460000000)]
        # The cores of one socket stand for the host's CPUs here, as in libvirt's driver.
        total = self.state.node.cores
        if start_cpu >= total:
            raise InvalidArg(f"start_cpu {start_cpu} larger than maximum of {total - 1}")
        each = _TOTAL_CPU_TIME // total
        last = min(total, start_cpu + ncpus) if ncpus else total
        return [_times(cpu_time=each + cpu, vcpu_time=each + cpu - _VCPU_LESS) for cpu in range(start_cpu, last)]

    @inline
    def domain_memory_stats(self, domain: DomainRef, flags: int = 0) -> dict[DomainMemoryStatTags, int]:
        from virtcore.driver.toolkit.configuration.memory import has_balloon
        from virtcore.enums.domain_more import DomainMemoryStatTags as Tag

        self.check_flags(flags, 0, "domain_memory_stats")
        live = self.live_config(domain)
        if not has_balloon(live):
            return {}
        current = live.memory_total if live.current_memory is None else live.current_memory
        return {
            Tag.ACTUAL_BALLOON: current,
            Tag.SWAP_IN: 0,
            Tag.SWAP_OUT: 0,
            Tag.MAJOR_FAULT: 0,
            Tag.MINOR_FAULT: 0,
            Tag.UNUSED: current // 2,
            Tag.AVAILABLE: current,
            Tag.USABLE: current // 2,
            Tag.LAST_UPDATE: _LAST_UPDATE,
            Tag.DISK_CACHES: current // 8,
            Tag.HUGETLB_PGALLOC: 0,
            Tag.HUGETLB_PGFAIL: 0,
            Tag.RSS: current // 2,
        }

    @inline
    def domain_memory_peek(self, domain: DomainRef, start: int, size: int, flags: DomainMemoryFlags | int = 0) -> bytes:
        from virtcore.driver.toolkit.arguments import invalid_argument, refuse_both

        virtual, physical = ("VIR_MEMORY_VIRTUAL", 1), ("VIR_MEMORY_PHYSICAL", 2)
        refuse_both(flags, virtual, physical)
        self.check_flags(flags, 3, "domain_memory_peek")
        if not flags:
            raise InvalidArg("flags parameter must be VIR_MEMORY_VIRTUAL or VIR_MEMORY_PHYSICAL")
        if not 0 <= size <= _MOST_PEEKED:
            raise invalid_argument(f"size in virDomainMemoryPeek must be between 0 and {_MOST_PEEKED}")
        self.live_config(domain)
        first = start & 0xFF
        counting = bytes(range(256))
        return (counting[first:] + counting * (size // 256 + 1))[:size]

    # -- disks

    @inline
    def domain_block_info(self, domain: DomainRef, disk: str, flags: int = 0) -> BlockInfo:
        from virtcore.driver.toolkit.arguments import refuse_empty
        from virtcore.driver.toolkit.configuration.disks import find_disk
        from virtcore.operations.values import BlockInfo

        refuse_empty(disk, "disk", "domain_block_info")
        self.check_flags(flags, 0, "domain_block_info")
        found = find_disk(self.state.config(self.domain(domain)), disk)
        if found is None:
            raise InvalidArg(f"invalid path {disk} not assigned to domain")
        if found.source is None:
            raise InvalidArg(f"disk '{disk}' does not currently have a source assigned")
        return BlockInfo(_CAPACITY, _ALLOCATION, _ALLOCATION)

    @inline
    def domain_block_stats(self, domain: DomainRef, disk: str, flags: int = 0) -> TypedParameters:
        from virtcore.driver.toolkit.configuration.disks import find_disk

        self.check_flags(flags, 0, "domain_block_stats")
        if not disk:
            raise OperationUnsupported("summary statistics are not supported yet")
        if find_disk(self.live_config(domain), disk) is None:
            raise InvalidArg(f"invalid path: {disk}")
        now = _microseconds()
        rows = TypedParameters()
        for name, value in (
            ("rd_operations", now // 10),
            ("rd_bytes", now // 20),
            ("wr_operations", now // 30),
            ("wr_bytes", now // 40),
            ("errs", now // 2_000_000),
        ):
            rows.add(name, TypedParameterType.LLONG, value)
        return rows

    @inline
    def domain_disk_errors(self, domain: DomainRef, flags: int = 0) -> list[DiskError]:
        from virtcore.enums.domain import DomainDiskErrorCode

        self.check_flags(flags, 0, "domain_disk_errors")
        live = self.live_config(domain)
        kinds = (DomainDiskErrorCode.UNSPEC, DomainDiskErrorCode.NO_SPACE)
        return [
            DiskError(disk.target.dev, kinds[number % len(kinds)])
            for number, disk in enumerate(live.devices.disks if live.devices is not None else ())
            if disk.target is not None and disk.target.dev is not None
        ]

    # -- network interfaces

    @inline
    def domain_interface_stats(self, domain: DomainRef, device: str) -> InterfaceStats:
        from virtcore.driver.toolkit.configuration.interfaces import find_interface

        find_interface(self.live_config(domain), device)
        now = _microseconds()
        return InterfaceStats(
            rx_bytes=now // 10,
            rx_packets=now // 100,
            rx_errs=now // 1_000_000,
            rx_drop=now // 2_000_000,
            tx_bytes=now // 20,
            tx_packets=now // 110,
            tx_errs=now // 3_000_000,
            tx_drop=now // 4_000_000,
        )

    async def domain_interface_addresses(
        self, domain: DomainRef, source: DomainInterfaceAddressesSource | int = 0, flags: int = 0
    ) -> list[DomainInterface]:
        from virtcore.enums.network import IPAddrType

        self.check_flags(flags, 0, "domain_interface_addresses")
        if source not in (0, 1, 2):
            raise ArgumentUnsupported(f"Unknown IP address data source {int(source)}")
        live = self.live_config(domain)
        found = []
        for number, interface in enumerate(live.devices.interfaces if live.devices is not None else ()):
            name = interface.target.dev if interface.target is not None else None
            address = self._address(interface, 20 * ((live.id or 1) - 1) + number + 1)
            if address is None:
                address = DomainIPAddress(IPAddrType.IPV4, f"192.168.0.{1 + number}", 24)
            found.append(
                DomainInterface(name or "", interface.mac.address if interface.mac is not None else None, [address])
            )
        return found

    def _address(self, interface: Interface, offset: int) -> DomainIPAddress | None:
        """An address from the network of an interface, another one for each domain and interface; None where it is on
        no network."""
        from ipaddress import ip_address

        from virtcore.enums.network import IPAddrType
        from virtcore.model.domain.interface import NetworkInterfaceSource

        if not isinstance(interface.source, NetworkInterfaceSource):
            return None
        network = self.state.networks.table.by_name(interface.source.network).current
        if not network.ips:  # libvirt's driver does not look
            return None
        first = network.ips[0]
        ranges = first.dhcp.ranges if first.dhcp is not None else ()
        start = ip_address(ranges[0].start if ranges else first.address)
        kind = IPAddrType.IPV6 if first.family == "ipv6" else IPAddrType.IPV4
        return DomainIPAddress(kind, str(start + offset), first.prefix_length or 0)


def _times(**times: int) -> TypedParameters:
    rows = TypedParameters()
    for name, value in times.items():
        rows.add(name, TypedParameterType.ULLONG, value)
    return rows
