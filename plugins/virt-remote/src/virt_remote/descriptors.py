"""Sockets of this host that carry descriptors beside their bytes, for either end.

libvirt sends a message and after it one byte for each descriptor, which the descriptor is attached to. Received ones
are kept in order until the message is whole whose they are; what is to be sent waits for its byte's turn. Whoever
drives the socket (asyncio's transports, or a thread) goes on to call :meth:`~socket.socket.recv` and
:meth:`~socket.socket.send`; they cost nothing more until the first descriptor is expected or sent.

They are the sockets that the module :mod:`socket` builds on; it makes enumerations of some two hundred constants first,
which takes longer than a call.
"""

from __future__ import annotations

import _socket
import os
import sys

from virt_remote.protocol import FDS_MAX
from virtcore._typing import Any, Final, Iterable, Sequence
from virtcore.errors import SystemError

__all__ = ["DescriptorSocket", "close_all", "copies"]

#: Bytes of a descriptor.
_INT: Final = 4


def close_all(descriptors: Iterable[int]) -> None:
    """Close descriptors that nobody wants any more."""
    for descriptor in descriptors:
        os.close(descriptor)


def copies(descriptors: Sequence[int]) -> list[int]:
    """Copies of descriptors, which are closed when they were sent.

    :raises SystemError: one is none.
    """
    made: list[int] = []
    try:
        for descriptor in descriptors:
            made.append(os.dup(descriptor))
    except OSError as error:
        close_all(made)
        raise SystemError(f"Unable to duplicate FD {descriptor}: {error.strerror}") from None
    return made


class DescriptorSocket(_socket.socket):
    """A socket that can pass descriptors.

    :ivar received: descriptors that came and were not taken yet; closed with the socket.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.received: list[int] = []
        #: Descriptors to send, each with the number of bytes that go before its own.
        self._outgoing: list[tuple[int, int]] = []

    @classmethod
    def of(cls, sock: _socket.socket) -> DescriptorSocket:
        """The same socket, which becomes one that can."""
        return cls(fileno=sock.detach())

    def expect(self) -> None:
        """From now on descriptors may come; before, those that come are closed."""
        self.recv = self._receive  # type: ignore[method-assign]

    def take(self, count: int) -> list[int]:
        """The next descriptors that came, for whoever closes them then.

        :raises LookupError: so many have not come.
        """
        if count > len(self.received):
            raise LookupError(f"{count} descriptors announced, {len(self.received)} came")
        taken, self.received = self.received[:count], self.received[count:]
        return taken

    def attach(self, descriptors: Sequence[int], ahead: int) -> None:
        """Send descriptors with the bytes that follow the next ``ahead`` ones, one each. They are closed when sent."""
        before = sum(gap + 1 for gap, _ in self._outgoing)
        for at, descriptor in enumerate(descriptors):
            self._outgoing.append((ahead - before if at == 0 else 0, descriptor))
        if self._outgoing:
            self.send = self._send  # type: ignore[method-assign]
            self.sendmsg = self._send_parts  # type: ignore[method-assign]

    def _receive(self, size: int, flags: int = 0) -> bytes:
        data, ancillary, _, _ = self.recvmsg(size, _socket.CMSG_SPACE(FDS_MAX * _INT), flags | _socket.MSG_CMSG_CLOEXEC)
        for level, kind, raw in ancillary:
            if level == _socket.SOL_SOCKET and kind == _socket.SCM_RIGHTS:
                self.received.extend(memoryview(raw[: len(raw) - len(raw) % _INT]).cast("i"))
        if len(self.received) > FDS_MAX:  # more than one message has: nobody will take them
            close_all(self.received)
            self.received.clear()
            raise OSError("too many descriptors")
        return data

    def _send(self, data: Any, flags: int = 0) -> int:
        view = memoryview(data)
        gap, descriptor = self._outgoing[0]
        if gap:
            sent = super().send(view[:gap], flags)
            self._outgoing[0] = (gap - sent, descriptor)
            return sent
        rights = (_socket.SOL_SOCKET, _socket.SCM_RIGHTS, descriptor.to_bytes(_INT, sys.byteorder))
        sent = super().sendmsg([view[:1]], [rights], flags)
        if sent:
            del self._outgoing[0]
            os.close(descriptor)
            if not self._outgoing:
                del self.send, self.sendmsg
        return sent

    def _send_parts(self, parts: Iterable[Any], *rest: Any) -> int:
        # How asyncio writes what waited; the rest of it comes again.
        return self._send(next(iter(parts)))

    def sendall(self, data: Any, flags: int = 0) -> None:
        view = memoryview(data)
        while len(view) and self._outgoing:
            view = view[self.send(view) :]
        super().sendall(view, flags)

    def close(self) -> None:
        close_all(self.received)
        close_all(descriptor for _, descriptor in self._outgoing)
        self.received.clear()
        self._outgoing.clear()
        super().close()
