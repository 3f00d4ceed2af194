"""Domains: definitions, look-up, life."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

import virtcore
from virtcore import errors
from virtcore.enums import ConnectListAllDomainsFlags, DomainCreateFlags, DomainState, DomainXMLFlags
from virtcore.testing.suite.target import Target, covers, needs

if TYPE_CHECKING:
    from pathlib import Path

    from virtcore.api.sync import Connection, Domain

__all__ = ["TestDomainDefinitions", "TestDomainLife", "defined"]

UNKNOWN_UUID = "00000000-0000-4000-8000-000000000001"
REFUSED = ["", "\0", "<domain>", "<network/>", "<!DOCTYPE a [<!ENTITY b 'c'>]><domain/>"]
NAMES = ["compliance..", "compliance%s", "compliance,x=1", "compliance é 名", "compliance;$(id)"]


@pytest.fixture
def defined(connection: Connection, target: Target) -> Domain:
    """A defined domain."""
    for operation in ("connection_define_domain", "domain_undefine", "connection_list_domains"):
        if not connection.supports(operation):
            pytest.skip(f"the driver does not claim {operation}")
    return connection.define_domain(target.domain("compliance"))


class TestDomainDefinitions:
    """What is defined, and how it is found."""

    @covers("connection_lookup_domain")
    def test_what_is_not_there(self, connection: Connection) -> None:
        for wanted in ({"name": "compliance-none"}, {"uuid": UNKNOWN_UUID}, {"id": 2**31 - 1}):
            with pytest.raises(errors.NoDomain):
                connection.lookup_domain(**wanted)

    @covers("connection_list_domains", "connection_lookup_domain")
    def test_look_up_and_lists_agree(self, connection: Connection, defined: Domain) -> None:
        flags = ConnectListAllDomainsFlags
        assert connection.lookup_domain(name="compliance") == defined
        assert connection.lookup_domain(uuid=defined.uuid) == defined
        assert defined in connection.list_domains()
        assert defined in connection.list_domains(flags.INACTIVE | flags.PERSISTENT)
        assert defined not in connection.list_domains(flags.ACTIVE)
        assert defined not in connection.list_domains(flags.INACTIVE | flags.TRANSIENT)

    @covers("connection_define_domain", "domain_xml")
    def test_a_definition_reads_back(self, connection: Connection, defined: Domain) -> None:
        text = defined.xml(DomainXMLFlags.INACTIVE | DomainXMLFlags.SECURE)
        again = connection.define_domain(text)
        assert again == defined
        assert again.xml(DomainXMLFlags.INACTIVE | DomainXMLFlags.SECURE) == text
        assert f"<uuid>{defined.uuid}</uuid>" in text

    @covers("domain_os_type", "domain_is_persistent", "domain_is_active")
    def test_it_says_what_it_is(self, defined: Domain) -> None:
        assert defined.os_type()
        assert defined.is_persistent() is True
        assert defined.is_active() is False

    @covers("domain_is_updated")
    def test_what_does_not_run_is_not_updated(self, defined: Domain) -> None:
        assert defined.is_updated() is False

    @pytest.mark.parametrize("document", REFUSED)
    @covers("connection_define_domain")
    @needs("connection_list_domains")
    def test_what_is_refused_changes_nothing(self, connection: Connection, document: str) -> None:
        before = connection.list_domains()
        with pytest.raises(errors.VirtError):
            connection.define_domain(document)
        assert connection.list_domains() == before

    @needs("connection_lookup_domain")
    def test_a_name_has_one_uuid(self, connection: Connection, target: Target, defined: Domain) -> None:
        with pytest.raises(errors.VirtError):
            connection.define_domain(target.domain("compliance", UNKNOWN_UUID))
        assert connection.lookup_domain(name="compliance").uuid == defined.uuid

    @pytest.mark.parametrize("name", NAMES)
    @needs("connection_define_domain", "domain_undefine", "connection_lookup_domain")
    def test_names_are_only_names(self, connection: Connection, target: Target, name: str) -> None:
        domain = connection.define_domain(target.domain(name))
        assert domain.name == name
        assert connection.lookup_domain(name=name) == domain

    @covers("domain_undefine")
    def test_undefined_is_gone(self, connection: Connection, defined: Domain) -> None:
        defined.undefine()
        with pytest.raises(errors.NoDomain):
            defined.state()
        assert defined not in connection.list_domains()

    @covers("domain_autostart", "domain_set_autostart")
    def test_autostart(self, defined: Domain) -> None:
        for wanted in (True, True, False):
            defined.set_autostart(wanted)
            assert defined.autostart() is wanted

    @covers("domain_associate_fds")
    def test_descriptors_can_be_lent(self, defined: Domain, tmp_path: Path) -> None:
        with (tmp_path / "lent").open("wb") as file:
            for _ in range(2):  # the second one takes the place of the first
                defined.associate_fds("compliance", [file.fileno()])
            for files, flags in (([], 0), ([file.fileno()], 1 << 20)):
                with pytest.raises(errors.VirtError):
                    defined.associate_fds("compliance", files, flags)

    @covers("domain_max_memory", "domain_info")
    def test_memory_is_what_was_defined(self, defined: Domain) -> None:
        assert defined.max_memory() == defined.info().max_memory > 0

    @covers("domain_vcpus_count")
    def test_processors_are_what_was_defined(self, defined: Domain) -> None:
        assert defined.vcpus_count() == defined.info().vcpus > 0

    @covers("domain_metadata")
    def test_absent_metadata_is_an_error_of_its_own(self, defined: Domain) -> None:
        with pytest.raises(errors.NoDomainMetadata):
            defined.metadata(1)

    @covers("domain_memory_parameters")
    def test_memory_limits_have_names(self, defined: Domain) -> None:
        assert {"hard_limit", "soft_limit"} <= {row[0] for row in defined.memory_parameters().rows()}

    @covers("domain_has_managed_save")
    def test_a_new_definition_has_no_managed_save_image(self, defined: Domain) -> None:
        assert defined.has_managed_save() is False


class TestDomainLife:
    """Starting, pausing, ending."""

    @covers("domain_create", "domain_destroy", "domain_state", "domain_info")
    def test_life(self, connection: Connection, defined: Domain) -> None:
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

    @needs("domain_create", "domain_is_active", "connection_lookup_domain")
    def test_it_may_end_with_its_connection(self, target: Target, defined: Domain) -> None:
        with virtcore.connect(target.uri()) as other:
            try:
                other.lookup_domain(name="compliance").create(DomainCreateFlags.START_AUTODESTROY)
            except errors.VirtError as refused:
                pytest.skip(f"the driver ends no guests with connections: {refused}")
            assert defined.is_active()
        assert not defined.is_active()  # whoever closes a connection waits for what it does

    @covers("connection_create_domain")
    @needs("domain_destroy", "domain_undefine", "connection_lookup_domain")
    def test_a_transient_domain_ends_with_its_guest(self, connection: Connection, target: Target) -> None:
        domain = connection.create_domain(target.domain("compliance-transient"))
        assert not domain.is_persistent()
        with suppress(errors.OperationInvalid):  # most drivers refuse it, none may end the guest
            domain.undefine()
        assert domain.is_active()
        domain.destroy()
        with pytest.raises(errors.NoDomain):
            connection.lookup_domain(name="compliance-transient")

    @covers("connection_create_domain_with_files", "domain_create_with_files")
    @needs("domain_destroy", "domain_is_active")
    def test_a_start_may_hand_over_files(self, connection: Connection, target: Target, defined: Domain) -> None:
        with open(os.devnull, "rb") as file:
            defined.create_with_files([file.fileno()])
            assert defined.is_active()
            with pytest.raises(errors.VirtError):
                defined.create_with_files([file.fileno()])
            other = connection.create_domain_with_files(target.domain("compliance-other"), [file.fileno()])
        assert other.is_active()
        assert not other.is_persistent()

    @covers("domain_suspend", "domain_resume")
    @needs("domain_create", "domain_destroy", "domain_state")
    def test_suspend_and_resume(self, defined: Domain) -> None:
        defined.create()
        defined.suspend()
        assert defined.state().state is DomainState.PAUSED
        defined.resume()
        assert defined.state().state is DomainState.RUNNING

    @covers("domain_reset")
    @needs("domain_create", "domain_destroy")
    def test_reset_needs_a_running_guest(self, defined: Domain) -> None:
        with pytest.raises(errors.OperationInvalid):
            defined.reset()
        defined.create()
        defined.reset()
        assert defined.is_active()

    @covers("domain_shutdown")
    @needs("domain_create", "domain_destroy")
    def test_shutdown_needs_a_running_guest(self, defined: Domain) -> None:
        with pytest.raises(errors.VirtError):
            defined.shutdown()
        defined.create()
        defined.shutdown()

    @covers("domain_reboot")
    @needs("domain_create", "domain_destroy")
    def test_reboot_needs_a_running_guest(self, defined: Domain) -> None:
        with pytest.raises(errors.OperationInvalid):
            defined.reboot()
        defined.create()
        defined.reboot()
        assert defined.is_active()

    @covers("domain_control_info")
    @needs("domain_create", "domain_destroy")
    def test_the_control_channel_of_a_running_guest(self, defined: Domain) -> None:
        with pytest.raises(errors.OperationInvalid):
            defined.control_info()
        defined.create()
        assert defined.control_info().state in range(4)

    @covers("connection_domain_stats")
    @needs("domain_create", "domain_destroy")
    def test_statistics_tell_the_state(self, connection: Connection, defined: Domain) -> None:
        for _ in range(2):
            [row] = connection.domain_stats([defined])
            assert row.domain.uuid == defined.uuid
            assert row.params["state.state"] == defined.state().state
            if not defined.is_active():
                defined.create()

    @covers("connection_recent_stats")
    @needs("domain_create", "domain_destroy")
    def test_recent_statistics_tell_their_age(self, connection: Connection, defined: Domain) -> None:
        defined.create()
        for oldest in (0, 3600):
            [row] = connection.recent_stats([defined], max_age=oldest)
            assert row.domain.uuid == defined.uuid
            assert row.params["state.state"] == defined.state().state
            assert 0 <= row.age < 3600

    @covers("domain_undefine")
    @needs("domain_create", "domain_destroy")
    def test_undefining_a_running_domain_leaves_it_running(self, connection: Connection, defined: Domain) -> None:
        defined.create()
        defined.undefine()
        assert defined.is_active()
        assert not defined.is_persistent()
        defined.destroy()
        with pytest.raises(errors.NoDomain):
            connection.lookup_domain(uuid=defined.uuid)

    @covers("domain_security_labels")
    @needs("domain_create", "domain_destroy")
    def test_security_labels_belong_to_running_guests(self, defined: Domain) -> None:
        assert not any(label.label or label.enforcing for label in defined.security_labels())
        defined.create()
        labels = defined.security_labels()
        assert labels
        # That of model "none" is empty, and enforces nothing.
        assert all(label.label or not label.enforcing for label in labels)

    @covers("domain_messages")
    def test_messages_are_lines(self, defined: Domain) -> None:
        assert all(text and "\n" not in text for text in defined.messages())

    @covers("domain_open_console")
    def test_a_console_needs_a_running_guest(self, defined: Domain) -> None:
        with pytest.raises(errors.VirtError):
            defined.open_console()

    @needs("domain_create", "domain_destroy")
    def test_other_connections_see_it(self, uri: str, defined: Domain) -> None:
        defined.create()
        with virtcore.connect(uri) as other:
            seen = other.lookup_domain(uuid=defined.uuid)
            assert seen.id == defined.id
            seen.destroy()
        assert not defined.is_active()
