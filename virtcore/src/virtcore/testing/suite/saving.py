"""What a guest is saved to and comes back from, and the jobs that do it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from virtcore import errors
from virtcore.enums import (
    DomainBlockCommitFlags,
    DomainJobType,
    DomainSaveRestoreFlags,
    DomainState,
)
from virtcore.testing.suite.target import Target, asks, covers, needs

if TYPE_CHECKING:
    from virtcore.api.sync import Connection, Domain

__all__ = ["TestBlockJobs", "TestJobs", "TestManagedSave", "TestSaving"]

_LIFE = ("connection_define_domain", "domain_create", "domain_destroy", "domain_undefine", "domain_state")


def _until(holds: Callable[[], bool], limit: float) -> None:
    """Wait for something that comes about by itself."""
    end = time.monotonic() + limit
    while not holds():
        assert time.monotonic() < end, f"it did not come about within {limit:g} s"
        time.sleep(0.02)


def _has_backup(domain: Domain) -> bool:
    try:
        domain.backup_xml()
    except errors.NoDomainBackup:
        return False
    return True


class TestSaving:
    """Saving to a file, restoring from it, dumping memory."""

    @covers("domain_save", "connection_restore")
    @needs(*_LIFE)
    def test_there_and_back(self, connection: Connection, defined: Domain, tmp_path: Path) -> None:
        image = str(tmp_path / "image")
        with pytest.raises(errors.OperationInvalid):
            defined.save(image)
        defined.create()
        defined.save(image)
        assert defined.state().state is DomainState.SHUTOFF
        connection.restore(image)
        assert defined.state().state is DomainState.RUNNING
        with pytest.raises(errors.VirtError):
            connection.restore(image)
        assert defined.state().state is DomainState.RUNNING
        defined.destroy()
        for refused in (str(tmp_path / "none"), str(tmp_path)):
            with pytest.raises(errors.VirtError):
                connection.restore(refused)
        assert defined.state().state is DomainState.SHUTOFF

    @needs(*_LIFE, "domain_save", "connection_restore")
    def test_what_is_no_image_is_refused(self, connection: Connection, defined: Domain, tmp_path: Path) -> None:
        nonsense = tmp_path / "nonsense"
        for content in (b"", b"LibvirtQemudSave", b"\0" * 4096):
            nonsense.write_bytes(content)
            with pytest.raises(errors.VirtError):
                connection.restore(str(nonsense))
        assert defined.state().state is DomainState.SHUTOFF

    @needs(*_LIFE, "domain_save")
    def test_a_guest_that_cannot_be_saved_runs_on(self, defined: Domain, tmp_path: Path) -> None:
        defined.create()
        with pytest.raises(errors.VirtError):
            defined.save(str(tmp_path / "no-such-folder" / "image"))
        assert defined.state().state is DomainState.RUNNING

    @covers("connection_save_image_xml", "connection_save_image_define_xml")
    @needs(*_LIFE, "domain_save", "connection_restore")
    def test_the_configuration_in_an_image(self, connection: Connection, defined: Domain, tmp_path: Path) -> None:
        image = str(tmp_path / "image")
        defined.create()
        defined.save(image)
        text = connection.save_image_xml(image)
        assert f"<uuid>{defined.uuid}</uuid>" in text
        changed = text.replace("<on_reboot>restart</on_reboot>", "<on_reboot>destroy</on_reboot>")
        assert changed != text
        connection.save_image_define_xml(image, changed)
        assert connection.save_image_xml(image) == changed
        with pytest.raises(errors.VirtError):
            connection.save_image_define_xml(image, "<domain")
        assert connection.save_image_xml(image) == changed
        connection.restore(image)
        assert "<on_reboot>destroy</on_reboot>" in defined.xml()

    @covers("domain_core_dump")
    @needs(*_LIFE)
    def test_memory_is_dumped(self, defined: Domain, tmp_path: Path) -> None:
        dump = tmp_path / "dump"
        with pytest.raises(errors.OperationInvalid):
            defined.core_dump(str(dump))
        defined.create()
        defined.core_dump(str(dump))
        assert dump.stat().st_size > 0
        assert defined.state().state is DomainState.RUNNING
        with pytest.raises(errors.VirtError):
            defined.core_dump(str(tmp_path / "no-such-folder" / "dump"))
        assert defined.state().state is DomainState.RUNNING


class TestManagedSave:
    """Images that the next start restores."""

    @covers("domain_managed_save", "domain_managed_save_remove", "domain_has_managed_save")
    @needs(*_LIFE)
    def test_life_of_an_image(self, defined: Domain) -> None:
        with pytest.raises(errors.OperationInvalid):
            defined.managed_save()
        defined.create()
        defined.managed_save()
        assert (defined.state().state, defined.has_managed_save()) == (DomainState.SHUTOFF, True)
        with pytest.raises(errors.OperationInvalid):  # the image would be lost
            defined.undefine()
        defined.create()
        assert (defined.state().state, defined.has_managed_save()) == (DomainState.RUNNING, False)
        defined.managed_save()
        defined.managed_save_remove()
        assert not defined.has_managed_save()

    @needs(*_LIFE, "domain_managed_save")
    def test_an_image_says_whether_the_guest_runs_on(self, defined: Domain, target: Target) -> None:
        if "domain_managed_save" in target.lenient:
            pytest.skip(target.lenient["domain_managed_save"])
        defined.create()
        defined.managed_save(DomainSaveRestoreFlags.PAUSED)
        defined.create()
        assert defined.state().state is DomainState.PAUSED

    @covers("domain_managed_save_xml", "domain_managed_save_define_xml")
    @needs(*_LIFE, "domain_managed_save", "domain_managed_save_remove")
    def test_the_configuration_in_it(self, defined: Domain) -> None:
        with pytest.raises(errors.OperationInvalid):
            defined.managed_save_xml()
        defined.create()
        defined.managed_save()
        try:
            text = defined.managed_save_xml()
            changed = text.replace("<on_reboot>restart</on_reboot>", "<on_reboot>destroy</on_reboot>")
            assert changed != text
            defined.managed_save_define_xml(changed)
            assert defined.managed_save_xml() == changed
        finally:
            defined.managed_save_remove()


class TestJobs:
    """What a domain is busy with."""

    @covers("domain_job_stats")
    @needs(*_LIFE)
    def test_an_idle_domain_has_no_job(self, defined: Domain) -> None:
        defined.create()
        assert defined.job_stats().type is DomainJobType.NONE

    @covers("domain_abort_job")
    @needs(*_LIFE)
    def test_no_job_cannot_be_aborted(self, defined: Domain) -> None:
        with pytest.raises(errors.OperationInvalid):
            defined.abort_job()
        defined.create()
        with pytest.raises(errors.OperationInvalid):
            defined.abort_job()
        assert defined.is_active()

    @covers("domain_migrate_max_speed", "domain_migrate_set_max_speed")
    @needs(*_LIFE)
    def test_how_fast_guests_are_moved(self, defined: Domain) -> None:
        defined.migrate_set_max_speed(100)
        assert defined.migrate_max_speed() == 100
        with pytest.raises(errors.VirtError):
            defined.migrate_set_max_speed(1 << 62)
        assert defined.migrate_max_speed() == 100

    @covers("domain_migrate_max_downtime", "domain_migrate_set_max_downtime")
    @needs(*_LIFE)
    def test_how_long_moving_may_stop_a_guest(self, defined: Domain) -> None:
        defined.create()
        defined.migrate_set_max_downtime(200)
        assert defined.migrate_max_downtime() == 200

    @covers("domain_migrate_compression_cache", "domain_migrate_set_compression_cache")
    @needs(*_LIFE)
    def test_how_much_moving_may_keep(self, defined: Domain) -> None:
        defined.create()
        defined.migrate_set_compression_cache(64 << 20)
        assert defined.migrate_compression_cache() == 64 << 20

    @covers("domain_migrate_start_post_copy")
    @needs(*_LIFE)
    def test_who_is_not_moved_cannot_follow_later(self, defined: Domain) -> None:
        with pytest.raises(errors.OperationInvalid):
            defined.migrate_start_post_copy()
        defined.create()
        with pytest.raises(errors.OperationInvalid):
            defined.migrate_start_post_copy()
        assert defined.is_active()


class TestBlockJobs:
    """Jobs of disks: none where nobody began one, and none on disks that are not there."""

    @covers("domain_block_job_info")
    @needs(*_LIFE)
    @asks("disk")
    def test_an_idle_disk_has_no_job(self, connection: Connection, target: Target) -> None:
        domain = connection.define_domain(target.domain_with("compliance", target.disk("vda")))
        domain.create()
        assert domain.block_job_info("vda") is None
        with pytest.raises(errors.InvalidArg):
            domain.block_job_info("vdz")

    @covers("domain_block_copy", "domain_block_job_abort", "domain_block_job_set_speed")
    @needs(*_LIFE, "domain_block_job_info", "domain_xml")
    @asks("disk")
    def test_a_copy_is_begun_and_abandoned(self, connection: Connection, target: Target) -> None:
        from virtcore.types import TypedParameters

        domain = connection.create_domain(target.domain_with("compliance", target.disk("vda")))
        before = domain.xml()
        domain.block_copy("vda", target.destination(), TypedParameters())
        try:
            assert domain.block_job_info("vda") is not None
            with pytest.raises(errors.VirtError):
                domain.block_copy("vda", target.destination(), TypedParameters())
            domain.block_job_set_speed("vda", 1 << 20)
        finally:
            domain.block_job_abort("vda")
        assert domain.block_job_info("vda") is None
        assert domain.xml() == before

    @covers("domain_block_commit")
    @needs(*_LIFE, "domain_xml")
    @asks("disk")
    def test_there_is_nothing_to_merge_into(self, connection: Connection, target: Target) -> None:
        domain = connection.create_domain(target.domain_with("compliance", target.disk("vda")))
        before = domain.xml()
        for flags in (0, DomainBlockCommitFlags.ACTIVE):
            with pytest.raises(errors.VirtError):
                domain.block_commit("vda", flags=flags)
        assert domain.xml() == before

    @covers("domain_block_rebase")
    @needs(*_LIFE, "domain_block_job_info", "domain_xml")
    @asks("disk")
    def test_a_pull_of_all_there_is_ends(self, connection: Connection, target: Target) -> None:
        domain = connection.create_domain(target.domain_with("compliance", target.disk("vda")))
        before = domain.xml()
        with pytest.raises(errors.VirtError):
            domain.block_rebase("vda", "/nowhere/image")
        domain.block_rebase("vda")
        _until(lambda: domain.block_job_info("vda") is None, target.event_wait)
        assert domain.xml() == before

    @covers("domain_backup_begin", "domain_backup_xml")
    @needs(*_LIFE, "domain_abort_job")
    @asks("disk")
    def test_a_backup_is_a_job(self, connection: Connection, target: Target, tmp_path: Path) -> None:
        domain = connection.create_domain(target.domain_with("compliance", target.disk("vda")))
        with pytest.raises(errors.VirtError):
            domain.backup_xml()
        server = f"<server transport='unix' socket='{tmp_path}/backup'/>"
        domain.backup_begin(f"<domainbackup mode='pull'>{server}</domainbackup>")
        try:
            assert "<disk name='vda'" in domain.backup_xml()
        finally:
            domain.abort_job()
        _until(lambda: not _has_backup(domain), target.event_wait)
