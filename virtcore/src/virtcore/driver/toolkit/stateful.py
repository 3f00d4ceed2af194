"""A driver whose domains this process knows: every generic operation, over a shared :class:`DriverState`."""

from __future__ import annotations

import time

from virtcore._typing import TYPE_CHECKING, Callable, ClassVar, Generic, Self, Sequence, TypeVar
from virtcore.driver.base import Driver, OpenRequest, Subscription
from virtcore.driver.toolkit import shared
from virtcore.driver.toolkit.checks import canonical_uuid, check_flags
from virtcore.driver.toolkit.domains import LIST_FILTERS, DomainObject
from virtcore.driver.toolkit.state import DriverState
from virtcore.enums.common import TypedParameterType
from virtcore.enums.domain import (
    ConnectListAllDomainsFlags,
    DomainCreateFlags,
    DomainDefineFlags,
    DomainDestroyFlags,
    DomainMetadataType,
    DomainModificationImpact,
    DomainUndefineFlags,
    DomainVcpuFlags,
    DomainXMLFlags,
)
from virtcore.enums.domain_more import ConnectGetAllDomainStatsFlags as StatsFlags, DomainStatsTypes
from virtcore.errors import ArgumentUnsupported, ErrorDomain, InvalidArg, NoDomain, NoDomainMetadata, VirtError
from virtcore.operations.declare import Result, inline
from virtcore.operations.values import DomainInfo, DomainStats, RecentStats, StateInfo
from virtcore.types import DomainRef, TypedParameters

if TYPE_CHECKING:
    from virtcore.driver.toolkit.store import Facts
    from virtcore.model.domain import Domain
    from virtcore.operations.events import Event

__all__ = ["StatefulDriver", "memory_parameters"]

S = TypeVar("S", bound=DriverState)

#: Seconds that statistics of many are gathered before others have their turn.
_SLICE = 0.002

_LIST_FILTERS = int(
    ConnectListAllDomainsFlags.ACTIVE
    | ConnectListAllDomainsFlags.INACTIVE
    | ConnectListAllDomainsFlags.PERSISTENT
    | ConnectListAllDomainsFlags.TRANSIENT
    | ConnectListAllDomainsFlags.RUNNING
    | ConnectListAllDomainsFlags.PAUSED
    | ConnectListAllDomainsFlags.SHUTOFF
    | ConnectListAllDomainsFlags.OTHER
)


class StatefulDriver(Driver, Generic[S]):
    """Base of drivers over a :class:`DriverState`. One instance a connection; connections share :attr:`state`.

    A driver's ``open`` is, whole::

        @classmethod
        async def open(cls, request: OpenRequest) -> Self:
            folders = StateFolders.session("toy")
            return await cls.attach(request, ("toy", str(folders.config)), lambda: ToyState(folders))
    """

    #: What libvirt's driver has before its functions' names: ``qemu`` in ``qemuDomainReboot``; occurs in messages.
    function_prefix: ClassVar[str] = "vir"

    #: Flags of ``domain_undefine`` and others that the driver understands.
    undefine_flags: ClassVar[DomainUndefineFlags] = DomainUndefineFlags(0)
    create_flags: ClassVar[DomainCreateFlags] = DomainCreateFlags.START_PAUSED | DomainCreateFlags.START_VALIDATE
    destroy_flags: ClassVar[DomainDestroyFlags] = DomainDestroyFlags.GRACEFUL
    xml_flags: ClassVar[DomainXMLFlags] = DomainXMLFlags.SECURE | DomainXMLFlags.INACTIVE | DomainXMLFlags.MIGRATABLE
    #: ``DomainStatsTypes`` that it can tell.
    stats_groups: ClassVar[int] = DomainStatsTypes.STATE | DomainStatsTypes.BALLOON | DomainStatsTypes.VCPU
    #: Seconds that a guest may take to answer before its last statistics stand in (``connection_recent_stats``).
    stats_patience: ClassVar[float] = 1.0

    state: S

    def __init__(self, request: OpenRequest, state: S, key: tuple[str, ...]) -> None:
        self.request = request
        self.state = state
        self._key = key
        self._open = True
        self._owns = False  # a guest that ends with this connection

    @classmethod
    async def attach(cls, request: OpenRequest, key: tuple[str, ...], make: Callable[[], S]) -> Self:
        """Open a connection on shared state.

        :param key: what tells this state from others of the process; driver and root.
        :param make: makes it when this is its first connection.
        :raises VirtError: it cannot be opened, e.g. another process has its folders.
        """
        return cls(request, await shared.acquire(key, make), key)

    def complete(self) -> None:
        self.state.complete()
        super().complete()

    async def close(self) -> None:
        if self._open:
            self._open = False
            if self._owns:
                import asyncio

                await asyncio.gather(*(self._end(obj) for obj in self.state.domains if obj.owner is self))
            await shared.release(self._key)

    async def _end(self, obj: DomainObject) -> None:
        """End a guest with this connection."""
        try:
            await self.state.destroy(obj)
        except VirtError as error:
            import logging

            logging.getLogger(__name__).error("domain '%s' cannot be ended with its connection: %s", obj.name, error)

    def subscribe(self, deliver: Callable[[Event], None]) -> Subscription:
        return self.state.events.subscribe(deliver)

    def domain(self, ref: DomainRef) -> DomainObject:
        """The object behind a reference.

        :raises NoDomain: it is not (any more) known.
        """
        return self.state.domains.get(ref)

    def check_flags(self, flags: int, supported: int, operation: str, function: str | None = None) -> None:
        """Refuse flags that an operation does not know (:func:`check_flags`)."""
        check_flags(flags, supported, operation, self.function_prefix, function)

    # -- hooks for statistics and information

    def live_info(self, obj: DomainObject) -> DomainInfo:
        """Hook: ``domain_info`` of a running domain, from what is known without waiting. By default what the
        configuration says, and no CPU time."""
        return self.info_of(obj, 0)

    async def live_stats(self, obj: DomainObject, groups: int, flags: int) -> TypedParameters:
        """Hook: statistics of a running domain; with ``NOWAIT`` in ``flags`` without waiting for its job."""
        return self.stats_of(obj, groups, self.live_info(obj))

    def stats_of(self, obj: DomainObject, groups: int, info: DomainInfo) -> TypedParameters:
        """The statistics that follow from state and information alone."""
        rows = TypedParameters()
        if groups & DomainStatsTypes.STATE:
            rows.add("state.state", TypedParameterType.INT, int(obj.state))
            rows.add("state.reason", TypedParameterType.INT, int(obj.reason))
        if groups & DomainStatsTypes.BALLOON & self.stats_groups:
            if obj.active:
                rows.add("balloon.current", TypedParameterType.ULLONG, info.memory)
            rows.add("balloon.maximum", TypedParameterType.ULLONG, info.max_memory)
        if groups & DomainStatsTypes.VCPU & self.stats_groups:
            rows.add("vcpu.current", TypedParameterType.UINT, info.vcpus)
            rows.add("vcpu.maximum", TypedParameterType.UINT, _number(self.state.facts(obj), "max_vcpus"))
        return rows

    # -- the connection

    @inline
    def connection_uri(self) -> str:
        return str(self.request.uri)

    @inline
    def connection_hostname(self) -> str:
        import socket

        return socket.gethostname()

    @inline
    def connection_is_alive(self) -> bool:
        return True

    @inline
    def connection_is_secure(self) -> bool:
        return True

    @inline
    def connection_is_encrypted(self) -> bool:
        return False

    @inline
    def connection_lib_version(self) -> int:
        return 11_003_000

    # -- finding domains

    @inline
    def connection_list_domains(self, flags: ConnectListAllDomainsFlags | int = 0) -> Sequence[DomainRef]:
        self.check_flags(flags, LIST_FILTERS, "connection_list_domains")
        return self.state.domains.refs(int(flags))

    @inline
    def connection_lookup_domain(
        self, name: str | None = None, uuid: str | None = None, id: int | None = None
    ) -> DomainRef:
        if name is not None:
            return self.state.domains.by_name(name).ref
        if uuid is not None:
            return self.state.domains.by_uuid(canonical_uuid(uuid, "virDomainLookupByUUIDString")).ref
        assert id is not None
        return self.state.domains.by_id(id).ref

    # -- making and ending them

    async def connection_define_domain(self, xml: str, flags: DomainDefineFlags | int = 0) -> DomainRef:
        import asyncio

        self.check_flags(flags, DomainDefineFlags.VALIDATE, "connection_define_domain")
        ref = await self.state.define(xml, int(flags))
        asyncio.get_running_loop().call_soon(self._foresee, ref)  # when the answer is on its way
        return ref

    def _foresee(self, domain: DomainRef) -> None:
        """Make what is asked of many domains at once, while there is time."""
        try:
            obj = self.domain(domain)
        except NoDomain:  # it is gone again
            return
        if not obj.active:
            self._inactive_row(obj, self.stats_groups)

    async def connection_create_domain(self, xml: str, flags: DomainCreateFlags | int = 0) -> DomainRef:
        self.check_flags(flags, self.create_flags, "connection_create_domain")
        return await self.state.create_from(xml, int(flags), self._owner(flags))

    async def domain_create(self, domain: DomainRef, flags: DomainCreateFlags | int = 0) -> DomainRef:
        self.check_flags(flags, self.create_flags, "domain_create")
        return await self.state.create(self.domain(domain), int(flags), self._owner(flags))

    def _owner(self, flags: DomainCreateFlags | int) -> StatefulDriver[S] | None:
        """What a guest that is started so ends with."""
        if not int(flags) & DomainCreateFlags.START_AUTODESTROY:
            return None
        self._owns = True
        return self

    async def domain_destroy(self, domain: DomainRef, flags: DomainDestroyFlags | int = 0) -> None:
        self.check_flags(flags, self.destroy_flags, "domain_destroy")
        await self.state.destroy(self.domain(domain), int(flags))

    async def domain_undefine(self, domain: DomainRef, flags: DomainUndefineFlags | int = 0) -> None:
        self.check_flags(flags, self.undefine_flags, "domain_undefine")
        await self.state.undefine(self.domain(domain), int(flags))

    # -- what they are

    @inline
    def domain_state(self, domain: DomainRef, flags: int = 0) -> StateInfo:
        self.check_flags(flags, 0, "domain_state")
        obj = self.domain(domain)
        return StateInfo(obj.state, obj.reason)

    @inline
    def domain_info(self, domain: DomainRef) -> DomainInfo:
        obj = self.state.domains.get(domain)
        if obj.active:
            return self.live_info(obj)
        info = obj.kept.get("info")
        if not isinstance(info, DomainInfo):
            obj.kept["info"] = info = self.info_of(obj, 0)
        return info

    def info_of(self, obj: DomainObject, cpu_time: int) -> DomainInfo:
        """Information that follows from state and configuration.

        :param cpu_time: in ns.
        """
        facts = self.state.facts(obj)
        memory = _number(facts, "memory")
        return DomainInfo(obj.state, _number(facts, "max_memory"), memory, _number(facts, "vcpus"), cpu_time)

    @inline
    def domain_xml(self, domain: DomainRef, flags: DomainXMLFlags | int = 0) -> Result[str]:
        obj = self.state.domains.get(domain)
        text = obj.texts.get(flags)  # asked for more than anything else, so first; kept only for flags that are known
        if text is None:
            self.check_flags(flags, self.xml_flags, "domain_xml")
            return self.state.xml_or_later(obj, int(flags))
        return text

    @inline
    def domain_os_type(self, domain: DomainRef) -> str:
        return str(self.state.facts(self.domain(domain))["os_type"])

    @inline
    def domain_is_active(self, domain: DomainRef) -> bool:
        return self.domain(domain).active

    @inline
    def domain_is_persistent(self, domain: DomainRef) -> bool:
        return self.domain(domain).persistent

    @inline
    def domain_is_updated(self, domain: DomainRef) -> bool:
        return self.domain(domain).updated

    @inline
    def domain_has_managed_save(self, domain: DomainRef, flags: int = 0) -> bool:
        self.check_flags(flags, 0, "domain_has_managed_save")
        return self.domain(domain).managed_save

    @inline
    def domain_max_memory(self, domain: DomainRef) -> int:
        return _number(self.state.facts(self.domain(domain)), "max_memory")

    @inline
    def domain_vcpus_count(self, domain: DomainRef, flags: DomainVcpuFlags | int = 0) -> Result[int]:
        flags = int(flags)
        known = DomainVcpuFlags.LIVE | DomainVcpuFlags.CONFIG | DomainVcpuFlags.MAXIMUM
        self.check_flags(flags, known, "domain_vcpus_count")
        obj = self.domain(domain)
        facts = self.state.facts(obj, self.state.affects_live(obj, flags))
        return _number(facts, "max_vcpus" if flags & DomainVcpuFlags.MAXIMUM else "vcpus")

    @inline
    def domain_metadata(
        self,
        domain: DomainRef,
        type: DomainMetadataType | int,
        uri: str | None = None,
        flags: DomainModificationImpact | int = 0,
    ) -> str:
        self.check_flags(flags, 3, "domain_metadata")
        if type not in (0, 1, 2):
            raise InvalidArg(f"unknown metadata type '{int(type)}'", domain=ErrorDomain.DOMAIN)
        from virtcore.model.metadata import find_metadata

        config = self.state.config(self.domain(domain), int(flags))
        value: str | None
        if type == DomainMetadataType.DESCRIPTION:
            value = config.description
        elif type == DomainMetadataType.TITLE:
            value = config.title
        else:
            value = find_metadata(config.metadata, uri)
        if value is None:
            raise NoDomainMetadata("Requested metadata element is not present")
        return value

    @inline
    def domain_memory_parameters(self, domain: DomainRef, flags: DomainModificationImpact | int = 0) -> TypedParameters:
        self.check_flags(flags, 3, "domain_memory_parameters")
        return memory_parameters(self.state.config(self.domain(domain), int(flags)))

    @inline
    def domain_autostart(self, domain: DomainRef) -> bool:
        return self.domain(domain).autostart

    async def domain_set_autostart(self, domain: DomainRef, autostart: bool) -> None:
        await self.state.set_autostart(self.domain(domain), autostart)

    # -- statistics

    async def connection_domain_stats(
        self,
        domains: Sequence[DomainRef] | None = None,
        stats: DomainStatsTypes | int = 0,
        flags: StatsFlags | int = 0,
    ) -> list[DomainStats]:
        import asyncio

        flags = int(flags)
        options = int(StatsFlags.NOWAIT | StatsFlags.BACKING | StatsFlags.ENFORCE_STATS)
        self.check_flags(flags, _LIST_FILTERS | options, "connection_domain_stats")
        groups = self._stats_groups(int(stats), bool(flags & StatsFlags.ENFORCE_STATS))
        objects = self.state.domains.select(flags & _LIST_FILTERS)
        if domains is not None:
            passed = {obj.uuid: obj for obj in objects}
            objects = [passed[ref.uuid] for ref in domains if ref.uuid in passed]
        if any(obj.active for obj in objects):
            return list(await asyncio.gather(*(self._stats_row(obj, groups, flags) for obj in objects)))
        rows: list[DomainStats] = []
        until = time.monotonic() + _SLICE
        for obj in objects:
            if time.monotonic() > until:
                await asyncio.sleep(0)  # others have their turn
                until = time.monotonic() + _SLICE
            rows.append(await self._stats_row(obj, groups, flags) if obj.active else self._inactive_row(obj, groups))
        return rows

    def _stats_groups(self, wanted: int, enforce: bool) -> int:
        missing = wanted & ~self.stats_groups
        if missing and enforce:
            raise ArgumentUnsupported(f"Stats types bits 0x{missing:x} are not supported by this daemon")
        return wanted & self.stats_groups if wanted else self.stats_groups

    async def _stats_row(self, obj: DomainObject, groups: int, flags: int) -> DomainStats:
        if not obj.active:
            return self._inactive_row(obj, groups)
        return DomainStats(obj.ref, await self.live_stats(obj, groups, flags))

    def _inactive_row(self, obj: DomainObject, groups: int) -> DomainStats:
        key = ("stats", groups)
        row = obj.kept.get(key)
        if not isinstance(row, DomainStats):
            row = DomainStats(obj.ref, self.stats_of(obj, groups, self.info_of(obj, 0)).seal())
            obj.kept[key] = row
        return row

    async def connection_recent_stats(
        self, domains: Sequence[DomainRef] | None = None, stats: DomainStatsTypes | int = 0, max_age: float = 0.0
    ) -> list[RecentStats]:
        if not isinstance(max_age, int | float) or not max_age >= 0:
            raise InvalidArg(f"max_age is a number of seconds, not {max_age!r}", value=str(max_age))
        groups = self._stats_groups(int(stats), enforce=False)
        objects = list(self.state.domains) if domains is None else [self.domain(ref) for ref in domains]
        import asyncio

        return list(await asyncio.gather(*(self._recent(obj, groups, float(max_age)) for obj in objects)))

    async def _recent(self, obj: DomainObject, groups: int, max_age: float) -> RecentStats:
        if not obj.active:
            return RecentStats(obj.ref, self._inactive_row(obj, groups).params, 0.0)
        last = obj.measured.get(groups)
        if last is None or time.monotonic() - last[1] > max_age:
            import asyncio

            measuring = asyncio.ensure_future(self._measure(obj, groups))
            await asyncio.wait([measuring], timeout=self.stats_patience)
            if measuring.done():
                measuring.result()
            last = obj.measured.get(groups, last)
        if last is None:  # it has never answered: what is known without it
            return RecentStats(obj.ref, self.stats_of(obj, groups, self.live_info(obj)), 0.0)
        return RecentStats(obj.ref, last[0], time.monotonic() - last[1])

    async def _measure(self, obj: DomainObject, groups: int) -> None:
        """Ask a guest; what comes after everybody has left is kept for the next who asks."""
        began = time.monotonic()
        params = await self.live_stats(obj, groups, int(StatsFlags.NOWAIT))
        if obj.active:
            obj.measured[groups] = (params, began)


def _number(facts: Facts, name: str) -> int:
    value = facts.get(name)
    return value if isinstance(value, int) else 0


def memory_parameters(domain: Domain) -> TypedParameters:
    """The memory limits of a configuration as ``virDomainGetMemoryParameters`` reports them, in KiB."""
    from virtcore.model.domain.memory import MEMORY_UNLIMITED

    tune = domain.memtune
    rows = TypedParameters()
    for name in ("hard_limit", "soft_limit", "swap_hard_limit"):
        limit = getattr(tune, name) if tune is not None else None
        rows.add(name, TypedParameterType.ULLONG, MEMORY_UNLIMITED if limit is None else limit)
    return rows
