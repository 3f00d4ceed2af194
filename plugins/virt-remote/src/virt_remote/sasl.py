"""SASL mechanisms, both ends, without any input or output: SCRAM-SHA-256, DIGEST-MD5 and PLAIN; GSSAPI is in
:mod:`virt_remote.sasl_gssapi`.

Either end is a machine that is stepped with what the other end said, until it is complete; failure raises
:class:`SaslError`, whose text is for the log of the end that raised it and tells no secret::

    server = server_mechanism("SCRAM-SHA-256", users)
    answer = server.step(data)                       # bytes for the client, or None
    if server.complete: server.user, server.layer

DIGEST-MD5 (RFC 2831) is there for old peers: libvirt wants a mechanism that encrypts where the transport does not, and
of its mechanisms without Kerberos only this one does (RC4, 128 bits). A layer comes into force after the message that
completes the exchange.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
import stringprep
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar, Final, Protocol

from virt_remote.protocol import SASL_DATA_MAX, SaslError
from virtcore._tuples import NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "MECHANISMS",
    "ITERATIONS",
    "Credentials",
    "SaslClient",
    "SaslError",
    "SaslServer",
    "SecurityLayer",
    "Users",
    "best_mechanism",
    "client_mechanism",
    "credentials",
    "digest_secret",
    "prepare",
    "server_mechanism",
]

#: Rounds of PBKDF2 for new passwords; what Cyrus SASL's clients take at most is 65,536.
ITERATIONS: Final = 32768
#: The realm that DIGEST-MD5 names here.
REALM: Final = "virtcore"

_SCRAM: Final = "SCRAM-SHA-256"
_DIGEST: Final = "DIGEST-MD5"
_PLAIN: Final = "PLAIN"
_GSSAPI: Final = "GSSAPI"

#: Names of the mechanisms that need no library and no Kerberos, the most wanted first.
MECHANISMS: Final = (_SCRAM, _DIGEST, _PLAIN)

#: Bits of the key of DIGEST-MD5's encryption.
_DIGEST_SSF: Final = 128


class Credentials(NamedTuple):
    """What a server keeps of a user's password: enough to check it, not enough to be the user elsewhere."""

    salt: bytes
    iterations: int
    #: SCRAM's StoredKey and ServerKey.
    stored_key: bytes
    server_key: bytes
    #: MD5 of user, realm and password, which DIGEST-MD5 needs and which is as good as the password to whoever steals
    #: it; None where that mechanism is not to be had.
    digest: bytes | None = None


class Users(Protocol):
    """Where a server looks for users."""

    def find(self, user: str) -> Credentials | None:
        """A user's credentials; None when there is no such user."""

    def salt_of(self, user: str) -> bytes:
        """A salt for a user that is not there, always the same, so that nobody learns who is."""


class SecurityLayer(Protocol):
    """Protects what travels after the exchange."""

    #: Strength in bits.
    ssf: int

    def wrap(self, data: bytes) -> bytes:
        """Protect what is to be sent."""

    def unwrap(self, data: bytes) -> bytes:
        """Take what arrived, in whatever portions, and give what is whole of it.

        :raises SaslError: it was tampered with.
        """


class SaslServer(ABC):
    """The serving end of an exchange.

    :ivar user: who it is, when complete.
    """

    mechanism: ClassVar[str]

    def __init__(self, users: Users) -> None:
        self._users = users
        self.complete = False
        self.user: str | None = None
        self.layer: SecurityLayer | None = None

    def step(self, data: bytes | None) -> bytes | None:
        """Take what the client said (None: nothing) and give what to answer. May take long: passwords are hashed.

        :raises SaslError: the client is not who it says, or makes no sense.
        """
        if self.complete:
            raise SaslError("the exchange is over")
        return self._answer(data)

    @abstractmethod
    def _answer(self, data: bytes | None) -> bytes | None:
        """What to answer in an exchange that is not over."""

    def _rounds(self, user: str, known: Credentials | None) -> tuple[bytes, int]:
        """Salt and iterations for a user, whom nobody can tell from one that is not there."""
        return (known.salt, known.iterations) if known else (self._users.salt_of(user), ITERATIONS)


class SaslClient(Protocol):
    """The asking end of an exchange."""

    mechanism: str
    complete: bool
    layer: SecurityLayer | None

    def start(self) -> bytes | None:
        """What to say first; None for nothing."""

    def step(self, data: bytes | None) -> bytes | None:
        """Take what the server said and give what to answer.

        :raises SaslError: the server does not know the password either, or makes no sense.
        """


def prepare(text: str) -> str:
    """Prepare a name or password for comparison and hashing (SASLprep, RFC 4013).

    :raises SaslError: it has characters that are not allowed.
    """
    if text.isascii() and text.isprintable():
        return text
    mapped = "".join(" " if stringprep.in_table_c12(c) else c for c in text if not stringprep.in_table_b1(c))
    normal = unicodedata.ucd_3_2_0.normalize("NFKC", mapped)
    if any(forbidden(c) for c in normal for forbidden in _PROHIBITED):
        raise SaslError("a name or password has characters that are not allowed")
    if any(map(stringprep.in_table_d1, normal)) and (
        any(map(stringprep.in_table_d2, normal))
        or not (stringprep.in_table_d1(normal[0]) and stringprep.in_table_d1(normal[-1]))
    ):
        raise SaslError("a name or password mixes directions of writing")
    return normal


_PROHIBITED: Final[tuple[Callable[[str], bool], ...]] = (
    stringprep.in_table_a1,
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
)


def credentials(user: str, password: str, *, iterations: int = ITERATIONS, digest: bool = False) -> Credentials:
    """What to keep of a password.

    :param digest: keep what DIGEST-MD5 needs, too.
    :raises SaslError: the name or password has characters that are not allowed.
    """
    salt = secrets.token_bytes(16)
    stored, server = _scram_keys(password, salt, iterations)
    return Credentials(salt, iterations, stored, server, digest_secret(user, password) if digest else None)


def _hmac(key: bytes, data: bytes) -> bytes:
    return hmac.digest(key, data, "sha256")


def _salted(password: str, salt: bytes, iterations: int) -> bytes:
    return hashlib.pbkdf2_hmac("sha256", prepare(password).encode(), salt, iterations)


def _scram_keys(password: str, salt: bytes, iterations: int) -> tuple[bytes, bytes]:
    salted = _salted(password, salt, iterations)
    return hashlib.sha256(_hmac(salted, b"Client Key")).digest(), _hmac(salted, b"Server Key")


def _text(data: bytes) -> str:
    if len(data) > SASL_DATA_MAX:
        raise SaslError("a message of the exchange is too long")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise SaslError("a message of the exchange is not UTF-8") from None


def _nonce() -> str:
    return secrets.token_urlsafe(24)


# -- PLAIN (RFC 4616)


class PlainServer(SaslServer):
    """PLAIN: the password itself, for channels that are encrypted."""

    mechanism = _PLAIN

    def _answer(self, data: bytes | None) -> bytes | None:
        if data is None:
            return b""  # it wants to be asked
        parts = _text(data).split("\0")
        if len(parts) != 3:
            raise SaslError("not a message of PLAIN")
        authorization, user, password = parts
        user = prepare(user)
        if authorization and authorization != user:
            raise SaslError(f"user {user!r} may not act for another")
        known = self._users.find(user)
        stored, _ = _scram_keys(password, *self._rounds(user, known))
        if not hmac.compare_digest(stored, known.stored_key if known else bytes(32)) or known is None:
            raise SaslError(f"wrong password of {user!r}, or no such user")
        self.user, self.complete = user, True
        return None


class PlainClient:
    """PLAIN: the password itself, for channels that are encrypted."""

    mechanism = _PLAIN

    def __init__(self, user: str, password: str) -> None:
        self._message = f"\0{prepare(user)}\0{prepare(password)}".encode()
        self.complete = False
        self.layer: SecurityLayer | None = None

    def start(self) -> bytes | None:
        self.complete = True
        return self._message

    def step(self, data: bytes | None) -> bytes | None:
        if data:
            raise SaslError("PLAIN has no challenge")
        return None


# -- SCRAM-SHA-256 (RFC 5802, RFC 7677)


def _attributes(text: str, names: str) -> list[str]:
    """Values of the attributes that a message of SCRAM must have, in order; more may follow."""
    parts = text.split(",")
    if len(parts) < len(names) or any(part[:2] != f"{name}=" for part, name in zip(parts, names, strict=False)):
        raise SaslError(f"not a message of SCRAM with {','.join(names)}")
    return [part[2:] for part in parts[: len(names)]]


def _decoded(value: str) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except ValueError:
        raise SaslError("not base64") from None


def _encoded(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


class ScramServer(SaslServer):
    """SCRAM-SHA-256: neither end learns the password, and each proves that it knows it."""

    mechanism = _SCRAM

    def __init__(self, users: Users) -> None:
        super().__init__(users)
        self._known: Credentials | None = None
        self._name = ""
        self._header = ""
        self._first = ""
        self._sent = ""
        self._nonce = ""

    def _answer(self, data: bytes | None) -> bytes | None:
        if data is None:
            return b""
        text = _text(data)
        return (self._proof(text) if self._sent else self._begin(text)).encode()

    def _begin(self, text: str) -> str:
        channel, _, rest = text.partition(",")
        authorization, _, bare = rest.partition(",")
        if channel not in ("n", "y"):
            raise SaslError("channel binding is not offered")
        name, client = _attributes(bare, "nr")
        if re.search("=(?!2C|3D)", name) or not client:
            raise SaslError("not a message of SCRAM")
        self._name = prepare(name.replace("=2C", ",").replace("=3D", "="))
        if authorization and authorization != f"a={name}":
            raise SaslError(f"user {self._name!r} may not act for another")
        self._header = f"{channel},{authorization},"
        self._known = known = self._users.find(self._name)
        salt, iterations = self._rounds(self._name, known)
        self._first = bare
        self._nonce = client + _nonce()
        self._sent = f"r={self._nonce},s={_encoded(salt)},i={iterations}"
        return self._sent

    def _proof(self, text: str) -> str:
        without, has, proof_text = text.rpartition(",p=")
        channel, nonce = _attributes(without, "cr")
        proof = _decoded(proof_text)
        if not has or len(proof) != 32:
            raise SaslError("a proof is missing")
        if not hmac.compare_digest(nonce.encode(), self._nonce.encode()) or _decoded(channel) != self._header.encode():
            raise SaslError("the messages of the exchange do not fit together")
        signed = f"{self._first},{self._sent},{without}".encode()
        known = self._known
        stored, server = (known.stored_key, known.server_key) if known else (bytes(32), bytes(32))
        key = bytes(a ^ b for a, b in zip(proof, _hmac(stored, signed), strict=True))
        if not hmac.compare_digest(hashlib.sha256(key).digest(), stored) or known is None:
            raise SaslError(f"wrong password of {self._name!r}, or no such user")
        self.user, self.complete = self._name, True
        return f"v={_encoded(_hmac(server, signed))}"


class ScramClient:
    """SCRAM-SHA-256: neither end learns the password, and each proves that it knows it."""

    mechanism = _SCRAM

    def __init__(self, user: str, password: str) -> None:
        self._password = prepare(password)
        name = prepare(user).replace("=", "=3D").replace(",", "=2C")
        self._nonce = _nonce()
        self._first = f"n={name},r={self._nonce}"
        self._signature: bytes | None = None
        self.complete = False
        self.layer: SecurityLayer | None = None

    def start(self) -> bytes | None:
        return f"n,,{self._first}".encode()

    def step(self, data: bytes | None) -> bytes | None:
        if not data:
            if self.complete or self._signature is not None:
                raise SaslError("the server gives no proof")
            return self.start()
        text = _text(data)
        if self._signature is not None:
            (proof,) = _attributes(text, "v" if text[:2] != "e=" else "e")
            if text[:2] == "e=" or not hmac.compare_digest(_decoded(proof), self._signature):
                raise SaslError("the server does not know the password")
            self.complete = True
            return None
        nonce, salt, rounds = _attributes(text, "rsi")
        if not nonce.startswith(self._nonce) or not rounds.isdecimal() or not 4096 <= int(rounds) <= 10_000_000:
            raise SaslError("not a challenge of SCRAM that could be answered")
        salted = _salted(self._password, _decoded(salt), int(rounds))
        key = _hmac(salted, b"Client Key")
        without = f"c=biws,r={nonce}"
        signed = f"{self._first},{text},{without}".encode()
        signature = _hmac(hashlib.sha256(key).digest(), signed)
        self._signature = _hmac(_hmac(salted, b"Server Key"), signed)
        proof_bytes = bytes(a ^ b for a, b in zip(key, signature, strict=True))
        return f"{without},p={_encoded(proof_bytes)}".encode()


# -- DIGEST-MD5 (RFC 2831)

_DIRECTIVE: Final = re.compile(r'\s*,*\s*([a-z-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",]*))\s*(?:,|$)', re.DOTALL)


def _md5(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()


def _latin(text: str) -> bytes:
    """Bytes of a name or password: in ISO 8859-1 where that has all of it, as the RFC wants."""
    try:
        return text.encode("iso-8859-1")
    except UnicodeEncodeError:
        return text.encode("utf-8")


def digest_secret(user: str, password: str, realm: str = REALM) -> bytes:
    """What DIGEST-MD5 makes of a password."""
    return _md5(b":".join([_latin(prepare(user)), _latin(realm), _latin(prepare(password))]))


def _directives(data: bytes) -> dict[str, str]:
    text = _text(data)
    found: dict[str, str] = {}
    at = 0
    while at < len(text):
        match = _DIRECTIVE.match(text, at)
        if match is None or match.end() == at or match[1] in found:
            raise SaslError("not a message of DIGEST-MD5")
        at = match.end()
        found[match[1]] = re.sub(r"\\(.)", r"\1", match[2], flags=re.DOTALL) if match[2] is not None else match[3]
    return found


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


class _Exchange(NamedTuple):
    """What both ends of DIGEST-MD5 compute with."""

    nonce: str
    cnonce: str
    qop: str
    uri: str
    authorization: str

    def session_key(self, secret: bytes) -> bytes:
        """H(A1)."""
        parts = [secret, self.nonce.encode(), self.cnonce.encode()]
        return _md5(b":".join([*parts, self.authorization.encode()] if self.authorization else parts))

    def response(self, key: bytes, verb: str) -> str:
        """The proof of who knows the key; ``verb`` tells the ends apart."""
        tail = "" if self.qop == "auth" else ":" + "0" * 32
        second = _md5(f"{verb}:{self.uri}{tail}".encode()).hex()
        text = f"{key.hex()}:{self.nonce}:00000001:{self.cnonce}:{self.qop}:{second}"
        return _md5(text.encode()).hex()

    def layer(self, key: bytes, *, server: bool, limit: int) -> SecurityLayer | None:
        """What protects the rest; None for qop ``auth``."""
        if self.qop == "auth":
            return None
        return _DigestLayer(key, encrypt=self.qop == "auth-conf", server=server, limit=limit)


class _RC4:
    """The cipher that DIGEST-MD5's peers have in common."""

    __slots__ = ("_i", "_j", "_state")

    def __init__(self, key: bytes) -> None:
        state = list(range(256))
        j = 0
        for i in range(256):
            j = (j + state[i] + key[i % len(key)]) & 255
            state[i], state[j] = state[j], state[i]
        self._state = state
        self._i = self._j = 0

    def process(self, data: bytes) -> bytes:
        state, i, j = self._state, self._i, self._j
        keys = bytearray(len(data))
        for at in range(len(data)):
            i = (i + 1) & 255
            a = state[i]
            j = (j + a) & 255
            b = state[j]
            state[i] = b
            state[j] = a
            keys[at] = state[(a + b) & 255]
        self._i, self._j = i, j
        mixed = int.from_bytes(data, "big") ^ int.from_bytes(keys, "big")
        return mixed.to_bytes(len(data), "big")


class _DigestLayer:
    """Packets: length, what is sealed, message type 1, sequence number."""

    def __init__(self, key: bytes, *, encrypt: bool, server: bool, limit: int) -> None:
        self.ssf = _DIGEST_SSF if encrypt else 1
        ways = ("server-to-client", "client-to-server")
        out, into = ways if server else reversed(ways)
        self._limit = limit - 16
        self._sign, self._check = (
            _md5(key + f"Digest session key to {way} signing key magic constant".encode()) for way in (out, into)
        )
        seals = (
            _md5(key + f"Digest H(A1) to {way} sealing key magic constant".encode()) for way in (out, into)
        )  # the whole of H(A1) for RC4 with 128 bits
        self._seal, self._open = (_RC4(seal) if encrypt else None for seal in seals)
        self._sent = self._received = 0
        self._buffer = bytearray()

    @staticmethod
    def _mac(key: bytes, number: int, data: bytes) -> bytes:
        return hmac.digest(key, number.to_bytes(4, "big") + data, "md5")[:10]

    def wrap(self, data: bytes) -> bytes:
        packets = []
        for at in range(0, len(data), self._limit):
            part = data[at : at + self._limit]
            number, self._sent = self._sent, self._sent + 1 & 0xFFFFFFFF
            sealed = part + self._mac(self._sign, number, part)
            if self._seal is not None:
                sealed = self._seal.process(sealed)
            packets += [(len(sealed) + 6).to_bytes(4, "big"), sealed, b"\0\1", number.to_bytes(4, "big")]
        return b"".join(packets)

    def unwrap(self, data: bytes) -> bytes:
        self._buffer += data
        whole = []
        while len(self._buffer) >= 4:
            size = int.from_bytes(self._buffer[:4], "big")
            if not 16 <= size <= SASL_DATA_MAX:
                raise SaslError(f"a protected packet of {size} bytes")
            if len(self._buffer) < 4 + size:
                break
            packet = bytes(self._buffer[4 : 4 + size])
            del self._buffer[: 4 + size]
            number, self._received = self._received, self._received + 1 & 0xFFFFFFFF
            sealed = packet[:-6] if self._open is None else self._open.process(packet[:-6])
            part, mac = sealed[:-10], sealed[-10:]
            if packet[-6:] != b"\0\1" + number.to_bytes(4, "big") or not hmac.compare_digest(
                mac, self._mac(self._check, number, part)
            ):
                raise SaslError("a protected packet was tampered with")
            whole.append(part)
        return b"".join(whole)


def _qops(ssf: int) -> list[str]:
    """What DIGEST-MD5 may be used for when the layer must have so many bits; the strongest first."""
    return ["auth-conf", "auth-int", "auth"][: 1 if ssf > 1 else 2 if ssf == 1 else 3]


class DigestServer(SaslServer):
    """DIGEST-MD5, with protection of what follows."""

    mechanism = _DIGEST

    def __init__(self, users: Users, ssf: int = 0) -> None:
        super().__init__(users)
        self._qops = _qops(ssf)
        self._nonce = _nonce()
        self._asked = False

    def _answer(self, data: bytes | None) -> bytes | None:
        if not self._asked:
            if data:
                raise SaslError("DIGEST-MD5 without a challenge is not offered")
            self._asked = True
            return (
                f'realm="{REALM}",nonce="{self._nonce}",qop="{",".join(reversed(self._qops))}",'
                f'cipher="rc4",maxbuf={SASL_DATA_MAX},charset=utf-8,algorithm=md5-sess'
            ).encode()
        return self._check(_directives(data or b""))

    def _check(self, said: dict[str, str]) -> bytes:
        user = prepare(said.get("username", ""))
        qop = said.get("qop", "auth")
        exchange = _Exchange(
            said.get("nonce", ""), said.get("cnonce", ""), qop, said.get("digest-uri", ""), said.get("authzid", "")
        )
        limit = said.get("maxbuf", str(SASL_DATA_MAX))
        if (
            not hmac.compare_digest(exchange.nonce.encode(), self._nonce.encode())
            or said.get("realm", "") != REALM
            or said.get("nc") != "00000001"
            or not exchange.cnonce
            or qop not in self._qops
            or (qop == "auth-conf" and said.get("cipher") != "rc4")
            or not exchange.uri.startswith("libvirt/")
            or not limit.isdecimal()
            or not 16 < int(limit) <= 0xFFFFFF
        ):
            raise SaslError("not an answer to the challenge")
        if exchange.authorization and exchange.authorization != user:
            raise SaslError(f"user {user!r} may not act for another")
        known = self._users.find(user)
        secret = known.digest if known is not None else None
        key = exchange.session_key(secret or secrets.token_bytes(16))
        wanted = exchange.response(key, "AUTHENTICATE")
        if not hmac.compare_digest(wanted.encode(), said.get("response", "").encode()) or secret is None:
            raise SaslError(f"wrong password of {user!r}, or no such user")
        self.user, self.complete = user, True
        self.layer = exchange.layer(key, server=True, limit=min(int(limit), SASL_DATA_MAX))
        return f"rspauth={exchange.response(key, '')}".encode()


class DigestClient:
    """DIGEST-MD5, with protection of what follows.

    :param host: the server's name, as the user said it.
    :param ssf: bits that the layer must have.
    """

    mechanism = _DIGEST

    def __init__(self, user: str, password: str, host: str, ssf: int = 0) -> None:
        self._user = prepare(user)
        self._password = password
        self._host = host
        self._qops = _qops(ssf)
        self._exchange: _Exchange | None = None
        self._key = b""
        self._limit = SASL_DATA_MAX
        self.complete = False
        self.layer: SecurityLayer | None = None

    def start(self) -> bytes | None:
        return None

    def step(self, data: bytes | None) -> bytes | None:
        said = _directives(data or b"")
        if self._exchange is not None:
            wanted = self._exchange.response(self._key, "")
            if not hmac.compare_digest(wanted.encode(), said.get("rspauth", "").encode()):
                raise SaslError("the server does not know the password")
            self.layer = self._exchange.layer(self._key, server=False, limit=self._limit)
            self.complete = True
            return None
        offered = re.split(r"[\s,]+", said.get("qop", "auth"))
        ciphers = re.split(r"[\s,]+", said.get("cipher", ""))
        usable = [q for q in self._qops if q in offered and (q != "auth-conf" or "rc4" in ciphers)]
        limit = said.get("maxbuf", str(SASL_DATA_MAX))
        if not usable or not said.get("nonce") or said.get("algorithm") != "md5-sess" or not limit.isdecimal():
            raise SaslError("the server offers no protection that is wanted here")
        self._limit = max(min(int(limit), SASL_DATA_MAX), 17)
        realm = said.get("realm", "")
        self._exchange = exchange = _Exchange(said["nonce"], _nonce(), usable[0], f"libvirt/{self._host}", "")
        self._key = exchange.session_key(digest_secret(self._user, self._password, realm))
        answer = [
            f"username={_quoted(self._user)}",
            f"realm={_quoted(realm)}",
            f"nonce={_quoted(exchange.nonce)}",
            f"cnonce={_quoted(exchange.cnonce)}",
            "nc=00000001",
            f"qop={exchange.qop}",
            *(["cipher=rc4"] if exchange.qop == "auth-conf" else []),
            f"maxbuf={SASL_DATA_MAX}",
            f"digest-uri={_quoted(exchange.uri)}",
            f"response={exchange.response(self._key, 'AUTHENTICATE')}",
            "charset=utf-8",
        ]
        return ",".join(answer).encode()


# -- choosing


def usable_mechanisms(*, encrypted: bool, ssf: int = 0, kerberos: bool = False) -> list[str]:
    """Mechanisms that may be used on a channel.

    :param encrypted: the channel is (TLS), or does not leave the host.
    :param ssf: bits of encryption that the mechanism must bring where the channel has none.
    :param kerberos: there are the library, and tickets or keys.
    """
    first = [_GSSAPI] if kerberos else []
    if encrypted:
        return [*first, *MECHANISMS]
    return [*first, _DIGEST] if ssf > 0 else [*first, _SCRAM, _DIGEST]


def best_mechanism(
    offered: Sequence[str], wanted: str | None, *, encrypted: bool, ssf: int = 0, kerberos: bool = False
) -> str:
    """The mechanism that a client picks.

    :param wanted: the one that the user asked for.
    :raises SaslError: none of what is offered may be used.
    """
    names = {name.upper() for name in offered}
    for name in usable_mechanisms(encrypted=encrypted, ssf=ssf, kerberos=kerberos):
        if name in names and (wanted is None or wanted.upper() == name):
            return name
    raise SaslError("no mechanism available")


def server_mechanism(name: str, users: Users, ssf: int = 0, keytab: Path | None = None) -> SaslServer:
    """The serving end of a mechanism.

    :param ssf: bits of protection that it must bring.
    :param keytab: the keys of the service in Kerberos.
    :raises SaslError: there is no such mechanism.
    """
    match name:
        case "GSSAPI" if keytab is not None:
            from virt_remote.sasl_gssapi import GssapiServer

            return GssapiServer(users, keytab, ssf)
        case "SCRAM-SHA-256":
            return ScramServer(users)
        case "DIGEST-MD5":
            return DigestServer(users, ssf)
        case "PLAIN":
            return PlainServer(users)
    raise SaslError(f"no mechanism {name!r}")


def client_mechanism(name: str, user: str, password: str, host: str, ssf: int = 0) -> SaslClient:
    """The asking end of a mechanism.

    :param host: the server's name.
    :param ssf: bits of protection that it must bring.
    :raises SaslError: there is no such mechanism, or the name or password has characters that are not allowed.
    """
    match name:
        case "GSSAPI":
            from virt_remote.sasl_gssapi import GssapiClient

            return GssapiClient(host, ssf)
        case "SCRAM-SHA-256":
            return ScramClient(user, password)
        case "DIGEST-MD5":
            return DigestClient(user, password, host, ssf)
        case "PLAIN":
            return PlainClient(user, password)
    raise SaslError(f"no mechanism {name!r}")
