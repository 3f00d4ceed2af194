"""Places that tests share (``from support import ROOT, SHARED``)."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""The top folder of the repository."""

SHARED = Path(os.environ.get("VIRTCORE_SHARED") or ROOT.parent / "shared").resolve()
"""Facts, corpus and measuring kit beside the repository; may be absent (see the fixture ``shared``)."""

COMPLAINTS: list[str] = []
"""What is wrong when all tests are over: a session's fixture that failed at its end would only have the last test run
again, and nothing would be left to be found then."""


def eventually(check: Callable[[], object], limit: float = 150.0) -> None:
    """Wait until something holds, as soon as it does; a machine that is busy with other things has its time."""
    end = time.monotonic() + limit
    while not check():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.01)


async def comes(check: Callable[[], object], limit: float = 150.0) -> None:
    """As :func:`eventually`, in a coroutine whose loop does other things meanwhile."""
    end = time.monotonic() + limit
    while not check():
        assert time.monotonic() < end, "it did not come about in time"
        await asyncio.sleep(0.005)


@contextmanager
def costs_less_than(seconds: float) -> Iterator[None]:
    """What is done here takes less time of the processor: a machine that is busy with other things makes no difference,
    nor does what other tests left for the collector of garbage to look through."""
    collecting = gc.isenabled()
    gc.disable()
    began = time.process_time()
    try:
        yield
        took = time.process_time() - began
    finally:
        if collecting:
            gc.enable()
    assert took < seconds, f"it took {took:.2f} s of the processor"


def processor_time(work: Callable[[], object]) -> float:
    """The time of the processor that something takes, less what :func:`costs_less_than` leaves out, too."""
    gc.disable()
    try:
        began = time.process_time()
        work()
        return time.process_time() - began
    finally:
        gc.enable()


def listens(path: Path) -> bool:
    """Whether somebody listens on a socket."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


def serves(port: int, host: str = "127.0.0.1") -> bool:
    """Whether somebody listens on a port."""
    try:
        socket.create_connection((host, port), 60).close()
    except OSError:
        return False
    return True


def has_clients(*paths: Path) -> bool:
    """Whether somebody is connected to these sockets. A daemon sees a little later than its client that the client is
    gone; what lasts as long as its clients do, as all that a test driver knows, is there until then."""
    names = {str(path) for path in paths}
    rows = (line.split(maxsplit=7) for line in Path("/proc/net/unix").read_text().splitlines()[1:])
    return any(len(row) == 8 and row[7] in names and row[5] != "01" for row in rows)  # 01: who listens


_LASTING_PORTS = range(20_000, 30_000)
"""Ports that no kernel gives to who asks for any, as to a client that connects."""

_given_ports: set[int] = set()


def free_port() -> int:
    """A port of this host that nobody has and nobody gets until a server of the test takes it."""
    for port in random.SystemRandom().sample(_LASTING_PORTS, len(_LASTING_PORTS)):
        if port in _given_ports:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("", port))
            except OSError:
                continue
        _given_ports.add(port)
        return port
    raise AssertionError("no port is free")


def create_image(*words: str) -> None:
    """Run ``qemu-img create``.

    QEMU measures how long a derivation of a key takes in its thread's CPU time. Where the kernel counts that in ticks,
    a short one may take none, and QEMU refuses: that is tried again.
    """
    for _ in range(20):
        done = subprocess.run(["qemu-img", "create", "-q", *words], capture_output=True, text=True, check=False)
        if "Unable to get accurate CPU usage" not in done.stderr:
            break
    assert done.returncode == 0, done.stderr
