"""One side of a migration: the job that lasts from its first phase to its last, and what is written down of it."""

from __future__ import annotations

import time
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar

from virt_qemu.block.tls import tls_credentials
from virt_qemu.guest import Guest
from virt_qemu.migration.control import MigrationControl
from virt_qemu.migration.options import MigrationOptions
from virt_qemu.migration.statistics import MigrationStatistics
from virt_qemu.migration_parameters import Parameters, kept_parameters
from virt_qemu.sealing import secret_object
from virt_qemu.settings.host import certificates, key_secret, verifies
from virt_qemu.status import GuestJob
from virtcore.driver.toolkit.jobs import JobKind
from virtcore.enums.domain_more import DomainJobOperation, DomainMigrateFlags as Flags
from virtcore.errors import (
    ConfigUnsupported,
    InternalError,
    OperationAborted,
    OperationFailed,
    OperationInvalid,
    VirtError,
)
from virtcore.model.storage.secret import SecretReference

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virt_qemu.host import QemuState
    from virt_qemu.migration.control import Progress
    from virtcore.driver.toolkit import DomainObject
    from virtcore.driver.toolkit.jobs import Job
    from virtcore.types import TypedParameters

__all__ = [
    "LOOK",
    "MIGRATING_IN",
    "MIGRATING_OUT",
    "NO_JOB",
    "POSTCOPY",
    "TLS_OBJECT",
    "MigrationPhase",
    "MigrationSide",
]

MIGRATING_OUT, MIGRATING_IN, NO_JOB = "migration out", "migration in", "none"
"""The long job of a guest, as its status tells it."""
LOOK = 1.0
"""Seconds between two looks at a migration that tells nothing."""
POSTCOPY = ("postcopy-active", "postcopy-recover")
"""QEMU's states of a guest that has gone to the destination before its memory has."""
TLS_OBJECT = "objlibvirt_migrate_tls0"
"""Id of the object with certificates."""
_KEY_SECRET = "libvirt_migrate-secret0"


class MigrationPhase(StrEnum):
    """How far it is, in status files; in their order."""

    NONE = "none"
    PERFORM2 = "perform2"
    BEGIN3 = "begin3"
    PERFORM3 = "perform3"
    PERFORM3_DONE = "perform3_done"
    CONFIRM3_CANCELLED = "confirm3_cancelled"
    CONFIRM3 = "confirm3"
    PREPARE = "prepare"
    FINISH2 = "finish2"
    FINISH3 = "finish3"
    POSTCOPY_FAILED = "postcopy_failed"
    BEGIN_RESUME = "begin_resume"
    PERFORM_RESUME = "perform_resume"
    CONFIRM_RESUME = "confirm_resume"
    PREPARE_RESUME = "prepare_resume"
    FINISH_RESUME = "finish_resume"

    def is_before(self, other: MigrationPhase) -> bool:
        """Whether it comes before another one."""
        order = list(MigrationPhase)
        return order.index(self) < order.index(other)


class MigrationSide:
    """What both sides share.

    :ivar owner: the connection that leads it between its phases; None where nobody does.
    :ivar phase: the one that was begun last.
    """

    kind: ClassVar[str]
    does: ClassVar[DomainJobOperation]
    operation: ClassVar[str]
    allows: ClassVar[JobKind]

    def __init__(self, state: QemuState, obj: DomainObject, params: TypedParameters, flags: int) -> None:
        self.state = state
        self.obj = obj
        self.params = params
        self.flags = flags
        self.owner: object = None
        self.phase = MigrationPhase.NONE
        self.statistics = MigrationStatistics()
        self._job: Job | None = None
        self._original: Parameters = {}
        self._supported: frozenset[str] = frozenset()
        self._postcopy = False

    # -- the job

    @property
    def job(self) -> Job:
        """The job, once it is held."""
        assert self._job is not None
        return self._job

    @property
    def in_postcopy(self) -> bool:
        """Whether the guest has gone to the destination before its memory has."""
        return self._postcopy

    @property
    def resting(self) -> bool:
        """Whether a next phase can begin: the job is held, by no task just now."""
        return self._job is not None and self._job.resting

    async def hold(self) -> None:
        """Begin the job.

        :raises OperationInvalid: the guest is being migrated already.
        :raises OperationTimeout: something else is being done with it.
        """
        if self.obj.uuid in self.state.migrations:
            raise OperationInvalid(f"another migration job is already running for domain '{self.obj.name}'")
        self.state.migrations[self.obj.uuid] = self
        job = self.obj.job.asynchronous(self.operation, self.does, allows=self.allows)
        job.unbounded = True
        try:
            await job.begin()
        except BaseException:
            del self.state.migrations[self.obj.uuid]
            raise
        self._job = job
        self.statistics = MigrationStatistics()

    @contextmanager
    def step(self, owner: object = None, *, last: bool = False, why: VirtError | None = None) -> Iterator[None]:
        """The calling task holds the job for a phase. Then it rests for the next one, or ends. It ends as well where
        that fails, unless the guest's memory is in two places: somebody may let the rest follow.

        :param owner: the connection that will ask for the next phase.
        :param last: there is none.
        :param why: what the migration as a whole has failed with.
        """
        with self.job.going_on():
            try:
                yield
            except BaseException as error:
                if self.in_postcopy and (self.phase is MigrationPhase.POSTCOPY_FAILED or self.failed_in_postcopy):
                    self.rest(None)
                else:
                    self.drop(error)
                raise
            if last and not self.failed_in_postcopy:
                self.drop(why)
            else:
                self.rest(owner)

    def rest(self, owner: object) -> None:
        """Wait for the next phase.

        :param owner: the connection that will ask for it.
        """
        self.owner = owner
        self.job.rest(self._ended_meanwhile)

    def _ended_meanwhile(self, error: VirtError) -> None:
        """Destroy, the guest's end or an abort has ended the job between two phases."""
        self.drop(error)

    def drop(self, error: BaseException | None = None) -> None:
        """The job ends.

        :param error: what it failed with.
        """
        if self.state.migrations.get(self.obj.uuid) is self:
            del self.state.migrations[self.obj.uuid]
        if self._job is not None:
            self._job.finish(error)
        guest = self.obj.private
        if isinstance(guest, Guest):
            guest.status.job = GuestJob(type=NO_JOB, async_=NO_JOB)
            self.state.state_changed(self.obj, guest)

    async def enter(self, phase: MigrationPhase) -> None:
        """A phase begins; returns when that is on disk.

        :raises InternalError: the phase was before.
        """
        if phase.is_before(MigrationPhase.POSTCOPY_FAILED) and phase.is_before(self.phase):
            raise InternalError(f"migration protocol going backwards {self.phase} => {phase}")
        self.phase = phase
        guest = self.obj.private
        if isinstance(guest, Guest):
            job = guest.status.job
            if job is None or job.async_ != self.kind:
                job = guest.status.job = GuestJob(type=NO_JOB, async_=self.kind, started=int(time.time() * 1000))
            job.phase, job.flags = str(phase), self.flags
            if guest.process is not None and guest.monitor is not None:
                await self.state.save(self.obj, guest)

    def check_progress(self, progress: Progress) -> None:
        """Look whether QEMU goes on.

        :raises OperationFailed: it has given up.
        :raises OperationAborted: somebody has broken it off.
        """
        if progress.status == "failed":
            told = f"failed: {progress.error}" if progress.error else "unexpectedly failed"
            raise OperationFailed(f"job '{self.kind}' {told}")
        if progress.status == "cancelled":
            raise self.cancelled()
        if progress.status == "postcopy-paused":
            raise OperationFailed(f"job '{self.kind}' failed in post-copy phase")

    def cancelled(self) -> OperationAborted:
        """What says that somebody has broken it off."""
        return OperationAborted(f"job '{self.kind}' canceled by client")

    # -- hooks

    @property
    def failed_in_postcopy(self) -> bool:
        """Hook: whether the guest's memory is in two places, and nothing moves it."""
        raise NotImplementedError

    @property
    def unattended(self) -> bool:
        """Whether it has failed behind the guest, and nobody helps."""
        return self.phase is MigrationPhase.POSTCOPY_FAILED and self.owner is None

    async def abandon(self) -> None:
        """Hook: the connection that led it has gone: do what is to be done, if anything."""
        raise NotImplementedError

    async def complete(self) -> None:
        """Hook: the guest has moved as a whole: this side's end of it."""
        raise NotImplementedError

    async def postcopy_failed(self) -> None:
        """Hook: the guest has gone, and what is left of its memory cannot follow: this side keeps what it has."""
        raise NotImplementedError

    # -- QEMU's settings

    @property
    def guest(self) -> Guest:
        """The guest.

        :raises OperationInvalid: it does not run.
        """
        self.obj.require_active()
        guest = self.obj.private
        assert isinstance(guest, Guest)
        return guest

    @property
    def control(self) -> MigrationControl:
        """What QEMU is told by."""
        return MigrationControl(self.guest)

    async def keep_settings(self) -> None:
        """Note what QEMU can do and how it is set, to be restored; in the status file, too."""
        self._supported = await self.control.supported()
        self._original = await self.control.parameters()
        job = self.guest.status.job
        if job is not None:
            job.parameters = kept_parameters(self._original)
        await self.state.save(self.obj, self.guest)

    async def use_tls(self, options: MigrationOptions, host: str | None) -> None:
        """Encrypt what is migrated, or not.

        :param host: the destination's name, where QEMU does not connect by itself.
        :raises ConfigUnsupported: QEMU cannot do it.
        :raises NoSecret: the secret that opens the key is not there.
        """
        if "tls-creds" not in self._original:
            if self.flags & Flags.TLS:
                raise ConfigUnsupported("TLS migration is not supported with this QEMU binary")
            return
        if not self.flags & Flags.TLS:
            options.parameters |= {"tls-creds": "", "tls-hostname": ""}
            return
        settings = self.state.settings
        secret = key_secret(settings, "migrate")
        if secret is not None:
            wanted = SecretReference(type="tls", uuid=secret)
            value = (await self.state.secrets_for(wanted))(wanted)
            await self.control.add_object(secret_object(self.guest.master_key(), _KEY_SECRET, value))
        await self.control.add_object(
            tls_credentials(
                TLS_OBJECT,
                certificates(settings, "migrate"),
                server=self.does is DomainJobOperation.MIGRATION_IN,
                verify=verifies(settings, "migrate"),
                password=_KEY_SECRET if secret is not None else None,
            )
        )
        options.parameters["tls-creds"] = TLS_OBJECT
        options.parameters.setdefault("tls-hostname", host or "")

    async def restore_settings(self) -> None:
        """Set QEMU as it was before; what it refuses is left."""
        guest = self.obj.private
        if not isinstance(guest, Guest) or guest.monitor is None or not guest.monitor.connected or not self._supported:
            return
        try:
            await self.control.set_capabilities(self._supported, ())
            await self.control.set_parameters(self._original)
            if self.flags & Flags.TLS:
                await self.control.remove_object(TLS_OBJECT)
                await self.control.remove_object(_KEY_SECRET)
        except VirtError as error:
            self.state.report(f"settings of migration of domain '{self.obj.name}' cannot be restored: {error}")
