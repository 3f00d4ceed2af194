"""Operations on one domain: keys, signals, power management, screen, graphics and channels."""
# A declaration has no body.
# mypy: disable-error-code="empty-body"

from __future__ import annotations

from virtcore._typing import TYPE_CHECKING, Sequence
from virtcore.operations.declare import Kind, OperationSet, Result, operation

if TYPE_CHECKING:
    from virtcore.enums import (
        DomainChannelFlags,
        DomainGraphicsReloadType,
        DomainOpenGraphicsFlags,
        DomainProcessSignal,
        KeycodeSet,
        NodeSuspendTarget,
    )
    from virtcore.operations.stream import ByteStream
    from virtcore.operations.values import Screenshot
    from virtcore.types import DomainRef

__all__ = ["DomainInputOperations"]


class DomainInputOperations(OperationSet, family="domain"):
    """What reaches into a running guest from outside: keys, signals, sleep, its screen and its channels."""

    # -- keys, signals, sleep

    @operation(Kind.CHANGE)
    def domain_send_key(
        self, domain: DomainRef, codeset: KeycodeSet | int, holdtime: int, keycodes: Sequence[int], flags: int = 0
    ) -> Result[None]:
        """Press keys together (``virDomainSendKey``).

        :param holdtime: how long, in ms.
        :param keycodes: numbers of the keys in the code set, at most 16.
        """

    @operation(Kind.CHANGE)
    def domain_send_process_signal(
        self, domain: DomainRef, pid: int, signum: DomainProcessSignal | int, flags: int = 0
    ) -> Result[None]:
        """Send a signal to a process in the guest (``virDomainSendProcessSignal``).

        :param pid: its number in the guest; negative for a process group.
        """

    @operation(Kind.CHANGE)
    def domain_inject_nmi(self, domain: DomainRef, flags: int = 0) -> Result[None]:
        """Send the guest a non-maskable interrupt (``virDomainInjectNMI``)."""

    @operation(Kind.CHANGE)
    def domain_pm_suspend(
        self, domain: DomainRef, target: NodeSuspendTarget | int, duration: int = 0, flags: int = 0
    ) -> Result[None]:
        """Have the guest go to sleep (``virDomainPMSuspendForDuration``).

        :param duration: seconds until it wakes up by itself; 0 for never.
        """

    @operation(Kind.CHANGE)
    def domain_pm_wakeup(self, domain: DomainRef, flags: int = 0) -> Result[None]:
        """Wake a sleeping guest (``virDomainPMWakeup``)."""

    # -- screen, graphics, channels

    @operation(Kind.QUERY)
    def domain_screenshot(self, domain: DomainRef, screen: int = 0, flags: int = 0) -> Result[Screenshot[ByteStream]]:
        """Take a picture of a screen of the guest (``virDomainScreenshot``)."""

    @operation(Kind.CHANGE)
    def domain_open_channel(
        self, domain: DomainRef, name: str | None = None, flags: DomainChannelFlags | int = 0
    ) -> Result[ByteStream]:
        """Connect to a channel of the guest (``virDomainOpenChannel``).

        :param name: name or alias of the channel; None for the first.
        """

    @operation(Kind.CHANGE)
    def domain_open_graphics(
        self, domain: DomainRef, idx: int, fd: int, flags: DomainOpenGraphicsFlags | int = 0
    ) -> Result[None]:
        """Connect a graphics server of the guest to a socket (``virDomainOpenGraphics``).

        :param idx: which of the domain's graphics devices.
        :param fd: one end of a socket pair, whose other end the caller keeps. The caller closes it.
        """

    @operation(Kind.CHANGE)
    def domain_open_graphics_fd(
        self, domain: DomainRef, idx: int, flags: DomainOpenGraphicsFlags | int = 0
    ) -> Result[int]:
        """A new socket that is connected to a graphics server of the guest (``virDomainOpenGraphicsFD``); the
        caller's to close.

        :param idx: which of the domain's graphics devices.
        """

    @operation(Kind.CHANGE)
    def domain_graphics_reload(
        self, domain: DomainRef, type: DomainGraphicsReloadType | int = 0, flags: int = 0
    ) -> Result[None]:
        """Have graphics servers read their certificates again (``virDomainGraphicsReload``)."""
