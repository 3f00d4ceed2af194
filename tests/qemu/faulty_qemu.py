#!/usr/bin/env python3
"""A program that takes QEMU's place and speaks QMP, but not always as it should.

``faults`` beside the program says what goes wrong, a line each: a command (``*`` for all) and what happens to it. It is
read with every command, so that a running guest's monitor can be spoilt, too. What was said is in ``said``.

hang    it is never answered
fail    it is refused
lie     it is answered with something that makes no sense, and not done
die     the program ends instead
close   the channel is closed instead, and the program goes on
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

REAL = "/usr/bin/qemu-system-x86_64"
_HERE = Path(sys.argv[0]).resolve().parent
_VERSION = {"qemu": {"micro": 0, "minor": 2, "major": 7}, "package": ""}
_LISTS = (
    "query-chardev", "qom-list", "query-iothreads", "query-hotpluggable-cpus", "query-named-block-nodes", "query-block",
    "query-jobs", "query-block-jobs", "query-memory-devices", "query-migrate-capabilities",
)  # fmt: skip


class Guest:
    """What there is to say about the guest that is not there."""

    def __init__(self) -> None:
        self.status = "prelaunch"

    def fault(self, command: str) -> str | None:
        with contextlib.suppress(FileNotFoundError):
            for line in (_HERE / "faults").read_text().splitlines():
                name, _, what = line.partition(" ")
                if name in (command, "*"):
                    return what
        return None

    def answer(self, command: str) -> tuple[object, str | None]:
        """The answer to a command, and the event it brings about."""
        if command == "query-cpus-fast":
            return [{"cpu-index": 0, "thread-id": os.getpid(), "qom-path": "/machine/unattached/device[0]"}], None
        if command == "query-cpu-model-expansion":
            return {"model": {"name": "qemu64", "props": {}}}, None
        if command == "query-status":
            return {"status": self.status, "running": self.status == "running"}, None
        if command in ("cont", "stop"):
            self.status = "running" if command == "cont" else "paused"
            return {}, "RESUME" if command == "cont" else "STOP"
        return ([] if command in _LISTS else {}), None


def _messages(client: socket.socket) -> Iterator[dict[str, object]]:
    """What the client says: JSON, with or without lines."""
    rest, decoder = "", json.JSONDecoder()
    while data := client.recv(1 << 16):
        rest = (rest + data.decode()).lstrip()
        while rest:
            try:
                message, end = decoder.raw_decode(rest)
            except ValueError:
                break
            yield message
            rest = rest[end:].lstrip()


def serve(client: socket.socket, guest: Guest) -> None:
    """Talk to one client until it goes, or has to."""

    def send(message: dict[str, object]) -> None:
        client.sendall(json.dumps(message).encode() + b"\r\n")

    send({"QMP": {"version": _VERSION, "capabilities": []}})
    for message in _messages(client):
        command, identity = str(message["execute"]), {key: message[key] for key in ("id",) if key in message}
        with (_HERE / "said").open("a") as file:
            file.write(command + "\n")
        what = guest.fault(command)
        if what == "fail":
            send({"error": {"class": "GenericError", "desc": "it was made to fail"}, **identity})
        elif what == "lie":
            send({"return": [{"nonsense": command}, 7, None], **identity})
        elif what == "die":
            os._exit(1)
        elif what == "close":
            return
        elif what is None:
            value, event = guest.answer(command)
            if event is not None:
                send({"event": event, "timestamp": {"seconds": int(time.time()), "microseconds": 0}})
            send({"return": value, **identity})


def main() -> None:
    """Stand in for a guest's QEMU; probes are answered by the real one."""
    argv = sys.argv[1:]
    chardev = next((word for word in argv if word.startswith("socket,id=charmonitor,fd=")), None)
    if chardev is None or any("none,accel" in word for word in argv):
        os.execv(REAL, [REAL, *argv])
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    listening = socket.socket(fileno=int(chardev.split("fd=")[1].split(",")[0]))
    listening.setblocking(True)
    guest = Guest()
    while True:
        client, _ = listening.accept()
        with client, contextlib.suppress(OSError):
            serve(client, guest)


if __name__ == "__main__":
    main()
