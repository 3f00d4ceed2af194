"""``<privateData>``: what QEMU's driver knows of parts of a running guest, in status files."""

from __future__ import annotations

from virtcore.xml import YES_NO, attribute, children, element, leaf, register_private

__all__ = ["DiskPrivate", "FDSet", "InterfacePrivate", "NodeName", "QemuSecret", "SourcePrivate", "register"]


@element("nodename")
class NodeName:
    """A node of QEMU's block layer."""

    type: str = attribute(required=True, doc="storage, format, slice-storage, copyOnRead or throttle-filter")
    name: str = attribute(required=True)
    group: str | None = attribute(doc="the throttle group of a filter")


KEY_SECRET = "tlskey"
"""The secret that opens the key of an image's certificates."""


@element("secret")
class QemuSecret:
    """A secret object."""

    type: str = attribute(required=True, doc="auth, encryption, httpcookie or tlskey")
    alias: str = attribute(required=True, doc="its id")


@element("fdset")
class FDSet:
    """A set of descriptors that were handed over."""

    type: str = attribute(required=True, doc="storage")
    id: str = attribute(required=True)


@element("privateData")
class SourcePrivate:
    """Of an image, or of a host device with one."""

    nodes: list[NodeName] = children("nodename", within="nodenames")
    reservations: str | None = attribute("mgralias", within="reservations", doc="id of the helper for reservations")
    relative_path: str | None = leaf("relPath", doc="path as the image above names it")
    secrets: list[QemuSecret] = children("secret", within="objects")
    tls: str | None = attribute("alias", within="objects/TLSx509", doc="id of the TLS object")
    fdsets: list[FDSet] = children("fdset", within="fdsets")
    threshold_with_index: bool | None = attribute(
        "indexUsed", within="thresholdEvent", codec=YES_NO, omit=False, doc="events about its size name it by index"
    )
    nbdkit_pid_file: str | None = leaf("pidfile", within="nbdkit", doc="of the program that serves it")
    nbdkit_socket: str | None = leaf("socketfile", within="nbdkit", doc="where it does")


@element("privateData")
class DiskPrivate:
    """Of a disk."""

    qom: str | None = attribute("name", within="qom", doc="path of the device among QEMU's objects")
    nodes: list[NodeName] = children("nodename", within="nodenames")


@element("slirp")
class Slirp:
    """The program that connects an interface to the user's network."""

    pid: int = attribute(required=True)
    features: list[str] = attribute("name", within="feature")


@element("privateData")
class InterfacePrivate:
    """Of a network interface."""

    slirp: list[Slirp] = children("slirp")


def register() -> None:
    """Let documents have such data; harmless when repeated."""
    register_private("source", SourcePrivate)
    register_private("hostdev-source", SourcePrivate)
    register_private("disk", DiskPrivate)
    register_private("interface", InterfacePrivate)
