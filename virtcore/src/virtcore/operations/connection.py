"""Operations on a connection: the host, the hypervisor, and finding and making domains."""
# A declaration has no body.
# mypy: disable-error-code="empty-body"

from __future__ import annotations

from virtcore._typing import TYPE_CHECKING, Sequence
from virtcore.operations.declare import Kind, OperationSet, Result, operation

if TYPE_CHECKING:
    from virtcore.enums import (
        ConnectGetAllDomainStatsFlags,
        ConnectGetDomainCapabilitiesFlags,
        ConnectListAllDomainsFlags,
        DomainCreateFlags,
        DomainDefineFlags,
        DomainStatsTypes,
    )
    from virtcore.operations.values import DomainStats, NodeInfo, RecentStats, SecurityModel
    from virtcore.types import DomainRef, TypedParameters

__all__ = ["ConnectionOperations"]


class ConnectionOperations(OperationSet, family="connection"):
    """What a driver offers on the connection itself."""

    # -- the hypervisor

    @operation(Kind.QUERY)
    def connection_type(self) -> Result[str]:
        """Name of the driver as libvirt reports it, e.g. ``QEMU`` (``virConnectGetType``)."""

    @operation(Kind.QUERY)
    def connection_version(self) -> Result[int]:
        """Version of the hypervisor as major * 1,000,000 + minor * 1,000 + release (``virConnectGetVersion``)."""

    @operation(Kind.QUERY)
    def connection_lib_version(self) -> Result[int]:
        """Version of the library that serves the connection, coded the same way (``virConnectGetLibVersion``)."""

    @operation(Kind.QUERY)
    def connection_uri(self) -> Result[str]:
        """The canonical URI of the connection (``virConnectGetURI``)."""

    @operation(Kind.QUERY)
    def connection_max_vcpus(self, type: str | None = None) -> Result[int]:
        """Most virtual CPUs a guest of a domain type may have (``virConnectGetMaxVcpus``).

        :param type: domain type such as ``kvm``; None for the driver's default.
        """

    @operation(Kind.QUERY)
    def connection_is_secure(self) -> Result[bool]:
        """Whether the path to the hypervisor is encrypted or local (``virConnectIsSecure``)."""

    @operation(Kind.QUERY)
    def connection_is_encrypted(self) -> Result[bool]:
        """Whether the path to the hypervisor is encrypted (``virConnectIsEncrypted``)."""

    @operation(Kind.QUERY)
    def connection_is_alive(self) -> Result[bool]:
        """Whether the connection still reaches its hypervisor (``virConnectIsAlive``)."""

    @operation(Kind.QUERY, internal=True)
    def connection_supports_feature(self, feature: int) -> Result[bool]:
        """Whether the driver has a feature, a :class:`~virtcore.operations.features.DriverFeature`, as core and peers
        ask before they migrate."""

    @operation(Kind.CHANGE)
    def connection_set_keepalive(self, interval: int, count: int = 5) -> Result[bool]:
        """Have the peer asked whether it lives when it was silent, and end the connection when it does not answer
        (``virConnectSetKeepAlive``).

        :param interval: seconds of silence after which it is asked; 0 or less for never.
        :param count: questions that it may leave without an answer.
        :returns: whether the peer answers such questions; without that, nothing changed.
        :raises NoSupport: there is no peer: the hypervisor is managed by this process.
        """

    # -- the host

    @operation(Kind.QUERY)
    def connection_hostname(self) -> Result[str]:
        """Host name of the machine that runs the hypervisor (``virConnectGetHostname``)."""

    @operation(Kind.QUERY)
    def connection_capabilities(self) -> Result[str]:
        """Capabilities XML of host and hypervisor (``virConnectGetCapabilities``)."""

    @operation(Kind.QUERY)
    def connection_sysinfo(self, flags: int = 0) -> Result[str]:
        """SMBIOS information of the host as XML (``virConnectGetSysinfo``)."""

    @operation(Kind.QUERY)
    def connection_node_info(self) -> Result[NodeInfo]:
        """CPUs and memory of the host (``virNodeGetInfo``)."""

    @operation(Kind.QUERY)
    def connection_node_free_memory(self) -> Result[int]:
        """Free memory of the host in bytes (``virNodeGetFreeMemory``)."""

    @operation(Kind.QUERY)
    def connection_security_model(self) -> Result[SecurityModel]:
        """The host's security driver (``virNodeGetSecurityModel``)."""

    @operation(Kind.QUERY)
    def connection_node_memory_parameters(self, flags: int = 0) -> Result[TypedParameters]:
        """Parameters of the host's page sharing (``virNodeGetMemoryParameters``)."""

    # -- domains

    @operation(Kind.QUERY)
    def connection_domain_capabilities(
        self,
        emulator: str | None = None,
        arch: str | None = None,
        machine: str | None = None,
        virttype: str | None = None,
        flags: ConnectGetDomainCapabilitiesFlags | int = 0,
    ) -> Result[str]:
        """What guests of an emulator, architecture, machine and domain type may have, as XML
        (``virConnectGetDomainCapabilities``); None chooses the default of each."""

    @operation(Kind.QUERY)
    def connection_list_domains(self, flags: ConnectListAllDomainsFlags | int = 0) -> Result[Sequence[DomainRef]]:
        """Domains that pass every group of filter flags; 0 for all (``virConnectListAllDomains``)."""

    @operation(Kind.QUERY, keys=("name", "uuid", "id"))
    def connection_lookup_domain(
        self, name: str | None = None, uuid: str | None = None, id: int | None = None
    ) -> Result[DomainRef]:
        """The domain of a name, UUID or id, exactly one of which is given (``virDomainLookupByName`` and siblings).

        :raises NoDomain: there is none.
        """

    @operation(Kind.CHANGE, secret=("xml",))
    def connection_define_domain(self, xml: str, flags: DomainDefineFlags | int = 0) -> Result[DomainRef]:
        """Define a persistent domain, or change the definition of one (``virDomainDefineXMLFlags``).

        :raises XMLError: the document is refused; nothing changed.
        """

    @operation(Kind.CHANGE, secret=("xml",))
    def connection_create_domain(self, xml: str, flags: DomainCreateFlags | int = 0) -> Result[DomainRef]:
        """Start a domain from XML; without an earlier definition it is transient (``virDomainCreateXML``)."""

    @operation(Kind.QUERY)
    def connection_domain_stats(
        self,
        domains: Sequence[DomainRef] | None = None,
        stats: DomainStatsTypes | int = 0,
        flags: ConnectGetAllDomainStatsFlags | int = 0,
    ) -> Result[Sequence[DomainStats]]:
        """Statistics of several domains (``virConnectGetAllDomainStats``, ``virDomainListGetStats``).

        :param domains: which; None for all that pass the filter part of ``flags``.
        :param stats: groups wanted; 0 for every group.
        """

    @operation(Kind.QUERY)
    def connection_recent_stats(
        self, domains: Sequence[DomainRef] | None = None, stats: DomainStatsTypes | int = 0, max_age: float = 0.0
    ) -> Result[Sequence[RecentStats]]:
        """Statistics of several domains that never wait for a stuck guest: its last values stand in, and their age is
        told. libvirt has no such function.

        :param domains: which; None for all.
        :param stats: groups wanted; 0 for every group.
        :param max_age: values at most this old, in seconds, are good enough: nobody is asked.
        """
