"""The process that starts processes: single-threaded, nothing but C modules imported, so that it is up in milliseconds.

Run by :mod:`virtcore.runtime.launcher` with one end of a socket pair as descriptor 3. A message is eight bytes (its
length, little endian) and a marshalled value; descriptors that a request passes come with its first byte. Requests are

    (number, argv, environment, cwd, umask, child descriptors, pid file, confinement, outlives the core)

where a confinement is None or what :mod:`virtcore.runtime.launcher_confine` takes,
and answers ``("started", number, pid)`` with the pidfd, ``("failed", number, what, errno)`` or
``("exited", pid, status)``. When the socket ends the helper ends; of the processes it started those that are to
outlive the core go on without it, the others are killed.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import _socket
import errno
import fcntl
import marshal
import posix
import select

CONTROL = 3
HEADER = 8
MAX_FDS = 64

TYPE_CHECKING = False  # typing itself would cost milliseconds
if TYPE_CHECKING:
    from typing import Any, TypeAlias

    _Request: TypeAlias = tuple[
        int,
        list[bytes],
        dict[bytes, bytes],
        bytes,
        int | None,
        tuple[int, ...],
        bytes | None,
        tuple[Any, ...] | None,
        bool,
    ]


def _exactly(control: _socket.socket, size: int) -> bytes:
    parts = []
    while size:
        part = control.recv(min(size, 1 << 20))
        if not part:
            raise ConnectionResetError
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _receive(control: _socket.socket) -> tuple[_Request, list[int]]:
    """Wait for one request.

    :raises ConnectionResetError: there will be none.
    """
    head, ancillary, _flags, _address = control.recvmsg(
        HEADER, _socket.CMSG_SPACE(MAX_FDS * 4), _socket.MSG_CMSG_CLOEXEC
    )
    if not head:
        raise ConnectionResetError
    fds: list[int] = []
    for level, kind, data in ancillary:
        if level == _socket.SOL_SOCKET and kind == _socket.SCM_RIGHTS:
            fds += [int.from_bytes(data[i : i + 4], "little") for i in range(0, len(data) - len(data) % 4, 4)]
    head += _exactly(control, HEADER - len(head))
    request: _Request = marshal.loads(_exactly(control, int.from_bytes(head, "little")))
    return request, fds


def _send(control: _socket.socket, value: tuple[str | int | bytes, ...], fds: tuple[int, ...] = ()) -> None:
    body = marshal.dumps(value)
    message = len(body).to_bytes(HEADER, "little") + body
    rights = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, b"".join(fd.to_bytes(4, "little") for fd in fds))] if fds else []
    sent = control.sendmsg([message], rights)
    if sent < len(message):
        control.sendall(message[sent:])


def _start_time() -> bytes:
    with open("/proc/self/stat", "rb") as file:
        return file.read().rpartition(b")")[2].split()[19]


def _claim(pid_file: bytes) -> None:
    """Write who we are into the pid file, unless whoever cleans up after the starter's death has taken it away."""
    fd = posix.open(pid_file, posix.O_RDWR | posix.O_CLOEXEC)
    fcntl.flock(fd, fcntl.LOCK_EX)
    if not posix.fstat(fd).st_nlink:
        raise OSError(errno.ESTALE, "pid file was taken away")
    posix.write(fd, b"%d %s\n" % (posix.getpid(), _start_time()))


def _become(request: _Request, fds: list[int], report: int) -> None:
    """In the new process: turn into the program. Tells ``report`` what failed, as ``errno what``."""
    step = b"start"
    try:
        _number, argv, environment, cwd, umask, places, pid_file, confinement, _outlives = request
        posix.setsid()
        if umask is not None:
            posix.umask(umask)
        step = b"change to folder " + cwd
        posix.chdir(cwd)
        step = b"pass descriptors"
        lowest = max((*places, CONTROL, report)) + 1
        copies = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, lowest) for fd in fds]
        report = fcntl.fcntl(report, fcntl.F_DUPFD_CLOEXEC, lowest)
        for place, fd in zip(places, copies, strict=True):
            posix.dup2(fd, place, True)
        if pid_file is not None:
            step = b"write pid file " + pid_file
            _claim(pid_file)
        if confinement is not None:
            step = b"confine " + argv[0]
            import launcher_confine  # type: ignore[import-not-found]  # loaded already: see _launch

            launcher_confine.confine(confinement)
        # Python ignores these; the program must not inherit that.
        for number in (_signal.SIGPIPE, _signal.SIGXFSZ):
            _signal.signal(number, _signal.SIG_DFL)
        step = b"run " + argv[0]
        posix.execve(argv[0], argv, environment)
    except BaseException as error:  # noqa: BLE001  # nothing may return into the helper's loop from here
        number = error.errno if isinstance(error, OSError) and error.errno else errno.EINVAL
        posix.write(report, b"%d %s" % (number, step))
    posix._exit(127)


def _launch(control: _socket.socket, request: _Request, fds: list[int], bound: set[int]) -> tuple[int, int] | None:
    """Start one program; returns its pidfd and pid. One that is not to outlive the core is added to ``bound``."""
    number = request[0]
    if request[-2] is not None:
        import launcher_confine  # noqa: F401  # type: ignore[import-not-found]  # once, for all processes to come
    told, report = posix.pipe2(posix.O_CLOEXEC)
    pid = posix.fork()
    if not pid:
        _become(request, fds, report)
    if not request[-1]:
        bound.add(pid)
    posix.close(report)
    for fd in fds:
        posix.close(fd)
    # The pidfd is taken before anybody can reap the process, so it cannot name a stranger.
    pidfd = posix.pidfd_open(pid)
    failure = posix.read(told, 4096)  # ends when the program runs: the other end closes on exec
    posix.close(told)
    if failure:
        posix.waitpid(pid, 0)
        bound.discard(pid)
        posix.close(pidfd)
        code, _, what = failure.partition(b" ")
        _send(control, ("failed", number, what, int(code)))
        return None
    _send(control, ("started", number, pid), (pidfd,))
    return pidfd, pid


def main() -> None:
    """Serve requests and report ends until the core has gone; what was started to outlive it goes on."""
    bound: set[int] = set()
    try:
        _serve(bound)
    except (ConnectionResetError, BrokenPipeError):
        pass
    finally:
        for pid in bound:  # none of them was reaped yet, so the numbers are theirs
            posix.kill(pid, _signal.SIGKILL)


def _serve(bound: set[int]) -> None:
    posix.setsid()
    posix.closerange(CONTROL + 1, 1 << 20)  # what the core itself inherited without wanting it
    posix.set_inheritable(CONTROL, False)
    control = _socket.socket(fileno=CONTROL)
    poll = select.poll()
    poll.register(CONTROL, select.POLLIN)
    children: dict[int, int] = {}
    while True:
        for fd, _event in poll.poll():
            if fd == CONTROL:
                request, fds = _receive(control)
                child = _launch(control, request, fds, bound)
                if child is not None:
                    children[child[0]] = child[1]
                    poll.register(child[0], select.POLLIN)
            else:
                pid = children.pop(fd)
                poll.unregister(fd)
                posix.close(fd)
                status = posix.waitstatus_to_exitcode(posix.waitpid(pid, 0)[1])
                bound.discard(pid)
                _send(control, ("exited", pid, status))
