"""What every driver with domains must do alike: the public compliance suite.

A driver's author subclasses it in the driver's tests and says where to connect and what a small domain looks like::

    class TestToyDriver(DriverCompliance):
        @pytest.fixture
        def uri(self, tmp_path):
            return f"toy:///embed?root={tmp_path}"

        def document(self, name, uuid=None):
            return f"<domain type='toy'><name>{name}</name>...</domain>"

Tests of operations that the driver does not have are skipped, with the operation's name.
"""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

import virtcore
from virtcore import errors
from virtcore.enums import (
    ConnectListAllDomainsFlags,
    DomainEventType,
    DomainState,
    DomainXMLFlags,
)
from virtcore.operations.events import DomainLifecycleEvent, Event

if TYPE_CHECKING:
    from virtcore.api.sync import Connection, Domain

__all__ = ["DriverCompliance"]

UNKNOWN_UUID = "00000000-0000-4000-8000-000000000001"
EVENT_WAIT = 30.0
"""Seconds an event may take."""
REFUSED = ["", "\0", "<domain>", "<network/>", "<!DOCTYPE a [<!ENTITY b 'c'>]><domain/>"]
NAMES = ["compliance..", "compliance%s", "compliance,x=1", "compliance é 名", "compliance;$(id)"]


class DriverCompliance:
    """Subclass it as ``Test...`` and give :meth:`uri` and :meth:`document`."""

    @pytest.fixture
    def uri(self) -> str:
        """Fixture to override: a URI that opens the driver, with nothing of another test behind it."""
        raise NotImplementedError

    def document(self, name: str, uuid: str | None = None) -> str:
        """To override: the XML of a small domain that the driver can define and start."""
        raise NotImplementedError

    @pytest.fixture
    def connection(self, uri: str) -> Iterator[Connection]:
        """An open connection; domains named ``compliance...`` are ended and removed afterwards."""
        with virtcore.connect(uri) as connection:
            yield connection
            for domain in connection.list_domains():
                if domain.name.startswith("compliance"):
                    _remove(domain)

    @pytest.fixture
    def need(self, connection: Connection) -> Callable[..., None]:
        """Skip the test unless the driver has these operations."""

        def need(*operations: str) -> None:
            for operation in operations:
                if not connection.supports(operation):
                    pytest.skip(f"the driver has no {operation}")

        return need

    @pytest.fixture
    def defined(self, connection: Connection, need: Callable[..., None]) -> Domain:
        """A defined domain."""
        need("connection_define_domain", "domain_undefine", "connection_list_domains")
        return connection.define_domain(self.document("compliance"))

    # -- the connection

    def test_it_says_what_it_is(self, connection: Connection) -> None:
        assert connection.type()
        if connection.supports("connection_is_alive"):
            assert connection.is_alive()

    def test_it_closes_for_good(self, uri: str) -> None:
        connection = virtcore.connect(uri)
        connection.close()
        connection.close()
        with pytest.raises(errors.VirtError):
            connection.type()

    def test_its_uri_opens_the_same(self, connection: Connection, need: Callable[..., None]) -> None:
        need("connection_uri", "connection_list_domains")
        with virtcore.connect(connection.uri()) as again:
            assert again.list_domains() == connection.list_domains()

    # -- finding domains

    def test_what_is_not_there(self, connection: Connection, need: Callable[..., None]) -> None:
        need("connection_lookup_domain")
        for wanted in ({"name": "compliance-none"}, {"uuid": UNKNOWN_UUID}, {"id": 2**31 - 1}):
            with pytest.raises(errors.NoDomain):
                connection.lookup_domain(**wanted)

    def test_look_up_and_lists_agree(self, connection: Connection, defined: Domain) -> None:
        flags = ConnectListAllDomainsFlags
        assert connection.lookup_domain(name="compliance") == defined
        assert connection.lookup_domain(uuid=defined.uuid) == defined
        assert defined in connection.list_domains()
        assert defined in connection.list_domains(flags.INACTIVE | flags.PERSISTENT)
        assert defined not in connection.list_domains(flags.ACTIVE)
        assert defined not in connection.list_domains(flags.INACTIVE | flags.TRANSIENT)

    # -- definitions

    def test_a_definition_reads_back(self, connection: Connection, defined: Domain) -> None:
        text = defined.xml(DomainXMLFlags.INACTIVE | DomainXMLFlags.SECURE)
        again = connection.define_domain(text)
        assert again == defined
        assert again.xml(DomainXMLFlags.INACTIVE | DomainXMLFlags.SECURE) == text
        assert f"<uuid>{defined.uuid}</uuid>" in text

    @pytest.mark.parametrize("document", REFUSED)
    def test_what_is_refused_changes_nothing(
        self, connection: Connection, need: Callable[..., None], document: str
    ) -> None:
        need("connection_define_domain", "connection_list_domains")
        before = connection.list_domains()
        with pytest.raises(errors.VirtError):
            connection.define_domain(document)
        assert connection.list_domains() == before

    def test_a_name_has_one_uuid(self, connection: Connection, defined: Domain) -> None:
        with pytest.raises(errors.VirtError):
            connection.define_domain(self.document("compliance", UNKNOWN_UUID))
        assert connection.lookup_domain(name="compliance").uuid == defined.uuid

    @pytest.mark.parametrize("name", NAMES)
    def test_names_are_only_names(self, connection: Connection, need: Callable[..., None], name: str) -> None:
        need("connection_define_domain", "domain_undefine")
        domain = connection.define_domain(self.document(name))
        assert domain.name == name
        assert connection.lookup_domain(name=name) == domain

    def test_undefined_is_gone(self, connection: Connection, defined: Domain) -> None:
        defined.undefine()
        with pytest.raises(errors.NoDomain):
            defined.state()
        assert defined not in connection.list_domains()

    def test_autostart(self, defined: Domain, need: Callable[..., None]) -> None:
        need("domain_autostart", "domain_set_autostart")
        for wanted in (True, True, False):
            defined.set_autostart(wanted)
            assert defined.autostart() is wanted

    # -- running

    def test_life(self, connection: Connection, defined: Domain, need: Callable[..., None]) -> None:
        need("domain_create", "domain_destroy", "domain_state")
        assert defined.state().state is DomainState.SHUTOFF
        assert defined.id == -1
        defined.create()
        assert defined.id > 0
        assert connection.lookup_domain(id=defined.id) == defined
        assert defined.state().state is DomainState.RUNNING
        assert defined.info().state is DomainState.RUNNING
        assert defined.is_active()
        assert f"id='{defined.id}'" in defined.xml()
        with pytest.raises(errors.VirtError):
            defined.create()
        defined.destroy()
        assert defined.state().state is DomainState.SHUTOFF
        with pytest.raises(errors.OperationInvalid, match="domain is not running"):
            defined.destroy()

    def test_a_transient_domain_ends_with_its_guest(self, connection: Connection, need: Callable[..., None]) -> None:
        need("connection_create_domain", "domain_destroy")
        domain = connection.create_domain(self.document("compliance-transient"))
        assert not domain.is_persistent()
        with suppress(errors.OperationInvalid):  # most drivers refuse it, none may end the guest
            domain.undefine()
        assert domain.is_active()
        domain.destroy()
        with pytest.raises(errors.NoDomain):
            connection.lookup_domain(name="compliance-transient")

    def test_suspend_and_resume(self, defined: Domain, need: Callable[..., None]) -> None:
        need("domain_create", "domain_destroy", "domain_suspend", "domain_resume")
        defined.create()
        defined.suspend()
        assert defined.state().state is DomainState.PAUSED
        defined.resume()
        assert defined.state().state is DomainState.RUNNING

    def test_events_tell_what_happened(self, connection: Connection, need: Callable[..., None]) -> None:
        need("connection_define_domain", "domain_create", "domain_destroy", "domain_undefine")
        events: queue.Queue[Event] = queue.Queue()
        connection.on_event(events.put, DomainLifecycleEvent)
        domain = connection.define_domain(self.document("compliance"))
        domain.create()
        domain.destroy()
        domain.undefine()
        kinds = DomainEventType
        for expected in (kinds.DEFINED, kinds.STARTED, kinds.STOPPED, kinds.UNDEFINED):
            event = events.get(timeout=EVENT_WAIT)
            while isinstance(event, DomainLifecycleEvent) and event.type in (kinds.RESUMED, kinds.SHUTDOWN):
                event = events.get(timeout=EVENT_WAIT)  # some hypervisors say more
            assert isinstance(event, DomainLifecycleEvent)
            assert (event.type, event.domain.name) == (expected, "compliance")

    def test_many_threads_ask_at_once(self, defined: Domain) -> None:
        with ThreadPoolExecutor(8) as pool:
            answers = set(pool.map(lambda _: defined.xml(), range(64)))
        assert len(answers) == 1

    def test_readonly_connections_change_nothing(self, uri: str, defined: Domain) -> None:
        with virtcore.connect(uri, readonly=True) as connection:
            domain = connection.lookup_domain(uuid=defined.uuid)
            with pytest.raises(errors.OperationDenied):
                domain.undefine()
            with pytest.raises(errors.OperationDenied):
                connection.define_domain(self.document("compliance-denied"))
        assert defined.is_persistent()


def _remove(domain: Domain) -> None:
    """End and remove a domain, whichever of the two applies."""
    for step in (domain.destroy, domain.undefine):
        try:
            step()
        except (errors.OperationInvalid, errors.NoDomain, errors.UnsupportedError):
            continue
