"""Operations on one domain."""
# A declaration has no body.
# mypy: disable-error-code="empty-body"

from __future__ import annotations

from virtcore._typing import TYPE_CHECKING, Sequence
from virtcore.operations.declare import Kind, OperationSet, Result, operation

if TYPE_CHECKING:
    from virtcore.enums import (
        DomainConsoleFlags,
        DomainCreateFlags,
        DomainDestroyFlags,
        DomainFDAssociateFlags,
        DomainLifecycle,
        DomainLifecycleAction,
        DomainMessageType,
        DomainMetadataType,
        DomainModificationImpact,
        DomainRebootFlags,
        DomainShutdownFlags,
        DomainUndefineFlags,
        DomainVcpuFlags,
        DomainXMLFlags,
    )
    from virtcore.operations.stream import ByteStream
    from virtcore.operations.values import ControlInfo, DomainInfo, SecurityLabel, StateInfo
    from virtcore.types import DomainRef, TypedParameters

__all__ = ["DomainOperations"]


class DomainOperations(OperationSet, family="domain"):
    """What a driver offers on a domain. Every method raises ``NoDomain`` when the domain is not (any more) known."""

    # -- life cycle

    @operation(Kind.CHANGE, abortable=True, renews=True)
    def domain_create(self, domain: DomainRef, flags: DomainCreateFlags | int = 0) -> Result[DomainRef]:
        """Start a defined domain (``virDomainCreateWithFlags``). Its reference then carries the new id."""

    @operation(Kind.CHANGE)
    def domain_shutdown(self, domain: DomainRef, flags: DomainShutdownFlags | int = 0) -> Result[None]:
        """Ask the guest to shut down; returns when asked (``virDomainShutdownFlags``)."""

    @operation(Kind.CHANGE)
    def domain_reboot(self, domain: DomainRef, flags: DomainRebootFlags | int = 0) -> Result[None]:
        """Ask the guest to reboot; returns when asked (``virDomainReboot``)."""

    @operation(Kind.CHANGE)
    def domain_reset(self, domain: DomainRef, flags: int = 0) -> Result[None]:
        """Reset the virtual hardware at once (``virDomainReset``)."""

    @operation(Kind.CHANGE)
    def domain_suspend(self, domain: DomainRef) -> Result[None]:
        """Stop the virtual CPUs; memory stays (``virDomainSuspend``)."""

    @operation(Kind.CHANGE)
    def domain_resume(self, domain: DomainRef) -> Result[None]:
        """Let a paused domain run again (``virDomainResume``)."""

    @operation(Kind.CHANGE)
    def domain_destroy(self, domain: DomainRef, flags: DomainDestroyFlags | int = 0) -> Result[None]:
        """End a running domain at once (``virDomainDestroyFlags``). Never waits for a job: it ends it."""

    @operation(Kind.CHANGE)
    def domain_undefine(self, domain: DomainRef, flags: DomainUndefineFlags | int = 0) -> Result[None]:
        """Remove the persistent definition; a running domain becomes transient (``virDomainUndefineFlags``)."""

    @operation(Kind.CHANGE, abortable=True, renews=True)
    def domain_create_with_files(
        self, domain: DomainRef, files: Sequence[int], flags: DomainCreateFlags | int = 0
    ) -> Result[DomainRef]:
        """As :meth:`domain_create`; a container's first process gets descriptors (``virDomainCreateWithFiles``).

        :param files: the descriptors; the caller closes them.
        """

    @operation(Kind.CHANGE)
    def domain_rename(self, domain: DomainRef, new_name: str | None, flags: int = 0) -> Result[None]:
        """Give an inactive domain another name (``virDomainRename``)."""

    # -- what it is

    @operation(Kind.QUERY)
    def domain_state(self, domain: DomainRef, flags: int = 0) -> Result[StateInfo]:
        """State and the reason for it (``virDomainGetState``)."""

    @operation(Kind.QUERY)
    def domain_info(self, domain: DomainRef) -> Result[DomainInfo]:
        """State, memory (KiB), virtual CPUs, CPU time (ns) (``virDomainGetInfo``)."""

    @operation(Kind.QUERY)
    def domain_control_info(self, domain: DomainRef, flags: int = 0) -> Result[ControlInfo]:
        """State of the control channel to the hypervisor (``virDomainGetControlInfo``)."""

    @operation(Kind.QUERY)
    def domain_xml(self, domain: DomainRef, flags: DomainXMLFlags | int = 0) -> Result[str]:
        """The domain's XML, live by default while it runs (``virDomainGetXMLDesc``)."""

    @operation(Kind.QUERY)
    def domain_os_type(self, domain: DomainRef) -> Result[str]:
        """Kind of guest ABI, e.g. ``hvm`` (``virDomainGetOSType``)."""

    @operation(Kind.QUERY)
    def domain_is_active(self, domain: DomainRef) -> Result[bool]:
        """Whether it runs (``virDomainIsActive``)."""

    @operation(Kind.QUERY)
    def domain_is_persistent(self, domain: DomainRef) -> Result[bool]:
        """Whether it has a persistent definition (``virDomainIsPersistent``)."""

    @operation(Kind.QUERY)
    def domain_is_updated(self, domain: DomainRef) -> Result[bool]:
        """Whether its definition differs from the running configuration (``virDomainIsUpdated``)."""

    @operation(Kind.QUERY)
    def domain_has_managed_save(self, domain: DomainRef, flags: int = 0) -> Result[bool]:
        """Whether a managed save image exists (``virDomainHasManagedSaveImage``)."""

    @operation(Kind.QUERY)
    def domain_security_labels(self, domain: DomainRef) -> Result[Sequence[SecurityLabel]]:
        """Labels of the running guest (``virDomainGetSecurityLabelList``)."""

    @operation(Kind.QUERY)
    def domain_messages(self, domain: DomainRef, flags: DomainMessageType | int = 0) -> Result[Sequence[str]]:
        """Warnings the hypervisor has about it (``virDomainGetMessages``)."""

    @operation(Kind.QUERY)
    def domain_metadata(
        self,
        domain: DomainRef,
        type: DomainMetadataType | int,
        uri: str | None = None,
        flags: DomainModificationImpact | int = 0,
    ) -> Result[str]:
        """Title, description or a custom metadata element (``virDomainGetMetadata``).

        :param uri: namespace of the custom element.
        :raises NoDomainMetadata: there is none.
        """

    @operation(Kind.QUERY)
    def domain_max_memory(self, domain: DomainRef) -> Result[int]:
        """Most memory it may use, in KiB (``virDomainGetMaxMemory``)."""

    @operation(Kind.QUERY)
    def domain_vcpus_count(self, domain: DomainRef, flags: DomainVcpuFlags | int = 0) -> Result[int]:
        """Number of virtual CPUs (``virDomainGetVcpusFlags``)."""

    @operation(Kind.QUERY)
    def domain_memory_parameters(
        self, domain: DomainRef, flags: DomainModificationImpact | int = 0
    ) -> Result[TypedParameters]:
        """Memory limits in KiB: ``hard_limit``, ``soft_limit``, ``swap_hard_limit``
        (``virDomainGetMemoryParameters``)."""

    # -- settings

    @operation(Kind.QUERY)
    def domain_autostart(self, domain: DomainRef) -> Result[bool]:
        """Whether it starts with the host (``virDomainGetAutostart``)."""

    @operation(Kind.CHANGE)
    def domain_set_autostart(self, domain: DomainRef, autostart: bool) -> Result[None]:
        """Set whether it starts with the host (``virDomainSetAutostart``)."""

    @operation(Kind.QUERY)
    def domain_autostart_once(self, domain: DomainRef) -> Result[bool]:
        """Whether it starts with the host's next boot only (``virDomainGetAutostartOnce``)."""

    @operation(Kind.CHANGE)
    def domain_set_autostart_once(self, domain: DomainRef, autostart: bool) -> Result[None]:
        """Set whether it starts with the host's next boot only (``virDomainSetAutostartOnce``)."""

    @operation(Kind.CHANGE)
    def domain_set_metadata(
        self,
        domain: DomainRef,
        type: DomainMetadataType | int,
        metadata: str | None,
        key: str | None = None,
        uri: str | None = None,
        flags: DomainModificationImpact | int = 0,
    ) -> Result[None]:
        """Set title, description or a custom metadata element (``virDomainSetMetadata``).

        :param metadata: the text or the element; None removes it.
        :param key: prefix of the custom element's namespace.
        :param uri: its namespace.
        """

    @operation(Kind.CHANGE)
    def domain_set_lifecycle_action(
        self,
        domain: DomainRef,
        type: DomainLifecycle | int,
        action: DomainLifecycleAction | int,
        flags: DomainModificationImpact | int = 0,
    ) -> Result[None]:
        """Set what happens when the guest powers off, reboots or crashes (``virDomainSetLifecycleAction``)."""

    @operation(Kind.CHANGE)
    def domain_associate_fds(
        self, domain: DomainRef, name: str, files: Sequence[int], flags: DomainFDAssociateFlags | int = 0
    ) -> Result[None]:
        """Lend a domain descriptors, under a name that its XML uses, for as long as the connection is open
        (``virDomainFDAssociate``).

        :param files: the descriptors; the caller closes them.
        """

    # -- devices

    @operation(Kind.CHANGE)
    def domain_open_console(
        self, domain: DomainRef, device: str | None = None, flags: DomainConsoleFlags | int = 0
    ) -> Result[ByteStream]:
        """Connect to a console, serial or parallel device (``virDomainOpenConsole``).

        :param device: alias of the device; None for the first console or serial port.
        """
