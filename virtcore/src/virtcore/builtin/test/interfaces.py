"""The network interfaces of a host that does not exist."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from virtcore.driver.service import DriverService
from virtcore.driver.toolkit.checks import check_flags, select
from virtcore.enums.interface import ConnectListAllInterfacesFlags as ListFlags, InterfaceDefineFlags
from virtcore.errors import MultipleInterfaces, NoInterface, OperationInvalid
from virtcore.operations.declare import inline
from virtcore.operations.interface import InterfaceService
from virtcore.types import InterfaceRef

if TYPE_CHECKING:
    from virtcore.builtin.test.driver import TestDriver
    from virtcore.enums import InterfaceXMLFlags
    from virtcore.model.interface import HostInterface

__all__ = ["TestInterface", "TestInterfaceTable", "TestInterfaces"]

#: What every default host has.
DEFAULT_INTERFACE = """\
<interface type='ethernet' name='eth1'>
  <start mode='onboot'/>
  <mac address='aa:bb:cc:dd:ee:ff'/>
  <mtu size='1492'/>
  <protocol family='ipv4'>
    <ip address='192.168.0.5' prefix='24'/>
    <route gateway='192.168.0.1'/>
  </protocol>
</interface>
"""


class TestInterface:
    """One interface: its configuration, and whether it is up."""

    __test__ = False  # no test case, whatever its name
    __slots__ = ("active", "document")

    def __init__(self, document: HostInterface, active: bool) -> None:
        self.document = document
        self.active = active

    @property
    def ref(self) -> InterfaceRef:
        """Its reference."""
        return InterfaceRef(self.document.name, self.document.mac or "")


class TestInterfaceTable:
    """The interfaces of one state of the test driver, by name; nothing of them survives.

    :param documents: those of a host that a file describes, all up; None for the default host's.
    :ivar kept: what a roll-back returns to; None while no change was begun.
    """

    __test__ = False  # no test case, whatever its name

    def __init__(self, documents: Sequence[str] | None) -> None:
        from virtcore.model.interface.document import load_interface

        texts = (DEFAULT_INTERFACE,) if documents is None else documents
        found = [TestInterface(load_interface(text), True) for text in texts]
        self.by_name = {interface.document.name: interface for interface in found}
        self.kept: dict[str, TestInterface] | None = None


_FILTERS = (
    (
        int(ListFlags.ACTIVE | ListFlags.INACTIVE),
        lambda interface: int(ListFlags.ACTIVE if interface.active else ListFlags.INACTIVE),
    ),
)


class TestInterfaces(DriverService, InterfaceService):
    """Interfaces of the test driver."""

    __test__ = False  # no test case, whatever its name

    driver: TestDriver

    @property
    def table(self) -> TestInterfaceTable:
        """The interfaces, shared by the connections of a state."""
        return self.driver.state.interfaces

    def interface(self, name: str) -> TestInterface:
        """The interface of a name.

        :raises NoInterface: there is none.
        """
        found = self.table.by_name.get(name)
        if found is None:
            raise NoInterface(f"no interface with matching name '{name}'")
        return found

    @inline
    def connection_list_interfaces(self, flags: ListFlags | int = 0) -> list[InterfaceRef]:
        check_flags(flags, ListFlags.ACTIVE | ListFlags.INACTIVE, "connection_list_interfaces", "test")
        return [interface.ref for interface in select(self.table.by_name.values(), flags, _FILTERS)]

    @inline
    def connection_lookup_interface(self, name: str | None = None, mac: str | None = None) -> InterfaceRef:
        if name is not None:
            return self.interface(name).ref
        assert mac is not None
        found = [one.ref for one in self.table.by_name.values() if one.ref.mac.lower() == mac.lower()]
        if not found:
            raise NoInterface(f"no interface with matching mac '{mac}'")
        if len(found) > 1:
            raise MultipleInterfaces
        return found[0]

    @inline
    def connection_define_interface(self, xml: str, flags: InterfaceDefineFlags | int = 0) -> InterfaceRef:
        from virtcore.model.interface.document import load_interface

        check_flags(flags, InterfaceDefineFlags.VALIDATE, "connection_define_interface", "test")
        document = load_interface(xml, validate=bool(flags))
        known = self.table.by_name.get(document.name)
        if known is None:
            known = self.table.by_name[document.name] = TestInterface(document, False)
        else:
            known.document = document
        return known.ref

    @inline
    def connection_interface_begin(self, flags: int = 0) -> None:
        check_flags(flags, 0, "connection_interface_begin", "test")
        if self.table.kept is not None:
            raise OperationInvalid("there is another transaction running.")
        # The configuration is kept, not who is up: after a roll-back none is.
        self.table.kept = {name: TestInterface(known.document, False) for name, known in self.table.by_name.items()}

    @inline
    def connection_interface_commit(self, flags: int = 0) -> None:
        check_flags(flags, 0, "connection_interface_commit", "test")
        if self.table.kept is None:
            raise OperationInvalid("no transaction running, nothing to be committed.")
        self.table.kept = None

    @inline
    def connection_interface_rollback(self, flags: int = 0) -> None:
        check_flags(flags, 0, "connection_interface_rollback", "test")
        if self.table.kept is None:
            raise OperationInvalid("no transaction running, nothing to rollback.")
        self.table.by_name, self.table.kept = self.table.kept, None

    @inline
    def interface_xml(self, interface: InterfaceRef, flags: InterfaceXMLFlags | int = 0) -> str:
        from virtcore.model.interface.document import format_interface

        check_flags(flags, 0, "interface_xml", "test")
        return format_interface(self.interface(interface.name).document)

    @inline
    def interface_is_active(self, interface: InterfaceRef) -> bool:
        return self.interface(interface.name).active

    @inline
    def interface_create(self, interface: InterfaceRef, flags: int = 0) -> None:
        check_flags(flags, 0, "interface_create", "test")
        found = self.interface(interface.name)
        if found.active:
            raise OperationInvalid
        found.active = True

    @inline
    def interface_destroy(self, interface: InterfaceRef, flags: int = 0) -> None:
        check_flags(flags, 0, "interface_destroy", "test")
        found = self.interface(interface.name)
        if not found.active:
            raise OperationInvalid
        found.active = False

    @inline
    def interface_undefine(self, interface: InterfaceRef) -> None:
        self.interface(interface.name)
        del self.table.by_name[interface.name]
