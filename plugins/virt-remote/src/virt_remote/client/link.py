"""An open way to a daemon: a socket and what protects the bytes on it, before any protocol and without asyncio.

Whoever owns the link drives it: a thread that blocks (:meth:`Link.send`, :meth:`Link.receive`), or the core loop, which
takes the socket over in the middle of the conversation and goes on with the same layers.
"""

from __future__ import annotations

import _socket
import select
import time

from virt_remote.descriptors import DescriptorSocket, copies
from virt_remote.protocol import ProtocolError, without_files
from virtcore import errors
from virtcore._typing import Callable, Final, Protocol, Sequence
from virtcore.errors import RPC, InternalError, OperationTimeout, SystemError

__all__ = ["Expired", "Layer", "Link", "ReplyWithFiles", "Waker", "Woken", "await_start", "carry", "reason_of"]

_CHUNK: Final = 262144


class ReplyWithFiles(bytes):
    """A reply as it would be without the descriptors that came with it, and these, for its receiver to close."""

    files: Sequence[int]


class Layer(Protocol):
    """Protects what travels: TLS or a SASL security layer, without input and output."""

    ssf: int

    def wrap(self, data: bytes) -> bytes:
        """What to send for ``data``."""

    def unwrap(self, data: bytes) -> bytes:
        """What arrived, of bytes in whatever portions.

        :raises Exception: it was tampered with.
        """


def reason_of(error: BaseException | None) -> str:
    """The system's words for what went wrong with a socket."""
    return getattr(error, "strerror", None) or (str(error) if error is not None else "") or "Input/output error"


def _pair() -> tuple[_socket.socket, _socket.socket]:
    """Two sockets that are connected with each other."""
    if hasattr(_socket, "socketpair"):
        return _socket.socketpair()
    import socket

    return socket.socketpair()


class Waker:
    """Ends a blocked :meth:`Link.receive` from another thread."""

    __slots__ = ("_inner", "_outer")

    def __init__(self) -> None:
        self._outer, self._inner = _pair()

    def fileno(self) -> int:
        return self._inner.fileno()

    def wake(self) -> None:
        """Wake the thread that waits, or the next one that does."""
        self._outer.send(b"!")

    def close(self) -> None:
        """Give the descriptors back."""
        self._outer.close()
        self._inner.close()


class Expired(OperationTimeout):
    """The daemon did not answer in time."""


class Woken(Exception):
    """The wait ended because another thread said so."""


class Link:
    """A stream socket to a daemon.

    :ivar layers: what protects it, the outermost (TLS) first.
    :ivar secure: it cannot be listened to: it is local, or an encrypting program carries it.
    """

    __slots__ = ("_complaint", "_on_close", "layers", "secure", "socket")

    def __init__(
        self,
        sock: _socket.socket,
        *,
        secure: bool = False,
        on_close: Callable[[], None] | None = None,
        complaint: Callable[[], str] | None = None,
    ) -> None:
        self.socket = sock
        self.layers: list[Layer] = []
        self.secure = secure
        self._on_close = on_close
        self._complaint = complaint

    @property
    def encrypted(self) -> bool:
        """Whether a layer encrypts."""
        return any(layer.ssf > 1 for layer in self.layers)

    @property
    def passes_files(self) -> bool:
        """Whether the socket can pass descriptors, and nothing is between it and us."""
        return not self.layers and isinstance(self.socket, DescriptorSocket)

    def expect_files(self) -> bool:
        """Have descriptors received from now on, where they can be. Whether that is so."""
        if self.layers or not isinstance(self.socket, DescriptorSocket):
            return False
        self.socket.expect()
        return True

    def attach_files(self, files: Sequence[int], ahead: int) -> None:
        """Send copies of descriptors, one with each byte that follows the next ``ahead`` ones.

        :raises InternalError: the socket cannot.
        """
        if not isinstance(self.socket, DescriptorSocket):
            raise InternalError(
                "Sending file descriptors is not supported on this socket", domain=errors.ErrorDomain.RPC
            )
        self.socket.attach(copies(files), ahead)

    def with_files(self, frame: bytes) -> ReplyWithFiles:
        """A reply that announces descriptors, and these.

        :raises ProtocolError: they have not come.
        """
        data, count = without_files(frame)
        if not isinstance(self.socket, DescriptorSocket):
            raise ProtocolError("Receiving file descriptors is not supported on this socket")
        reply = ReplyWithFiles(data)
        try:
            reply.files = self.socket.take(count)
        except LookupError as error:
            raise ProtocolError(str(error)) from None
        return reply

    def wrap(self, data: bytes) -> bytes:
        """Bytes for the socket."""
        for layer in reversed(self.layers):
            data = layer.wrap(data)
        return data

    def unwrap(self, data: bytes) -> bytes:
        """Bytes from the socket.

        :raises RPC: they are not what a layer made of anything.
        """
        try:
            for layer in self.layers:
                data = layer.unwrap(data)
        except Exception as error:  # noqa: BLE001  # every layer has its own
            raise RPC(f"Failed to decode SASL data or TLS record: {error}", domain=errors.ErrorDomain.RPC) from None
        return data

    def end_of_file(self, error: BaseException | None = None) -> SystemError:
        """The error for a connection that ended, with what the program that carried it had to say."""
        said = ""
        if self._complaint is not None:  # how its sockets broke says nothing, the program itself perhaps more
            said, error = self._complaint(), None
        text = ": ".join(["End of file while reading data", *([said] if said else []), reason_of(error)])
        return SystemError(text, domain=errors.ErrorDomain.RPC)

    # -- blocking

    def send(self, data: bytes) -> None:
        """Send all of ``data``.

        :raises SystemError: the connection ended.
        """
        try:
            self.socket.sendall(self.wrap(data))
        except OSError as error:
            if self._complaint is not None:
                raise self.end_of_file() from None
            raise SystemError(f"Cannot write data: {reason_of(error)}", domain=errors.ErrorDomain.RPC) from None

    def receive(self, end: float | None = None, waker: Waker | None = None) -> bytes:
        """What comes next, in the clear; empty when layers keep it all.

        :param end: when (monotonic clock) to stop waiting.
        :raises Expired: nothing came in time.
        :raises SystemError: the connection ended.
        :raises RPC: what came was tampered with.
        :raises Woken: the waker was used.
        """
        if end is not None or waker is not None:
            self._wait(end, waker)
        try:
            data = self.socket.recv(_CHUNK)
        except OSError as error:
            raise self.end_of_file(error) from None
        if not data:
            raise self.end_of_file()
        return self.unwrap(data) if self.layers else data

    def _wait(self, end: float | None, waker: Waker | None) -> None:
        seconds = None if end is None else max(end - time.monotonic(), 0)
        sources: list[_socket.socket | Waker] = [self.socket] if waker is None else [self.socket, waker]
        if hasattr(select, "poll"):
            poll = select.poll()
            for source in sources:
                poll.register(source, select.POLLIN)
            ready = {number for number, _ in poll.poll(None if seconds is None else seconds * 1000)}
        else:
            ready = {source.fileno() for source in select.select(sources, [], [], seconds)[0]}
        if waker is not None and waker.fileno() in ready:
            raise Woken
        if not ready:
            raise Expired("the daemon did not answer in time", domain=errors.ErrorDomain.RPC)

    def close(self) -> None:
        """End it; may be called twice."""
        try:
            self.socket.shutdown(_socket.SHUT_RDWR)
        except OSError:
            pass  # it was not connected any more
        self.socket.close()
        self.closed()

    def also_close(self, function: Callable[[], object]) -> None:
        """Have something end with the connection."""
        before = self._on_close

        def both() -> None:
            if before is not None:
                before()
            function()

        self._on_close = both

    def closed(self) -> None:
        """The socket was closed by whoever took it over: end what carried it."""
        on_close, self._on_close = self._on_close, None
        if on_close is not None:
            on_close()


def await_start(link: Link, end: float | None) -> None:
    """See whether a daemon answers at the other end: each answers a keepalive question before anybody authenticates.

    :raises SystemError: nothing does.
    """
    from virt_remote.protocol import PING

    link.send(PING)
    answer = b""
    while len(answer) < len(PING):
        answer += link.receive(end)


def carry(
    receive: Callable[[], bytes], send: Callable[[bytes], object], shut: Callable[[], object]
) -> tuple[_socket.socket, Callable[[], None]]:
    """A socket for a channel that has none, and what ends it: two threads carry the bytes to and fro.

    :param receive: blocks for bytes; empty at the end, or raises OSError or EOFError.
    :param send: takes all of what it is given.
    :param shut: says that no more is sent.
    """
    import threading

    ours, theirs = _pair()
    running = [2]
    lock = threading.Lock()

    def ended() -> None:
        with lock:
            running[0] -= 1
            last = not running[0]
        if last:
            theirs.close()

    def come() -> None:
        try:
            while data := receive():
                theirs.sendall(data)
        except (OSError, EOFError):
            pass  # seen as the end, below
        finally:
            _shut(theirs, _socket.SHUT_WR)
            ended()

    def go() -> None:
        try:
            while data := theirs.recv(_CHUNK):
                send(data)
            shut()
        except (OSError, EOFError):
            _shut(theirs, _socket.SHUT_RDWR)
        finally:
            ended()

    for function in (come, go):
        threading.Thread(target=function, name="virt-remote-carry", daemon=True).start()
    return ours, lambda: _shut(theirs, _socket.SHUT_RDWR)


def _shut(sock: _socket.socket, how: int) -> None:
    try:
        sock.shutdown(how)
    except OSError:
        pass  # the other side was first
