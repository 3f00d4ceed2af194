"""polkit: asking the system's authority, for authentication and for access control.

Actions are libvirt's: ``org.libvirt.unix.manage`` and ``.monitor`` for authentication, ``org.libvirt.api.KIND.RIGHT``
for access control. Their ``.policy`` files are made by :func:`policy_file` and shipped with this distribution.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from virtcore.errors import (
    AuthCancelled,
    AuthFailed,
    AuthUnavailable,
    ErrorDomain,
    InternalError,
    SystemError,
)

if TYPE_CHECKING:
    from virt_remote.server.access import Request
    from virt_remote.server.identity import Identity

__all__ = ["Authority", "PolkitAccess", "attributes"]

log = logging.getLogger("virtcored.polkit")

_ALLOW_INTERACTION: Final = 1

#: Seconds that polkit may take without and with asking a human.
_LIMIT: Final = 30.0
_HUMAN_LIMIT: Final = 600.0


class Authority:
    """polkit on the system's bus; connected when first asked, and anew when the bus was lost.

    :param address: address of the bus; the system's by default.
    """

    def __init__(self, address: str = "SYSTEM") -> None:
        self._address = address
        self._router: Any = None
        #: What ends the connection.
        self._bus: contextlib.AsyncExitStack | None = None
        self._connecting = asyncio.Lock()

    async def _connected(self) -> Any:
        from jeepney.io.asyncio import (  # type: ignore[import-untyped]
            DBusRouter,
            open_dbus_connection,
        )

        async with self._connecting:
            if self._router is None:
                async with asyncio.timeout(_LIMIT), contextlib.AsyncExitStack() as bus:
                    connection = await open_dbus_connection(self._address)
                    bus.push_async_callback(connection.close)
                    self._router = await bus.enter_async_context(DBusRouter(connection))
                    self._bus = bus.pop_all()
            return self._router

    async def close(self) -> None:
        """Leave the bus."""
        bus, self._bus, self._router = self._bus, None, None
        if bus is not None:
            try:
                await bus.aclose()
            except Exception as error:  # noqa: BLE001  # how the bus was lost before we left it
                log.info("the bus was lost: %s", error)

    async def check(
        self, identity: Identity, action: str, details: Mapping[str, str], *, interactive: bool = False
    ) -> None:
        """Ask whether a local client may do something.

        :param interactive: polkit may ask a human for a password.
        :raises AuthFailed: it may not.
        :raises AuthCancelled: the human refused.
        :raises AuthUnavailable: a human would have to be asked, and cannot be.
        :raises VirtError: polkit could not be asked.
        """
        if identity.pid is None or identity.uid is None:
            raise InternalError("No UNIX process ID available", domain=ErrorDomain.ACCESS)
        if identity.start_time is None:
            raise InternalError("No UNIX process start time available", domain=ErrorDomain.ACCESS)
        subject = (
            "unix-process",
            {
                "pid": ("u", identity.pid),
                "start-time": ("t", identity.start_time),
                "uid": ("i", identity.uid),
            },
        )
        allowed, challenge, answer = await self._ask(subject, action, dict(details), interactive)
        if allowed:
            return
        if answer.get("polkit.dismissed") == "true":
            raise AuthCancelled("user cancelled authentication process", domain=ErrorDomain.POLKIT)
        if challenge:
            raise AuthUnavailable(
                f"no polkit agent available to authenticate action '{action}'", domain=ErrorDomain.POLKIT
            )
        raise AuthFailed("access denied by policy", domain=ErrorDomain.POLKIT)

    async def _ask(
        self, subject: tuple[str, dict[str, tuple[str, int]]], action: str, details: dict[str, str], interactive: bool
    ) -> tuple[bool, bool, dict[str, str]]:
        from jeepney import DBusAddress, MessageType, new_method_call  # type: ignore[import-untyped]

        address = DBusAddress(
            "/org/freedesktop/PolicyKit1/Authority",
            bus_name="org.freedesktop.PolicyKit1",
            interface="org.freedesktop.PolicyKit1.Authority",
        )
        flags = _ALLOW_INTERACTION if interactive else 0
        message = new_method_call(
            address, "CheckAuthorization", "(sa{sv})sa{ss}us", (subject, action, details, flags, "")
        )
        router: Any = None
        try:
            router = await self._connected()
            async with asyncio.timeout(_HUMAN_LIMIT if interactive else _LIMIT):
                reply = await router.send_and_get_reply(message)
        except TimeoutError:
            raise SystemError("polkit does not answer", domain=ErrorDomain.POLKIT) from None
        except Exception as error:  # whatever the bus did: the next question connects anew
            if router is not None and router is self._router:  # not what another question has connected meanwhile
                await self.close()
            raise SystemError(f"polkit cannot be asked: {error}", domain=ErrorDomain.POLKIT) from error
        if reply.header.message_type is MessageType.error:
            raise SystemError(f"polkit: {reply.body[0] if reply.body else 'unknown error'}", domain=ErrorDomain.POLKIT)
        ((allowed, challenge, answer),) = reply.body
        return allowed, challenge, answer


#: What polkit's rules can look at, by kind of object: names of details and the fields of the reference.
_DETAILS: Final[Mapping[str, Mapping[str, str]]] = {
    "domain": {"domain_name": "name", "domain_uuid": "uuid"},
    "network": {"network_name": "name", "network_uuid": "uuid"},
    "storage_pool": {"pool_name": "name", "pool_uuid": "uuid"},
    "storage_vol": {"vol_name": "name", "vol_key": "key"},
    "node_device": {"node_device_name": "name"},
    "interface": {"interface_name": "name", "interface_macaddr": "mac"},
    "nwfilter": {"nwfilter_name": "name", "nwfilter_uuid": "uuid"},
    "nwfilter_binding": {
        "nwfilter_binding_portdev": "port_dev",
        "nwfilter_binding_nwfilter": "filter_name",
    },
    "secret": {"secret_uuid": "uuid"},
}

#: By ``SecretUsageType``.
_SECRET_USAGE: Final = {
    1: "secret_usage_volume",
    2: "secret_usage_ceph",
    3: "secret_usage_target",
    4: "secret_usage_name",
    5: "secret_usage_name",
}


def attributes(request: Request) -> dict[str, str]:
    """What polkit is told of the object, under libvirt's names."""
    found = {"connect_driver": request.driver}
    subject = request.subject
    if subject is None:
        return found
    if request.object == "network_port":
        network = getattr(subject, "network")  # noqa: B009  # the kind says what it is
        return {
            **found,
            "network_name": network.name,
            "network_uuid": network.uuid,
            "network_port_uuid": getattr(subject, "uuid"),  # noqa: B009
        }
    if request.pool is not None:
        found |= {"pool_name": request.pool.name, "pool_uuid": request.pool.uuid}
    found |= {name: str(getattr(subject, field)) for name, field in _DETAILS[request.object].items()}
    if request.object == "secret":
        usage = _SECRET_USAGE.get(int(getattr(subject, "usage_type")))  # noqa: B009
        if usage is not None:
            found[usage] = str(getattr(subject, "usage_id"))  # noqa: B009
    return found


class PolkitAccess:
    """The access driver ``polkit``."""

    name = "polkit"

    def __init__(self, authority: Authority) -> None:
        self._authority = authority

    async def allows(self, request: Request) -> bool:
        """Whether polkit grants it, without asking a human."""
        action = f"org.libvirt.api.{request.object}.{request.permission}".replace("_", "-")
        try:
            await self._authority.check(request.identity, action, attributes(request))
        except (AuthFailed, AuthCancelled, AuthUnavailable):
            return False
        return True


def policy_file() -> str:
    """``org.libvirt.api.policy``: every action of access control, with libvirt's defaults."""
    from virt_remote.server.policy import permissions

    actions = []
    for right in sorted(permissions()):
        kind, _, permission = right.partition(":")
        everybody = (permission in ("getattr", "read") and right != "node_device:read") or (
            kind == "connect" and permission.startswith("search_")
        )
        answer = "yes" if everybody else "no"
        words = f"{kind}: {permission}".replace("_", " ")
        actions.append(
            f'  <action id="org.libvirt.api.{kind}.{permission}">\n'.replace("_", "-")
            + f"    <description>{words}</description>\n"
            + f"    <message>The system's policy does not let you use '{words}'</message>\n"
            + "    <defaults>\n"
            + f"      <allow_any>{answer}</allow_any>\n"
            + f"      <allow_inactive>{answer}</allow_inactive>\n"
            + f"      <allow_active>{answer}</allow_active>\n"
            + "    </defaults>\n  </action>\n"
        )
    return _POLICY_HEAD + "".join(actions) + "</policyconfig>\n"


_POLICY_HEAD: Final = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE policyconfig PUBLIC "-//freedesktop//DTD polkit Policy Configuration 1.0//EN"
    "http://www.freedesktop.org/software/polkit/policyconfig-1.dtd">
<policyconfig>
  <vendor>virtcore</vendor>
"""
