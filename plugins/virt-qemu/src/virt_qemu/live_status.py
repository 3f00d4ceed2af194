"""The status of a running guest as its driver keeps it: made at the start, brought up to date, found again."""

from __future__ import annotations

from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING

from virt_qemu.block_jobs import BlockJobs
from virt_qemu.status import DomainStatus, GuestJob, KnownDevices, KnownFlags, MonitorAddress, VCPUThread
from virtcore.enums.domain import (
    DomainCrashedReason,
    DomainNostateReason,
    DomainPausedReason,
    DomainPMSuspendedReason,
    DomainRunningReason,
    DomainShutdownReason,
    DomainShutoffReason,
    DomainState,
)
from virtcore.errors import InternalError

if TYPE_CHECKING:
    from virt_qemu.capabilities.model import EmulatorCapabilities
    from virt_qemu.guest import Guest
    from virtcore.driver.toolkit import DomainObject
    from virtcore.model.domain import Domain

__all__ = [
    "DEFAULT_AGENT_TIMEOUT",
    "MONITOR",
    "new_status",
    "note_device",
    "refresh",
    "state_of",
    "take_devices",
    "told_capabilities",
]

MONITOR = "monitor.sock"
"""Name of the monitor's socket in a guest's folder."""
DEFAULT_AGENT_TIMEOUT = -2
"""The agent may take as long as it takes."""

_REASONS: dict[DomainState, type[IntEnum]] = {
    DomainState.NOSTATE: DomainNostateReason,
    DomainState.RUNNING: DomainRunningReason,
    DomainState.PAUSED: DomainPausedReason,
    DomainState.SHUTDOWN: DomainShutdownReason,
    DomainState.SHUTOFF: DomainShutoffReason,
    DomainState.CRASHED: DomainCrashedReason,
    DomainState.PMSUSPENDED: DomainPMSuspendedReason,
}
#: Reasons whose names in status files are not those of the enumerations.
_SPELLED: dict[IntEnum, str] = {
    DomainRunningReason.POSTCOPY: "post-copy",
    DomainRunningReason.POSTCOPY_FAILED: "post-copy failed",
    DomainPausedReason.SHUTTING_DOWN: "shutdown",
    DomainPausedReason.CRASHED: "panicked",
    DomainPausedReason.POSTCOPY: "post-copy",
    DomainPausedReason.POSTCOPY_FAILED: "post-copy failed",
}


def _spelled(reason: IntEnum) -> str:
    return _SPELLED.get(reason) or reason.name.lower().replace("_", " ")


def new_status(domain: Domain, folder: Path, capabilities: EmulatorCapabilities | None) -> DomainStatus:
    """The status of a guest that is about to be started.

    :param folder: its own.
    :param capabilities: of the emulator that runs it; None where they are not known.
    """
    return DomainStatus(
        state=DomainState.PAUSED.name.lower(),
        reason=_spelled(DomainPausedReason.STARTING_UP),
        monitor=MonitorAddress(path=str(folder / MONITOR), type="unix"),
        capabilities=None if capabilities is None else told_capabilities(capabilities),
        job=GuestJob(type="none", async_="none"),
        lib_folder=str(folder),
        channel_folder=str(folder),
        memory_folder=str(folder),
        fdset_index=0,
        block_jobs=BlockJobs(active=False),
        agent_timeout=DEFAULT_AGENT_TIMEOUT,
        domain=domain,
    )


def told_capabilities(capabilities: EmulatorCapabilities) -> KnownFlags:
    """Capabilities as a status tells them, in libvirt's order."""
    from virt_qemu.capabilities.flags import FLAGS

    return KnownFlags(flags=[flag for flag in FLAGS if flag in capabilities.flags])


def take_devices(status: DomainStatus, listed: object) -> None:
    """Note the devices that QEMU has: what ``qom-list`` says of ``/machine/peripheral``."""
    rows = [row for row in listed if isinstance(row, dict)] if isinstance(listed, list) else []
    aliases = [str(row["name"]) for row in rows if str(row.get("type", "")).startswith("child<")]
    status.known_devices = KnownDevices(aliases=aliases)


def note_device(status: DomainStatus, alias: str) -> None:
    """Note a device that QEMU has got."""
    known = status.known_devices.aliases if status.known_devices is not None else []
    status.known_devices = KnownDevices(aliases=[*(other for other in known if other != alias), alias])


def refresh(obj: DomainObject, guest: Guest) -> DomainStatus:
    """A guest's status with what the rest of the driver knows brought up to date."""
    assert obj.live is not None
    status = guest.status
    status.state = obj.state.name.lower()
    status.reason = _spelled(_REASONS[obj.state](obj.reason)) if obj.state in _REASONS else "unknown"
    # Without a process and its monitor the start was not finished: there is nothing to be kept.
    status.pid = guest.process.pid if guest.process is not None and guest.monitor is not None else None
    status.vcpus = [VCPUThread(id=number, pid=thread) for number, thread in sorted(guest.threads.items())]
    status.fake_reboot = guest.reboot
    status.domain = obj.live
    return status


def state_of(status: DomainStatus) -> tuple[DomainState, int]:
    """State and reason that a status tells.

    :raises InternalError: there is no such state, or no such reason.
    """
    try:
        state = DomainState[status.state.upper()]
    except KeyError:
        raise InternalError(f"invalid domain state '{status.state}'", value=status.state) from None
    if status.reason is None or state not in _REASONS:
        return state, 0
    for reason in _REASONS[state]:
        if _spelled(reason) == status.reason:
            return state, int(reason)
    raise InternalError(f"invalid domain state reason '{status.reason}'", value=status.reason)
