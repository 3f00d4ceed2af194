"""Authentication: until a client has authenticated it may call nothing but what authenticates."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

from virt_remote.protocol import AUTH_NONE, AUTH_POLKIT, AUTH_SASL
from virt_remote.sasl import DATA_MAX, SaslError, SaslServer, server_mechanism, usable_mechanisms
from virt_remote.sasl_gssapi import is_available, keytab_of
from virt_remote.server.procedures import session_procedure
from virt_remote.server.tls import is_allowed
from virtcore.errors import AuthFailed, ErrorDomain, VirtError

if TYPE_CHECKING:
    from pathlib import Path

    from virt_remote.server.client import Client

__all__ = ["BEFORE_AUTHENTICATION", "METHODS"]

log = logging.getLogger("virtcored.auth")

#: Methods by the names that settings have for them.
METHODS: Final = {"none": AUTH_NONE, "sasl": AUTH_SASL, "polkit": AUTH_POLKIT}

#: What may be called before.
BEFORE_AUTHENTICATION: Final = frozenset(
    f"remote.AUTH_{name}" for name in ("LIST", "SASL_INIT", "SASL_START", "SASL_STEP", "POLKIT")
)


def _failed() -> AuthFailed:
    return AuthFailed("authentication failed", domain=ErrorDomain.RPC)


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
        raise _failed()
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


# -- SASL


@session_procedure("remote.AUTH_SASL_INIT", opened=False)
def _sasl_init(client: Client) -> tuple[str]:
    if client.auth != AUTH_SASL or client.authenticated or client.authenticating is not None:
        log.error("client tried invalid SASL init request")
        raise _failed()
    client.authenticating = "sasl"
    return (",".join(_mechanisms(client)),)


def _keytab(client: Client) -> Path | None:
    """The daemon's keys in Kerberos, where it has some and the library."""
    keytab = keytab_of(client.server.settings.sasl_keytab_file, client.server.daemon.places.config)
    return keytab if keytab is not None and is_available() else None


def _needed(client: Client) -> int:
    """Bits of protection that the mechanism must bring."""
    return 0 if client.protected else client.server.settings.tcp_min_ssf


def _mechanisms(client: Client) -> list[str]:
    kerberos = _keytab(client) is not None
    return usable_mechanisms(encrypted=client.protected, ssf=_needed(client), kerberos=kerberos)


@session_procedure("remote.AUTH_SASL_START", opened=False)
async def _sasl_start(client: Client, name: str, nothing: int, data: Any) -> tuple[int, int, Any]:
    if client.auth != AUTH_SASL or client.authenticating != "sasl":
        log.error("client tried invalid SASL start request")
        raise _failed()
    if name not in _mechanisms(client):
        log.warning("%s wants mechanism '%.40s', which may not be used here", client.identity, name)
        client.authenticating = None
        raise _failed()
    client.authenticating = server_mechanism(name, client.server.users, _needed(client), _keytab(client))
    return await _step(client, client.authenticating, nothing, data)


@session_procedure("remote.AUTH_SASL_STEP", opened=False)
async def _sasl_step(client: Client, nothing: int, data: Any) -> tuple[int, int, Any]:
    mechanism = client.authenticating
    if client.auth != AUTH_SASL or mechanism is None or isinstance(mechanism, str):
        log.error("client tried invalid SASL step request")
        raise _failed()
    return await _step(client, mechanism, nothing, data)


async def _step(client: Client, mechanism: SaslServer, nothing: int, data: Any) -> tuple[int, int, Any]:
    client.authenticating = "sasl step"  # one at a time
    said = None if nothing else bytes(data)
    try:
        if said is not None and len(said) > DATA_MAX:
            raise SaslError(f"sasl start reply data too long {len(said)}")
        answer = await asyncio.to_thread(mechanism.step, said)  # hashing a password takes a while
        if mechanism.complete and not is_allowed(mechanism.user, client.server.settings.sasl_allowed_username_list):
            raise SaslError(f"user {mechanism.user!r} is not in sasl_allowed_username_list")
    except SaslError as error:
        log.warning("authentication of %s failed: %s", client.identity, error)
        client.authenticating = None
        raise _failed() from None
    except BaseException:
        client.authenticating = None
        raise
    if mechanism.complete:
        client.authenticating = None
        client.authenticate(sasl=mechanism.user)
        if mechanism.layer is not None:
            client.protect(mechanism.layer)
    else:
        client.authenticating = mechanism
    return (int(mechanism.complete), int(answer is None), answer or b"")
