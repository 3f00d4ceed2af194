"""Operations that only QEMU has."""
# A declaration has no body.
# mypy: disable-error-code="empty-body"

from __future__ import annotations

from virtcore._typing import TYPE_CHECKING, Sequence
from virtcore.operations.declare import Kind, OperationSet, Result, operation

if TYPE_CHECKING:
    from virtcore.enums import DomainQemuMonitorCommandFlags
    from virtcore.operations.values import MonitorReply
    from virtcore.types import DomainRef

__all__ = ["QemuOperations"]


class QemuOperations(OperationSet, family="domain"):
    """The monitor and the agent themselves. Whoever uses them is on their own: the driver does not see what changes."""

    @operation(Kind.CHANGE, secret=("cmd",))
    def domain_qemu_monitor_command(
        self, domain: DomainRef, cmd: str, flags: DomainQemuMonitorCommandFlags | int = 0
    ) -> Result[str]:
        """Send the monitor a command, and return its answer (``virDomainQemuMonitorCommand``).

        :param cmd: JSON, or a human command with flag ``HMP``.
        """

    @operation(Kind.CHANGE, secret=("cmd",))
    def domain_qemu_monitor_command_with_files(
        self, domain: DomainRef, cmd: str, files: Sequence[int] = (), flags: DomainQemuMonitorCommandFlags | int = 0
    ) -> Result[MonitorReply]:
        """As :meth:`domain_qemu_monitor_command`, with descriptors both ways
        (``virDomainQemuMonitorCommandWithFiles``).

        :param files: descriptors for the monitor; the caller closes them.
        """

    @operation(Kind.CHANGE, secret=("cmd",))
    def domain_qemu_agent_command(
        self, domain: DomainRef, cmd: str, timeout: int = -1, flags: int = 0
    ) -> Result[str | None]:
        """Send the guest agent a command, and return its answer (``virDomainQemuAgentCommand``).

        :param timeout: seconds, or a ``DomainQemuAgentCommandTimeoutValues``.
        """
