"""Connections to one service of this host and nothing else: ``network:///system``, ``secret:///session``, ...

They are what libvirt's daemons of one driver each offer. Here every daemon has them, and a program without one, too.
"""

from __future__ import annotations

import os
from typing import ClassVar, Self

from virtcore.driver.base import Driver, OpenRequest, Place
from virtcore.errors import InternalError, NoConnect
from virtcore.operations.declare import inline
from virtcore.uri import ConnectionURI

__all__ = [
    "InterfaceConnection",
    "NetworkConnection",
    "NodeDeviceConnection",
    "NWFilterConnection",
    "SecretConnection",
    "ServiceConnection",
    "StorageConnection",
]


class ServiceConnection(Driver):
    """A connection that has the operations of one service, the one it is called after."""

    local_only = True
    embeddable = True

    place: Place
    #: Users have one of their own, too.
    of_users: ClassVar[bool] = True

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.wanted_services = frozenset({cls.name})

    def __init__(self, uri: ConnectionURI) -> None:
        self.uri = uri
        self.place = self._place(uri)

    @classmethod
    async def open(cls, request: OpenRequest) -> Self:
        from virtcore.driver.loader import service_names

        driver = cls(request.uri)
        if cls.name not in service_names():
            raise NoConnect(request.uri.redacted, advice=f"no installed distribution has the service '{cls.name}'")
        return driver

    @classmethod
    def _place(cls, uri: ConnectionURI) -> Place:
        """The place that a URI names.

        :raises InternalError: there is none of the name here.
        """
        privileged = hasattr(os, "geteuid") and os.geteuid() == 0
        if uri.path == "/embed":
            return Place(privileged, uri.require("root"))
        if uri.path == "/session" and cls.of_users:
            return Place(privileged=False)
        if uri.path == "/system" and privileged:
            return Place(privileged=True)
        wanted = f"{cls.name}:///{'system' if privileged or not cls.of_users else 'session'}"
        raise InternalError(
            f"unexpected {cls.name} URI path '{uri.path}', try {wanted}",
            advice=None if privileged else "what is the system's needs a daemon that runs as root",
        )

    @inline
    def connection_uri(self) -> str:
        return str(self.uri)

    @inline
    def connection_is_alive(self) -> bool:
        return True

    @inline
    def connection_is_secure(self) -> bool:
        return True

    @inline
    def connection_is_encrypted(self) -> bool:
        return False

    @inline
    def connection_lib_version(self) -> int:
        return 11_003_000


class NetworkConnection(ServiceConnection):
    """``network:///...``."""

    name = "network"


class StorageConnection(ServiceConnection):
    """``storage:///...``."""

    name = "storage"


class NodeDeviceConnection(ServiceConnection):
    """``nodedev:///...``."""

    name = "nodedev"


class InterfaceConnection(ServiceConnection):
    """``interface:///...``."""

    name = "interface"


class NWFilterConnection(ServiceConnection):
    """``nwfilter:///...``."""

    name = "nwfilter"
    of_users = False


class SecretConnection(ServiceConnection):
    """``secret:///...``."""

    name = "secret"
