#!/usr/bin/env python3
"""Many clients of one daemon: what an idle one costs, how long busy ones wait, and whether one that never reads or that
sends by the byte slows the others.

bench_clients.py [--idle N] [--seconds S] [--uri SOCKET]...

Without --uri it starts a virtcored of its own. Every further --uri is the socket of another daemon that serves
test:///default (libvirtd's, say), measured in turns as the yardstick.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import resource
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

HEADER = struct.Struct(">IIIiiIi")
REMOTE = 0x20008086
OPEN, CLOSE, HOSTNAME, CAPABILITIES, LIB_VERSION, AUTH_LIST = 1, 2, 5, 7, 157, 66
BUSY = 8


def _connect(one: socket.socket, path: str) -> None:
    """Connect to a daemon that may not listen yet on the socket that it has made."""
    until = time.monotonic() + 5
    while True:
        try:
            return one.connect(path)
        except ConnectionRefusedError:
            if time.monotonic() > until:
                raise
            time.sleep(0.01)


class Client:
    """A client over a blocking socket that speaks as much of the protocol as it takes."""

    def __init__(self, path: str, name: bytes = b"test:///default") -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        _connect(self.socket, path)
        self.call(AUTH_LIST)
        self.call(OPEN, struct.pack(">II", 1, len(name)) + name + b"\0" * (-len(name) % 4) + struct.pack(">I", 0))

    def frame(self, procedure: int, body: bytes = b"") -> bytes:
        return HEADER.pack(HEADER.size + len(body), REMOTE, 1, procedure, 0, 1, 0) + body

    def call(self, procedure: int, body: bytes = b"") -> None:
        self.socket.sendall(self.frame(procedure, body))
        left = struct.unpack(">I", self._read(4))[0] - 4
        if struct.unpack_from(">i", self._read(left), 20)[0]:
            raise SystemExit(f"procedure {procedure} failed")

    def _read(self, count: int) -> bytes:
        parts = bytearray()
        while len(parts) < count:
            data = self.socket.recv(count - len(parts))
            if not data:
                raise SystemExit("the daemon hung up")
            parts += data
        return bytes(parts)


def pid_of(path: str) -> int:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.connect(path)
        pid, _, _ = struct.unpack("iii", probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        return int(pid)


def memory(pid: int) -> float:
    """KiB of private memory and its share of what is shared."""
    rows = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return float(next(row.split()[1] for row in rows if row.startswith("Pss:")))


def idle(path: str, count: int) -> tuple[float, float]:
    """KiB of the daemon per idle client, and seconds until all were there."""
    pid, held = pid_of(path), [Client(path)]
    before, began = memory(pid), time.perf_counter()
    held += [Client(path) for _ in range(count)]
    taken = time.perf_counter() - began
    time.sleep(0.5)
    cost = (memory(pid) - before) / count
    for client in held:
        client.socket.close()
    return cost, taken


def busy(path: str, seconds: float, ready: object, out: object) -> None:
    client = Client(path)
    ready.wait()  # type: ignore[attr-defined]
    end, times = time.perf_counter() + seconds, []
    while (began := time.perf_counter()) < end:
        client.call(LIB_VERSION)
        times.append(time.perf_counter() - began)
    out.put(times)  # type: ignore[attr-defined]


def latencies(path: str, seconds: float) -> list[float]:
    """How long every call of the busy clients took."""
    ready = multiprocessing.Barrier(BUSY)
    out: multiprocessing.Queue[list[float]] = multiprocessing.Queue()
    processes = [multiprocessing.Process(target=busy, args=(path, seconds, ready, out)) for _ in range(BUSY)]
    for process in processes:
        process.start()
    times = [one for _ in processes for one in out.get()]
    for process in processes:
        process.join()
    return times


@contextlib.contextmanager
def never_reads(path: str) -> Iterator[None]:
    """One that asks for as much as it can and takes no answer."""
    client = Client(path)
    client.socket.setblocking(False)
    stop = threading.Event()

    def ask() -> None:
        frames = client.frame(CAPABILITIES) * 50
        while not stop.wait(0.005):
            with contextlib.suppress(OSError):
                client.socket.send(frames)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        client.socket.close()


@contextlib.contextmanager
def slow_ones(path: str) -> Iterator[None]:
    """A hundred that send a call a byte at a time."""
    clients = [Client(path) for _ in range(100)]
    stop = threading.Event()

    def drip() -> None:
        at, frame = 0, clients[0].frame(HOSTNAME)
        while not stop.wait(0.02):
            for client in clients:
                with contextlib.suppress(OSError):
                    client.socket.send(frame[at % (len(frame) - 1) : at % (len(frame) - 1) + 1])
            at = min(at + 1, len(frame) - 2)

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        for client in clients:
            client.socket.close()


@contextlib.contextmanager
def own_daemon() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "etc").mkdir()
        limits = "max_clients = 20000\nmax_anonymous_clients = 0\n"
        (Path(folder) / "etc" / "virtcored.conf").write_text(limits)
        path = f"{folder}/run/libvirt-sock"
        process = subprocess.Popen([sys.executable, "-m", "virt_remote", "--root", folder], stderr=subprocess.DEVNULL)
        try:
            while not os.path.exists(path) and process.poll() is None:
                time.sleep(0.05)
            Client(path).socket.close()
            time.sleep(1)
            yield path
        finally:
            process.terminate()
            process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--idle", type=int, default=1000, help="idle clients")
    parser.add_argument("--seconds", type=float, default=1.0, help="per measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--uri", action="append", default=[], help="another daemon's socket")
    options = parser.parse_args()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with own_daemon() as own:
        targets = [("virtcored", own), *((f"other {number}", path) for number, path in enumerate(options.uri, 1))]
        for label, path in targets:
            cost, taken = idle(path, options.idle)
            print(f"{label:10} {options.idle} idle clients: {cost:.1f} KiB each, all there after {taken:.2f} s")
        kinds = {"alone": None, "beside one that never reads": never_reads, "beside 100 slow ones": slow_ones}
        for what, beside in kinds.items():
            found: dict[str, list[tuple[float, float, float, float]]] = {label: [] for label, _ in targets}
            for _ in range(options.rounds):
                for label, path in targets:
                    with beside(path) if beside is not None else contextlib.nullcontext():
                        times = sorted(latencies(path, options.seconds))
                    rate = len(times) / options.seconds
                    found[label].append((rate, times[len(times) // 2], times[len(times) * 99 // 100], times[-1]))
            for label, rows in found.items():
                rate, middle, late, last = (statistics.median(column) for column in zip(*rows, strict=True))
                print(
                    f"{label:10} {BUSY} busy clients {what}: {rate:.0f} calls/s, median {middle * 1e6:.0f} us, "
                    f"p99 {late * 1e3:.2f} ms, longest {last * 1e3:.1f} ms ({options.rounds} rounds)"
                )


if __name__ == "__main__":
    main()
