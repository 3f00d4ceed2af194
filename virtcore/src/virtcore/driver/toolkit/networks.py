"""Virtual networks that this process keeps: every operation of the service ``network`` over a table of networks.

The test driver's networks and those of a Linux host are such; they differ in what it takes to start one.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import TYPE_CHECKING, ClassVar

from virtcore.driver.service import ServiceDriver
from virtcore.driver.toolkit.checks import canonical_uuid, check_flags, select
from virtcore.driver.toolkit.defined import DefinedObject, DefinedObjects, Transition
from virtcore.driver.toolkit.events import EventHub
from virtcore.enums.network import (
    ConnectListAllNetworksFlags as ListFlags,
    NetworkCreateFlags,
    NetworkDefineFlags,
    NetworkEventLifecycleType,
    NetworkMetadataType,
    NetworkPortCreateFlags,
    NetworkUpdateCommand,
    NetworkUpdateFlags,
    NetworkUpdateSection,
    NetworkXMLFlags,
)
from virtcore.errors import (
    InternalError,
    InvalidArg,
    NetworkPortExist,
    NoNetwork,
    NoNetworkMetadata,
    NoNetworkPort,
    OperationInvalid,
)
from virtcore.model.network import Network
from virtcore.operations.declare import inline
from virtcore.operations.events import NetworkLifecycleEvent, NetworkMetadataChangeEvent
from virtcore.operations.network import NetworkService
from virtcore.types import NetworkPortRef, NetworkRef

if TYPE_CHECKING:
    from pathlib import Path

    from virtcore.driver.base import Subscription
    from virtcore.driver.toolkit.disk import DiskWorker
    from virtcore.model.network.networkport import NetworkPort
    from virtcore.operations.events import Event

__all__ = ["NetworkObject", "Networks", "StatefulNetworks"]


class NetworkObject(DefinedObject[Network]):
    """One network.

    :ivar ports: its ports by UUID.
    """

    __slots__ = ("ports",)

    noun = taken_noun = "network"
    missing = NoNetwork

    def __init__(self, name: str, uuid: str) -> None:
        super().__init__(name, uuid)
        self.ports: dict[str, NetworkPort] = {}

    @property
    def ref(self) -> NetworkRef:
        """Its reference."""
        return NetworkRef(self.name, self.uuid)

    def require_inactive(self) -> None:
        if self.active:
            raise OperationInvalid("network is already active")

    def require_active(self) -> None:
        if not self.active:
            raise OperationInvalid(f"network '{self.name}' is not active")


_EVENTS = {
    Transition.DEFINED: NetworkEventLifecycleType.DEFINED,
    Transition.UNDEFINED: NetworkEventLifecycleType.UNDEFINED,
    Transition.STARTED: NetworkEventLifecycleType.STARTED,
    Transition.STOPPED: NetworkEventLifecycleType.STOPPED,
}


class Networks(DefinedObjects[NetworkObject, Network]):
    """The networks of one place."""

    kind = NetworkObject

    def __init__(self, folder: Path | None = None, disk: DiskWorker | None = None, status: Path | None = None) -> None:
        super().__init__(folder, disk, status)
        self.events = EventHub()

    def load(self, text: str, *, validate: bool = False) -> Network:
        from virtcore.model.network.document import load_network

        return load_network(text, validate=validate)

    def format(self, document: Network) -> str:
        return self.text(document, NetworkXMLFlags.INACTIVE)

    def text(self, document: Network, flags: NetworkXMLFlags) -> str:
        """A network's XML."""
        from virtcore.model.network.document import format_network

        return format_network(document, flags)

    def identity(self, document: Network) -> tuple[str, str]:
        assert document.uuid is not None  # completion makes one
        return document.name, document.uuid

    def tell(self, obj: NetworkObject, transition: Transition) -> None:
        self.events.emit(NetworkLifecycleEvent(obj.ref, _EVENTS[transition]))

    async def stop(self, obj: NetworkObject) -> None:
        obj.ports.clear()

    async def change(
        self, obj: NetworkObject, flags: NetworkUpdateFlags, change: Callable[[Network], None], *, live_only: str = ""
    ) -> None:
        """Change a network's live configuration, its definition, or both, as flags say; a refusal changes neither.

        :param live_only: the error where ``flags`` ask for the live configuration of an inactive network.
        :raises OperationInvalid: what the flags ask for is not there.
        """
        live = NetworkUpdateFlags.LIVE in flags
        config = NetworkUpdateFlags.CONFIG in flags
        if not (live or config):
            live, config = obj.active, not obj.active
        if live and not obj.active:
            raise OperationInvalid(live_only or "network is not running")
        if config and not obj.persistent:
            raise OperationInvalid("cannot change persistent config of a transient network")
        async with obj.config_lock:
            new_live = new_definition = None
            former = obj.definition
            if live:
                new_live = deepcopy(obj.live)
                assert new_live is not None
                change(new_live)
            if config:
                new_definition = deepcopy(obj.definition)
                assert new_definition is not None
                change(new_definition)
                await self.save(obj, new_definition)
            if new_live is not None:
                try:
                    await self.live_changed(obj, new_live)
                except BaseException:
                    if new_definition is not None and former is not None:
                        await self.save(obj, former)
                    raise
                obj.live = new_live
                await self.save_status(obj)

    async def plug(self, obj: NetworkObject, port: NetworkPort, reclaim: bool) -> None:
        """Hook: give a port what it needs of the running network; ``port`` may be completed.

        :param reclaim: it is in use already and only to be known again.
        """

    async def unplug(self, obj: NetworkObject, port: NetworkPort) -> None:
        """Hook: take back what :meth:`plug` gave."""

    async def live_changed(self, obj: NetworkObject, new: Network) -> None:
        """Hook: make a running network work as ``new`` says, before it counts."""


#: Per group of filter flags: all its bits, and which of them an object has.
_FILTERS = (
    (ListFlags.ACTIVE | ListFlags.INACTIVE, lambda obj: ListFlags.ACTIVE if obj.active else ListFlags.INACTIVE),
    (
        ListFlags.PERSISTENT | ListFlags.TRANSIENT,
        lambda obj: ListFlags.PERSISTENT if obj.persistent else ListFlags.TRANSIENT,
    ),
    (
        ListFlags.AUTOSTART | ListFlags.NO_AUTOSTART,
        lambda obj: ListFlags.AUTOSTART if obj.autostart else ListFlags.NO_AUTOSTART,
    ),
)


_ALL_FILTERS = sum(group for group, _ in _FILTERS)


class StatefulNetworks(ServiceDriver, NetworkService):
    """Every operation on networks, over :attr:`networks`."""

    #: What libvirt's driver has before its functions' names; occurs in messages.
    network_prefix: ClassVar[str] = "vir"
    networks: Networks

    def network(self, ref: NetworkRef) -> NetworkObject:
        """The object behind a reference.

        :raises NoNetwork: it is not (any more) known.
        """
        return self.networks.table.by_uuid(ref.uuid, ref.name)

    def subscribe(self, deliver: Callable[[Event], None]) -> Subscription:
        return self.networks.events.subscribe(deliver)

    def _check(self, flags: int, supported: int, operation: str) -> None:
        check_flags(flags, supported, operation, self.network_prefix)

    # -- finding and making

    @inline
    def connection_list_networks(self, flags: ListFlags | int = 0) -> list[NetworkRef]:
        self._check(flags, _ALL_FILTERS, "connection_list_networks")
        return [obj.ref for obj in select(self.networks.table, flags, _FILTERS)]

    @inline
    def connection_lookup_network(self, name: str | None = None, uuid: str | None = None) -> NetworkRef:
        if name is not None:
            return self.networks.table.by_name(name).ref
        assert uuid is not None
        return self.networks.table.by_uuid(canonical_uuid(uuid, "virNetworkLookupByUUIDString")).ref

    async def connection_define_network(self, xml: str, flags: NetworkDefineFlags | int = 0) -> NetworkRef:
        self._check(flags, NetworkDefineFlags.VALIDATE, "connection_define_network")
        return (await self.networks.define(xml, validate=bool(flags))).ref

    async def connection_create_network(self, xml: str, flags: NetworkCreateFlags | int = 0) -> NetworkRef:
        self._check(flags, NetworkCreateFlags.VALIDATE, "connection_create_network")
        return (await self.networks.create_from(xml, validate=bool(flags))).ref

    # -- life

    async def network_create(self, network: NetworkRef) -> None:
        await self.networks.create(self.network(network))

    async def network_destroy(self, network: NetworkRef) -> None:
        await self.networks.destroy(self.network(network))

    async def network_undefine(self, network: NetworkRef) -> None:
        await self.networks.undefine(self.network(network))

    async def network_update(
        self,
        network: NetworkRef,
        command: NetworkUpdateCommand | int,
        section: NetworkUpdateSection | int,
        parent_index: int,
        xml: str,
        flags: NetworkUpdateFlags | int = 0,
    ) -> None:
        from virtcore.model.network.update import update_network

        self._check(flags, NetworkUpdateFlags.LIVE | NetworkUpdateFlags.CONFIG, "network_update")

        def change(document: Network) -> None:
            update_network(document, command, section, parent_index, xml)  # type: ignore[arg-type]  # any number goes

        await self.networks.change(self.network(network), NetworkUpdateFlags(int(flags)), change)

    # -- what it is

    @inline
    def network_xml(self, network: NetworkRef, flags: NetworkXMLFlags | int = 0) -> str:
        self._check(flags, NetworkXMLFlags.INACTIVE, "network_xml")
        obj = self.network(network)
        inactive = bool(flags & NetworkXMLFlags.INACTIVE)
        document = obj.definition if inactive and obj.definition is not None else obj.current
        return self.networks.text(document, NetworkXMLFlags(int(flags)))

    @inline
    def network_bridge_name(self, network: NetworkRef) -> str:
        obj = self.network(network)
        bridge = obj.current.bridge
        if bridge is None or not bridge.name:
            raise InternalError(f"network '{obj.name}' does not have a bridge name.")
        return bridge.name

    @inline
    def network_is_active(self, network: NetworkRef) -> bool:
        return self.network(network).active

    @inline
    def network_is_persistent(self, network: NetworkRef) -> bool:
        return self.network(network).persistent

    @inline
    def network_autostart(self, network: NetworkRef) -> bool:
        return self.network(network).autostart

    async def network_set_autostart(self, network: NetworkRef, autostart: bool) -> None:
        await self.networks.set_autostart(self.network(network), autostart)

    # -- metadata

    @inline
    def network_metadata(
        self,
        network: NetworkRef,
        type: NetworkMetadataType | int,
        uri: str | None = None,
        flags: NetworkUpdateFlags | int = 0,
    ) -> str:
        self._check(flags, NetworkUpdateFlags.LIVE | NetworkUpdateFlags.CONFIG, "network_metadata")
        obj = self.network(network)
        if flags & NetworkUpdateFlags.LIVE and not obj.active:
            raise OperationInvalid("network is not running")
        document = obj.current
        if flags & NetworkUpdateFlags.CONFIG:
            if obj.definition is None:
                raise OperationInvalid("transient networks do not have any persistent config")
            document = obj.definition
        from virtcore.model.metadata import find_metadata

        if type == NetworkMetadataType.DESCRIPTION:
            value = document.description
        elif type == NetworkMetadataType.TITLE:
            value = document.title
        elif type == NetworkMetadataType.ELEMENT:
            value = find_metadata(document.metadata, uri)
        else:
            raise InvalidArg(f"unknown metadata type '{int(type)}'")
        if value is None:
            raise NoNetworkMetadata("Requested metadata element is not present")
        return value

    async def network_set_metadata(
        self,
        network: NetworkRef,
        type: NetworkMetadataType | int,
        metadata: str | None,
        key: str | None = None,
        uri: str | None = None,
        flags: NetworkUpdateFlags | int = 0,
    ) -> None:
        from virtcore.driver.toolkit.configuration.description import check_metadata
        from virtcore.model.metadata import replace_metadata

        check_metadata(type, metadata, key, uri, "network_set_metadata")
        self._check(flags, NetworkUpdateFlags.LIVE | NetworkUpdateFlags.CONFIG, "network_set_metadata")
        obj = self.network(network)

        def change(document: Network) -> None:
            if type == NetworkMetadataType.DESCRIPTION:
                document.description = metadata
            elif type == NetworkMetadataType.TITLE:
                document.title = metadata
            elif type == NetworkMetadataType.ELEMENT:
                document.metadata = replace_metadata(document.metadata, metadata, key, uri)
            else:
                raise InvalidArg(f"unknown metadata type '{int(type)}'")

        await self.networks.change(obj, NetworkUpdateFlags(int(flags)), change)
        self.networks.events.emit(NetworkMetadataChangeEvent(obj.ref, NetworkMetadataType(type), uri))

    # -- ports

    def _port(self, network: NetworkRef, uuid: str) -> NetworkPort:
        found = self.network(network).ports.get(uuid)
        if found is None:
            raise NoNetworkPort(f"Network port with UUID {uuid} does not exist")
        return found

    @inline
    def network_list_ports(self, network: NetworkRef, flags: int = 0) -> list[NetworkPortRef]:
        self._check(flags, 0, "network_list_ports")
        obj = self.network(network)
        return [NetworkPortRef(obj.ref, uuid) for uuid in obj.ports]

    @inline
    def network_lookup_port(self, network: NetworkRef, uuid: str) -> NetworkPortRef:
        canonical = canonical_uuid(uuid, "virNetworkPortLookupByUUIDString")
        self._port(network, canonical)
        return NetworkPortRef(self.network(network).ref, canonical)

    async def network_create_port(
        self, network: NetworkRef, xml: str, flags: NetworkPortCreateFlags | int = 0
    ) -> NetworkPortRef:
        from virtcore.model.network.networkport import load_network_port

        self._check(flags, NetworkPortCreateFlags.RECLAIM | NetworkPortCreateFlags.VALIDATE, "network_create_port")
        obj = self.network(network)
        port = load_network_port(xml, validate=bool(flags & NetworkPortCreateFlags.VALIDATE))
        async with obj.lock:
            obj.require_active()
            assert port.uuid is not None
            if port.uuid in obj.ports:
                raise NetworkPortExist(f"Network port with UUID {port.uuid} already exists")
            await self.networks.plug(obj, port, bool(flags & NetworkPortCreateFlags.RECLAIM))
            obj.ports[port.uuid] = port
        return NetworkPortRef(obj.ref, port.uuid)

    @inline
    def network_port_xml(self, port: NetworkPortRef, flags: int = 0) -> str:
        from virtcore.model.network.networkport import format_network_port

        self._check(flags, 0, "network_port_xml")
        return format_network_port(self._port(port.network, port.uuid))

    async def network_port_delete(self, port: NetworkPortRef, flags: int = 0) -> None:
        self._check(flags, 0, "network_port_delete")
        obj = self.network(port.network)
        async with obj.lock:
            found = self._port(port.network, port.uuid)
            await self.networks.unplug(obj, found)
            obj.ports.pop(port.uuid, None)
