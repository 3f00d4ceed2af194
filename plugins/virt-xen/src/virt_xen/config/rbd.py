"""QEMU's way to name a Ceph block device in one string, as configurations of Xen have it."""

from __future__ import annotations

import re

from virtcore.errors import ConfigUnsupported, InternalError, NoSupport
from virtcore.model.storage.secret import Auth, SecretReference
from virtcore.model.storage.source import NetProtocol, NetworkHost, NetworkSource

__all__ = ["format_rbd", "parse_rbd"]

_OPTION = re.compile(r"((?:[^\\:]|\\.)*)(?::|$)", re.DOTALL)
_HOST_END = re.compile(r"\\[,; ]")
_PORT = re.compile(r"[0-9]{1,5}")


def parse_rbd(text: str) -> NetworkSource:
    """Read ``rbd:pool/image[@snapshot][:option=value...]``.

    :raises InternalError: a server is malformed.
    """
    name, _, options = text.removeprefix("rbd:").partition(":")
    image, at, snapshot = name.partition("@")
    source = NetworkSource(protocol=NetProtocol.RBD, name=image, snapshot=snapshot if at else None)
    while options:
        found = _OPTION.match(options)
        if found is None:
            # A backslash with nothing behind it.
            found = re.match(r"(.*)$", options, re.DOTALL)
            assert found is not None
        option, options = found.group(1), options[found.end() :]
        key, _, value = option.partition("=")
        if key == "id":
            source.auth = Auth(username=_unescape(value), secret=SecretReference(type="ceph"))
        elif key == "mon_host":
            source.hosts += [_host(part) for part in _HOST_END.split(value) if part]
        elif key == "conf":
            source.config = _unescape(value)
    return source


def _unescape(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)


def _host(text: str) -> NetworkHost:
    """A server; an IPv6 address is in brackets."""
    if text.startswith("["):
        name, bracket, port = text[1:].partition("]")
        if not bracket:
            raise InternalError(f"malformed RBD server '{text}'", value=text)
        port = re.sub(r"^\\?:", "", port)
    else:
        name, _, port = text.partition("\\:")
    if port and (_PORT.fullmatch(port) is None or int(port) > 65535):
        raise InternalError(f"failed to parse port number '{port}'", value=port)
    return NetworkHost(name=name.replace("\\:", ":"), port=int(port) if port else None)


def format_rbd(source: NetworkSource, key: str | None = None, *, doubled: bool = False) -> str:
    """Write a Ceph block device as :func:`parse_rbd` reads it.

    :param key: what its user logs in with; None: nobody logs in.
    :param doubled: in configurations the backslashes between servers are doubled, and nothing stands behind these.
    :raises VirtError: it is something else, or has a name that cannot be written.
    """
    if source.protocol is not NetProtocol.RBD:
        raise NoSupport(f"Unsupported network block protocol '{source.protocol}'")
    if source.snapshot is not None:
        # Without it the guest would get, and write, another image.
        raise ConfigUnsupported(f"snapshot '{source.snapshot}' of an RBD image cannot be written")
    name = source.name or ""
    image = name.partition("/")[2] or name
    if ":" in image:
        raise ConfigUnsupported(f"':' not allowed in RBD source volume name '{image}'", value=image)
    slash = "\\\\" if doubled else "\\"
    words = [f"rbd:{name}"]
    if source.auth is not None and key is not None:
        words += [f"id={_escape(source.auth.username)}", f"key={_escape(key)}", "auth_supported=cephx\\;none"]
    else:
        words.append("auth_supported=none")
    hosts = []
    for host in source.hosts:
        shown = host.name or ""
        shown = f"[{_escape(shown)}]" if ":" in shown else shown
        hosts.append(f"{shown}{slash}:{host.port}" if host.port else shown)
    if hosts:
        words.append("mon_host=" + f"{slash};".join(hosts))
    if source.config is not None and not doubled:
        words.append(f"conf={_escape(source.config)}")
    return ":".join(words)


def _escape(text: str) -> str:
    return re.sub(r"([\\:])", r"\\\1", text)
