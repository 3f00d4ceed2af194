"""Disks and their sources as libvirt's parser leaves them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtcore.errors import ConfigUnsupported, XMLDetail, XMLError
from virtcore.model.domain.disk import BlockJob, DiskDevice, DiskErrorPolicy
from virtcore.model.domain.rules.device_info import settle_info
from virtcore.model.pci import settle_pci
from virtcore.model.storage.settle import settle_encryption, settle_secret
from virtcore.model.storage.source import (
    DEFAULT_PORTS,
    FileSource,
    HostTransport,
    NetProtocol,
    NetworkSource,
    NVMeSource,
    SSHIdentity,
    StorageFormat,
    StorageType,
    VhostUserSource,
    VolumeSource,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from virtcore.model.domain.disk import BackingStore, Disk, DiskMirror
    from virtcore.model.domain.rules.context import DomainContext
    from virtcore.model.storage.source import DeviceSeclabel, NetworkHost, Reconnect, Reservations, Source

__all__ = ["settle_disk", "settle_hosts", "settle_reconnect", "settle_seclabels", "settle_source"]

# What RFC 6265 leaves out of cookie names and values.
_COOKIE_VALUE_INVALID = frozenset(
    "\x01\x02\x03\x04\x05\x06\a\b\t\n\v\f\r\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19"
    '\x1a\x1b\x1c\x1d\x1e\x1f ",;\\'
)
_COOKIE_NAME_INVALID = frozenset("()<>@:/[]?={}")


def settle_disk(disk: Disk, context: DomainContext) -> None:
    """A disk.

    :raises VirtError: what libvirt's parser refuses.
    """
    if disk.source is None:
        # Without a source the type says nothing; libvirt goes back to the default.
        disk.type = StorageType.FILE
    elif disk.type is None:
        disk.type = StorageType.FILE
    if disk.device is None:
        disk.device = DiskDevice.DISK
    if disk.source is not None:
        settle_source(disk.source, context)
        if disk.auth is not None and disk.source.auth is not None:
            raise ConfigUnsupported("an <auth> definition already found for disk source")
        if disk.encryption is not None and disk.source.encryption is not None:
            raise ConfigUnsupported("an <encryption> definition already found for disk source")
        if isinstance(disk.source, VolumeSource):
            # The pool's credentials are the pool's business.
            disk.source.auth = None
    if disk.auth is not None:
        settle_secret(disk.auth.secret)
    if disk.encryption is not None:
        settle_encryption(disk.encryption)
    if disk.backing_store is not None:
        _settle_backing_store(disk.backing_store, context)
    driver = disk.driver
    if driver is not None:
        if driver.rerror_policy is DiskErrorPolicy.ENOSPACE:
            raise ConfigUnsupported("Invalid disk read error policy: 'enospace'")
        if driver.type is StorageFormat.AIO:
            driver.type = StorageFormat.RAW
    if disk.mirror is not None:
        _settle_mirror(disk.mirror, context)
    groups: set[str | None] = set()
    for entry in disk.throttle_filters:
        if entry.group in groups:
            raise XMLError(f"duplicate filter name '{entry.group}' found")
        groups.add(entry.group)
    settle_info(disk, context)


def settle_source(source: Source, context: DomainContext) -> None:
    """A source of a disk, a backing store, a mirror, the firmware's variables.

    :raises VirtError: what libvirt's parser refuses.
    """
    if isinstance(source, VolumeSource):
        if source.pool is None and source.volume is None:
            source.mode = None
        elif source.pool is None or source.volume is None:
            raise XMLError("'pool' and 'volume' must be specified together for 'pool' type source")
    elif isinstance(source, NetworkSource):
        _settle_network(source, context)
    elif isinstance(source, NVMeSource):
        if source.type != "pci":
            raise XMLError(f"unsupported source type '{source.type}'")
        assert source.address is not None
        settle_pci(source.address)
    elif isinstance(source, VhostUserSource):
        if source.type != "unix":
            raise XMLError("invalid 'type' attribute for vhostuser disk source")
        settle_reconnect(source.reconnect)
    if source.auth is not None:
        settle_secret(source.auth.secret)
    if source.encryption is not None:
        settle_encryption(source.encryption)
    if source.reservations is not None:
        _settle_reservations(source.reservations)
    source.slices = [entry for entry in source.slices if entry.type == "storage"][:1]
    source.seclabels = settle_seclabels(source.seclabels, context)
    if source.data_store is not None:
        store = source.data_store
        if store.format is None:
            raise XMLError("missing data file store format")
        if store.source is None:
            raise XMLError("missing disk data file store source")
        settle_source(store.source, context)


def _settle_network(source: NetworkSource, context: DomainContext) -> None:
    if context.status:
        source.tls_from_config = source.tls_from_config or 0
    protocol = source.protocol
    if source.name is None and protocol is not NetProtocol.NBD:
        raise XMLError("missing name for disk source")
    if source.name and protocol in (NetProtocol.GLUSTER, NetProtocol.RBD) and source.name.find("/") < 1:
        raise XMLError(f"can't split path '{source.name}' into pool name and image name")
    settle_hosts(source.hosts, protocol)
    names: set[str] = set()
    for cookie in source.cookies:
        _verify_cookie(cookie.name, cookie.value)
        if cookie.name in names:
            raise XMLError(f"duplicate cookie '{cookie.name}'")
        names.add(cookie.name)
    identity = source.identity
    if isinstance(identity, SSHIdentity) and identity.keyfile is None and identity.agentsock is None:
        raise XMLError("element 'identity' requires either 'keyfile' or 'agentsock' attribute")


def _verify_cookie(name: str, value: str | None) -> None:
    if value is None:
        raise XMLError(f"missing value for cookie '{name}'")
    if not (_COOKIE_VALUE_INVALID | _COOKIE_NAME_INVALID).isdisjoint(name):
        raise XMLError(f"cookie name '{name}' contains invalid characters")
    plain = value
    if value.startswith('"'):
        if not value.endswith('"'):
            raise XMLError(f"value of cookie '{name}' contains invalid characters")
        plain = value[1:-1]
    if not _COOKIE_VALUE_INVALID.isdisjoint(plain):
        raise XMLError(f"value of cookie '{name}' contains invalid characters")


def settle_hosts(hosts: Iterable[NetworkHost], protocol: NetProtocol) -> None:
    """Servers of a networked image: the protocol's port where none is given.

    :raises XMLError: name and socket do not fit the transport.
    """
    for host in hosts:
        if host.transport is None:
            host.transport = HostTransport.TCP
        if host.transport is HostTransport.UNIX:
            if host.socket is None:
                raise XMLError("missing socket for unix transport")
            host.name = host.port = None
        elif host.transport is HostTransport.FD:
            raise XMLError("transport 'fd' is now allowed")
        else:
            if host.socket is not None:
                raise XMLError(f"transport '{host.transport}' does not support socket attribute")
            if host.name is None:
                raise XMLError("missing name for host")
            if host.transport is HostTransport.TCP and not host.port:
                host.port = DEFAULT_PORTS.get(protocol)


def _settle_reservations(reservations: Reservations) -> None:
    source = reservations.source
    if not reservations.managed or (source is not None and (source.type or source.path or source.mode)):
        for what, name in (("type", "connection type"), ("path", "path"), ("mode", "connection mode")):
            if source is None or getattr(source, what) is None:
                raise XMLError(f"missing {name} for <reservations/>")
    if source is None:
        return
    if source.type is not None and source.type != "unix":
        raise XMLError(f"unsupported connection type for <reservations/>: {source.type}")
    if source.mode is not None and source.mode != "client":
        raise XMLError(f"unsupported connection mode for <reservations/>: {source.mode}")


def settle_seclabels(labels: list[DeviceSeclabel], context: DomainContext) -> list[DeviceSeclabel]:
    """Labels of a device's resource; those that say nothing are dropped from definitions.

    :raises VirtError: two labels of one model, or a label that is not to be set.
    """
    models: set[str] = set()
    for label in labels:
        if label.model is not None:
            if label.model in models:
                raise XMLDetail(f"seclabel for model {label.model} is already provided")
            models.add(label.model)
        said = label.relabel
        label.relabel = said is not False
        if label.label is not None and not label.relabel:
            raise XMLError(f"Cannot specify a label if relabelling is turned off. model={label.model or '<null>'}")
        if said and context.inactive and label.label is None:
            raise XMLError(f"Cannot specify relabel if label is missing. model={label.model or '<null>'}")
    if context.inactive:
        return [label for label in labels if label.label is not None or not label.relabel]
    return labels


def settle_reconnect(reconnect: Reconnect | None) -> None:
    """Reconnecting needs to know how often.

    :raises XMLError: it does not.
    """
    if reconnect is not None and reconnect.enabled and reconnect.timeout is None:
        raise XMLError("Missing required attribute 'timeout' in element 'reconnect'")


def _settle_backing_store(store: BackingStore, context: DomainContext) -> None:
    if store.type is None:
        store.index = store.format = store.source = store.backing_store = None
        return
    if store.format is None or store.format.type is None:
        raise XMLError("missing disk backing store format")
    if store.source is None:
        raise XMLError("missing disk backing store source")
    settle_source(store.source, context)
    store.source.index = store.source.startup_policy = None
    if store.backing_store is not None:
        _settle_backing_store(store.backing_store, context)


def _settle_mirror(mirror: DiskMirror, context: DomainContext) -> None:
    if mirror.job is None:
        mirror.job = BlockJob.COPY
    if mirror.type is None:
        if mirror.job is not BlockJob.COPY:
            raise XMLError("mirror without type only supported by copy job")
        if mirror.file is None:
            raise XMLError("mirror requires file name")
        # The old spelling, which names a file by attributes only.
        from virtcore.model.domain.disk import BackingFormat

        mirror.type = StorageType.FILE
        mirror.source = FileSource(file=mirror.file)
        mirror.backing_store = None
        mirror.format = None
        if mirror.format_name is not None:
            try:
                mirror.format = BackingFormat(type=StorageFormat(mirror.format_name))
            except ValueError:
                raise XMLError(f"unknown storage source format '{mirror.format_name}'") from None
    elif mirror.source is None:
        raise XMLError("mirror requires source element")
    else:
        settle_source(mirror.source, context)
        if mirror.backing_store is not None:
            _settle_backing_store(mirror.backing_store, context)
    copies_to_file = isinstance(mirror.source, FileSource) and mirror.job is BlockJob.COPY
    mirror.file = mirror.source.file if copies_to_file and isinstance(mirror.source, FileSource) else None
    mirror.format_name = str(mirror.format.type) if copies_to_file and mirror.format and mirror.format.type else None
