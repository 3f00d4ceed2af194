"""Operations on one domain that its guest agent answers."""
# A declaration has no body.
# mypy: disable-error-code="empty-body"

from __future__ import annotations

from virtcore._typing import TYPE_CHECKING, Sequence
from virtcore.operations.declare import Kind, OperationSet, Result, operation

if TYPE_CHECKING:
    from virtcore.enums import (
        DomainAuthorizedSSHKeysSetFlags,
        DomainGetHostnameFlags,
        DomainGuestInfoTypes,
        DomainSetTimeFlags,
        DomainSetUserPasswordFlags,
    )
    from virtcore.operations.values import FSInfo, GuestTime
    from virtcore.types import DomainRef, TypedParameters

__all__ = ["DomainGuestOperations"]


class DomainGuestOperations(OperationSet, family="domain"):
    """What the agent inside a guest does. Without an agent, or when it is silent:
    :class:`~virtcore.errors.AgentUnresponsive`."""

    # -- file systems

    @operation(Kind.CHANGE)
    def domain_fs_freeze(
        self, domain: DomainRef, mountpoints: Sequence[str] | None = None, flags: int = 0
    ) -> Result[int]:
        """Stop writing to file systems in the guest; returns how many (``virDomainFSFreeze``).

        :param mountpoints: which; None for all.
        """

    @operation(Kind.CHANGE)
    def domain_fs_thaw(
        self, domain: DomainRef, mountpoints: Sequence[str] | None = None, flags: int = 0
    ) -> Result[int]:
        """Let frozen file systems go on; returns how many (``virDomainFSThaw``)."""

    @operation(Kind.CHANGE)
    def domain_fs_trim(
        self, domain: DomainRef, mountpoint: str | None = None, minimum: int = 0, flags: int = 0
    ) -> Result[None]:
        """Give unused blocks of file systems back to the host (``virDomainFSTrim``).

        :param mountpoint: which; None for all.
        :param minimum: shortest run of free bytes that is given back.
        """

    @operation(Kind.QUERY)
    def domain_fs_info(self, domain: DomainRef, flags: int = 0) -> Result[Sequence[FSInfo]]:
        """File systems mounted in the guest (``virDomainGetFSInfo``)."""

    # -- what is inside

    @operation(Kind.QUERY)
    def domain_guest_info(
        self, domain: DomainRef, types: DomainGuestInfoTypes | int = 0, flags: int = 0
    ) -> Result[TypedParameters]:
        """Users, operating system, time zone, host name, file systems, disks, interfaces, load
        (``virDomainGetGuestInfo``).

        :param types: which groups; 0 for all that the agent knows.
        """

    @operation(Kind.QUERY)
    def domain_hostname(self, domain: DomainRef, flags: DomainGetHostnameFlags | int = 0) -> Result[str]:
        """The guest's host name (``virDomainGetHostname``)."""

    @operation(Kind.QUERY)
    def domain_time(self, domain: DomainRef, flags: int = 0) -> Result[GuestTime]:
        """The guest's clock (``virDomainGetTime``)."""

    @operation(Kind.CHANGE)
    def domain_set_time(
        self, domain: DomainRef, seconds: int, nseconds: int = 0, flags: DomainSetTimeFlags | int = 0
    ) -> Result[None]:
        """Set the guest's clock (``virDomainSetTime``)."""

    @operation(Kind.QUERY)
    def domain_guest_vcpus(self, domain: DomainRef, flags: int = 0) -> Result[TypedParameters]:
        """Virtual CPUs as the guest sees them: ``vcpus``, ``online``, ``offlinable`` (``virDomainGetGuestVcpus``)."""

    @operation(Kind.CHANGE)
    def domain_set_guest_vcpus(self, domain: DomainRef, cpumap: str, state: bool, flags: int = 0) -> Result[None]:
        """Have the guest take virtual CPUs into use or out of it (``virDomainSetGuestVcpus``).

        :param cpumap: their numbers, e.g. ``2-3``.
        """

    # -- users

    @operation(Kind.CHANGE, secret=("password",))
    def domain_set_user_password(
        self, domain: DomainRef, user: str, password: str, flags: DomainSetUserPasswordFlags | int = 0
    ) -> Result[None]:
        """Set a user's password in the guest (``virDomainSetUserPassword``)."""

    @operation(Kind.QUERY)
    def domain_authorized_ssh_keys(self, domain: DomainRef, user: str, flags: int = 0) -> Result[Sequence[str]]:
        """A user's authorized SSH keys in the guest (``virDomainAuthorizedSSHKeysGet``)."""

    @operation(Kind.CHANGE)
    def domain_set_authorized_ssh_keys(
        self, domain: DomainRef, user: str, keys: Sequence[str] = (), flags: DomainAuthorizedSSHKeysSetFlags | int = 0
    ) -> Result[None]:
        """Replace, add or remove a user's authorized SSH keys in the guest (``virDomainAuthorizedSSHKeysSet``)."""

    # -- the agent

    @operation(Kind.CHANGE)
    def domain_set_agent_timeout(self, domain: DomainRef, timeout: int, flags: int = 0) -> Result[None]:
        """Set how long the agent is waited for (``virDomainAgentSetResponseTimeout``).

        :param timeout: seconds, or a ``DomainAgentResponseTimeoutValues``.
        """
