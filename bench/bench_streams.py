#!/usr/bin/env python3
"""Streams of the daemon: MiB per second to and from a file of a driver, over the protocol.

bench_streams.py [--mib N] [--rounds N] [--libvirtd SOCKET]

The driver is one of the benchmark's own, which reads and writes a file in the loop. With --libvirtd a volume of a pool
in a temporary folder takes turns with it, over the socket of a libvirtd that serves qemu:///system (the kit's).
Row of the budget: stream download / upload.
"""

from __future__ import annotations

import argparse
import os
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench_clients import HEADER, REMOTE, Client

UPLOAD, DOWNLOAD = 208, 209
POOL_CREATE, POOL_DESTROY, VOLUME_CREATE = 76, 80, 93
STREAM, OK, CONTINUE = 3, 0, 2
CHUNK = 262120


def serve(root: str, file: str) -> None:
    """A daemon whose ``bench:///`` has one volume, a file."""
    from virtcore.driver import Driver, OpenRequest
    from virtcore.driver.loader import register
    from virtcore.operations.stream import ByteStream
    from virtcore.types import StorageVolRef

    class File:
        def __init__(self, flags: int) -> None:
            self.descriptor = os.open(file, flags | os.O_CREAT, 0o600)

        async def read(self, size: int) -> bytes:
            return os.read(self.descriptor, size)

        async def write(self, data: bytes) -> None:
            view = memoryview(data)
            while view:
                view = view[os.write(self.descriptor, view) :]

        async def finish(self) -> None:
            os.close(self.descriptor)

        async def abort(self) -> None:
            os.close(self.descriptor)

    class Bench(Driver):
        name = "Bench"

        @classmethod
        async def open(cls, request: OpenRequest) -> Bench:
            return cls()

        async def storage_vol_upload(
            self, volume: StorageVolRef, offset: int = 0, length: int = 0, flags: int = 0
        ) -> ByteStream:
            return File(os.O_WRONLY)

        async def storage_vol_download(
            self, volume: StorageVolRef, offset: int = 0, length: int = 0, flags: int = 0
        ) -> ByteStream:
            return File(os.O_RDONLY)

    register("bench", Bench)
    sys.argv = ["virtcored", "--root", root]
    from virt_remote.server.daemon import main as daemon

    daemon()


def text(value: str) -> bytes:
    raw = value.encode()
    return struct.pack(">I", len(raw)) + raw + b"\0" * (-len(raw) % 4)


class Streams(Client):
    """A client that opens streams of one volume."""

    def __init__(self, path: str, uri: str) -> None:
        super().__init__(path, uri.encode())
        self.volume = text("pool") + text("volume") + text("key")

    def ask(self, procedure: int, body: bytes) -> bytes:
        self.socket.sendall(self.frame(procedure, body))
        return self.message()

    def message(self) -> bytes:
        rest = self._read(struct.unpack(">I", self._read(4))[0] - 4)
        if struct.unpack_from(">i", rest, 20)[0] not in (OK, CONTINUE):
            raise SystemExit(f"it failed: {rest[24:200]!r}")
        return rest[24:]

    def packet(self, procedure: int, status: int, data: bytes = b"") -> None:
        self.socket.sendall(HEADER.pack(HEADER.size + len(data), REMOTE, 1, procedure, STREAM, 1, status) + data)

    def upload(self, size: int) -> float:
        data = os.urandom(CHUNK)
        began = time.perf_counter()
        self.ask(UPLOAD, self.volume + struct.pack(">QQI", 0, size, 0))
        for left in range(size, 0, -CHUNK):
            self.packet(UPLOAD, CONTINUE, data[:left])
        self.packet(UPLOAD, OK)
        self.message()
        return time.perf_counter() - began

    def download(self, size: int) -> float:
        began = time.perf_counter()
        self.ask(DOWNLOAD, self.volume + struct.pack(">QQI", 0, size, 0))
        got = 0
        while part := self.message():
            got += len(part)
        self.packet(DOWNLOAD, OK)
        self.message()
        if got != size:
            raise SystemExit(f"{got} bytes of {size}")
        return time.perf_counter() - began


def make_volume(client: Streams, folder: str, size: int) -> bytes:
    """A pool with a volume, for libvirtd; gives the pool."""
    pool = f"<pool type='dir'><name>bench-streams</name><target><path>{folder}</path></target></pool>"
    made = client.ask(POOL_CREATE, text(pool) + bytes(4))
    volume = f"<volume><name>volume</name><capacity>{size}</capacity><allocation>{size}</allocation></volume>"
    client.volume = client.ask(VOLUME_CREATE, made + text(volume) + bytes(4))
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mib", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--libvirtd", help="socket of a libvirtd")
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve is not None:
        serve(*options.serve)
        return
    size = options.mib << 20
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        pool = Path(folder) / "pool"
        pool.mkdir()
        process = subprocess.Popen(
            [sys.executable, __file__, "--serve", folder, f"{folder}/file"], stderr=subprocess.DEVNULL
        )
        made = b""
        targets: dict[str, Streams] = {}
        try:
            path = f"{folder}/run/libvirt-sock"
            while not os.path.exists(path) and process.poll() is None:
                time.sleep(0.05)
            targets["virtcored"] = Streams(path, "bench:///")
            if options.libvirtd is not None:
                targets["libvirtd"] = Streams(options.libvirtd, "qemu:///system")
                made = make_volume(targets["libvirtd"], str(pool), size)
            rates: dict[tuple[str, str], list[float]] = {}
            for _ in range(options.rounds):
                for label, client in targets.items():
                    for what, run in (("upload", client.upload), ("download", client.download)):
                        rates.setdefault((what, label), []).append(options.mib / run(size))
            for (what, label), found in sorted(rates.items()):
                spread = f"({min(found):.0f}-{max(found):.0f}, {len(found)} rounds of {options.mib} MiB)"
                print(f"{what:9}{label:11}{statistics.median(found):6.0f} MiB/s {spread}")
        finally:
            if made:
                targets["libvirtd"].ask(POOL_DESTROY, made)
            process.terminate()
            process.wait()


if __name__ == "__main__":
    main()
