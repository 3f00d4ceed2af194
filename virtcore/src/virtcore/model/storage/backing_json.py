"""Backing store strings in QEMU's JSON notation, ``json:{"driver": …}``, to typed sources."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import TypeAlias

from virtcore.errors import InvalidArg
from virtcore.model.storage.backing import Backing, network_from_uri, rbd_source, read_host
from virtcore.model.storage.source import (
    BlockSource,
    FileSource,
    HostTransport,
    HTTPCookie,
    NetProtocol,
    NetworkHost,
    NetworkSource,
    NFSIdentity,
    NVMeSource,
    Slice,
    SourcePCIAddress,
)

__all__ = ["parse_json"]

Object: TypeAlias = "dict[str, object]"

#: Objects in objects that a string may hold.
_DEEPEST = 32


def parse_json(text: str) -> Backing:
    """The place a JSON object names.

    :raises InvalidArg: it is no JSON object, or names no place that libvirt knows.
    """
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        parsed = None
    if not isinstance(parsed, dict):
        raise InvalidArg(f"failed to parse json backing volume definition '{text}'", value=text)
    root = _nested(parsed, text)
    file = root.get("file")
    if "driver" not in root and isinstance(file, dict):
        return _driver(file, text, layered=False)
    return _driver(root, text, layered=True)


def _nested(flat: Object, text: str, depth: int = 0) -> Object:
    """``{"file.driver": 1}`` as ``{"file": {"driver": 1}}``; objects whose keys count from 0 are lists."""
    if depth > _DEEPEST:
        raise InvalidArg(f"failed to parse json backing volume definition '{text}'", value=text)
    found: Object = {}
    for key, value in flat.items():
        head, dot, tail = key.partition(".")
        if dot:
            inner = found.setdefault(head, {})
            if not isinstance(inner, dict) or tail in inner:
                raise InvalidArg(f"can't deflatten colliding key '{key}'", value=key)
            inner[tail] = value
        elif key in found:
            raise InvalidArg(f"can't deflatten colliding key '{key}'", value=key)
        else:
            found[key] = value
    for key, value in found.items():
        if isinstance(value, dict):
            inner = _nested(value, text, depth + 1)
            counted = [str(n) for n in range(len(inner))]
            found[key] = [inner[n] for n in counted] if inner and set(inner) == set(counted) else inner
    return found


def _driver(node: Object, text: str, *, layered: bool) -> Backing:
    """The place a node names by its driver.

    :param layered: a format may stand around the node of the place.
    """
    name = node.get("driver")
    if not isinstance(name, str):
        raise InvalidArg(f"JSON backing volume definition '{text}' lacks driver name", value=text)
    if name == "raw":
        if not layered:
            raise InvalidArg(
                f"JSON backing volume definition '{text}' must not have format drivers in 'file' object", value=text
            )
        return _raw(node, text)
    read = _DRIVERS.get(name)
    if read is None:
        raise InvalidArg(f"missing parser implementation for JSON backing volume driver '{name}'", value=name)
    return read(node, text)


def _string(node: Object, key: str) -> str | None:
    value = node.get(key)
    return value if isinstance(value, str) else None


def _number(node: Object, key: str) -> int | None:
    value = node.get(key)
    if isinstance(value, str) and re.fullmatch("[0-9]{1,20}", value):
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _required(node: Object, key: str, message: str) -> str:
    value = _string(node, key)
    if value is None:
        raise InvalidArg(message)
    return value


def _server(node: object) -> NetworkHost:
    """``{"type": "inet", "host": …, "port": …}``, or a socket."""
    if not isinstance(node, dict):
        raise InvalidArg("missing socket address type in JSON backing volume definition")
    kind = _string(node, "type") or "inet"
    if kind == "unix":
        socket = _string(node, "path") or _string(node, "socket")
        if socket is None:
            raise InvalidArg("missing socket path for udp backing server in JSON backing volume definition")
        return NetworkHost(transport=HostTransport.UNIX, socket=socket)
    if kind not in ("inet", "tcp"):
        raise InvalidArg(f"backing store protocol '{kind}' is not yet supported", value=kind)
    name = _required(node, "host", "missing hostname for tcp backing server in JSON backing volume definition")
    port = node.get("port")
    number = _number(node, "port")
    if port is not None and number is None:
        raise InvalidArg("malformed port of a server in JSON backing volume definition")
    return NetworkHost(name=name, port=number)


# ----------------------------------------------------------------------------------------------------------- by driver


def _raw(node: Object, text: str) -> Backing:
    file = node.get("file")
    if not isinstance(file, dict):
        raise InvalidArg(f"JSON backing volume definition '{text}' lacks 'file' object", value=text)
    found = _driver(file, text, layered=False)
    if "offset" in node or "size" in node:
        offset, size = _number(node, "offset"), _number(node, "size")
        if offset is None or size is None:
            raise InvalidArg("malformed storage slice definition in JSON backing volume definition")
        found.source.slices = [Slice(type="storage", offset=offset, size=size)]
    return found


_NO_FILE = "missing 'filename' field in JSON backing volume definition"


def _file(node: Object, _text: str) -> Backing:
    return Backing(FileSource(file=_required(node, "filename", _NO_FILE)))


def _block(node: Object, _text: str) -> Backing:
    return Backing(BlockSource(dev=_required(node, "filename", _NO_FILE)))


def _uri(node: Object, _text: str) -> Backing:
    url = _required(node, "url", "missing 'url' in JSON backing volume definition")
    found = network_from_uri(url)
    source = found.source
    assert isinstance(source, NetworkSource)
    if source.protocol != node["driver"]:
        raise InvalidArg(
            f"expected protocol '{node['driver']}' but got '{source.protocol}' in URI JSON volume definition", value=url
        )
    verify = node.get("sslverify")
    if verify is not None:
        if verify not in ("on", "off", True, False):
            raise InvalidArg(f"malformed ssl verification setting '{verify}'")
        source.ssl_verify = verify in ("on", True)
    cookies = _string(node, "cookie")
    if cookies is not None:
        for part in cookies.split(";"):
            name, equals, value = part.strip().partition("=")
            if not equals:
                raise InvalidArg("malformed http cookie in JSON backing volume definition")
            source.cookies.append(HTTPCookie(name=name, value=value))
    for key in ("readahead", "timeout"):
        if key in node:
            number = _number(node, key)
            if number is None:
                raise InvalidArg(f"malformed '{key}' field in JSON backing volume definition")
            setattr(source, key, number)
    return found


def _gluster(node: Object, text: str) -> Backing:
    uri = _string(node, "filename")
    if uri is not None:
        return network_from_uri(uri)
    volume, path = _string(node, "volume"), _string(node, "path")
    if volume is None or path is None:
        raise InvalidArg("missing 'volume' or 'path' attribute in JSON backing definition for gluster volume")
    servers = node.get("server")
    if not isinstance(servers, list) or not servers:
        raise InvalidArg("at least 1 server is necessary in JSON backing definition for gluster volume")
    return Backing(
        NetworkSource(
            protocol=NetProtocol.GLUSTER,
            name=f"{volume}/{path.removeprefix('/')}",
            hosts=[_server(server) for server in servers],
        )
    )


def _iscsi(node: Object, _text: str) -> Backing:
    uri = _string(node, "filename")
    if uri is not None:
        return network_from_uri(uri)
    if _required(node, "transport", "missing transport for iSCSI volume") != "tcp":
        raise InvalidArg("only TCP transport is supported for iSCSI volumes")
    portal = _required(node, "portal", "missing 'portal' address in iSCSI backing definition")
    target = _required(node, "target", "missing 'target' in iSCSI backing definition")
    lun = node.get("lun", "0")
    host = read_host(portal)
    if host is None or not host.name or not isinstance(lun, str | int):
        raise InvalidArg(f"failed to parse port of iSCSI portal '{portal}'", value=portal)
    source = NetworkSource(protocol=NetProtocol.ISCSI, name=f"{target}/{lun}", hosts=[host])
    return Backing(source, "user" in node or "password" in node)


def _nbd(node: Object, text: str) -> Backing:
    source = NetworkSource(protocol=NetProtocol.NBD, name=_string(node, "export"))
    path, host = _string(node, "path"), _string(node, "host")
    if path is not None:
        source.hosts = [NetworkHost(transport=HostTransport.UNIX, socket=path)]
    elif host is not None:
        source.hosts = [NetworkHost(name=host, port=_number(node, "port"))]
    elif "server" in node:
        source.hosts = [_server(node["server"])]
    else:
        raise InvalidArg(f"missing host specification of NBD server in JSON backing volume '{text}'", value=text)
    return Backing(source)


def _sheepdog(node: Object, _text: str) -> Backing:
    name = _string(node, "filename")
    if name is not None:
        if "://" not in name:
            raise InvalidArg("missing sheepdog URI in JSON backing volume definition", value=name)
        return network_from_uri(name)
    vdi = _required(node, "vdi", "missing sheepdog vdi name")
    return Backing(NetworkSource(protocol=NetProtocol.SHEEPDOG, name=vdi, hosts=[_server(node.get("server"))]))


def _ssh(node: Object, _text: str) -> Backing:
    path = _string(node, "path")
    host = _string(node, "host")
    if path is None or (host is None and "server" not in node):
        raise InvalidArg("missing host/server or path of SSH JSON backing volume definition")
    if "server" in node:
        server = _server(node["server"])
    else:
        # libvirt looks for text only; a number leaves the default port.
        server = NetworkHost(name=host, port=_number(node, "port") if _string(node, "port") is not None else None)
    return Backing(
        NetworkSource(protocol=NetProtocol.SSH, name=path, hosts=[server]),
        ssh_user=_string(node, "user"),
        ssh_check_host_key=node.get("host_key_check") != "no",
    )


def _rbd(node: Object, _text: str) -> Backing:
    filename = _string(node, "filename")
    if filename is not None:
        return Backing(rbd_source(filename))
    pool, image = _string(node, "pool"), _string(node, "image")
    if pool is None or image is None:
        raise InvalidArg("missing pool or image name in ceph backing volume JSON specification")
    namespace = _string(node, "namespace")
    name = f"{pool}/{namespace}/{image}" if namespace else f"{pool}/{image}"
    servers = node.get("server", [])
    if not isinstance(servers, list):
        raise InvalidArg("malformed list of servers in ceph backing volume JSON specification")
    return Backing(
        NetworkSource(
            protocol=NetProtocol.RBD,
            name=name,
            snapshot=_string(node, "snapshot"),
            config=_string(node, "conf"),
            hosts=[_server(server) for server in servers],
        )
    )


def _vxhs(node: Object, _text: str) -> Backing:
    disk, server = _string(node, "vdisk-id"), node.get("server")
    if disk is None or server is None:
        raise InvalidArg("missing 'vdisk-id' or 'server' attribute in JSON backing definition for VxHS volume")
    return Backing(NetworkSource(protocol=NetProtocol.VXHS, name=disk, hosts=[_server(server)]))


def _nfs(node: Object, _text: str) -> Backing:
    path = _required(node, "path", "missing 'path' attribute in JSON backing definition for NFS volume")
    if "server" not in node:
        raise InvalidArg("missing 'server' attribute in JSON backing definition for NFS volume")
    source = NetworkSource(protocol=NetProtocol.NFS, name=path, hosts=[_server(node["server"])])
    user, group = _number(node, "user"), _number(node, "group")
    if user is not None or group is not None:
        source.identity = NFSIdentity(
            user=None if user is None else f"+{user}", group=None if group is None else f"+{group}"
        )
    return Backing(source)


_PCI = re.compile("([0-9a-fA-F]{4}):([0-9a-fA-F]{2}):([0-9a-fA-F]{2})[.]([0-7])")


def _nvme(node: Object, _text: str) -> Backing:
    namespace = _number(node, "namespace")
    if namespace is None:
        raise InvalidArg("malformed namespace")
    device = _required(node, "device", "missing device in NVMe backing volume definition")
    matched = _PCI.fullmatch(device)
    if matched is None:
        raise InvalidArg(f"malformed PCI address '{device}'", value=device)
    domain, bus, slot, function = (int(part, 16) for part in matched.groups())
    address = SourcePCIAddress(domain=domain, bus=bus, slot=slot, function=function)
    return Backing(NVMeSource(type="pci", namespace=namespace, address=address))


_DRIVERS: dict[str, Callable[[Object, str], Backing]] = {
    "file": _file,
    "host_device": _block,
    "host_cdrom": _block,
    "http": _uri,
    "https": _uri,
    "ftp": _uri,
    "ftps": _uri,
    "tftp": _uri,
    "gluster": _gluster,
    "iscsi": _iscsi,
    "nbd": _nbd,
    "sheepdog": _sheepdog,
    "ssh": _ssh,
    "rbd": _rbd,
    "vxhs": _vxhs,
    "nfs": _nfs,
    "nvme": _nvme,
}
