"""Where the bytes of an image are, as QAPI's ``BlockdevOptions`` of protocol drivers, and as strings in images."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable, Mapping
from typing import TypeAlias

from virt_qemu.block.image import Image
from virtcore.errors import InternalError
from virtcore.model.domain.addresses.pci import spell
from virtcore.model.storage.location import source_path
from virtcore.model.storage.secret import EncryptionEngine
from virtcore.model.storage.source import (
    DEFAULT_PORTS,
    BlockSource,
    DirSource,
    FileSource,
    HostTransport,
    NetProtocol,
    NetworkHost,
    NetworkSource,
    NFSIdentity,
    NVMeSource,
    SSHIdentity,
    StorageFormat,
    VhostVDPASource,
    VolumeSource,
)
from virtcore.uri import URI

__all__ = ["CURL", "Props", "backing_string", "cookie_text", "present", "source_uri", "storage_properties"]

#: An object of QMP.
Props: TypeAlias = "dict[str, object]"

#: Protocols that libcurl speaks.
CURL = (NetProtocol.HTTP, NetProtocol.HTTPS, NetProtocol.FTP, NetProtocol.FTPS, NetProtocol.TFTP)
#: Protocols whose images QEMU also finds by URI.
_BY_URI = (*CURL, NetProtocol.NBD, NetProtocol.ISCSI, NetProtocol.GLUSTER)


def present(props: Mapping[str, object]) -> Props:
    """Without what is not set."""
    return {key: value for key, value in props.items() if value is not None}


def storage_properties(image: Image, *, target_only: bool = False) -> Props:
    """The driver that reads the bytes of an image and what it is told, without the node's name.

    :param target_only: only what tells which image it is, as another image can name it: no credentials, no tuning.
    :raises InternalError: QEMU has no driver for such a source, or the source is incomplete.
    """
    source = image.source
    if isinstance(source, FileSource | BlockSource):
        return _local(image, source_path(source), target_only)
    if isinstance(source, DirSource):
        props: Props = {"driver": "vvfat", "dir": source.dir, "floppy": image.floppy}
        return props if target_only else props | {"rw": not image.readonly}
    if isinstance(source, NVMeSource):
        if source.address is None:
            raise InternalError("NVMe disk source is missing address")
        return {"driver": "nvme", "device": spell(source.address), "namespace": source.namespace}
    if isinstance(source, VhostVDPASource):
        if image.descriptors is None:
            raise InternalError(f"vDPA device '{source.dev}' was not opened")
        return {"driver": "virtio-blk-vhost-vdpa", "path": image.descriptors}
    if isinstance(source, NetworkSource):
        if image.nbdkit_socket is not None and not target_only:
            return {"driver": "nbd", "server": {"type": "unix", "path": image.nbdkit_socket}}
        build = _PROTOCOLS.get(source.protocol)
        if build is None:
            raise InternalError(f"unexpected network protocol '{source.protocol}'")
        return {"driver": str(source.protocol)} | present(build(image, source, target_only))
    if isinstance(source, VolumeSource):
        raise InternalError(f"storage source pool '{source.pool}' volume '{source.volume}' is not translated")
    raise InternalError("unable to create blockdev props for vhostuser disk type")


def _local(image: Image, path: str | None, target_only: bool) -> Props:
    driver = "file"
    if isinstance(image.source, BlockSource):
        driver = "host_cdrom" if image.cdrom else "host_device"
    if target_only:
        return {"driver": driver, "filename": path}
    return present(
        {
            "driver": driver,
            "filename": image.descriptors or path,
            "aio": str(image.io) if image.io is not None else None,
            "pr-manager": image.reservations,
        }
    )


# ---------------------------------------------------------------------------------------------------------- addresses


def _port(source: NetworkSource, host: NetworkHost) -> int:
    return host.port or DEFAULT_PORTS.get(source.protocol, 0)


def _the_host(source: NetworkSource, message: str = "protocol '{}' accepts only one host") -> NetworkHost:
    if len(source.hosts) != 1:
        raise InternalError(message.format(source.protocol))
    return source.hosts[0]


def _only_host(source: NetworkSource) -> NetworkHost:
    return _the_host(source, "{} protocol accepts only one host")


def _socket(source: NetworkSource, host: NetworkHost) -> Props:
    """QAPI's ``SocketAddress``."""
    if host.transport in (None, HostTransport.TCP):
        return {"type": "inet"} | _inet(source, host)
    if host.transport is HostTransport.UNIX:
        return {"type": "unix", "path": host.socket}
    raise InternalError(f"transport protocol '{host.transport}' is not yet supported")


def _inet(source: NetworkSource, host: NetworkHost) -> Props:
    """QAPI's ``InetSocketAddress``."""
    if host.transport not in (None, HostTransport.TCP):
        raise InternalError("only TCP protocol can be converted to InetSocketAddress")
    return {"host": host.name, "port": str(_port(source, host))}


def source_uri(source: NetworkSource) -> str:
    """The URI of an image on a server.

    :raises InternalError: it has no server, or several.
    """
    host = _the_host(source)
    tcp = host.transport in (None, HostTransport.TCP)
    return URI(
        scheme=str(source.protocol) if tcp else f"{source.protocol}+{host.transport}",
        server=host.name,
        port=_port(source, host) if tcp else 0,
        path=None if source.name is None else "/" + source.name.removeprefix("/"),
        query=source.query,
    ).format()


# ---------------------------------------------------------------------------------------------------------- protocols


def cookie_text(source: NetworkSource) -> str:
    """The cookies of a source as requests have them."""
    return "; ".join(f"{cookie.name}={cookie.value or ''}" for cookie in source.cookies)


def _curl(image: Image, source: NetworkSource, target_only: bool) -> Props:
    auth = image.auth if not target_only else None
    return {
        "url": source_uri(source),
        "username": auth.username if auth is not None else None,
        "password-secret": image.auth_secret if auth is not None else None,
        "sslverify": source.ssl_verify,
        "cookie": cookie_text(source) or None if target_only else None,
        "cookie-secret": image.cookie_secret if not target_only else None,
        "timeout": source.timeout or None,
        "readahead": source.readahead or None,
    }


def _iscsi(image: Image, source: NetworkSource, target_only: bool) -> Props:
    target, slash, unit = (source.name or "").partition("/")
    if slash and not unit.isdecimal():
        raise InternalError(f"cannot parse target for lunStr '{target}'")
    host = _the_host(source, "iSCSI protocol accepts only one host")
    name = f"[{host.name}]" if _is_ipv6(host.name) else host.name
    auth = image.auth if not target_only else None
    return {
        "portal": f"{name}:{_port(source, host)}",
        "target": target,
        "lun": int(unit or 0),
        "transport": "tcp",
        "user": auth.username if auth is not None else None,
        "password-secret": image.auth_secret if auth is not None else None,
        "initiator-name": source.initiator,
    }


def _is_ipv6(name: str | None) -> bool:
    try:
        return ipaddress.ip_address(name or "").version == 6
    except ValueError:
        return False


def _nbd(image: Image, source: NetworkSource, target_only: bool) -> Props:
    return {
        "server": _socket(source, _only_host(source)),
        "export": source.name,
        "tls-creds": image.tls if not target_only else None,
        "tls-hostname": source.tls_hostname if not target_only else None,
        "reconnect-delay": source.reconnect_delay or None,
    }


def _gluster(image: Image, source: NetworkSource, target_only: bool) -> Props:
    volume, path = _pool_and_image(source)
    return {
        "volume": volume,
        "path": path,
        "server": [_socket(source, host) for host in source.hosts],
        "debug": image.gluster_debug if not target_only else None,
    }


def _pool_and_image(source: NetworkSource) -> tuple[str, str]:
    pool, slash, image = (source.name or "").partition("/")
    if not (pool and slash and image):
        raise InternalError(f"can't split path '{source.name}' into pool name and image name")
    return pool, image


def _rbd(image: Image, source: NetworkSource, target_only: bool) -> Props:
    pool, name = _pool_and_image(source)
    namespace, slash, inner = name.partition("/")
    auth = image.auth if not target_only else None
    encrypt: Props | None = None
    encryption = image.encryption
    if encryption is not None and encryption.engine is EncryptionEngine.LIBRBD:
        for secret in reversed(image.encryption_secrets):
            # Each layer holds the one that is under it.
            encrypt = present({"format": str(encryption.format), "key-secret": secret, "parent": encrypt})
    return {
        "pool": pool,
        "namespace": namespace if slash else None,
        "image": inner if slash else name,
        "snapshot": source.snapshot,
        "conf": source.config,
        "server": [_inet(source, host) for host in source.hosts] or None,
        "encrypt": encrypt,
        "user": auth.username if auth is not None else None,
        "auth-client-required": ["cephx", "none"] if auth is not None else None,
        "key-secret": image.auth_secret if auth is not None else None,
    }


def _sheepdog(image: Image, source: NetworkSource, target_only: bool) -> Props:
    return {"server": _socket(source, _only_host(source)), "vdi": source.name}


def _ssh(image: Image, source: NetworkSource, target_only: bool) -> Props:
    identity = source.identity
    user = identity.username if isinstance(identity, SSHIdentity) else image.ssh_user
    return {
        "path": source.name,
        "server": _inet(source, _only_host(source)),
        "user": image.auth.username if image.auth is not None else user,
        "host-key-check": {"mode": "none"} if not image.ssh_check_host_key else None,
    }


def _vxhs(image: Image, source: NetworkSource, target_only: bool) -> Props:
    host = _the_host(source, "VxHS protocol accepts only one host")
    return {
        "tls-creds": image.tls if not target_only else None,
        "vdisk-id": source.name,
        "server": _inet(source, host),
    }


def _nfs(image: Image, source: NetworkSource, target_only: bool) -> Props:
    identity = source.identity if isinstance(source.identity, NFSIdentity) else NFSIdentity()
    return {
        "server": {"host": _the_host(source).name, "type": "inet"},
        "path": source.name,
        "user": _number(identity.user),
        "group": _number(identity.group),
    }


def _number(account: str | None) -> int | None:
    """The id in ``+id``; names have been looked up before."""
    if account is None:
        return None
    number = account.removeprefix("+")
    if not number.isdecimal():
        raise InternalError(f"the id of NFS account '{account}' is not known")
    return int(number)


_PROTOCOLS: Mapping[NetProtocol, Callable[[Image, NetworkSource, bool], Props]] = {
    NetProtocol.NBD: _nbd,
    NetProtocol.RBD: _rbd,
    NetProtocol.SHEEPDOG: _sheepdog,
    NetProtocol.GLUSTER: _gluster,
    NetProtocol.ISCSI: _iscsi,
    NetProtocol.SSH: _ssh,
    NetProtocol.VXHS: _vxhs,
    NetProtocol.NFS: _nfs,
    **dict.fromkeys(CURL, _curl),
}


# ------------------------------------------------------------------------------------------------------------ strings


def _compact(props: object) -> str:
    return json.dumps(props, separators=(",", ":"), ensure_ascii=False)


def backing_string(image: Image, dump: Callable[[object], str] = _compact) -> str:
    """How an image above names this one: a path, a URI where that says all, otherwise ``json:``.

    :param dump: writes JSON.
    :raises InternalError: see :func:`storage_properties`.
    """
    source = image.source
    if image.slice is None:
        if isinstance(source, FileSource | BlockSource | DirSource):
            path = source_path(source) or ""
            return f"fat:{path}" if isinstance(source, DirSource) and image.format is StorageFormat.FAT else path
        if isinstance(source, NetworkSource) and _is_plain(source):
            return source_uri(source)
    props = storage_properties(image, target_only=True)
    if image.slice is not None:
        props = {"driver": "raw", "offset": image.slice.offset, "size": image.slice.size, "file": props}
    return f'json:{{"file":{dump(props)}}}'


def _is_plain(source: NetworkSource) -> bool:
    """Whether a URI says all there is to say of a source."""
    return (
        source.protocol in _BY_URI
        and len(source.hosts) == 1
        and source.hosts[0].transport in (None, HostTransport.TCP)
        and source.ssl_verify is None
        and not (source.cookies or source.timeout or source.readahead or source.reconnect_delay)
    )
