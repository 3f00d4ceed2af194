"""Backing store strings, as images carry them, to typed sources: paths, URIs and QEMU's older notations."""

from __future__ import annotations

import re
from typing import NamedTuple, TypeVar

from virtcore.errors import InternalError, VirtError
from virtcore.model.storage.source import (
    DEFAULT_PORTS,
    DirSource,
    FileSource,
    HostTransport,
    NetProtocol,
    NetworkHost,
    NetworkSource,
    Source,
)
from virtcore.uri import URI

__all__ = ["Backing", "is_file", "is_relative", "network_from_uri", "parse_backing", "rbd_source", "read_host"]

E = TypeVar("E", NetProtocol, HostTransport)


class Backing(NamedTuple):
    """Where a backing store is.

    :ivar source: the place.
    :ivar credentials: the string named a user or a password, which were dropped: an image cannot vouch for them, so
        the place cannot be used as it is.
    :ivar ssh_user: name to log in with, which is given back as it came.
    :ivar ssh_check_host_key: whether the SSH server's key is checked, likewise.
    """

    source: Source
    credentials: bool = False
    ssh_user: str | None = None
    ssh_check_host_key: bool = True


def is_file(text: str) -> bool:
    """Whether a backing store string is a path: no protocol stands before its first slash."""
    colon, slash = text.find(":"), text.find("/")
    return colon < 0 or 0 <= slash < colon


def is_relative(text: str) -> bool:
    """Whether a backing store string is a path that starts at the folder of its image."""
    return not text.startswith("/") and is_file(text)


def parse_backing(text: str) -> Backing:
    """The place an absolute backing store string names (``virStorageSourceNewFromBackingAbsolute``).

    :raises VirtError: it names none that libvirt knows.
    """
    if is_file(text):
        return Backing(FileSource(file=text))
    if text.startswith("json:"):
        from virtcore.model.storage.backing_json import parse_json

        found = parse_json(text.removeprefix("json:"))
    elif text.startswith("fat:"):
        return Backing(DirSource(dir=text.removeprefix("fat:")))
    elif "://" in text:
        found = network_from_uri(text)
    else:
        found = Backing(_legacy(text))
    source = found.source
    if isinstance(source, NetworkSource):
        for host in source.hosts:
            if host.transport in (None, HostTransport.TCP) and not host.port:
                host.port = DEFAULT_PORTS.get(source.protocol)
    return found


def _word(kind: type[E], word: str, message: str) -> E:
    try:
        return kind(word)
    except ValueError:
        raise InternalError(message, value=word) from None


def network_from_uri(text: str) -> Backing:
    """The server and image a URI names.

    :raises InternalError: it is no URI, or its scheme is not one of libvirt's.
    """
    try:
        uri = URI.parse(text)
    except VirtError:
        uri = None
    if uri is None or uri.scheme is None:
        raise InternalError(f"failed to parse backing file location '{text}'", value=text)
    scheme, plus, transport = uri.scheme.partition("+")
    protocol = _word(NetProtocol, scheme, f"invalid backing protocol '{scheme}'")
    host = NetworkHost(name=uri.server, port=uri.port or None)
    if plus:
        host.transport = _word(HostTransport, transport, f"invalid protocol transport type '{transport}'")
    query = uri.query
    if query is not None and query.startswith("socket="):
        host.socket, query = query.removeprefix("socket="), None
    path: str | None = (uri.path or "").removeprefix("/")
    if protocol is NetProtocol.NBD:
        path = path or None
    elif protocol is NetProtocol.GLUSTER:
        volume, slash, _image = (path or "").partition("/")
        if not path:
            raise InternalError("missing volume name and path for gluster volume", value=text)
        if not volume or not slash:
            raise InternalError(f"missing volume name or file name in gluster source path '{path}'", value=text)
    source = NetworkSource(protocol=protocol, name=path, hosts=[host])
    if protocol in (NetProtocol.HTTP, NetProtocol.HTTPS):
        source.query = query
    return Backing(source, uri.user is not None and protocol is not NetProtocol.SSH)


# ------------------------------------------------------------------------------------------------------ older notations


def _legacy(text: str) -> NetworkSource:
    """``nbd:HOST:PORT:exportname=NAME``, ``rbd:POOL/IMAGE:id=USER``."""
    scheme = text.partition(":")[0]
    protocol = _word(NetProtocol, scheme, f"invalid backing protocol '{scheme}'")
    if protocol is NetProtocol.NBD:
        return _nbd_source(text)
    if protocol is NetProtocol.RBD:
        return rbd_source(text)
    raise InternalError(f"backing store parser is not implemented for protocol {scheme}", value=text)


def _nbd_source(text: str) -> NetworkSource:
    place, found, export = text.partition(":exportname=")
    place = place.removeprefix("nbd:")
    source = NetworkSource(protocol=NetProtocol.NBD, name=(export or None) if found else None)
    if place.startswith("unix:"):
        socket = place.removeprefix("unix:")
        if not socket:
            raise InternalError(f"malformed nbd string '{text}'", value=text)
        source.hosts = [NetworkHost(transport=HostTransport.UNIX, socket=socket)]
        return source
    host = read_host(place)
    if host is None or not host.name or host.port is None:
        raise InternalError(f"malformed nbd string '{text}'", value=text)
    source.hosts = [host]
    return source


_OPTION = re.compile(r"((?:[^\\:]|\\.)*)(?::|$)", re.DOTALL)


def rbd_source(text: str) -> NetworkSource:
    """The image of a Ceph cluster that ``rbd:POOL/IMAGE@SNAPSHOT:OPTION=VALUE…`` names; colons in it are escaped.

    :raises InternalError: it is malformed.
    """
    if not text.startswith("rbd:"):
        raise InternalError(f"malformed RBD string '{text}'", value=text)
    words = [re.sub(r"\\(.)", r"\1", found[1], flags=re.DOTALL) for found in _OPTION.finditer(text, 4)]
    image, _, snapshot = words[0].partition("@")
    source = NetworkSource(protocol=NetProtocol.RBD, name=image, snapshot=snapshot or None)
    for word in words[1:]:
        name, _, value = word.partition("=")
        if name == "mon_host":
            source.hosts = [read_host(host) or NetworkHost(name=host) for host in value.split(";") if host]
        elif name == "conf":
            source.config = value
    return source


_HOST = re.compile(r"(?:\[([^\]]+)\]|([^:]*))(?::([0-9]{1,5}))?")


def read_host(text: str) -> NetworkHost | None:
    """The server ``NAME:PORT``; IPv6 addresses stand in brackets. None: it is written in another way."""
    matched = _HOST.fullmatch(text)
    if matched is None:
        return None
    return NetworkHost(name=matched[1] or matched[2], port=int(matched[3]) if matched[3] else None)
