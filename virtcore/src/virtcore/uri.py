"""Connection URIs: ``scheme[+transport]://[user@][host][:port]/path[?name=value[&name=value...]][#fragment]``.

:class:`URI` is the generic form, parsed and written as libvirt does (RFC 3986); :class:`ConnectionURI` adds what a
connection reads out of it. Only the standard library's core is used: a one-shot command pays for nothing else.
"""

from __future__ import annotations

from virtcore import errors
from virtcore._tuples import NamedTuple
from virtcore._typing import Self
from virtcore.errors import InternalError, InvalidArg, NoConnect

__all__ = ["URI", "ConnectionURI", "format_params", "percent_decode", "percent_encode"]

_ALPHA = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
_DIGITS = frozenset("0123456789")
_HEX = frozenset("0123456789ABCDEFabcdef")
_UNRESERVED = _ALPHA | _DIGITS | frozenset("-._~")
_SUB_DELIMS = frozenset("!$&'()*+,;=")
_SCHEME = _ALPHA | _DIGITS | frozenset("+-.")
_PCHAR = _UNRESERVED | _SUB_DELIMS | frozenset(":@")
_USER = _UNRESERVED | _SUB_DELIMS | frozenset(":")
_HOST = _UNRESERVED | _SUB_DELIMS
_QUERY = _PCHAR | frozenset("/?")
_FRAGMENT = _QUERY | frozenset("[]")

# What stays as it is when a component is written again.
_MARKS = _UNRESERVED | frozenset("!*'()")
_WRITE_USER = _MARKS | frozenset(";:&=+$,")
_WRITE_PATH = _MARKS | frozenset("/;@&=+$,")
_WRITE_FRAGMENT = _MARKS | frozenset(";/?:@&=+$,[]")

_MAX_PORT = 2**31 - 1
_MISSING_SLASH = frozenset(["qemu", "vbox", "vz"])


def percent_encode(text: str, keep: frozenset[str] = _UNRESERVED) -> str:
    """Write every character outside ``keep`` as the ``%XX`` of its UTF-8 bytes."""
    return "".join(
        char if char in keep else "".join(f"%{byte:02X}" for byte in char.encode("utf-8", "surrogateescape"))
        for char in text
    )


def percent_decode(text: str) -> str:
    """Read ``%XX`` as bytes of UTF-8; what is not UTF-8 survives as surrogate escapes."""
    if "%" not in text:
        return text
    head, *rest = text.split("%")
    out = bytearray(head.encode("utf-8", "surrogateescape"))
    for part in rest:
        if len(part) >= 2 and part[0] in _HEX and part[1] in _HEX:
            out.append(int(part[:2], 16))
            out += part[2:].encode("utf-8", "surrogateescape")
        else:
            out += b"%" + part.encode("utf-8", "surrogateescape")
    return out.decode("utf-8", "surrogateescape")


class URI(NamedTuple):
    """A URI in its components, percent-decoded but for ``query``, which is kept as written.

    ``server`` is without the brackets of an IPv6 address. Absent components are None, an absent port 0.
    """

    scheme: str | None = None
    user: str | None = None
    server: str | None = None
    port: int = 0
    path: str | None = None
    query: str | None = None
    fragment: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Split a URI or relative reference.

        :raises InternalError: it is not one (libvirt's code and message).
        """

        def component(part: str, allowed: frozenset[str]) -> str:
            if not allowed.issuperset(part.replace("%", "")):
                raise _unparsable(text)
            pieces = part.split("%")[1:]
            if any(len(piece) < 2 or piece[0] not in _HEX or piece[1] not in _HEX for piece in pieces):
                raise _unparsable(text)
            if any(piece.startswith("00") for piece in pieces):  # no component of ours can hold a NUL
                raise _unparsable(text)
            return part

        rest, hash_mark, fragment = text.partition("#")
        rest, question_mark, query = rest.partition("?")
        scheme, colon, tail = rest.partition(":")
        if colon and "/" not in scheme:
            if not scheme or scheme[0] not in _ALPHA or not _SCHEME.issuperset(scheme):
                raise _unparsable(text)
        else:
            scheme, tail = "", rest
        user = server = ""
        has_user = False
        port = 0
        path = tail
        if tail.startswith("//"):
            authority, slash, after = tail[2:].partition("/")
            path = slash + after
            userinfo, at_sign, host = authority.rpartition("@")
            has_user = bool(at_sign)
            user = percent_decode(component(userinfo, _USER))
            server, port = _host_and_port(host, text)
            server = percent_decode(server if server.startswith("[") else component(server, _HOST))
            if server.startswith("[") and ":" in server:
                server = server[1:-1]
        return cls(
            scheme or None,
            user if has_user else None,
            server or None,
            port if server else 0,
            percent_decode(component(path, _PCHAR | {"/"})) or None,
            component(query, _QUERY) if question_mark else None,
            percent_decode(component(fragment, _FRAGMENT)) if hash_mark else None,
        )

    def params(self) -> tuple[tuple[str, str], ...]:
        """The query's parameters in order.

        They are separated by ``&``, or by ``;`` where no ``&`` follows; a name without ``=`` has an empty value;
        a value without a name is ignored.
        """
        found: list[tuple[str, str]] = []
        rest = self.query or ""
        while rest:
            separator = "&" if "&" in rest else ";"
            item, _, rest = rest.partition(separator)
            name, _, value = item.partition("=")
            if name:
                found.append((percent_decode(name), percent_decode(value)))
        return tuple(found)

    def format(self) -> str:
        """The URI as libvirt writes it."""
        out = [f"{self.scheme}:" if self.scheme is not None else ""]
        if self.scheme is not None or self.server is not None:
            out.append("//")
        if self.server is not None:
            if self.user is not None:
                out.append(percent_encode(self.user, _WRITE_USER) + "@")
            out.append(f"[{self.server}]" if ":" in self.server else self.server)
            if self.port > 0:
                out.append(f":{self.port}")
        if self.path is not None:
            out.append(percent_encode(self.path, _WRITE_PATH))
        if self.query is not None:
            out.append(f"?{self.query}")
        if self.fragment is not None:
            out.append("#" + percent_encode(self.fragment, _WRITE_FRAGMENT))
        return "".join(out)


def _host_and_port(text: str, uri: str) -> tuple[str, int]:
    """Split ``host[:port]``; an IPv6 address keeps its brackets."""
    if text.startswith("["):
        literal, bracket, port = text.partition("]")
        if not bracket or not _HOST.union(":[%").issuperset(literal):
            raise _unparsable(uri)
        host, colon, digits = literal + "]", port[:1], port[1:]
        if port and colon != ":":
            raise _unparsable(uri)
    else:
        host, colon, digits = text.partition(":")
    if not colon:
        return host, 0
    if not digits or not _DIGITS.issuperset(digits) or len(digits) > 10 or int(digits) > _MAX_PORT:
        raise _unparsable(uri)
    return host, int(digits)


def _unparsable(text: str) -> InternalError:
    return InternalError(f"Unable to parse URI {text}", domain=errors.ErrorDomain.URI)


def format_params(params: tuple[tuple[str, str], ...]) -> str:
    """Write query parameters."""
    return "&".join(f"{name}={percent_encode(value)}" for name, value in params)


class ConnectionURI(NamedTuple):
    """What a connection's URI says.

    :ivar scheme: the hypervisor, without transport.
    :ivar transport: name after ``+`` in lower case, or None.
    :ivar host: host name or address (IPv6 without brackets), or None.
    :ivar port: TCP port, or None.
    :ivar path: decoded; empty when absent.
    :ivar query: parameters in order, decoded.
    :ivar raw_query: the query as it was written, which counts as long as it says the same.
    """

    scheme: str
    transport: str | None = None
    user: str | None = None
    host: str | None = None
    port: int | None = None
    path: str = ""
    query: tuple[tuple[str, str], ...] = ()
    fragment: str | None = None
    raw_query: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a connection URI. ``xen`` and ``xen://`` stand for ``xen:///system``.

        :raises InternalError: it cannot be parsed, or a slash is missing (``qemu://system``).
        :raises NoConnect: it has no scheme.
        """
        if text.lower() == "xen" or text == "xen://":
            text = "xen:///system"
        uri = URI.parse(text)
        if uri.scheme is None:
            raise NoConnect(f"URI '{text}' does not include a driver name")
        if uri.path and uri.scheme in _MISSING_SLASH and uri.server in ("session", "system"):
            raise InternalError(f"invalid URI {text} (maybe you want {uri.scheme}:///{uri.server})")
        scheme, _, transport = uri.scheme.partition("+")
        return cls(
            scheme,
            transport.lower() or None,
            uri.user,
            uri.server,
            uri.port or None,
            uri.path or "",
            uri.params(),
            uri.fragment,
            uri.query,
        )

    def get(self, name: str) -> str | None:
        """First value of a query parameter, whose name is matched without regard to case."""
        for known, value in self.query:
            if known.lower() == name.lower():
                return value
        return None

    def require(self, name: str) -> str:
        """First value of a query parameter.

        :raises InvalidArg: it is missing.
        """
        value = self.get(name)
        if value is None:
            raise InvalidArg(f"Missing URI parameter '{name}'", domain=errors.ErrorDomain.URI)
        return value

    def without(self, names: frozenset[str]) -> Self:
        """The URI less the query parameters of these lower-case names."""
        return self._replace(query=tuple(pair for pair in self.query if pair[0].lower() not in names))

    def __str__(self) -> str:
        raw = URI(query=self.raw_query)
        return URI(
            self.scheme if self.transport is None else f"{self.scheme}+{self.transport}",
            self.user,
            self.host,
            self.port or 0,
            self.path or None,
            raw.query if raw.params() == self.query else format_params(self.query) or None,
            self.fragment,
        ).format()

    @property
    def redacted(self) -> str:
        """The URI for messages and logs: without the password that some write behind the user."""
        return str(self if self.user is None else self._replace(user=self.user.partition(":")[0]))

    def __repr__(self) -> str:
        return f"ConnectionURI({self.redacted!r})"
