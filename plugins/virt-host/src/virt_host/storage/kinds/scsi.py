"""Pools that are a SCSI host of this machine, or a virtual one of a fibre channel adapter: its units are volumes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virt_host.nodedev.kinds.scsi import FC_HOSTS, SCSI_HOSTS
from virt_host.nodedev.vports import CREATE, DELETE, find_adapter, manage_vport
from virt_host.storage.devices import DeviceBackend, wait_for_devices
from virt_host.storage.units import find_units, host_number
from virtcore.errors import ErrorDomain, InternalError, SystemError as SystemFailure, VirtError, XMLError
from virtcore.model.domain.addresses.pci import spell
from virtcore.model.storage.adapter import AdapterType
from virtcore.model.storage.pool_source import SCSIPoolSource
from virtcore.runtime.threads import in_thread

if TYPE_CHECKING:
    from virtcore.driver.toolkit.pool_backend import VolumeObject
    from virtcore.driver.toolkit.pools import PoolObject
    from virtcore.model.storage.adapter import StorageAdapter
    from virtcore.model.storage.pool import StoragePool

__all__ = ["SCSIBackend"]

_DOMAIN = ErrorDomain.STORAGE


def _adapter(pool: StoragePool) -> StorageAdapter:
    assert isinstance(pool.source, SCSIPoolSource)
    assert pool.source.adapter is not None  # validation
    return pool.source.adapter


class SCSIBackend(DeviceBackend):
    """``<pool type='scsi'>``."""

    probes_tables = True

    async def check(self, pool: PoolObject) -> bool:
        try:
            number = await in_thread(self._host, _adapter(pool.current))
        except VirtError:
            if _adapter(pool.current).type is AdapterType.FC_HOST:
                return False  # a virtual one that is made when the pool starts
            raise
        return await in_thread(self.host.files.exists, f"{SCSI_HOSTS}/host{number}")

    async def start(self, pool: PoolObject) -> None:
        adapter = _adapter(pool.current)
        if adapter.type is AdapterType.FC_HOST:
            await in_thread(self._make_port, adapter)

    async def stop(self, pool: PoolObject) -> None:
        adapter = _adapter(pool.current)
        if adapter.type is AdapterType.FC_HOST and adapter.managed:
            await in_thread(self._remove_port, adapter)

    async def refresh(self, pool: PoolObject) -> list[VolumeObject]:
        document = pool.live
        assert document is not None
        await wait_for_devices()
        number = await in_thread(self._host, _adapter(document))
        await in_thread(self._scan, number)
        await wait_for_devices()
        return await find_units(self.host, document, number)

    def _scan(self, number: int) -> None:
        path = f"{SCSI_HOSTS}/host{number}/scan"
        try:
            with open(self.host.files.real(path), "w", encoding="ascii") as file:
                file.write("- - -")
        except OSError as error:
            what = f"Could not open '{path}' to trigger host scan"
            raise SystemFailure(f"{what}: {error.strerror}", domain=_DOMAIN) from error

    # -- the host

    def _host(self, adapter: StorageAdapter) -> int:
        """The number of an adapter's host.

        :raises VirtError: there is none.
        """
        if adapter.type is AdapterType.FC_HOST:
            number = self._port(adapter)
            if number is None:
                raise XMLError(
                    f"Failed to find SCSI host with wwnn='{adapter.wwnn}', wwpn='{adapter.wwpn}'", domain=_DOMAIN
                )
            return number
        if adapter.parent_address is not None:
            return self._at_address(adapter)
        return host_number(adapter.name or "")

    def _at_address(self, adapter: StorageAdapter) -> int:
        told, files = adapter.parent_address, self.host.files
        assert told is not None
        assert told.address is not None
        where = spell(told.address)
        for name in sorted(files.entries(SCSI_HOSTS)):
            path = f"{SCSI_HOSTS}/{name}"
            resolved = files.resolved(path) or ""
            if where in resolved.split("/") and files.text(f"{path}/unique_id") == str(told.unique_id):
                return host_number(name)
        raise XMLError(f"Failed to find scsi_host using PCI '{where}' and unique_id='{told.unique_id}'", domain=_DOMAIN)

    # -- virtual adapters

    def _port(self, adapter: StorageAdapter) -> int | None:
        """The host of a virtual adapter; None where it is not made."""
        path = find_adapter(self.host.files, adapter.wwnn or "", adapter.wwpn or "")
        return None if path is None else host_number(path.rsplit("/", 1)[1])

    def _make_port(self, adapter: StorageAdapter) -> None:
        if self._port(adapter) is None:
            adapter.managed = True if adapter.managed is None else adapter.managed
            self._manage(adapter, CREATE)

    def _remove_port(self, adapter: StorageAdapter) -> None:
        if self._port(adapter) is not None:
            self._manage(adapter, DELETE)

    def _manage(self, adapter: StorageAdapter, operation: str) -> None:
        parent = self._parent(adapter)
        manage_vport(self.host.files, parent, operation, adapter.wwnn or "", adapter.wwpn or "")

    def _parent(self, adapter: StorageAdapter) -> int:
        """The host that a virtual adapter is, or will be, on."""
        files = self.host.files
        ports = sorted(files.entries(FC_HOSTS))
        if adapter.parent is not None:
            number = host_number(adapter.parent)
            if f"host{number}" not in ports:
                raise XMLError(f"parent '{adapter.parent}' is not an fc_host for the wwnn/wwpn", domain=_DOMAIN)
            return number
        for name in ports:
            if self._is_parent(adapter, name):
                return host_number(name)
        raise InternalError("unable to find a parent for the virtual adapter", domain=_DOMAIN)

    def _is_parent(self, adapter: StorageAdapter, name: str) -> bool:
        """Whether a host is the one that a document means, and can have a virtual adapter more."""
        files = self.host.files
        for wanted, file in (
            (adapter.parent_wwnn, "node_name"),
            (adapter.parent_wwpn, "port_name"),
            (adapter.parent_fabric_wwn, "fabric_name"),
        ):
            said = (files.text(f"{FC_HOSTS}/{name}/{file}") or "").strip().removeprefix("0x")
            if wanted is not None and said != wanted:
                return False
        most, used = (self._figure(name, file) for file in ("max_npiv_vports", "npiv_vports_inuse"))
        return most > used

    def _figure(self, name: str, file: str) -> int:
        for hosts in (FC_HOSTS, SCSI_HOSTS):
            text = self.host.files.text(f"{hosts}/{name}/{file}")
            if text is not None and text.strip().isdigit():
                return int(text)
        return 0
