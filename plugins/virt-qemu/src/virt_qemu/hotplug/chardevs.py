"""Character devices as ``chardev-add`` takes them: the options of ``-chardev``, nested and typed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from virtcore.errors import InternalError

__all__ = ["chardev_arguments"]

Options = Mapping[str, Any]

#: Options of every kind that are called the same, or are numbers, in the protocol.
_LOG = ("logfile", "logappend")


def chardev_arguments(kind: str, options: Options) -> dict[str, Any]:
    """Arguments of ``chardev-add``.

    :param kind: first word of ``-chardev``.
    :param options: the others, ``id`` among them.
    :raises InternalError: the kind is not known here.
    """
    name, make = _KINDS.get(kind, (None, None))
    if name is None or make is None:
        raise InternalError(f"Hotplug unsupported for char device type '{kind}'")
    rest = {key: value for key, value in options.items() if value is not None and key != "id"}
    data = make(rest) | {key: rest[key] for key in _LOG if key in rest}
    return {"id": options["id"], "backend": {"type": name, "data": data}}


def _plain(options: Options) -> dict[str, Any]:
    return {key: value for key, value in options.items() if key not in _LOG}


def _file(options: Options) -> dict[str, Any]:
    return {"out": options["path"], "append": bool(options.get("append"))}


def _device(options: Options) -> dict[str, Any]:
    return {"device": options["path"]}


def _address(host: object, port: object) -> dict[str, Any]:
    return {"type": "inet", "data": {"host": str(host), "port": str(port)}}


def _socket(options: Options) -> dict[str, Any]:
    if "fd" in options:
        address = {"type": "fd", "data": {"str": str(options["fd"])}}
    elif "path" in options:
        address = {"type": "unix", "data": {"path": options["path"]}}
    else:
        address = _address(options["host"], options["port"])
    server = bool(options.get("server"))
    data: dict[str, Any] = {"addr": address, "server": server}
    if server:
        data["wait"] = bool(options.get("wait"))
    for name in ("telnet", "reconnect", "reconnect-ms", "tls-creds"):
        if name in options:
            data[name] = options[name]
    return data


def _udp(options: Options) -> dict[str, Any]:
    data = {"remote": _address(options.get("host", ""), options.get("port", ""))}
    local = options.get("localaddr") or ""
    if local or options.get("localport", "0") not in ("", "0"):
        data["local"] = _address(local, options.get("localport", "0"))
    return data


def _spice_channel(options: Options) -> dict[str, Any]:
    return {"type": options["name"]}


def _spice_port(options: Options) -> dict[str, Any]:
    return {"fqdn": options["name"]}


#: kind of ``-chardev`` -> the protocol's, and how options become its data
_KINDS: dict[str, tuple[str, Callable[[Options], dict[str, Any]]]] = {
    "null": ("null", _plain),
    "vc": ("vc", _plain),
    "pty": ("pty", _plain),
    "file": ("file", _file),
    "pipe": ("pipe", _device),
    "serial": ("serial", _device),
    "parallel": ("parallel", _device),
    "socket": ("socket", _socket),
    "udp": ("udp", _udp),
    "spicevmc": ("spicevmc", _spice_channel),
    "spiceport": ("spiceport", _spice_port),
    "dbus": ("dbus", _plain),
    "qemu-vdagent": ("qemu-vdagent", _plain),
}
