"""What a start takes from the host, or asks it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn, Protocol

from virt_xen.config.displays import FIRST_PORT
from virtcore.errors import NoNetwork, NoSecret

if TYPE_CHECKING:
    from virtcore.model.storage.secret import Auth

__all__ = ["JSON", "PlainResources", "Resources"]

JSON = None | int | str | list["JSON"] | dict[str, "JSON"]


class Resources(Protocol):
    """A host on which a domain starts."""

    #: Whether guests may have the processor's virtualization.
    nested: bool
    #: What finds a paravirtual guest's kernel when nothing else says so.
    bootloader: str

    def shadow_memory(self, memory: int, vcpus: int) -> int:
        """Memory in KiB that Xen needs to run a guest of so much memory (KiB) and so many vCPUs."""

    def display_port(self) -> int:
        """A free port for a display."""

    def check_emulator(self, path: str) -> None:
        """Refuse a device model that is not there or cannot be run."""

    def network_bridge(self, name: str) -> str:
        """The bridge of a virtual network."""

    def secret(self, auth: Auth) -> str:
        """The key of a Ceph user, base64."""


class PlainResources:
    """A host of which nothing is known: it has no networks, no secrets, and every port is free."""

    nested = False
    bootloader = "pygrub"

    def __init__(self) -> None:
        self._port = FIRST_PORT

    def shadow_memory(self, memory: int, vcpus: int) -> int:
        # 256 pages for each vCPU, and two for each MiB: one to map it, one for the shadow of what runs in it.
        return 4 * (256 * vcpus + 2 * (memory // 1024))

    def display_port(self) -> int:
        self._port += 1
        return self._port - 1

    def check_emulator(self, path: str) -> None:
        return None

    def network_bridge(self, name: str) -> NoReturn:
        raise NoNetwork(name)

    def secret(self, auth: Auth) -> NoReturn:
        raise NoSecret(auth.username)
