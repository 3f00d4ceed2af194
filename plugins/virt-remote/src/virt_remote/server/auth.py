"""Authentication: until a client has authenticated it may call nothing but what authenticates."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from virt_remote.protocol import AUTH_NONE, AUTH_POLKIT, AUTH_SASL
from virt_remote.server.procedures import failed, session_procedure
from virtcore.errors import VirtError

if TYPE_CHECKING:
    from virt_remote.server.client import Client

__all__ = ["BEFORE_AUTHENTICATION", "METHODS"]

log = logging.getLogger("virtcored.auth")

#: Methods by the names that settings have for them.
METHODS: Final = {"none": AUTH_NONE, "sasl": AUTH_SASL, "polkit": AUTH_POLKIT}

#: What may be called before.
BEFORE_AUTHENTICATION: Final = frozenset(
    f"remote.AUTH_{name}" for name in ("LIST", "SASL_INIT", "SASL_START", "SASL_STEP", "POLKIT")
)


@session_procedure("remote.AUTH_LIST", opened=False)
def _list(client: Client) -> tuple[list[int]]:
    if client.auth == AUTH_POLKIT and client.identity.uid == 0 and not client.authenticated:
        # root is not kept out because some part of polkit is not there
        log.info("Bypass polkit auth for privileged client %s", client.identity)
        client.authenticate()
    return ([AUTH_NONE if client.authenticated else client.auth],)


# -- polkit


@session_procedure("remote.AUTH_POLKIT", opened=False)
async def _polkit(client: Client) -> tuple[int]:
    if client.auth != AUTH_POLKIT or client.authenticated or client.authenticating is not None:
        log.error("client tried invalid PolicyKit init request")
        raise failed()
    action = "org.libvirt.unix.monitor" if client.readonly else "org.libvirt.unix.manage"
    client.authenticating = action
    try:
        await client.server.authority.check(client.identity, action, {}, interactive=True)
    except VirtError as error:
        log.warning("Policy kit denied action %s from %s: %s", action, client.identity, error)
        raise
    finally:
        client.authenticating = None
    log.info("Policy allowed action %s from %s", action, client.identity)
    client.authenticate()
    return (1,)


# -- SASL: much to load, and few ask for it


@session_procedure("remote.AUTH_SASL_INIT", opened=False)
def _sasl_init(client: Client) -> tuple[str]:
    from virt_remote.server import auth_sasl

    return auth_sasl.init(client)


@session_procedure("remote.AUTH_SASL_START", opened=False)
async def _sasl_start(client: Client, name: str, nothing: int, data: Any) -> tuple[int, int, Any]:
    from virt_remote.server import auth_sasl

    return await auth_sasl.start(client, name, nothing, data)


@session_procedure("remote.AUTH_SASL_STEP", opened=False)
async def _sasl_step(client: Client, nothing: int, data: Any) -> tuple[int, int, Any]:
    from virt_remote.server import auth_sasl

    return await auth_sasl.step(client, nothing, data)
