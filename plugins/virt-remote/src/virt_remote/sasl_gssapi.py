"""The SASL mechanism GSSAPI (RFC 4752), with Kerberos: both ends, over the library ``gssapi``, which is an extra
(``pip install virt-remote[gssapi]``).

Here nobody asks for a password: the client has a ticket, the server a key in its keytab.
"""

from __future__ import annotations

import functools
import os
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from virt_remote.protocol import SASL_DATA_MAX, SaslError
from virt_remote.sasl import SaslServer

if TYPE_CHECKING:
    from virt_remote.sasl import SecurityLayer

__all__ = ["GssapiClient", "GssapiServer", "has_ticket", "is_available", "keytab_of"]

#: The service of a principal such as ``libvirt/host.example.com``.
_SERVICE: Final = "libvirt"
#: Kinds of protection: bits of the mechanism.
_NONE, _INTEGRITY, _CONFIDENTIALITY = 1, 2, 4
#: Bits of the key of Kerberos' encryption today.
_SSF: Final = 256


@functools.cache
def is_available() -> bool:
    """Whether the library is there."""
    try:
        _library()
    except (ImportError, OSError):
        return False
    return True


def _library() -> Any:
    return import_module("gssapi")


def _failure(error: Exception) -> SaslError:
    return SaslError(" ".join(str(error).split()))


def _kinds(ssf: int) -> int:
    """Protection that may be chosen when it must have so many bits."""
    return _CONFIDENTIALITY if ssf > 1 else _CONFIDENTIALITY | _INTEGRITY | (_NONE if ssf == 0 else 0)


class _Layer:
    """Packets: length, what the context sealed."""

    def __init__(self, context: Any, kind: int, limit: int) -> None:
        self.ssf = _SSF if kind == _CONFIDENTIALITY else 1
        self._context = context
        self._encrypt = kind == _CONFIDENTIALITY
        self._portion = max(int(context.get_wrap_size_limit(limit, self._encrypt)), 1)
        self._buffer = bytearray()

    def wrap(self, data: bytes) -> bytes:
        packets = []
        for at in range(0, len(data), self._portion):
            sealed = self._context.wrap(data[at : at + self._portion], self._encrypt).message
            packets += [len(sealed).to_bytes(4, "big"), sealed]
        return b"".join(packets)

    def unwrap(self, data: bytes) -> bytes:
        self._buffer += data
        whole = []
        while len(self._buffer) >= 4:
            size = int.from_bytes(self._buffer[:4], "big")
            if not 0 < size <= SASL_DATA_MAX:
                raise SaslError(f"a protected packet of {size} bytes")
            if len(self._buffer) < 4 + size:
                break
            packet = bytes(self._buffer[4 : 4 + size])
            del self._buffer[: 4 + size]
            whole.append(_unwrapped(self._context, packet, encrypted=self._encrypt))
        return b"".join(whole)


def _unwrapped(context: Any, packet: bytes, *, encrypted: bool = False) -> bytes:
    gssapi = _library()

    try:
        found = context.unwrap(packet)
    except gssapi.exceptions.GSSError as error:
        raise _failure(error) from None
    if encrypted and not found.encrypted:
        raise SaslError("a protected packet is not encrypted")
    message: bytes = found.message
    return message


def _flags(gssapi: Any) -> Any:
    flag = gssapi.RequirementFlag
    return flag.mutual_authentication | flag.integrity | flag.confidentiality | flag.out_of_sequence_detection


class GssapiServer(SaslServer):
    """The serving end.

    :param keytab: the file with the service's keys.
    :param ssf: bits that the layer must have.
    """

    mechanism = "GSSAPI"

    def __init__(self, users: Any, keytab: Path, ssf: int = 0) -> None:
        super().__init__(users)
        self._keytab = keytab
        self._kinds = _kinds(ssf)
        self._context: Any = None
        self._offered = False

    def _answer(self, data: bytes | None) -> bytes | None:
        gssapi = _library()

        if self._context is None:
            if not data:
                return b""  # the client begins
            try:
                keys = gssapi.Credentials(usage="accept", store={"keytab": str(self._keytab)})
                self._context = gssapi.SecurityContext(creds=keys, usage="accept")
            except gssapi.exceptions.GSSError as error:
                raise _failure(error) from None
        if not self._context.complete:
            try:
                token: bytes | None = self._context.step(data or b"")
            except gssapi.exceptions.GSSError as error:
                raise _failure(error) from None
            if token:
                return token
            if not self._context.complete:
                raise SaslError("the exchange does not go on")
        if not self._offered:
            self._offered = True
            offer = bytes([self._kinds]) + SASL_DATA_MAX.to_bytes(3, "big")
            sealed: bytes = self._context.wrap(offer, False).message
            return sealed
        self._choose(_unwrapped(self._context, data or b""))
        return None

    def _choose(self, choice: bytes) -> None:
        if len(choice) < 4 or choice[0] not in (_NONE, _INTEGRITY, _CONFIDENTIALITY) or not choice[0] & self._kinds:
            raise SaslError("no protection that was offered")
        user = str(self._context.initiator_name)
        wanted = choice[4:].decode("utf-8", "replace")
        if wanted and wanted not in (user, user.partition("@")[0]):
            raise SaslError(f"user {user!r} may not act for another")
        limit = int.from_bytes(choice[1:4], "big")
        if choice[0] != _NONE:
            if limit < 1024:
                raise SaslError(f"packets of {limit} bytes are too small")
            self.layer = _Layer(self._context, choice[0], min(limit, SASL_DATA_MAX))
        self.user, self.complete = user, True


class GssapiClient:
    """The asking end: who we are is what the ticket says.

    :param host: the server's name, as the user said it.
    :param ssf: bits that the layer must have.
    """

    mechanism = "GSSAPI"

    def __init__(self, host: str, ssf: int = 0) -> None:
        gssapi = _library()

        self._kinds = _kinds(ssf)
        self._chose = False
        self.complete = False
        self.layer: SecurityLayer | None = None
        service = gssapi.Name(f"{_SERVICE}@{host}", gssapi.NameType.hostbased_service)
        self._context = gssapi.SecurityContext(name=service, usage="initiate", flags=_flags(gssapi))

    def start(self) -> bytes | None:
        return self._step(None)

    def _step(self, data: bytes | None) -> bytes | None:
        gssapi = _library()

        try:
            token: bytes | None = self._context.step(data) if data else self._context.step()
        except gssapi.exceptions.GSSError as error:
            raise _failure(error) from None
        return token or b""

    def step(self, data: bytes | None) -> bytes | None:
        if not self._context.complete:
            return self._step(data)
        if self._chose:
            raise SaslError("the exchange is over")
        offer = _unwrapped(self._context, data or b"")
        if len(offer) != 4:
            raise SaslError("no offer of protection")
        kind = next((one for one in (_CONFIDENTIALITY, _INTEGRITY, _NONE) if one & self._kinds & offer[0]), None)
        if kind is None:
            raise SaslError("the server offers no protection that is wanted here")
        limit = int.from_bytes(offer[1:4], "big")
        if kind != _NONE:
            self.layer = _Layer(self._context, kind, min(limit, SASL_DATA_MAX))
        self._chose = self.complete = True
        choice = bytes([kind]) + (SASL_DATA_MAX if kind != _NONE else 0).to_bytes(3, "big")
        sealed: bytes = self._context.wrap(choice, False).message
        return sealed


def has_ticket() -> bool:
    """Whether this user has a ticket that could be shown."""
    gssapi = _library()

    try:
        return int(gssapi.Credentials(usage="initiate").lifetime or 1) > 0
    except gssapi.exceptions.GSSError:
        return False


def keytab_of(given: str | None, folder: Path) -> Path | None:
    """The file with the daemon's keys: as the settings say, else ``krb5.tab`` beside them; None without any."""
    path = Path(given) if given else folder / "krb5.tab"
    return path if os.access(path, os.R_OK) else None
