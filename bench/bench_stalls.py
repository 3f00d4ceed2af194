#!/usr/bin/env python3
"""How long one client's call keeps the others waiting: the longest callback of the daemon's loop, while eight clients
are busy and a ninth defines domains, reads them, lists them and asks for their statistics.

bench_stalls.py [--domains N] [--seconds S]

The time of a callback is the processor time of the loop's thread, which a loaded machine does not change.
Row of the budget: longest stall of the loop at most 10 ms.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import os
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from bench_clients import BUSY, LIB_VERSION, Client

DEFINE, LIST, STATS, LOOKUP, XML, UNDEFINE, CAPABILITIES = 350, 273, 344, 23, 14, 231, 7


def serve(root: str, report: str) -> None:
    """A daemon that writes down, by phase (named in the file ``report``.phase), its longest callbacks."""
    longest: dict[str, tuple[float, str]] = {}
    phase = Path(report + ".phase")
    named, looked = "", 0.0
    run = asyncio.events.Handle._run

    def measured(handle: asyncio.Handle) -> None:
        nonlocal named, looked
        what = repr(handle)
        before = time.thread_time()
        run(handle)
        taken = time.thread_time() - before
        if time.monotonic() > looked:
            named, looked = phase.read_text(), time.monotonic() + 0.02
        if taken > longest.get(named, (0.0, ""))[0]:
            longest[named] = (taken, what)

    asyncio.events.Handle._run = measured  # type: ignore[assignment,method-assign]
    sys.argv = ["virtcored", "--root", root]
    from virt_remote.server.daemon import main as daemon

    with contextlib.suppress(SystemExit):
        daemon()
    Path(report).write_text(json.dumps(longest))


def guest(number: int, disks: int = 2) -> bytes:
    """A definition of a common size, or one with very many disks."""
    bus = "virtio" if disks < 20 else "scsi"
    rows = "".join(
        "<disk type='file' device='disk'><driver name='qemu' type='qcow2'/>"
        f"<source file='/nonexistent/{number}-{one}'/>"
        f"<target dev='{bus[0]}d{chr(97 + one // 26)}{chr(97 + one % 26)}' bus='{bus}'/></disk>"
        for one in range(disks)
    )
    return (
        f"<domain type='qemu'><name>guest-{number}</name><uuid>b0b00000-0000-4000-8000-{number:012x}</uuid>"
        "<memory unit='MiB'>2048</memory><vcpu>2</vcpu><os><type arch='x86_64' machine='q35'>hvm</type></os>"
        f"<features><acpi/><apic/></features><devices>{rows}<controller type='scsi' model='virtio-scsi'/>"
        "<interface type='network'><source network='default'/><model type='virtio'/></interface>"
        "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>"
        "<graphics type='vnc' autoport='yes'/><video><model type='virtio'/></video></devices></domain>"
    ).encode()


def text(value: bytes) -> bytes:
    return struct.pack(">I", len(value)) + value + b"\0" * (-len(value) % 4)


def reference(number: int) -> bytes:
    return text(b"guest-%d" % number) + bytes.fromhex(f"b0b00000000040008000{number:012x}") + struct.pack(">i", -1)


def busy(path: str, stop: Callable[[], bool], count: object) -> None:
    client = Client(path, b"qemu:///system")
    while not stop():
        client.call(LIB_VERSION)
        count.value += 1  # type: ignore[attr-defined]


@contextlib.contextmanager
def eight(path: str) -> Iterator[None]:
    stop = multiprocessing.Event()
    counts = [multiprocessing.Value("L", 0) for _ in range(BUSY)]
    clients = [multiprocessing.Process(target=busy, args=(path, stop.is_set, count)) for count in counts]
    for client in clients:
        client.start()
    try:
        yield
    finally:
        stop.set()
        for client in clients:
            client.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--domains", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=2.0, help="of calls that repeat")
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve is not None:
        serve(*options.serve)
        return
    with tempfile.TemporaryDirectory() as folder:
        report = f"{folder}/report"
        phase = Path(report + ".phase")
        phase.write_text("start")
        process = subprocess.Popen([sys.executable, __file__, "--serve", folder, report], stderr=subprocess.DEVNULL)
        path = f"{folder}/run/libvirt-sock"
        try:
            while not os.path.exists(path) and process.poll() is None:
                time.sleep(0.05)
            drive(path, phase, options.domains, options.seconds)
        finally:
            process.terminate()
            process.wait()
        for name, (taken, what) in json.loads(Path(report).read_text()).items():
            print(f"{name:34} longest callback {taken * 1e3:7.2f} ms of processor time   {what[:110]}")


def drive(path: str, phase: Path, domains: int, seconds: float) -> None:
    client = Client(path, b"qemu:///system")

    def while_busy(name: str, *calls: tuple[int, bytes]) -> None:
        phase.write_text(name)
        time.sleep(0.05)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for procedure, body in calls:
                client.call(procedure, body)

    phase.write_text("first calls")
    big = guest(1, 300)
    for _ in range(3):
        client.call(DEFINE, text(guest(0)) + bytes(4))
        client.call(DEFINE, text(big) + bytes(4))
        for call in (
            (XML, reference(1) + bytes(4)),
            (LIST, struct.pack(">iI", 1, 0)),
            (STATS, bytes(12)),
            (CAPABILITIES, b""),
        ):
            client.call(*call)
        client.call(UNDEFINE, reference(1) + bytes(4))
    with eight(path):
        while_busy("nothing else")
        while_busy("a domain is defined", *((DEFINE, text(guest(one)) + bytes(4)) for one in range(2, 50)))
        while_busy("one of 300 disks is defined", (DEFINE, text(big) + bytes(4)))
        while_busy("its XML is read", (XML, reference(1) + bytes(4)), (XML, reference(1) + struct.pack(">I", 8)))
        phase.write_text(f"{domains} domains are defined")
        for one in range(2, domains):
            client.call(DEFINE, text(guest(one)) + bytes(4))
        while_busy(f"{domains} are listed", (LIST, struct.pack(">iI", 1, 0)), (LIST, struct.pack(">iI", 1, 2)))
        phase.write_text(f"statistics of {domains}, first")
        client.call(STATS, bytes(12))
        while_busy(f"statistics of {domains}", (STATS, bytes(12)))
        while_busy("capabilities", (CAPABILITIES, b""))
        phase.write_text(f"{domains} are undefined")
        for one in range(domains):
            client.call(UNDEFINE, reference(one) + bytes(4))
        phase.write_text("end")


if __name__ == "__main__":
    main()
