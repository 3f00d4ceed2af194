"""Operations on storage pools and volumes: the service ``storage``."""
# A declaration has no body.
# mypy: disable-error-code="empty-body"

from __future__ import annotations

from virtcore._typing import TYPE_CHECKING, Sequence
from virtcore.operations.declare import Kind, OperationSet, Result, operation

if TYPE_CHECKING:
    from virtcore.enums import (
        ConnectListAllStoragePoolsFlags,
        StoragePoolBuildFlags,
        StoragePoolCreateFlags,
        StoragePoolDefineFlags,
        StoragePoolDeleteFlags,
        StorageVolCreateFlags,
        StorageVolDeleteFlags,
        StorageVolDownloadFlags,
        StorageVolInfoFlags,
        StorageVolResizeFlags,
        StorageVolUploadFlags,
        StorageVolWipeAlgorithm,
        StorageXMLFlags,
    )
    from virtcore.operations.stream import ByteStream
    from virtcore.operations.values import StoragePoolInfo, StorageVolInfo
    from virtcore.types import StoragePoolRef, StorageVolRef

__all__ = ["StorageFindOperations", "StoragePoolOperations", "StorageService", "StorageVolOperations"]


class StorageFindOperations(OperationSet, family="connection"):
    """Finding and making pools, finding volumes."""

    @operation(Kind.QUERY)
    def connection_storage_pool_capabilities(self, flags: int = 0) -> Result[str]:
        """Types of pools and volumes that are supported, as XML (``virConnectGetStoragePoolCapabilities``)."""

    @operation(Kind.QUERY)
    def connection_find_storage_pool_sources(self, type: str, source: str | None = None, flags: int = 0) -> Result[str]:
        """Sources from which a pool could be made, as XML (``virConnectFindStoragePoolSources``).

        :param type: type of pool, e.g. ``netfs``.
        :param source: XML of a ``<source>`` that says where to look, e.g. on which host; some types need none.
        """

    @operation(Kind.QUERY)
    def connection_list_storage_pools(
        self, flags: ConnectListAllStoragePoolsFlags | int = 0
    ) -> Result[Sequence[StoragePoolRef]]:
        """Pools that pass every group of filter flags; 0 for all (``virConnectListAllStoragePools``)."""

    @operation(Kind.QUERY, keys=("name", "uuid", "target_path", "volume"))
    def connection_lookup_storage_pool(
        self,
        name: str | None = None,
        uuid: str | None = None,
        target_path: str | None = None,
        volume: StorageVolRef | None = None,
    ) -> Result[StoragePoolRef]:
        """The pool of a name, UUID, target path or volume, exactly one of which is given
        (``virStoragePoolLookupByName`` and siblings).

        :raises NoStoragePool: there is none.
        """

    @operation(Kind.CHANGE)
    def connection_define_storage_pool(
        self, xml: str, flags: StoragePoolDefineFlags | int = 0
    ) -> Result[StoragePoolRef]:
        """Define a persistent pool, or change the definition of one (``virStoragePoolDefineXML``).

        :raises XMLError: the document is refused; nothing changed.
        """

    @operation(Kind.CHANGE)
    def connection_create_storage_pool(
        self, xml: str, flags: StoragePoolCreateFlags | int = 0
    ) -> Result[StoragePoolRef]:
        """Start a pool from XML; without an earlier definition it is transient (``virStoragePoolCreateXML``)."""

    @operation(Kind.QUERY, keys=("key", "path"))
    def connection_lookup_storage_vol(self, key: str | None = None, path: str | None = None) -> Result[StorageVolRef]:
        """The volume of a key or path, exactly one of which is given (``virStorageVolLookupByKey`` and sibling).

        :raises NoStorageVol: there is none.
        """


class StoragePoolOperations(OperationSet, family="storage_pool"):
    """What a driver offers on a pool. Every method raises ``NoStoragePool`` when it is not (any more) known."""

    @operation(Kind.CHANGE)
    def storage_pool_build(self, pool: StoragePoolRef, flags: StoragePoolBuildFlags | int = 0) -> Result[None]:
        """Make what the pool needs: a folder, a file system, a volume group (``virStoragePoolBuild``)."""

    @operation(Kind.CHANGE)
    def storage_pool_create(self, pool: StoragePoolRef, flags: StoragePoolCreateFlags | int = 0) -> Result[None]:
        """Start a defined pool (``virStoragePoolCreate``)."""

    @operation(Kind.CHANGE)
    def storage_pool_destroy(self, pool: StoragePoolRef) -> Result[None]:
        """Stop it; its volumes stay (``virStoragePoolDestroy``)."""

    @operation(Kind.CHANGE)
    def storage_pool_delete(self, pool: StoragePoolRef, flags: StoragePoolDeleteFlags | int = 0) -> Result[None]:
        """Remove what is behind an inactive pool, for good (``virStoragePoolDelete``)."""

    @operation(Kind.CHANGE)
    def storage_pool_undefine(self, pool: StoragePoolRef) -> Result[None]:
        """Remove the definition of an inactive pool (``virStoragePoolUndefine``)."""

    @operation(Kind.CHANGE)
    def storage_pool_refresh(self, pool: StoragePoolRef, flags: int = 0) -> Result[None]:
        """Look at its volumes afresh (``virStoragePoolRefresh``)."""

    @operation(Kind.QUERY)
    def storage_pool_xml(self, pool: StoragePoolRef, flags: StorageXMLFlags | int = 0) -> Result[str]:
        """Its XML, live by default while it is active (``virStoragePoolGetXMLDesc``)."""

    @operation(Kind.QUERY)
    def storage_pool_info(self, pool: StoragePoolRef) -> Result[StoragePoolInfo]:
        """State, and capacity, allocation and available space in bytes (``virStoragePoolGetInfo``)."""

    @operation(Kind.QUERY)
    def storage_pool_is_active(self, pool: StoragePoolRef) -> Result[bool]:
        """Whether it is active (``virStoragePoolIsActive``)."""

    @operation(Kind.QUERY)
    def storage_pool_is_persistent(self, pool: StoragePoolRef) -> Result[bool]:
        """Whether it has a persistent definition (``virStoragePoolIsPersistent``)."""

    @operation(Kind.QUERY)
    def storage_pool_autostart(self, pool: StoragePoolRef) -> Result[bool]:
        """Whether it starts with the host (``virStoragePoolGetAutostart``)."""

    @operation(Kind.CHANGE)
    def storage_pool_set_autostart(self, pool: StoragePoolRef, autostart: bool) -> Result[None]:
        """Set whether it starts with the host (``virStoragePoolSetAutostart``)."""

    # -- volumes

    @operation(Kind.QUERY)
    def storage_pool_list_volumes(self, pool: StoragePoolRef, flags: int = 0) -> Result[Sequence[StorageVolRef]]:
        """Its volumes (``virStoragePoolListAllVolumes``)."""

    @operation(Kind.QUERY)
    def storage_pool_lookup_volume(self, pool: StoragePoolRef, name: str) -> Result[StorageVolRef]:
        """The volume of a name (``virStorageVolLookupByName``).

        :raises NoStorageVol: there is none.
        """

    @operation(Kind.CHANGE, abortable=True)
    def storage_pool_create_volume(
        self, pool: StoragePoolRef, xml: str, flags: StorageVolCreateFlags | int = 0
    ) -> Result[StorageVolRef]:
        """Make a volume (``virStorageVolCreateXML``)."""

    @operation(Kind.CHANGE, abortable=True)
    def storage_pool_clone_volume(
        self, pool: StoragePoolRef, xml: str, source: StorageVolRef, flags: StorageVolCreateFlags | int = 0
    ) -> Result[StorageVolRef]:
        """Make a volume with the content of another one, of this or another pool (``virStorageVolCreateXMLFrom``).

        :param source: the volume whose content is copied.
        """


class StorageVolOperations(OperationSet, family="storage_vol"):
    """What a driver offers on a volume. Every method raises ``NoStorageVol`` when it is not (any more) known."""

    @operation(Kind.QUERY)
    def storage_vol_xml(self, volume: StorageVolRef, flags: int = 0) -> Result[str]:
        """Its XML (``virStorageVolGetXMLDesc``)."""

    @operation(Kind.QUERY)
    def storage_vol_info(self, volume: StorageVolRef, flags: StorageVolInfoFlags | int = 0) -> Result[StorageVolInfo]:
        """Type, and capacity and allocation in bytes (``virStorageVolGetInfoFlags``)."""

    @operation(Kind.QUERY)
    def storage_vol_path(self, volume: StorageVolRef) -> Result[str]:
        """Where the host finds it, a path for most pools (``virStorageVolGetPath``)."""

    @operation(Kind.CHANGE)
    def storage_vol_delete(self, volume: StorageVolRef, flags: StorageVolDeleteFlags | int = 0) -> Result[None]:
        """Remove it, for good (``virStorageVolDelete``)."""

    @operation(Kind.CHANGE, abortable=True)
    def storage_vol_wipe(
        self, volume: StorageVolRef, algorithm: StorageVolWipeAlgorithm | int = 0, flags: int = 0
    ) -> Result[None]:
        """Overwrite its content so that it cannot be read any more (``virStorageVolWipePattern``)."""

    @operation(Kind.CHANGE)
    def storage_vol_resize(
        self, volume: StorageVolRef, capacity: int, flags: StorageVolResizeFlags | int = 0
    ) -> Result[None]:
        """Change its capacity (``virStorageVolResize``).

        :param capacity: in bytes; with ``DELTA`` the difference.
        """

    @operation(Kind.CHANGE)
    def storage_vol_upload(
        self, volume: StorageVolRef, offset: int = 0, length: int = 0, flags: StorageVolUploadFlags | int = 0
    ) -> Result[ByteStream]:
        """Write its content (``virStorageVolUpload``).

        :param offset: first byte that is written.
        :param length: most bytes that are written; 0 up to the volume's end.
        """

    @operation(Kind.CHANGE)
    def storage_vol_download(
        self, volume: StorageVolRef, offset: int = 0, length: int = 0, flags: StorageVolDownloadFlags | int = 0
    ) -> Result[ByteStream]:
        """Read its content (``virStorageVolDownload``).

        :param offset: first byte that is read.
        :param length: most bytes that are read; 0 up to the volume's end.
        """


class StorageService(StorageFindOperations, StoragePoolOperations, StorageVolOperations, service="storage"):
    """What a driver of storage implements."""
