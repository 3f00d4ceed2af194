"""Messages of libvirt's protocol with something wrong in them, the same for the same source of chance."""

from __future__ import annotations

import random
import struct
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final

from virt_remote.protocol import (
    BODY,
    CALL,
    CALL_WITH_FDS,
    CONTINUE,
    ERROR,
    EVENT,
    HEADER,
    OK,
    PING,
    PONG,
    REPLY,
    STREAM,
    STREAM_HOLE,
    hole,
)
from virtcore.enums.common import TypedParameterType
from virtcore.operations.procedures import Procedure, program, type_record
from virtcore.operations.wire.codec import WireError, codec
from virtcore.types import TypedParameters
from wholedriver import value_of

#: What must show in no log.
PASSWORD: Final = "xyzzy-5eCr3t"
#: Lengths and numbers that programs get wrong.
NUMBERS: Final = (
    *(0, 1, 3, 27, 28, 31, 32, 33, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x10000, 4194304, 4194305, 33554436, 33554437),
    *(0x7FFFFFFF, 0x80000000, 0xFFFFFFFF),
)
#: Names and texts that programs get wrong. A real driver writes files so called: two folders up is as far as they go.
TEXTS: Final = (
    *("", "good", "../../up", "a\nb", "-x", "%s%n", "x" * 5000, "\udcff", "<a>&b;", "good;ls"),
    *("(" * 2000, "a{99999999999}"),
)
#: Names of typed parameters.
PARAMETERS: Final = ("path", "vcpu_quota", "destination_name", "destination_xml", "maxWorkers", "nclients_max", "x")
#: Programs that a client can find at the other end.
PROGRAMS: Final = ("remote", "qemu", "lxc", "admin")
SIGNED: Final = tuple(number - 2**32 if number >= 2**31 else number for number in NUMBERS)


def calls_of(name: str) -> list[Procedure]:
    return [row for row in program(name).procedures() if row.kind == "call"]


REMOTE: Final = (program("remote").number, program("remote").version)
ROWS: Final = {
    (program(name).number, program(name).version, row.number): row for name in PROGRAMS for row in calls_of(name)
}


# -- right ones, to begin with


def _parameters(source: random.Random) -> TypedParameters:
    values: dict[TypedParameterType, Callable[[], Any]] = {
        TypedParameterType.INT: lambda: source.choice(SIGNED),
        TypedParameterType.UINT: lambda: source.choice(NUMBERS),
        TypedParameterType.LLONG: lambda: source.choice(SIGNED),
        TypedParameterType.ULLONG: lambda: source.getrandbits(64),
        TypedParameterType.DOUBLE: lambda: source.choice((0.0, -1.0, float("inf"), float("nan"))),
        TypedParameterType.BOOLEAN: lambda: True,
        TypedParameterType.STRING: lambda: source.choice(TEXTS),
    }
    rows = []
    for _ in range(source.randrange(6)):
        kind = source.choice(list(values))
        rows.append((source.choice(PARAMETERS), kind, values[kind]()))
    return TypedParameters(rows)


def _argument(row: Procedure, field: str, kind: str, source: random.Random) -> Any:
    """Something of the right type to call a procedure with, more often than not something that makes sense."""
    plain = kind.rstrip("?").removeprefix("admin_").removeprefix("remote_").removeprefix("nonnull_")
    odd = source.random() < 0.3
    if field in ("password", "value", "data") and plain in ("string", "opaque<65536>", "char<65536>"):
        return PASSWORD if plain == "string" else PASSWORD.encode()
    if plain == "server":
        return (source.choice(TEXTS) if odd else source.choice(("virtcored", "admin")),)
    if plain == "client":
        return (("virtcored",), source.randrange(1, 9), 0, 0)
    if "typed_param" in plain and plain.endswith(">"):
        return _parameters(source) if odd else TypedParameters()
    if plain in ("int", "hyper"):
        return source.choice(SIGNED) if odd else source.randrange(3)
    if plain in ("uint", "uhyper"):
        return source.choice((1 << source.randrange(31), *NUMBERS)) if odd else source.choice((0, 0, 1, 2))
    if plain == "string" and odd:
        return source.choice(TEXTS)
    if row.program == "admin":
        return "good"
    return value_of(row.program, field, kind, 0)


def _body(row: Procedure, source: random.Random) -> bytes:
    if row.args is None:
        return b""
    _, _, *fields = type_record(row.program, row.args).split(" ")
    values = [_argument(row, *text.partition(":")[::2], source) for text in fields]
    try:
        return codec(row.program, row.args).encode(tuple(values))
    except WireError:  # a text too long for this one
        return _body(row, source)


# -- what is wrong with them


def damaged(data: bytes, source: random.Random) -> bytes:
    """The same with a few things wrong in it."""
    made = bytearray(data)
    for _ in range(source.randint(1, 4)):
        size = len(made)
        at = source.randrange(size + 1)
        match source.randrange(7):
            case 0 if at < size:
                made[at] = source.randrange(256)
            case 1 if at < size:
                made[at] ^= 1 << source.randrange(8)
            case 2 | 3 if size >= 4:
                struct.pack_into(">I", made, min(at & ~3, size - 4), source.choice(NUMBERS))
            case 4:
                del made[at:]
            case 5:
                made += source.randbytes(4 * source.randint(1, 10))
            case _:
                made[at:at] = source.randbytes(4)
    return bytes(made)


#: Where a header has words that say nothing about where a message ends: program, version, procedure, serial, status.
_WORDS: Final = (4, 8, 12, 20, 24)

Key = tuple[int, int, int]


class WrongFrames:
    """Makes messages.

    :ivar kinds: how many there were of each kind.
    """

    def __init__(self, source: random.Random, variants: int = 6) -> None:
        self.source = source
        self.kinds: Counter[str] = Counter()
        self._calls: dict[str, list[tuple[Key, bytes]]] = {}
        for name in PROGRAMS:
            owner = program(name)
            self._calls[name] = [
                ((owner.number, owner.version, row.number), _body(row, source))
                for row in calls_of(name)
                for _ in range(variants)
            ]
        self._bodies = [body for rows in self._calls.values() for _, body in rows]
        #: Those after which more can come: streams and registrations for events.
        self._beginnings = [
            (key, body)
            for key, body in self._calls["remote"]
            if ROWS[key].stream is not None or "REGISTER" in ROWS[key].name
        ]

    def flow(
        self,
        programs: Sequence[str],
        streams: Sequence[tuple[int, int, int, int]] = (),
        give: Callable[[int], None] | None = None,
    ) -> bytes:
        """Some messages in a row. In a few short ones the end of a message, too, is not where it should be.

        :param programs: whose procedures are called.
        :param streams: open ones, as program, version, procedure and serial.
        :param give: has so many descriptors come along; None where none can.
        """
        source = self.source
        if source.random() > 0.12:
            count = source.choice((1, 3, 20, 90))
            return b"".join(self._message(programs, streams, give) for _ in range(count))
        parts = [self._message(programs, streams, give) for _ in range(source.choice((1, 2, 5)))]
        at = source.randrange(len(parts))
        last = parts[-1]
        match source.randrange(7):
            case 0 | 1:
                size = len(parts[at])
                lie = source.choice((size - 4, size + 4, size - 1, size + 1, *NUMBERS)) & 0xFFFFFFFF
                parts[at] = struct.pack(">I", lie) + parts[at][4:]
                self.kinds["a length that lies"] += 1
            case 2 | 3:
                parts[-1] = last[: source.randrange(1, len(last))]
                self.kinds["no end"] += 1
            case 4:
                parts.insert(at, source.randbytes(source.randrange(1, 300)))
                self.kinds["noise"] += 1
            case 5:
                parts[at] = _sized(bytearray(damaged(parts[at], source)))
                self.kinds["damage anywhere"] += 1
            case _:
                announced, came = source.choice(NUMBERS), source.randrange(4)
                if give is not None:
                    give(came)
                body = struct.pack(">I", announced) + source.choice(self._bodies)
                head = HEADER.pack(BODY + len(body), *source.choice(self._beginnings)[0], CALL_WITH_FDS, OK, 3)
                parts.insert(at, head + body + bytes(came))
                self.kinds["descriptors that lie"] += 1
        return b"".join(parts)

    def _message(
        self,
        programs: Sequence[str],
        streams: Sequence[tuple[int, int, int, int]],
        give: Callable[[int], None] | None,
    ) -> bytes:
        """One message, most often with something wrong in it, that ends where it says."""
        source = self.source
        draw = source.random()
        kind, status, serial = CALL, OK, source.choice((0, 1, 7, 0xFFFFFFFF, source.getrandbits(32)))
        key, body = source.choice(self._calls[source.choice(programs)])
        named, tail = "calls", b""
        if draw < 0.10 and streams:
            *words, serial = source.choice(streams)
            key = (words[0], words[1], words[2])
            kind = source.choice((STREAM, STREAM, STREAM, STREAM_HOLE))
            status = source.choice((CONTINUE, CONTINUE, CONTINUE, OK, ERROR, source.choice(SIGNED)))
            body = hole(source.randrange(9999)) if kind == STREAM_HOLE else source.randbytes(source.randrange(40))
            named = "packets of streams"
        elif draw < 0.13:
            self.kinds["signs of life"] += 1
            frame = source.choice((PING, PONG))
            return (
                frame if source.random() < 0.5 else frame[:12] + damaged(frame[12:16], source)[:4].ljust(4) + frame[16:]
            )
        elif draw < 0.16:
            kind = source.choice((REPLY, EVENT, STREAM, STREAM_HOLE, 7, 8, -1))
            status = source.choice(SIGNED)
            named = "types that are not a client's"
        elif draw < 0.35 and give is not None:
            count = source.randrange(4)
            give(count)
            kind, tail = CALL_WITH_FDS, bytes(count)
            named = "calls with descriptors"
        elif draw < 0.45:
            key, body = source.choice(self._beginnings)
            named = "streams and registrations"
        draw = source.random()
        if draw < 0.5 and body:
            body = damaged(body, source)
        elif draw < 0.55:
            body = source.choice(self._bodies)  # another procedure's
        if kind == CALL_WITH_FDS:
            body = struct.pack(">I", len(tail)) + body
        self.kinds[named] += 1
        frame = HEADER.pack(BODY + len(body), *key, kind, serial, status) + body
        if source.random() < 0.08:
            changed = bytearray(frame)
            struct.pack_into(">I", changed, source.choice(_WORDS), source.choice(NUMBERS))
            frame = bytes(changed)
        return frame + tail


def _sized(frame: bytearray) -> bytes:
    """A message whose length is what it says."""
    frame += bytes(max(BODY - len(frame), 0))
    struct.pack_into(">I", frame, 0, len(frame))
    return bytes(frame)
