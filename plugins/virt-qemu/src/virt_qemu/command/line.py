"""A command line in the making, and what the modules that add to it share."""

from __future__ import annotations

import json
import os
import posixpath
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from virt_qemu.block.storage import present
from virt_qemu.block.tls import tls_credentials
from virt_qemu.sealing import secret_object
from virtcore.errors import ConfigUnsupported, InternalError
from virtcore.model.storage.secret import SecretReference

if TYPE_CHECKING:
    from virt_qemu.block.tls import ImageTLS
    from virt_qemu.capabilities.model import EmulatorCapabilities
    from virtcore.model.domain import Domain
    from virtcore.model.domain.hostdev import SCSIAdapterSource
    from virtcore.model.domain.interface import Interface
    from virtcore.model.storage.secret import Auth
    from virtcore.model.storage.source import NetProtocol
    from virtcore.xml import CpuSet

__all__ = ["Builder", "HostSettings", "Props", "Resources", "escape", "on_off", "switch", "unsupported"]

#: Value of a device or object property; None leaves the property out.
Props = Mapping[str, object]


class Resources(Protocol):
    """The host: what is opened there for the guest and handed over, by number in the guest's process."""

    def listen(self, path: str) -> int:
        """Listen on a Unix socket; returns the descriptor's number."""

    def output(self, path: str, append: bool) -> int:
        """Open a file for what the guest writes; returns the descriptor's number."""

    def log(self, path: str, append: bool) -> int:
        """Open a file for a copy of what the guest writes; returns the descriptor's number."""

    def vhost_scsi(self) -> int:
        """Open the kernel's server of SCSI targets; returns the descriptor's number."""

    def scsi_generic(self, source: SCSIAdapterSource) -> str:
        """Name of the device file of a SCSI device."""

    def tpm(self, path: str) -> tuple[int, int]:
        """Open a TPM of the host and its way to cancel commands; returns the descriptors' numbers."""

    def tpm_socket(self, alias: str) -> str:
        """Where the emulator of a TPM listens."""

    def taps(self, interface: Interface, count: int) -> list[int]:
        """Open the tap device of an interface; returns the descriptors' numbers, one a queue."""

    def vhost_net(self, interface: Interface, count: int) -> list[int]:
        """Open the kernel's mover of packets; returns the descriptors' numbers, one a queue."""

    def vdpa(self, path: str) -> int:
        """Open a vDPA device; returns the descriptor's number."""

    def lent(self, group: str) -> list[int]:
        """Copy a group of descriptors that a client has lent the domain; returns the copies' numbers."""

    def slirp(self, interface: Interface) -> int:
        """The connection to the program that is the network of an interface; returns the descriptor's number."""

    def vhost_user_gpu(self, alias: str) -> int:
        """Start the program that serves a graphics card; returns the number of the connection to it."""

    def render_node(self) -> str:
        """The host's first device file for rendering."""

    def vsock(self, cid: int | None, auto: bool) -> tuple[int, int]:
        """Take an address for a guest's socket; returns the descriptor's number and the address.

        :param auto: any free address will do.
        """

    def secret(self, reference: SecretReference) -> bytes:
        """The value of a secret the host keeps."""

    def is_cdrom(self, path: str) -> bool:
        """Whether a device of the host is a CD-ROM drive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSettings:
    """How the host is arranged for guests: the driver's folders and the host's means.

    :ivar memory_folder: where memory in files is, a folder a guest.
    :ivar hugepages: size in KiB -> mounted file system of huge pages, the default one first.
    :ivar hugepage_place: the folder on them where guests' are.
    :ivar auto_nodeset: nodes where the host advises to put the guest.
    :ivar passt_folder: where passt's sockets are.
    :ivar cells: the host's NUMA nodes, each with its CPUs; None where it is not known which there are.
    :ivar gluster_debug: how much clients of Gluster log, 0 to 9.
    :ivar vnc_tls: folder of certificates for VNC; None without TLS. Likewise for SPICE and character devices.
    :ivar vnc_tls_secret: UUID of the secret that opens VNC's key. Likewise for character devices.
    :ivar vnc_tls_verify: whether VNC's clients must have a certificate.
    :ivar image_tls: how servers of images are reached; protocols that are not there have no TLS.
    :ivar vnc_sasl: folder of SASL's configuration for VNC; None without SASL. Likewise for SPICE.
    :ivar log_timestamp: QEMU's messages have the time before them.
    :ivar seccomp: whether QEMU may make no system call it does not need: 1, 0 not, -1 where it can.
    :ivar process_name: QEMU is called after the guest in lists of processes.
    :ivar dump_guest_core: core dumps have the guest's memory where the guest does not say.
    :ivar deprecation: what QEMU does about deprecated use where the guest does not say.
    :ivar vnc_password: whether VNC has a password where the guest's says none. Likewise for SPICE.
    """

    memory_folder: str = "/var/lib/libvirt/qemu/ram"
    hugepages: Mapping[int, str] = field(default_factory=dict)
    hugepage_place: str = "libvirt/qemu"
    auto_nodeset: frozenset[int] = frozenset()
    vnc_tls: str | None = None
    vnc_tls_verify: bool = True
    vnc_sasl: str | None = None
    vnc_password: bool = False
    spice_tls: str | None = None
    spice_sasl: str | None = None
    spice_password: bool = False
    passt_folder: str = "/var/run/libvirt/qemu/passt"
    cells: Mapping[int, CpuSet] | None = None
    chardev_tls: str | None = None
    vnc_tls_secret: str | None = None
    chardev_tls_secret: str | None = None
    chardev_tls_verify: bool = True
    image_tls: Mapping[NetProtocol, ImageTLS] = field(default_factory=dict)
    gluster_debug: int = 4
    log_timestamp: bool = True
    seccomp: int = -1
    process_name: bool = False
    dump_guest_core: bool = False
    deprecation: str = "none"

    def default_hugepage(self) -> int:
        """Size of the host's huge pages, in KiB.

        :raises InternalError: it has none.
        """
        for size in self.hugepages:
            return size
        raise InternalError("hugepages are disabled by administrator config")

    def hugepage_folder(self, size: int, name: str) -> str:
        """Folder of a guest's huge pages.

        :raises InternalError: the host has none of this size.
        """
        if size not in self.hugepages:
            raise InternalError(f"Unable to find any usable hugetlbfs mount for {size} KiB")
        return f"{self.hugepages[size]}/{self.hugepage_place}/{name}"


@dataclass(slots=True, kw_only=True)
class Builder:
    """The command line of one guest.

    :ivar domain: the guest, complete, with addresses and aliases.
    :ivar capabilities: the emulator's.
    :ivar state_folder: the guest's own folder on the host (sockets, keys).
    :ivar monitor: number of the descriptor the monitor listens on.
    :ivar privileged: whether the host's administrator runs it.
    :ivar key: the guest's key for secrets, 32 bytes.
    :ivar random: gives random bytes.
    :ivar host: how the host is arranged for guests.
    :ivar incoming: where QEMU takes its state from instead of booting.
    :ivar standalone: it is for somebody to run by hand: files and sockets have paths, not descriptors.
    :ivar now: the time, in the host's zone.
    :ivar overrides: alias of a device -> properties the user gives it; None takes one away.
    :ivar hostdev_nodes: number of the node of every SCSI device of the host, by ``id()``.
    :ivar node_index: number of the last image that was given one.
    :ivar master_key: whether the state folder holds a key for secrets.
    """

    domain: Domain
    capabilities: EmulatorCapabilities
    resources: Resources
    state_folder: str
    monitor: int
    privileged: bool = False
    master_key: bool = True
    key: bytes | None = field(default=None, repr=False)
    random: Callable[[int], bytes] = os.urandom
    host: HostSettings = field(default_factory=HostSettings)
    argv: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    incoming: str | None = None
    standalone: bool = False
    now: datetime = field(default_factory=lambda: datetime.now().astimezone())
    overrides: dict[str, dict[str, object]] = field(default_factory=dict)
    hostdev_nodes: dict[int, int] = field(default_factory=dict)
    node_index: int = 0
    _sets: int = 0

    @property
    def short_name(self) -> str:
        """The guest's number and name, as its folders are called."""
        return posixpath.basename(self.state_folder).removeprefix("domain-")

    @property
    def raw_layers(self) -> bool:
        """Whether raw images need a layer of their own, as they do where block jobs cannot hide it."""
        return not self.capabilities.has("blockjob.backing-mask-protocol")

    def listening(self, path: str) -> dict[str, object]:
        """A socket that QEMU listens on."""
        where: dict[str, object] = {"path": path} if self.standalone else {"fd": self.resources.listen(path)}
        return where | {"server": True, "wait": False}

    def reconnect(self, seconds: int) -> dict[str, object]:
        """How long a socket waits before it connects again; 0 is never."""
        if self.capabilities.has("chardev-reconnect-miliseconds"):
            return {"reconnect-ms": seconds * 1000}
        return {"reconnect": seconds}

    def loadparm(self, wanted: str | None, place: int | None) -> str | None:
        """What a device the guest boots from tells s390's loader; older machines are told it for the first one."""
        return wanted if place is not None and self.capabilities.has("virtio-ccw.loadparm") else None

    def tls_credentials(
        self, name: str, folder: str, *, server: bool, verify: bool, secret: tuple[str, str | None] = ("", None)
    ) -> None:
        """Add certificates for an endpoint of TLS.

        :param secret: id, and UUID of the secret that opens the certificates' key, if it is locked.
        """
        locked = self.secret(secret[0], SecretReference(type="tls", uuid=secret[1])) if secret[1] is not None else None
        self.object(tls_credentials(name, folder, server=server, verify=verify, password=locked))

    def auth_secret(self, name: str, auth: Auth) -> str:
        """Add the secret by which an image's server knows the guest; returns its id."""
        if auth.secret is None:
            raise InternalError("authentication without a secret")
        return self.secret(name, auth.secret)

    def secret(self, name: str, reference: SecretReference) -> str:
        """Add a secret that the host keeps; returns its id."""
        self.object(self.sealed_object(name, self.secret_value(reference)))
        return name

    def secret_value(self, reference: SecretReference) -> bytes:
        """The value of a secret that the host keeps."""
        return self.resources.secret(reference)

    def sealed_object(self, name: str, value: bytes) -> dict[str, object]:
        """The secret object of this id and value."""
        if self.key is None:
            raise unsupported("a secret")
        return secret_object(self.key, name, value, self.random)

    def add(self, *words: str) -> None:
        """Add words as they are."""
        self.argv += words

    def json(self, option: str, props: Props) -> None:
        """Add an option whose value is JSON; properties that are None are left out."""
        self.add(option, _json(present(props)))

    def device(self, props: Props) -> None:
        """Add a device."""
        changes = self.overrides.get(str(props.get("id")))
        if changes is not None:
            props = {**props, **changes}
        if self.capabilities.has("device.json+hotplug"):
            self.json("-device", props)
        else:
            self.options("-device", str(props["driver"]), {k: v for k, v in props.items() if k != "driver"})

    def object(self, props: Props) -> None:
        """Add an object."""
        self.json("-object", props)

    def options(self, option: str, first: str, props: Props) -> None:
        """Add an option in QEMU's ``first,name=value`` syntax."""
        self.add(option, option_words(first, props))

    def fdset(self, *descriptors: tuple[int, str]) -> str:
        """Put descriptors, each with a name, into a set and return the path they are opened by."""
        index = self._sets
        self._sets += 1
        for number, opaque in descriptors:
            self.add("-add-fd", f"set={index},fd={number},opaque={escape(opaque)}")
        return f"/dev/fdset/{index}"


class _Null:
    """JSON's null, which a property that is left out is not."""


NULL = _Null()


def _json(props: Props) -> str:
    plain = {name: None if value is NULL else value for name, value in props.items()}
    return json.dumps(plain, separators=(",", ":"), ensure_ascii=False)


def option_words(first: str, props: Props) -> str:
    """A value in QEMU's ``first,name=value`` syntax; properties that are None are left out."""
    parts = [escape(first)]
    for name, value in present(props).items():
        text = on_off(value) if isinstance(value, bool) else str(value)
        parts.append(f"{name}={escape(text)}")
    return ",".join(parts)


def escape(text: str) -> str:
    """A value for an option that is no JSON: commas doubled, so that it stays one value."""
    return text.replace(",", ",,")


def on_off(value: bool) -> str:
    """A switch as options spell it."""
    return "on" if value else "off"


def switch(value: bool | None) -> str | None:
    """A property that is a word, not a boolean: it could be ``auto``, too. None where nothing is said."""
    return None if value is None else on_off(value)


def unsupported(what: str) -> ConfigUnsupported:
    """Something libvirt can give a guest and this driver cannot yet."""
    return ConfigUnsupported(f"{what} is not supported by virtcore's QEMU driver yet")
