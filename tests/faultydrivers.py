"""Drivers with one fault each. The compliance suite must fail every one of them, in the class named."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, ClassVar

from virtcore.builtin.test.driver import TestDriver
from virtcore.builtin.test.interfaces import TestInterfaces
from virtcore.builtin.test.networks import TestNetworks
from virtcore.builtin.test.secrets import TestFilters, TestSecrets
from virtcore.driver import Subscription, inline
from virtcore.driver.service import DriverService
from virtcore.enums import DomainSnapshotDeleteFlags
from virtcore.errors import InvalidArg
from virtcore.types import (
    DomainCheckpointRef,
    DomainRef,
    DomainSnapshotRef,
    NetworkRef,
    NWFilterRef,
    SecretRef,
)


class Faulty(TestDriver):
    """Without a fault yet."""

    #: The class of the suite that must find the fault.
    caught_by: ClassVar[str]


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
    own_services: ClassVar[Mapping[str, str | type[DriverService]]] = {"network": _EndlessNetworks}


class _StickyInterfaces(TestInterfaces):
    @inline
    def connection_interface_rollback(self, flags: int = 0) -> None:
        self.connection_interface_commit(flags)


class Unforgiving(Faulty):
    """Keeps the changes of interfaces that were to be taken back."""

    caught_by = "TestInterfaces"
    own_services: ClassVar[Mapping[str, str | type[DriverService]]] = {"interface": _StickyInterfaces}


class _ChattySecrets(TestSecrets):
    @inline
    def secret_xml(self, secret: SecretRef, flags: int = 0) -> str:
        value = self.secrets.get(secret.uuid).value or b""
        return super().secret_xml(secret).replace("<secret", f"<!-- {value!r} --><secret")


class Chatty(Faulty):
    """Shows the value of a secret in its XML."""

    caught_by = "TestSecrets"
    own_services: ClassVar[Mapping[str, str | type[DriverService]]] = {"secret": _ChattySecrets}


class _LooseFilters(TestFilters):
    async def nwfilter_undefine(self, nwfilter: NWFilterRef) -> None:
        self.filters.table.remove(self.nwfilter(nwfilter))


class Loose(Faulty):
    """Removes filters that are in use."""

    caught_by = "TestFilters"
    own_services: ClassVar[Mapping[str, str | type[DriverService]]] = {"nwfilter": _LooseFilters}


FAULTY: list[type[Faulty]] = [
    UntruthfulVersion,
    WrongMissing,
    StickyDefinition,
    HalfDead,
    Mute,
    Meddler,
    Forgetful,
    Impatient,
    Racing,
    Boaster,
    Undying,
    Unforgiving,
    Chatty,
    Loose,
    Orphanage,
    OwnParent,
]
