"""Drivers with one fault each. The compliance suite must fail every one of them, in the class named."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from contextlib import suppress
from typing import Any, ClassVar

from virtcore.builtin.test.driver import TestDriver
from virtcore.builtin.test.interfaces import TestInterfaces
from virtcore.builtin.test.networks import TestNetworks
from virtcore.builtin.test.nodedev import TestNodeDevices
from virtcore.builtin.test.secrets import TestFilters, TestSecrets
from virtcore.builtin.test.storage import TestStorage
from virtcore.driver import Subscription, inline
from virtcore.driver.service import DriverService
from virtcore.enums import DomainMigrateFlags, DomainSnapshotDeleteFlags, DomainXMLFlags
from virtcore.errors import InvalidArg, VirtError
from virtcore.operations.values import InterfaceStats, MigrationBegun, MigrationFinished, MigrationPrepared
from virtcore.types import (
    DomainCheckpointRef,
    DomainRef,
    DomainSnapshotRef,
    NetworkRef,
    NodeDeviceRef,
    NWFilterRef,
    SecretRef,
    StoragePoolRef,
    StorageVolRef,
    TypedParameters,
)


def beside(**services: type[DriverService]) -> Mapping[str, str | type[DriverService]]:
    """The test driver's services, these in their place."""
    return {**TestDriver.own_services, **services}


class Faulty(TestDriver):
    """Without a fault yet."""

    #: The class of the suite that must find the fault.
    caught_by: ClassVar[str]
    #: What its target says: that definitions survive.
    persistent: ClassVar[bool] = False


class UntruthfulVersion(Faulty):
    """Says a version that is none."""

    caught_by = "TestConnection"

    @inline
    def connection_version(self) -> int:
        return -1


class WrongMissing(Faulty):
    """Reports a domain that is not there as a wrong argument."""

    caught_by = "TestDomainDefinitions"

    @inline
    def connection_lookup_domain(
        self, name: str | None = None, uuid: str | None = None, id: int | None = None
    ) -> DomainRef:
        try:
            return super().connection_lookup_domain(name, uuid, id)
        except Exception as error:
            raise InvalidArg("no such domain") from error


class StickyDefinition(Faulty):
    """Keeps a definition that was undefined."""

    caught_by = "TestDomainDefinitions"

    async def domain_undefine(self, domain: DomainRef, flags: Any = 0) -> None:
        self.domain(domain)


class HalfDead(Faulty):
    """Destroys without the guest noticing."""

    caught_by = "TestDomainLife"

    async def domain_destroy(self, domain: DomainRef, flags: Any = 0) -> None:
        self.domain(domain).require_active()


class Mute(Faulty):
    """Takes subscriptions and says nothing."""

    caught_by = "TestEvents"

    def subscribe(self, deliver: Any) -> Subscription:
        return Subscription(lambda: None)


class Meddler(Faulty):
    """Changes something on a read-only connection: whoever is looked up is forgotten."""

    caught_by = "TestReadOnly"

    @inline
    def connection_lookup_domain(
        self, name: str | None = None, uuid: str | None = None, id: int | None = None
    ) -> DomainRef:
        found = super().connection_lookup_domain(name, uuid, id)
        if self.request.readonly:
            self.state.domains.remove(self.domain(found))
        return found


class Forgetful(Faulty):
    """Claims that definitions survive, and forgets them with the last connection."""

    caught_by = "TestPersistence"
    persistent = True


class Impatient(Faulty):
    """Takes back a start whose waiter has left."""

    caught_by = "TestDeadlines"

    async def domain_create(self, domain: DomainRef, flags: Any = 0) -> DomainRef:
        await asyncio.sleep(0.05)
        return domain


class Racing(Faulty):
    """Starts a guest as often as it is asked to."""

    caught_by = "TestConcurrency"

    async def domain_create(self, domain: DomainRef, flags: Any = 0) -> DomainRef:
        obj = self.domain(domain)
        if not obj.active:
            await super().domain_create(domain, flags)
        return obj.ref


class Boaster(Faulty):
    """Claims an operation that the suite does not know."""

    caught_by = "TestClaims"

    @classmethod
    def implements(cls, operation: Any) -> bool:
        return True


class Orphanage(Faulty):
    """Takes the children of a snapshot along when it is to go alone."""

    caught_by = "TestSnapshots"

    async def domain_snapshot_delete(self, snapshot: DomainSnapshotRef, flags: Any = 0) -> None:
        await super().domain_snapshot_delete(snapshot, DomainSnapshotDeleteFlags.CHILDREN)


class OwnParent(Faulty):
    """Does not know which checkpoint another one follows."""

    caught_by = "TestCheckpoints"

    @inline
    def domain_checkpoint_parent(self, checkpoint: DomainCheckpointRef, flags: int = 0) -> DomainCheckpointRef:
        return checkpoint


class _EndlessNetworks(TestNetworks):
    async def network_destroy(self, network: NetworkRef) -> None:
        self.network(network)


class Undying(Faulty):
    """Says that a network has stopped which runs on."""

    caught_by = "TestNetworks"
    own_services = beside(network=_EndlessNetworks)


class _StickyInterfaces(TestInterfaces):
    @inline
    def connection_interface_rollback(self, flags: int = 0) -> None:
        self.connection_interface_commit(flags)


class Unforgiving(Faulty):
    """Keeps the changes of interfaces that were to be taken back."""

    caught_by = "TestInterfaces"
    own_services = beside(interface=_StickyInterfaces)


class _ChattySecrets(TestSecrets):
    @inline
    def secret_xml(self, secret: SecretRef, flags: int = 0) -> str:
        value = self.secrets.get(secret.uuid).value or b""
        return super().secret_xml(secret).replace("<secret", f"<!-- {value!r} --><secret")


class Chatty(Faulty):
    """Shows the value of a secret in its XML."""

    caught_by = "TestSecrets"
    own_services = beside(secret=_ChattySecrets)


class _LooseFilters(TestFilters):
    async def nwfilter_undefine(self, nwfilter: NWFilterRef) -> None:
        self.filters.table.remove(self.nwfilter(nwfilter))


class Loose(Faulty):
    """Removes filters that are in use."""

    caught_by = "TestFilters"
    own_services = beside(nwfilter=_LooseFilters)


class Credulous(Faulty):
    """Takes flags that it does not know."""

    caught_by = "TestBadInput"

    @inline
    def domain_xml(self, domain: DomainRef, flags: Any = 0) -> str | Awaitable[str]:
        return super().domain_xml(domain, int(flags) & 0xFF)


class Namesake(Faulty):
    """Tells nobody of a title that has changed."""

    caught_by = "TestSettings"

    async def domain_set_metadata(self, domain: DomainRef, type: Any, metadata: Any, *rest: Any) -> None:
        self.domain(domain)


class Miscounting(Faulty):
    """Changes the wrong number of virtual CPUs."""

    caught_by = "TestProcessors"

    async def domain_set_vcpus(self, domain: DomainRef, nvcpus: int, flags: Any = 0) -> None:
        await super().domain_set_vcpus(domain, nvcpus, int(flags) | 4)


class Threadbare(Faulty):
    """Removes I/O threads that are not there."""

    caught_by = "TestIOThreads"

    async def domain_del_iothread(self, domain: DomainRef, iothread_id: int, flags: Any = 0) -> None:
        with suppress(VirtError):
            await super().domain_del_iothread(domain, iothread_id, flags)


class Generous(Faulty):
    """Gives guests memory without asking how much they may have."""

    caught_by = "TestMemory"

    async def domain_set_memory(self, domain: DomainRef, memory: int, flags: Any = 0) -> None:
        with suppress(VirtError):
            await super().domain_set_memory(domain, memory, flags)


class Limitless(Faulty):
    """Takes limits, and forgets them."""

    caught_by = "TestLimits"

    async def domain_set_blkio_parameters(self, domain: DomainRef, params: Any, flags: Any = 0) -> None:
        self.domain(domain)


class Clinging(Faulty):
    """Keeps devices that were taken away."""

    caught_by = "TestDevices"

    async def domain_detach_device(self, domain: DomainRef, xml: str, flags: Any = 0) -> None:
        self.domain(domain)


class Seer(Faulty):
    """Knows the traffic of disks that are not there."""

    caught_by = "TestDisks"

    @inline
    def domain_block_stats(self, domain: DomainRef, disk: str, flags: int = 0) -> TypedParameters:
        return super().domain_block_stats(domain, "vda", flags)


class Backwards(Faulty):
    """Counts traffic backwards."""

    caught_by = "TestNetworkDevices"

    @inline
    def domain_interface_stats(self, domain: DomainRef, device: str) -> InterfaceStats:
        found = super().domain_interface_stats(domain, device)
        return InterfaceStats(*(-count for count in found))


class Frozen(Faulty):
    """Thaws file systems for ever."""

    caught_by = "TestAgent"

    @inline
    def domain_fs_thaw(self, domain: DomainRef, mountpoints: Any = None, flags: int = 0) -> int:
        self.domain(domain)
        return 2


class AllKeys(Faulty):
    """Presses keys of sets that it does not know."""

    caught_by = "TestReach"

    @inline
    def domain_send_key(self, domain: DomainRef, codeset: Any, holdtime: int, keycodes: Any, flags: int = 0) -> None:
        self.domain(domain).require_active()


class Undead(Faulty):
    """Has statistics of guests that do not run."""

    caught_by = "TestStatistics"

    @inline
    def domain_memory_stats(self, domain: DomainRef, flags: int = 0) -> Any:
        return super().domain_memory_stats(domain, flags) if self.domain(domain).active else {}


class Amnesiac(Faulty):
    """Saves a guest, and restores any file."""

    caught_by = "TestSaving"

    async def connection_restore(self, file: Any = None, *rest: Any) -> None:
        with suppress(VirtError):
            await super().connection_restore(file, *rest)


class Hoarder(Faulty):
    """Keeps managed save images that it has used."""

    caught_by = "TestManagedSave"

    @inline
    def domain_has_managed_save(self, domain: DomainRef, flags: int = 0) -> bool:
        self.domain(domain)
        return True


class Busy(Faulty):
    """Aborts jobs that nobody began."""

    caught_by = "TestJobs"

    async def domain_abort_job(self, domain: DomainRef, flags: Any = 0) -> None:
        self.domain(domain)


class Diligent(Faulty):
    """Has jobs on disks that are idle, and on those that are not there."""

    caught_by = "TestBlockJobs"

    @inline
    def domain_block_job_info(self, domain: DomainRef, disk: str, flags: Any = 0) -> None:
        self.domain(domain)


class _LeakyStorage(TestStorage):
    async def storage_vol_wipe(self, volume: StorageVolRef, algorithm: Any = 0, flags: int = 0) -> None:
        return


class Leaky(Faulty):
    """Wipes nothing."""

    caught_by = "TestVolumes"
    own_services = beside(storage=_LeakyStorage)


class _RestlessStorage(TestStorage):
    async def storage_pool_undefine(self, pool: StoragePoolRef) -> None:
        with suppress(VirtError):
            await self.storage_pool_destroy(pool)
        await super().storage_pool_undefine(pool)


class Restless(Faulty):
    """Undefines pools that are in use."""

    caught_by = "TestPools"
    own_services = beside(storage=_RestlessStorage)


class _PhantomDevices(TestNodeDevices):
    async def node_device_destroy(self, device: NodeDeviceRef) -> None:
        return


class Phantom(Faulty):
    """Removes devices of the host that stay."""

    caught_by = "TestNodeDevices"
    own_services = beside(nodedev=_PhantomDevices)


class Mover(TestDriver):
    """Moves guests as it should, between places of this process."""

    async def connection_supports_feature(self, feature: int) -> bool:
        return True

    async def domain_migrate_begin(
        self, domain: DomainRef, params: TypedParameters, flags: DomainMigrateFlags | int = 0
    ) -> MigrationBegun:
        self.domain(domain).require_active()
        if "destination_xml" in params:
            return MigrationBegun(b"", str(params["destination_xml"]))
        return MigrationBegun(b"", await self._text(domain, DomainXMLFlags.MIGRATABLE | DomainXMLFlags.SECURE))

    async def _text(self, domain: DomainRef, flags: DomainXMLFlags | int = 0) -> str:
        text = self.domain_xml(domain, flags)
        return text if isinstance(text, str) else await text

    async def connection_migrate_prepare(
        self, params: TypedParameters, cookie: bytes = b"", flags: DomainMigrateFlags | int = 0
    ) -> MigrationPrepared:
        if "migrate_uri" in params:
            raise InvalidArg("a URI has no meaning here")
        self.moving = await self.connection_create_domain(str(params["destination_xml"]))
        return MigrationPrepared(b"", "here")

    async def domain_migrate_perform(
        self,
        domain: DomainRef,
        dconnuri: str | None,
        params: TypedParameters,
        cookie: bytes = b"",
        flags: DomainMigrateFlags | int = 0,
    ) -> bytes:
        return b""

    async def connection_migrate_finish(
        self,
        params: TypedParameters,
        cookie: bytes = b"",
        flags: DomainMigrateFlags | int = 0,
        cancelled: bool = False,
    ) -> MigrationFinished:
        if cancelled:
            await self.domain_destroy(self.moving)
            return MigrationFinished(None, b"")
        if flags & DomainMigrateFlags.PERSIST_DEST:
            await self.connection_define_domain(await self._text(self.moving))
        return MigrationFinished(self.moving, b"")

    async def domain_migrate_confirm(
        self,
        domain: DomainRef,
        params: TypedParameters,
        cookie: bytes = b"",
        flags: DomainMigrateFlags | int = 0,
        cancelled: bool = False,
    ) -> None:
        if not cancelled:
            await self.domain_destroy(domain)
            if flags & DomainMigrateFlags.UNDEFINE_SOURCE:
                await self.domain_undefine(domain)


class Duplicator(Mover, Faulty):
    """Moves guests, and has them run on."""

    caught_by = "TestMigration"

    async def domain_migrate_confirm(self, domain: DomainRef, *rest: Any, **named: Any) -> None:
        self.domain(domain)


FAULTY: list[type[Faulty]] = [
    found
    for found in list(globals().values())
    if isinstance(found, type) and issubclass(found, Faulty) and found is not Faulty
]
