"""Where an image comes from: ``<source>`` of disks, backing stores, mirrors and firmware variables."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeAlias

from virtcore.model.patterns import ABSOLUTE_PATH, ANY_IP, DEVICE_NAME, DNS_NAME, OBJECT_NAME
from virtcore.xml import (
    HEX,
    ULONG,
    YES_NO,
    Mode,
    attribute,
    child,
    children,
    element,
    leaf,
    private,
    text,
    union,
)

if TYPE_CHECKING:
    from virtcore.model.storage.secret import Auth, Encryption

__all__ = [
    "DEFAULT_PORTS",
    "BlockSource",
    "DataStore",
    "DeviceSeclabel",
    "DirSource",
    "FileSource",
    "HTTPCookie",
    "HostTransport",
    "NFSIdentity",
    "NVMeSource",
    "NetProtocol",
    "NetworkHost",
    "NetworkSource",
    "PoolSourceMode",
    "Reconnect",
    "Reservations",
    "ReservationsSource",
    "SSHIdentity",
    "Slice",
    "Source",
    "SourcePCIAddress",
    "StartupPolicy",
    "StorageFormat",
    "StorageType",
    "VhostUserSource",
    "VhostVDPASource",
    "VolumeSource",
]


class StorageType(StrEnum):
    """What kind of thing holds the image."""

    FILE = "file"
    BLOCK = "block"
    DIR = "dir"
    NETWORK = "network"
    VOLUME = "volume"
    NVME = "nvme"
    VHOSTUSER = "vhostuser"
    VHOSTVDPA = "vhostvdpa"


class StorageFormat(StrEnum):
    """Format of an image."""

    RAW = "raw"
    DIR = "dir"
    BOCHS = "bochs"
    CLOOP = "cloop"
    DMG = "dmg"
    ISO = "iso"
    VPC = "vpc"
    VDI = "vdi"
    FAT = "fat"
    VHD = "vhd"
    PLOOP = "ploop"
    COW = "cow"
    QCOW = "qcow"
    QCOW2 = "qcow2"
    QED = "qed"
    VMDK = "vmdk"
    #: The Xen driver's old name of raw; read, replaced on loading.
    AIO = "aio"


class NetProtocol(StrEnum):
    """Protocol of a networked image."""

    NONE = "none"
    NBD = "nbd"
    RBD = "rbd"
    SHEEPDOG = "sheepdog"
    GLUSTER = "gluster"
    ISCSI = "iscsi"
    HTTP = "http"
    HTTPS = "https"
    FTP = "ftp"
    FTPS = "ftps"
    TFTP = "tftp"
    SSH = "ssh"
    VXHS = "vxhs"
    NFS = "nfs"


#: Port of a server whose port is not named, by protocol.
DEFAULT_PORTS = {
    NetProtocol.HTTP: 80,
    NetProtocol.HTTPS: 443,
    NetProtocol.FTP: 21,
    NetProtocol.FTPS: 990,
    NetProtocol.TFTP: 69,
    NetProtocol.SHEEPDOG: 7000,
    NetProtocol.NBD: 10809,
    NetProtocol.SSH: 22,
    NetProtocol.ISCSI: 3260,
    NetProtocol.GLUSTER: 24007,
    NetProtocol.VXHS: 9999,
}


class HostTransport(StrEnum):
    """How a storage server is reached."""

    TCP = "tcp"
    UNIX = "unix"
    RDMA = "rdma"
    FD = "fd"


class PoolSourceMode(StrEnum):
    """How an iSCSI pool's volume is used: through the host's device or directly."""

    HOST = "host"
    DIRECT = "direct"


class StartupPolicy(StrEnum):
    """What happens when the source is missing at start."""

    MANDATORY = "mandatory"
    REQUISITE = "requisite"
    OPTIONAL = "optional"


#: How a PCI bus, slot and function may be written.
BUS_PATTERN = r"(0x)?[0-9a-fA-F]{1,2}|1?[0-9]?[0-9]|2[0-4][0-9]|25[0-5]"
SLOT_PATTERN = r"(0x)?[01]?[0-9a-fA-F]|2[0-9]|3[01]"
FUNCTION_PATTERN = "(0x)?[0-7]"

#: Protocols whose images have a name, and those whose servers are named.
_NAMED = tuple(one for one in NetProtocol if one not in (NetProtocol.NONE, NetProtocol.NBD, NetProtocol.RBD))
_SERVED = tuple(one for one in NetProtocol if one not in (NetProtocol.NONE, NetProtocol.RBD))
_HTTP = (NetProtocol.HTTP, NetProtocol.HTTPS)
_TLS = (NetProtocol.HTTPS, NetProtocol.FTPS)
_CURL = (NetProtocol.HTTP, NetProtocol.HTTPS, NetProtocol.FTP, NetProtocol.FTPS)


def _says_nothing(label: DeviceSeclabel, mode: int) -> bool:
    """Of a definition: a label is allowed, but there is none."""
    return bool(mode & Mode.INACTIVE) and label.label is None and label.relabel is not False


@element("seclabel", empty="keep", skipped=_says_nothing)
class DeviceSeclabel:
    """A security label of one device's resource, instead of the domain's."""

    model: str | None = attribute(doc="security model")
    labelskip: bool | None = attribute(
        codec=YES_NO, read=Mode.LIVE, omit=False, doc="labelling was impossible and is skipped"
    )
    relabel: bool | None = attribute(
        codec=YES_NO, shown=lambda self: not self.labelskip, doc="whether the resource is relabelled"
    )
    label: str | None = leaf(demanded={"relabel": (True,)}, doc="the label")


@element("source")
class ReservationsSource:
    """Socket of the helper that executes persistent reservations."""

    type: str | None = attribute(blank=False, doc="always unix")
    path: str | None = attribute(blank=False, doc="path of the socket")
    mode: str | None = attribute(blank=False, doc="always client")


@element("reservations")
class Reservations:
    """SCSI persistent reservations through a helper process."""

    managed: bool | None = attribute(codec=YES_NO, required=True, doc="whether libvirt starts the helper")
    source: ReservationsSource | None = child(
        shown=lambda self: self.source is not None and self.source.path is not None
    )


@element("slice")
class Slice:
    """A part of the underlying storage."""

    type: str | None = attribute(demanded=True, pattern="storage", doc="always storage")
    offset: int = attribute(
        codec=ULONG, required=True, missing="missing offset or size attribute of slice", doc="first byte"
    )
    size: int = attribute(
        codec=ULONG, required=True, missing="missing offset or size attribute of slice", doc="length in bytes"
    )


@element("reconnect")
class Reconnect:
    """Whether a client socket is connected again after the peer went away."""

    enabled: bool | None = attribute(codec=YES_NO, doc="whether to reconnect")
    timeout: int | None = attribute(only={"enabled": (True,)}, doc="seconds between attempts")


@element("dataStore")
class DataStore:
    """Raw image that holds the data of a qcow2 image."""

    type: StorageType | None = attribute(required=True, doc="kind of source")
    format: str | None = attribute("type", within="format", blank=False, doc="always raw")
    source: Source | None = union(tag="type", required=True, missing="missing disk data file store source")


@element(None, last=True)
class _Source:
    """What every source may carry beside its location."""

    startup_policy: StartupPolicy | None = attribute("startupPolicy", doc="what to do when the source is missing")
    index: int | None = attribute(read=Mode.LIVE, omit=0, doc="number of the source within the running domain")
    slices: list[Slice] = children(within="slices", doc="part of the storage that holds the image")
    seclabels: list[DeviceSeclabel] = children("seclabel", doc="security labels of the image")
    auth: Auth | None = child()
    encryption: Encryption | None = child()
    reservations: Reservations | None = child()
    private_data: object | None = private(point="source", doc="what the driver knows of the image")
    data_store: DataStore | None = child()


@element("source", tag=StorageType.FILE)
class FileSource(_Source):
    """An image in a file."""

    file: str | None = attribute(blank=False, pattern=ABSOLUTE_PATH + r"|\[[^\]]+\] .+", doc="absolute path")
    fdgroup: str | None = attribute(doc="name of a group of descriptors passed by the client", since="9.0.0")


@element("source", tag=StorageType.BLOCK)
class BlockSource(_Source):
    """A block device of the host."""

    dev: str | None = attribute(blank=False, pattern=f"{ABSOLUTE_PATH}|{DEVICE_NAME}", doc="path or name of the device")


@element("source", tag=StorageType.DIR, undocumented=("seclabels",))
class DirSource(_Source):
    """A host directory shown as a disk."""

    dir: str | None = attribute(blank=False, demanded=True, pattern=ABSOLUTE_PATH, doc="path of the directory")


def _translated(name: str, *, doc: str) -> Any:
    """What a pool's volume was found to be, in the status of a running domain."""
    mode = Mode.VOLUME_TRANSLATED
    return attribute(name, blank=False, when=mode, read=mode, doc=doc)


@element("source", tag=StorageType.VOLUME)
class VolumeSource(_Source):
    """A volume of a storage pool."""

    pool: str | None = attribute(demanded=True, pattern=OBJECT_NAME, doc="name of the pool")
    volume: str | None = attribute(demanded=True, pattern="[^/]+", doc="name of the volume")
    mode: PoolSourceMode | None = attribute(doc="how an iSCSI volume is reached")
    actual_type: StorageType | None = _translated("actualType", doc="what the volume is")
    file: str | None = _translated("file", doc="the file it is")
    dev: str | None = _translated("dev", doc="the block device it is")


@element("address", empty="keep")
class SourcePCIAddress:
    """A PCI function of the host."""

    domain: int | None = attribute(codec=HEX("0x%04x"), doc="PCI domain")
    bus: int | None = attribute(codec=HEX("0x%02x"), pattern=BUS_PATTERN, doc="PCI bus")
    slot: int | None = attribute(codec=HEX("0x%02x"), pattern=SLOT_PATTERN, doc="slot of the bus")
    function: int | None = attribute(codec=HEX("0x%x"), pattern=FUNCTION_PATTERN, doc="function of the slot")


@element("source", tag=StorageType.NVME, undocumented=("seclabels",))
class NVMeSource(_Source):
    """A namespace of an NVMe controller, driven from user space."""

    type: str | None = attribute(required=True, missing="missing 'type' attribute to disk source", doc="always pci")
    managed: bool | None = attribute(codec=YES_NO, doc="whether libvirt detaches the controller from the host")
    namespace: int = attribute(codec=ULONG, required=True, doc="namespace, from 1")
    address: SourcePCIAddress | None = child(required=True, missing="NVMe disk source is missing address")


@element("source", tag=StorageType.VHOSTUSER)
class VhostUserSource(_Source):
    """A disk served by another process over vhost-user."""

    type: str | None = attribute(
        required=True, missing="missing 'type' attribute for vhostuser disk source", doc="always unix"
    )
    path: str | None = attribute(
        required=True, missing="missing 'path' attribute for vhostuser disk source", doc="socket"
    )
    reconnect: Reconnect | None = child()


@element("source", tag=StorageType.VHOSTVDPA)
class VhostVDPASource(_Source):
    """A vDPA block device of the host."""

    dev: str = attribute(required=True, pattern=ABSOLUTE_PATH, doc="path of the vhost-vdpa device", since="9.8.0")


@element("host")
class NetworkHost:
    """One server of a networked image."""

    name: str | None = attribute(
        pattern=f"{DNS_NAME}|{ANY_IP}",
        demanded={"transport": (None, HostTransport.TCP, HostTransport.RDMA)},
        doc="host name or address",
    )
    port: int | None = attribute(omit=0, doc="TCP port; the protocol's default when absent")
    transport: HostTransport | None = attribute(omit=HostTransport.TCP, doc="how the server is reached")
    socket: str | None = attribute(
        demanded={"transport": (HostTransport.UNIX,)}, pattern=ABSOLUTE_PATH, doc="path of a Unix socket"
    )
    fdgroup: str | None = attribute(only={"transport": (HostTransport.FD,)}, doc="group of passed descriptors")


@element("cookie")
class HTTPCookie:
    """A cookie sent with every request."""

    name: str = attribute(required=True, blank=False, missing="missing cookie name", doc="name of the cookie")
    value: str | None = text(secret=True, doc="value of the cookie")


@element("identity", tag=NetProtocol.NFS)
class NFSIdentity:
    """User and group an NFS server sees."""

    user: str | None = attribute(doc="name, or +number")
    group: str | None = attribute(doc="name, or +number")


@element("identity", tag=NetProtocol.SSH)
class SSHIdentity:
    """How the SSH server knows us."""

    username: str | None = attribute(required=True, doc="name to log in with")
    keyfile: str | None = attribute(doc="path of a private key")
    agentsock: str | None = attribute(doc="socket of an SSH agent")


@element("source", tag=StorageType.NETWORK, undocumented=("startup_policy", "seclabels"))
class NetworkSource(_Source):
    """An image on a server."""

    protocol: NetProtocol = attribute(required=True, doc="protocol of the server")
    name: str | None = attribute(demanded={"protocol": _NAMED}, doc="image, volume or path on the server")
    query: str | None = attribute(only={"protocol": _HTTP}, doc="query part of the URL")
    tls: bool | None = attribute(codec=YES_NO, doc="whether the transport is encrypted", since="2.5.0")
    tls_hostname: str | None = attribute("tlsHostname", doc="name expected in the server's certificate", since="8.2.0")
    tls_from_config: int | None = attribute(
        "tlsFromConfig", when=Mode.STATUS, read=Mode.STATUS, doc="1 if tls comes from qemu.conf"
    )
    hosts: list[NetworkHost] = children("host", demanded={"protocol": _SERVED}, doc="servers")
    reconnect_delay: int | None = attribute(
        "delay",
        within="reconnect",
        omit=0,
        only={"protocol": (NetProtocol.NBD,)},
        doc="seconds before an NBD server is tried again",
    )
    snapshot: str | None = attribute("name", within="snapshot", blank=False, doc="snapshot of the image to use")
    config: str | None = attribute("file", within="config", blank=False, doc="client configuration file (RBD)")
    initiator: str | None = attribute("name", within="initiator/iqn", blank=False, doc="iSCSI name of this client")
    ssl_verify: bool | None = attribute(
        "verify", within="ssl", codec=YES_NO, only={"protocol": _TLS}, doc="check the certificate"
    )
    cookies: list[HTTPCookie] = children(
        within="cookies", when=Mode.SECURE, only={"protocol": _HTTP}, doc="cookies for every request"
    )
    readahead: int | None = attribute(
        "size",
        within="readahead",
        codec=ULONG,
        omit=0,
        only={"protocol": _CURL},
        invalid="invalid readahead size or timeout",
        doc="bytes",
    )
    timeout: int | None = attribute(
        "seconds",
        within="timeout",
        codec=ULONG,
        omit=0,
        only={"protocol": _CURL},
        invalid="invalid readahead size or timeout",
        doc="seconds",
    )
    known_hosts: str | None = attribute(
        "path", within="knownHosts", only={"protocol": (NetProtocol.SSH,)}, doc="file of host keys"
    )
    identity: NFSIdentity | SSHIdentity | None = union(tag="protocol")


Source: TypeAlias = (
    FileSource | BlockSource | DirSource | NetworkSource | VolumeSource | NVMeSource | VhostUserSource | VhostVDPASource
)
