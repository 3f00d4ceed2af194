"""Reaching a daemon: from an address to an open link, by every transport. Blocks; loads no asyncio."""

from __future__ import annotations

import _socket
import os
import sys
import time

from virt_remote.client.address import Address
from virt_remote.client.credentials import Asker
from virt_remote.client.link import Link, carry, reason_of
from virt_remote.descriptors import DescriptorSocket
from virtcore import errors
from virtcore._typing import TYPE_CHECKING, Callable, Sequence
from virtcore.errors import InvalidArg, SystemError

if TYPE_CHECKING:
    import subprocess
    from typing import IO

__all__ = ["program_link", "reach", "unix_link"]


def reach(address: Address, ask: Asker | None, end: float | None = None) -> Link:
    """Connect to a daemon; TLS and ssh are done, SASL is not.

    :param end: when (monotonic clock) to give up.
    :raises VirtError: nothing answers there, or one side does not trust the other.
    """
    match address.transport:
        case "unix":
            from virt_remote.client.autostart import open_local

            return open_local(address)
        case "tcp":
            return _host_link(address, end)
        case "tls":
            from virt_remote.client.tls import start_tls

            link = _host_link(address, end)
            try:
                start_tls(link, address, end)
            except BaseException:
                link.close()
                raise
            return link
        case "ssh":
            from virt_remote.client.ssh import system_ssh

            return system_ssh(address, ask, end)
        case "libssh" | "libssh2":
            from virt_remote.client.ssh_library import library_ssh

            return library_ssh(address, ask, end)
        case "ext":
            return program_link([address.get("command") or ""])
    raise InvalidArg(f"transport '{address.transport}' is not served", domain=errors.ErrorDomain.REMOTE)


def unix_link(path: str) -> Link:
    """A socket of this host.

    :raises SystemError: nobody listens there.
    """
    if not hasattr(_socket, "AF_UNIX"):
        raise InvalidArg(
            "transport methods unix, ssh and ext are not supported under Windows", domain=errors.ErrorDomain.REMOTE
        )
    sock = DescriptorSocket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        sock.connect(path)
    except OSError as error:
        sock.close()
        raise SystemError(
            f"Failed to connect socket to '{path}': {reason_of(error)}", domain=errors.ErrorDomain.RPC
        ) from None
    return Link(sock, secure=True)


def _host_link(address: Address, end: float | None) -> Link:
    import socket

    seconds = None if end is None else max(end - time.monotonic(), 0.001)
    try:
        sock = socket.create_connection((address.host, address.port), timeout=seconds)
    except OSError as error:
        raise SystemError(
            f"unable to connect to server at '{address.host}:{address.port}': {reason_of(error)}",
            domain=errors.ErrorDomain.RPC,
        ) from None
    sock.settimeout(None)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    return Link(sock)


class _Complaints:
    """What a program says on its standard error: the last of it, for the error of a connection that ended.

    Its thread alone has the pipe, which others keep open that the program leaves behind, and closes it at its end.
    """

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        import threading

        pipe, process.stderr = process.stderr, None
        assert pipe is not None
        self._text = bytearray()
        self._thread = threading.Thread(target=self._read, args=(pipe,), name="virt-remote-stderr", daemon=True)
        self._thread.start()

    def _read(self, pipe: IO[bytes]) -> None:
        with pipe:
            while data := os.read(pipe.fileno(), 4096):
                self._text = (self._text + data)[-4096:]

    def __call__(self) -> str:
        self._thread.join(2)  # the connection ended: so does the program, and with it what it says
        return self._text.decode("utf-8", "replace").strip()


def program_link(argv: Sequence[str], *, secure: bool = False, environment: dict[str, str] | None = None) -> Link:
    """A program whose standard input and output lead to the daemon.

    It is started here, not by the launcher of the core: it belongs to the user's terminal, where ssh asks for
    passwords, and runs on systems without Linux's processes.

    :raises SystemError: it cannot be started.
    """
    import socket
    import subprocess

    sock: _socket.socket | None = None
    try:
        if sys.platform == "win32":
            process = subprocess.Popen(
                argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
            )
            assert process.stdin is not None
            assert process.stdout is not None
            output, into = process.stdout.fileno(), process.stdin
            sock, _ = carry(lambda: os.read(output, 65536), _writer(into.fileno()), into.close)
        else:
            sock, theirs = socket.socketpair()
            with theirs:
                process = subprocess.Popen(
                    argv, stdin=theirs.fileno(), stdout=theirs.fileno(), stderr=subprocess.PIPE, env=environment
                )
    except OSError as error:
        if sock is not None:
            sock.close()
        raise SystemError(
            f"Cannot run '{argv[0]}': {reason_of(error)}", domain=errors.ErrorDomain.RPC, value=argv[0]
        ) from None
    complaints = _Complaints(process)
    return Link(sock, secure=secure, on_close=lambda: end_process(process), complaint=complaints)


def _writer(descriptor: int) -> Callable[[bytes], None]:
    def write(data: bytes) -> None:
        while data:
            data = data[os.write(descriptor, data) :]

    return write


def end_process(process: subprocess.Popen[bytes]) -> None:
    """See a program off whose connection is closed: it ends by itself, or is ended."""
    import subprocess
    import threading

    def see_off() -> None:
        try:
            process.wait(2)
        except subprocess.TimeoutExpired:
            process.terminate()
            try:
                process.wait(2)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if process.stderr is not None:
            process.stderr.close()

    threading.Thread(target=see_off, name="virt-remote-end", daemon=True).start()
