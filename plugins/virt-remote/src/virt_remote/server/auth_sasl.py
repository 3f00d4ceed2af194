"""Authentication by SASL."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from virt_remote.protocol import AUTH_SASL, SASL_DATA_MAX, SaslError
from virt_remote.sasl import SaslServer, server_mechanism, usable_mechanisms
from virt_remote.sasl_gssapi import is_available, keytab_of
from virt_remote.server.procedures import failed
from virt_remote.server.tls import is_allowed

if TYPE_CHECKING:
    from pathlib import Path

    from virt_remote.server.client import Client

__all__ = ["init", "start", "step"]

log = logging.getLogger("virtcored.auth")


def init(client: Client) -> tuple[str]:
    """A client asks for the mechanisms."""
    if client.auth != AUTH_SASL or client.authenticated or client.authenticating is not None:
        log.error("client tried invalid SASL init request")
        raise failed()
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


async def start(client: Client, name: str, nothing: int, data: Any) -> tuple[int, int, Any]:
    """It has chosen one."""
    if client.auth != AUTH_SASL or client.authenticating != "sasl":
        log.error("client tried invalid SASL start request")
        raise failed()
    if name not in _mechanisms(client):
        log.warning("%s wants mechanism '%.40s', which may not be used here", client.identity, name)
        client.authenticating = None
        raise failed()
    client.authenticating = server_mechanism(name, client.server.daemon.users, _needed(client), _keytab(client))
    return await _step(client, client.authenticating, nothing, data)


async def step(client: Client, nothing: int, data: Any) -> tuple[int, int, Any]:
    """It goes on with that."""
    mechanism = client.authenticating
    if client.auth != AUTH_SASL or mechanism is None or isinstance(mechanism, str):
        log.error("client tried invalid SASL step request")
        raise failed()
    return await _step(client, mechanism, nothing, data)


async def _step(client: Client, mechanism: SaslServer, nothing: int, data: Any) -> tuple[int, int, Any]:
    client.authenticating = "sasl step"  # one at a time
    said = None if nothing else bytes(data)
    try:
        if said is not None and len(said) > SASL_DATA_MAX:
            raise SaslError(f"sasl start reply data too long {len(said)}")
        answer = await asyncio.to_thread(mechanism.step, said)  # hashing a password takes a while
        if mechanism.complete and not is_allowed(mechanism.user, client.server.settings.sasl_allowed_username_list):
            raise SaslError(f"user {mechanism.user!r} is not in sasl_allowed_username_list")
    except SaslError as error:
        log.warning("authentication of %s failed: %s", client.identity, error)
        client.authenticating = None
        raise failed() from None
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
