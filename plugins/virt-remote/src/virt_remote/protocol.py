"""The RPC protocol without any input or output: framing, headers, and the state of either end.

A message is a length word (which counts itself), a header of six words and a body::

    length | program | version | procedure | type | serial | status | body...

Bytes go into :meth:`Frames.feed`, whole messages come out; what is to be sent is bytes the caller writes wherever it
likes, so that the asyncio ends and a blocking socket share all of this. Descriptors travel beside the message: one byte
each after its end, with the descriptor attached; whoever reads the socket collects them.
"""

from __future__ import annotations

from struct import Struct

from virtcore._tuples import NamedTuple
from virtcore._typing import Any, Final, Generic, Sequence, TypeVar
from virtcore.operations.procedures import Procedure
from virtcore.operations.wire.codec import WireError, codec

__all__ = [
    "BODY",
    "STREAM_CHUNK",
    "ClientState",
    "Frames",
    "Message",
    "ProtocolError",
    "Received",
    "SaslError",
    "asks_for_holes",
    "error_body",
    "hole",
    "hole_length",
    "pack",
    "with_files",
    "without_files",
]

#: Most bytes of a message of SASL's exchange (``REMOTE_AUTH_SASL_DATA_MAX``).
SASL_DATA_MAX: Final = 65536

# Message types.
CALL: Final = 0
REPLY: Final = 1
EVENT: Final = 2
STREAM: Final = 3
CALL_WITH_FDS: Final = 4
REPLY_WITH_FDS: Final = 5
STREAM_HOLE: Final = 6

# Message statuses.
OK: Final = 0
ERROR: Final = 1
CONTINUE: Final = 2

#: The seven words at the start of a message.
HEADER: Final = Struct(">IIIiiIi")
#: Where the body begins.
BODY: Final = HEADER.size
#: Most bytes of a message, its length word included.
MESSAGE_MAX: Final = 33554436
#: Most bytes of data in one packet of a stream; every version of libvirt takes them.
STREAM_CHUNK: Final = 262120
#: Most descriptors beside one message.
FDS_MAX: Final = 32

_LENGTH: Final = Struct(">I")
_WITH_DESCRIPTORS: Final = (CALL_WITH_FDS.to_bytes(4, "big"), REPLY_WITH_FDS.to_bytes(4, "big"))

# Methods of authentication (``remote_auth_type``).
AUTH_NONE: Final = 0
AUTH_SASL: Final = 1
AUTH_POLKIT: Final = 2

#: The flag of an open call that wants no more than to look (``VIR_CONNECT_RO``).
READONLY: Final = 1

KEEPALIVE_PROGRAM: Final = 0x6B656570
KEEPALIVE_PING: Final = 1
KEEPALIVE_PONG: Final = 2
#: What answers a keepalive request.
PONG: Final = HEADER.pack(BODY, KEEPALIVE_PROGRAM, 1, KEEPALIVE_PONG, EVENT, 0, OK)
#: What asks whether the other end is still there.
PING: Final = HEADER.pack(BODY, KEEPALIVE_PROGRAM, 1, KEEPALIVE_PING, EVENT, 0, OK)


class ProtocolError(Exception):
    """The other end broke the protocol: nothing after this can be understood, the connection has to end."""


class SaslError(Exception):
    """SASL's exchange failed: a wrong password, an unknown user, or what is no message of the mechanism."""


class Message(NamedTuple):
    """A received message."""

    program: int
    version: int
    procedure: int
    type: int
    serial: int
    status: int
    #: The whole message; the body begins at :data:`BODY` (four bytes later, after their count, with descriptors).
    data: bytes

    @property
    def body(self) -> bytes:
        """What follows the header."""
        return self.data[BODY:]


def unpack(data: bytes) -> Message:
    """The message of a whole frame."""
    _, program_number, version, procedure, kind, serial, status = HEADER.unpack_from(data)
    return Message(program_number, version, procedure, kind, serial, status, data)


def pack(
    program_number: int, version: int, procedure: int, kind: int, serial: int, status: int, body: bytes = b""
) -> bytes:
    """The bytes of a message.

    :raises ProtocolError: it is longer than the protocol allows.
    """
    size = BODY + len(body)
    if size > MESSAGE_MAX:
        raise ProtocolError(f"message of {size} bytes, {MESSAGE_MAX} allowed")
    return HEADER.pack(size, program_number, version, procedure, kind, serial, status) + body


def with_files(
    program_number: int, version: int, procedure: int, kind: int, serial: int, files: int, body: bytes
) -> bytes:
    """The bytes of a message that is followed by bytes with descriptors, one each.

    :raises ProtocolError: it is longer than the protocol allows, or there are too many.
    """
    if files > FDS_MAX:
        raise ProtocolError(f"{files} descriptors, {FDS_MAX} allowed")
    return pack(program_number, version, procedure, kind, serial, OK, _LENGTH.pack(files) + body)


def without_files(frame: bytes) -> tuple[bytes, int]:
    """What a message that announces descriptors is without them, and how many it announces."""
    (count,) = _LENGTH.unpack_from(frame, BODY)
    kind = CALL if frame[16:20] == _WITH_DESCRIPTORS[0] else REPLY
    return frame[:16] + _LENGTH.pack(kind) + frame[20:BODY] + frame[BODY + 4 :], count


class Frames:
    """Cuts a flow of bytes into messages. Holds no more than one message beside what was fed last.

    :ivar limit: most bytes that a message may have; to be lowered for peers that are not trusted yet.
    """

    __slots__ = ("_buffer", "_wanted", "limit")

    def __init__(self, limit: int = MESSAGE_MAX) -> None:
        self.limit = limit
        self._buffer = bytearray()
        self._wanted = 4  # bytes the buffer must have before looking is worth while

    def feed(self, data: bytes) -> list[bytes]:
        """Whole messages, in order.

        :raises ProtocolError: a length is impossible.
        """
        if not self._buffer:
            # Most often data is exactly one message: no copy.
            size = len(data)
            if BODY <= size <= self.limit:
                first = _LENGTH.unpack_from(data)[0]
                if first == size and data[16:20] not in _WITH_DESCRIPTORS:
                    return [data]
        buffer = self._buffer
        buffer += data
        found: list[bytes] = []
        at = 0
        end = len(buffer)
        if end < self._wanted:
            return found
        while end - at >= 4:
            size = _LENGTH.unpack_from(buffer, at)[0]
            if not BODY <= size <= self.limit:
                raise ProtocolError(f"message of {size} bytes, between {BODY} and {self.limit} allowed")
            whole = size
            if end - at >= 20 and buffer[at + 16 : at + 20] in _WITH_DESCRIPTORS:
                whole += self._descriptors(buffer, at, size)
            self._wanted = whole
            if end - at < whole:
                break
            found.append(bytes(buffer[at : at + size]))
            at += whole
            self._wanted = 4
        del buffer[:at]
        return found

    @property
    def pending(self) -> int:
        """Bytes of a message that is not whole yet."""
        return len(self._buffer)

    @staticmethod
    def _descriptors(buffer: bytearray, at: int, size: int) -> int:
        """How many descriptors (and bytes that carry them) follow a message of one of the types with descriptors."""
        if size < BODY + 4:
            raise ProtocolError("message ends before its count of descriptors")
        if len(buffer) - at < BODY + 4:
            return 0  # not known yet
        count: int = _LENGTH.unpack_from(buffer, at + BODY)[0]
        if count > FDS_MAX:
            raise ProtocolError(f"{count} descriptors, {FDS_MAX} allowed")
        return count


def error_body(code: int, domain: int, message: str, level: int, template: str | None, detail: str | None) -> bytes:
    """The body of an error reply. Texts that cannot travel (NUL, too long) are cut."""
    texts = [None if text is None else text.replace("\0", "?")[:1_000_000] for text in (message, template, detail)]
    return codec("rpc", "virNetMessageError").encode(
        (code, domain, texts[0], level, None, texts[1], texts[2], None, -1, -1, None)
    )


T = TypeVar("T")


class Received(NamedTuple, Generic[T]):
    """A message that a client received, and what its call was registered with (None for events, and for replies with
    descriptors that nobody waits for)."""

    message: Message
    token: T | None


class ClientState(Generic[T]):
    """What the asking end keeps: serials, which calls wait for replies, which streams are open."""

    def __init__(self) -> None:
        self._frames = Frames()
        self._serial = 0
        self._waiting: dict[int, tuple[int, int, T]] = {}
        self._streams: dict[int, tuple[int, int, T]] = {}
        #: Bytes that want to be sent: answers to keepalive requests.
        self.outgoing = bytearray()

    def call(
        self, program_number: int, version: int, procedure: int, body: bytes, token: T, files: int = 0
    ) -> tuple[int, bytes]:
        """Register a call; gives its serial and the bytes to send.

        :param files: how many descriptors travel with the bytes that follow these.
        """
        serial = self._serial
        if files:
            data = with_files(program_number, version, procedure, CALL_WITH_FDS, serial, files, body)
        else:
            data = pack(program_number, version, procedure, CALL, serial, OK, body)
        self._serial = (serial + 1) & 0xFFFFFFFF
        self._waiting[serial] = (program_number, procedure, token)
        return serial, data

    def forget(self, serial: int) -> None:
        """Nobody waits for this call any more; its reply is dropped."""
        self._waiting.pop(serial, None)

    def open_stream(self, serial: int, program_number: int, procedure: int, token: T) -> None:
        """Let packets of the stream that a call opened through to ``token``."""
        self._streams[serial] = (program_number, procedure, token)

    def close_stream(self, serial: int) -> None:
        """Drop what still comes for a stream."""
        self._streams.pop(serial, None)

    def stream_packet(self, serial: int, status: int, data: bytes, kind: int = STREAM) -> bytes:
        """The bytes of a packet of an open stream."""
        program_number, procedure, _ = self._streams[serial]
        return pack(program_number, 1, procedure, kind, serial, status, data)

    def tokens(self) -> list[T]:
        """What every waiting call and open stream was registered with, for telling them that the connection ended."""
        return [token for _, _, token in (*self._waiting.values(), *self._streams.values())]

    def feed(self, data: bytes) -> list[Received[T]]:
        """What arrived for calls, streams and events. Replies that nobody waits for are dropped.

        :raises ProtocolError: the connection has to end.
        """
        found: list[Received[T]] = []
        for frame in self._frames.feed(data):
            message = unpack(frame)
            if message.program == KEEPALIVE_PROGRAM:
                if message.procedure == KEEPALIVE_PING:
                    self.outgoing += PONG
                found.append(Received(message, None))
            elif message.type in (REPLY, REPLY_WITH_FDS):
                known = self._waiting.pop(message.serial, None)
                if known is None:
                    if message.type == REPLY_WITH_FDS:
                        found.append(Received(message, None))  # its descriptors have to be closed
                else:
                    if known[:2] != (message.program, message.procedure):
                        raise ProtocolError(
                            f"reply {message.serial} is of procedure {message.procedure}, not {known[1]}"
                        )
                    found.append(Received(message, known[2]))
            elif message.type in (STREAM, STREAM_HOLE):
                known = self._streams.get(message.serial)
                if known is not None and known[:2] == (message.program, message.procedure):
                    found.append(Received(message, known[2]))
            elif message.type == EVENT:
                found.append(Received(message, None))
            else:
                raise ProtocolError(f"message of type {message.type} from a server")
        return found


def asks_for_holes(row: Procedure, arguments: Sequence[Any]) -> bool:
    """Whether a call that opens a stream wants holes carried as such. Flags come last wherever there are some."""
    return bool(row.sparse and arguments[-1] & row.sparse)


def hole(length: int) -> bytes:
    """The body of the packet that stands for a hole in a stream."""
    return codec("rpc", "virNetStreamHole").encode((length, 0))


def hole_length(data: bytes, at: int = BODY) -> int:
    """The length of a hole.

    :raises ProtocolError: the packet is none, or its length is negative.
    """
    try:
        (length, _), _ = codec("rpc", "virNetStreamHole").decode(data, at)
    except WireError as error:
        raise ProtocolError(f"unreadable hole: {error}") from None
    if length < 0:
        raise ProtocolError(f"a hole of {length} bytes")
    return int(length)


def decode_error(data: bytes, at: int = BODY) -> tuple[Any, ...]:
    """The fields of an error body: code, domain, message, level, domain object, str1, str2, str3, int1, int2, network.

    :raises ProtocolError: it is none.
    """
    try:
        fields: tuple[Any, ...] = codec("rpc", "virNetMessageError").decode(data, at)[0]
    except WireError as error:
        raise ProtocolError(f"unreadable error: {error}") from None
    return fields
