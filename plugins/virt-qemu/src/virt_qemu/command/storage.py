"""Where the bytes of an image are: files, devices, and servers on the network, as QEMU's block drivers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virt_qemu.command.hostdevs import pci_name
from virt_qemu.command.line import Builder, unsupported
from virtcore.errors import InternalError
from virtcore.model.storage.source import (
    BlockSource,
    DirSource,
    FileSource,
    NetProtocol,
    NetworkHost,
    NetworkSource,
    NVMeSource,
    SSHIdentity,
)

if TYPE_CHECKING:
    from virtcore.model.storage.secret import Auth
    from virtcore.model.storage.source import Source

__all__ = ["source_properties"]

_PORTS = {
    NetProtocol.NBD: 10809,
    NetProtocol.ISCSI: 3260,
    NetProtocol.GLUSTER: 24007,
    NetProtocol.SSH: 22,
    NetProtocol.HTTP: 80,
    NetProtocol.HTTPS: 443,
    NetProtocol.FTP: 21,
    NetProtocol.FTPS: 990,
    NetProtocol.TFTP: 69,
}
_URLS = (NetProtocol.HTTP, NetProtocol.HTTPS, NetProtocol.FTP, NetProtocol.FTPS, NetProtocol.TFTP)


def source_properties(
    builder: Builder,
    source: Source,
    *,
    node: str,
    floppy: bool,
    cdrom: bool,
    writable: bool,
    auth: Auth | None = None,
    encrypt: dict[str, object] | None = None,
) -> dict[str, object]:
    """The block driver that reads a source, and what it is told.

    :param node: name it will have.
    :param auth: how its server knows the guest.
    :param encrypt: encryption that the server's library undoes.
    :param floppy: the guest sees a floppy disk.
    :param cdrom: the guest sees a CD-ROM drive and the image is raw.
    :param writable: the guest may write.
    :raises ConfigUnsupported: this driver cannot give it yet.
    """
    if isinstance(source, FileSource):
        return {"driver": "file", "filename": source.file}
    if isinstance(source, BlockSource):
        drive = cdrom and builder.resources.is_cdrom(source.dev or "")
        return {"driver": "host_cdrom" if drive else "host_device", "filename": source.dev}
    if isinstance(source, DirSource):
        return {"driver": "vvfat", "dir": source.dir, "floppy": floppy, "rw": writable}
    if isinstance(source, NVMeSource):
        if source.address is None:
            raise InternalError("an NVMe disk has no address")
        return {"driver": "nvme", "device": pci_name(source.address), "namespace": source.namespace}
    if isinstance(source, NetworkSource):
        return _network(builder, source, node, auth, encrypt)
    raise unsupported(f"an image of this kind ({type(source).__name__})")


def _port(source: NetworkSource, host: NetworkHost) -> int:
    return host.port or _PORTS.get(source.protocol, 0)


def _server(source: NetworkSource, host: NetworkHost) -> dict[str, object]:
    if host.socket is not None:
        return {"type": "unix", "path": host.socket}
    return {"type": "inet", "host": host.name, "port": str(_port(source, host))}


def _network(
    builder: Builder, source: NetworkSource, node: str, auth: Auth | None, encrypt: dict[str, object] | None
) -> dict[str, object]:
    protocol, name = source.protocol, source.name or ""
    if source.tls:
        raise unsupported("TLS of an image on the network")
    key = builder.auth_secret(f"{node}-auth-secret0", auth) if auth is not None else None
    user = auth.username if auth is not None else None
    if protocol is NetProtocol.RBD:
        return _rbd(source, name) | {
            "encrypt": encrypt,
            "user": user,
            "auth-client-required": ["cephx", "none"] if key is not None else None,
            "key-secret": key,
        }
    if not source.hosts and protocol is not NetProtocol.ISCSI:
        raise InternalError(f"missing host for an image of protocol '{protocol}'")
    host = source.hosts[0] if source.hosts else NetworkHost()
    if protocol is NetProtocol.NBD:
        return {
            "driver": "nbd",
            "server": _server(source, host),
            "export": source.name,
            "tls-hostname": source.tls_hostname,
            "reconnect-delay": source.reconnect_delay or None,
        }
    if protocol is NetProtocol.ISCSI:
        if len(source.hosts) != 1:
            raise InternalError("iSCSI protocol accepts only one host")
        target, _, unit = name.partition("/")
        return {
            "driver": "iscsi",
            "portal": f"{f'[{host.name}]' if ':' in (host.name or '') else host.name}:{_port(source, host)}",
            "target": target,
            "lun": int(unit or 0),
            "transport": "tcp",
            "user": user,
            "password-secret": key,
            "initiator-name": source.initiator,
        }
    if protocol is NetProtocol.GLUSTER:
        volume, _, path = name.partition("/")
        servers = [_server(source, each) for each in source.hosts]
        return {"driver": "gluster", "volume": volume, "path": path, "server": servers, "debug": 4}
    if protocol is NetProtocol.SSH:
        identity = source.identity
        server = {"host": host.name, "port": str(_port(source, host))}
        user = identity.username if isinstance(identity, SSHIdentity) else user
        return {"driver": "ssh", "path": name, "server": server, "user": user}
    if protocol in _URLS:
        query = f"?{source.query}" if source.query else ""
        address = f"[{host.name}]" if ":" in (host.name or "") else host.name
        return {
            "driver": str(protocol),
            "url": f"{protocol}://{address}:{_port(source, host)}/{name.removeprefix('/')}{query}",
            "username": user,
            "password-secret": key,
            "sslverify": False if source.ssl_verify is False else None,
            "cookie-secret": _cookies(builder, source, node),
            "readahead": source.readahead or None,
            "timeout": source.timeout or None,
        }
    raise unsupported(f"an image of protocol '{protocol}'")


def _cookies(builder: Builder, source: NetworkSource, node: str) -> str | None:
    """The cookies of a site are as good as a password."""
    if not source.cookies:
        return None
    text = "; ".join(f"{cookie.name}={cookie.value or ''}" for cookie in source.cookies)
    return builder.sealed(f"{node}-httpcookie-secret0", text.encode())


def _rbd(source: NetworkSource, name: str) -> dict[str, object]:
    parts = name.split("/", 2)
    if len(parts) < 2:
        raise InternalError(f"an RBD image needs a pool: {name}")
    servers = [{"host": host.name, "port": str(_port(source, host) or 6789)} for host in source.hosts]
    return {
        "driver": "rbd",
        "pool": parts[0],
        "namespace": parts[1] if len(parts) == 3 else None,
        "image": parts[-1],
        "snapshot": source.snapshot,
        "conf": source.config,
        "server": servers or None,
    }
