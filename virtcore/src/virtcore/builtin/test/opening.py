"""Opening connections of the test driver.

What is asked first (which domains there are, what they do) needs no more than this; the rest of the driver is loaded
when something else is asked.
"""

from __future__ import annotations

import itertools

from virtcore._typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar
from virtcore.driver.base import Driver, OpenRequest
from virtcore.driver.toolkit.state import DriverState
from virtcore.driver.toolkit.stateful import StatefulDriver
from virtcore.enums.domain import DomainRunningReason, DomainState
from virtcore.errors import InvalidArg

if TYPE_CHECKING:
    from collections.abc import Mapping

    from virtcore.builtin.test.configuration import Configuration
    from virtcore.driver.service import DriverService
    from virtcore.driver.toolkit.store import Facts
    from virtcore.model.domain import Domain
    from virtcore.uri import ConnectionURI

__all__ = ["DEFAULT_DOMAIN", "DEFAULT_FACTS", "OpeningDriver", "OpeningState"]

_files = itertools.count()

_NAME = "test"
_UUID = "6695eb01-f6a4-8304-79aa-97f2502e193f"
#: The domain every default host has, complete; what :func:`format_domain` would make of it.
DEFAULT_DOMAIN = f"""\
<domain type='test'>
  <name>{_NAME}</name>
  <uuid>{_UUID}</uuid>
  <memory unit='KiB'>8388608</memory>
  <currentMemory unit='KiB'>2097152</currentMemory>
  <vcpu placement='static'>2</vcpu>
  <os>
    <type arch='i686'>hvm</type>
    <boot dev='hd'/>
  </os>
  <clock offset='utc'/>
  <on_poweroff>destroy</on_poweroff>
  <on_reboot>restart</on_reboot>
  <on_crash>destroy</on_crash>
  <devices>
    <disk type='file' device='disk'>
      <source file='/guest/diskimage1'/>
      <target dev='vda' bus='virtio'/>
      <address type='pci' domain='0x0000' bus='0x01' slot='0x00' function='0x0'/>
    </disk>
    <interface type='network'>
      <mac address='aa:bb:cc:dd:ee:ff'/>
      <source network='default'/>
      <target dev='testnet0'/>
      <address type='pci' domain='0x0000' bus='0x00' slot='0x01' function='0x0'/>
    </interface>
    <memballoon model='virtio'>
      <address type='pci' domain='0x0000' bus='0x00' slot='0x02' function='0x0'/>
    </memballoon>
  </devices>
</domain>
"""
#: What :meth:`DriverState.facts_of` says of it: known here, so that listing it needs no object model.
DEFAULT_FACTS: Facts = {
    "os_type": "hvm",
    "max_memory": 8388608,
    "memory": 2097152,
    "vcpus": 2,
    "max_vcpus": 2,
    "plain": True,
}


class OpeningState(DriverState):
    """The default host's one domain; :meth:`complete` makes it all that there is.

    :param configuration: the host described in a file; None for the default one.
    """

    driver_name = "test"
    abi_update = False
    partial = True

    def __init__(self, configuration: Configuration | None = None) -> None:
        super().__init__(None)
        self.configuration = configuration

    async def open(self) -> None:
        if self.partial and self.configuration is not None:
            self.complete()
            await self.open()  # of the class that it has become
            return
        await super().open()
        if self.configuration is None:
            self._add_default()

    def _add_default(self) -> None:
        obj = self.domains.claim(_NAME, _UUID)
        obj.persistent = True
        obj.text = DEFAULT_DOMAIN
        obj.facts = DEFAULT_FACTS
        self.activate(obj, self._default_domain, facts=DEFAULT_FACTS)
        # libvirt's driver sets the state of the domains it reads anew, without a reason.
        self.set_state(obj, DomainState.RUNNING, DomainRunningReason.UNKNOWN)
        self.domains.publish(obj)

    @classmethod
    def whole(cls) -> type[DriverState]:
        from virtcore.builtin.test.state import TestState

        return TestState

    def _default_domain(self) -> Domain:
        """What the default domain runs with, whatever has become of its definition meanwhile."""
        from virtcore.model.domain.rules import ParseFlag

        return self.load(DEFAULT_DOMAIN, ParseFlag.INACTIVE | ParseFlag.SKIP_VALIDATE)


S = TypeVar("S", bound=OpeningState)


def _state(configuration: Configuration | None = None) -> Any:
    return OpeningState(configuration)


class OpeningDriver(StatefulDriver[S]):
    """A connection to a host that does not exist, as it is opened."""

    name = "TEST"
    error_domain = "TEST"
    function_prefix = "test"
    local_only = True
    own_services: ClassVar[Mapping[str, str | type[DriverService]]] = {
        "interface": "virtcore.builtin.test.interfaces:TestInterfaces",
        "network": "virtcore.builtin.test.networks:TestNetworks",
        "nwfilter": "virtcore.builtin.test.secrets:TestFilters",
        "secret": "virtcore.builtin.test.secrets:TestSecrets",
        "storage": "virtcore.builtin.test.storage:TestStorage",
        "nodedev": "virtcore.builtin.test.nodedev:TestNodeDevices",
    }
    first: ClassVar[frozenset[str] | None] = frozenset(
        {
            "connection_hostname",
            "connection_is_alive",
            "connection_is_encrypted",
            "connection_is_secure",
            "connection_lib_version",
            "connection_list_domains",
            "connection_set_keepalive",
            "connection_type",
            "connection_uri",
            "domain_autostart",
            "domain_has_managed_save",
            "domain_is_active",
            "domain_is_persistent",
            "domain_state",
        }
    )

    @classmethod
    def opens_at_once(cls, uri: ConnectionURI) -> bool:
        return uri.path == "/default" and cls.first is not None

    @classmethod
    def whole(cls) -> type[Driver]:
        if cls.first is None:
            return cls
        from virtcore.builtin.test.driver import TestDriver

        return TestDriver

    @classmethod
    async def open(cls, request: OpenRequest) -> Self:
        path = request.uri.path
        if path in ("", "/"):
            raise InvalidArg("testOpen: supply a path or use test:///default")
        if path == "/default":
            driver = await cls.attach(request, ("test", "default"), _state)
            if not driver.state.partial or cls.first is None:
                driver.complete()
            return driver
        from virtcore.builtin.test.configuration import read

        configuration = read(path)
        # A file describes a host for one connection: nobody else finds this state.
        key = ("test", f"{path} {next(_files)}")
        driver = await cls.attach(request, key, lambda: _state(configuration))
        driver.complete()
        try:
            await driver.authenticate(configuration)
        except BaseException:
            await driver.close()
            raise
        return driver

    async def authenticate(self, configuration: Configuration) -> None:
        """Ask who wants to use a host, where its description wants to know.

        :raises VirtError: nobody who may.
        """
