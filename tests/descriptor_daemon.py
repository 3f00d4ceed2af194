"""A daemon whose driver takes and makes descriptors, for clients of every kind: ``descriptor_daemon.py FOLDER``."""

from __future__ import annotations

import os
import socket
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from virt_remote.server.daemon import main
from virtcore.driver import Driver, OpenRequest, inline
from virtcore.driver.loader import register
from virtcore.errors import NoDomain, OperationFailed
from virtcore.operations.values import MonitorReply
from virtcore.types import DomainRef

#: A flag: wait for a file ``go`` in the daemon's folder before anything is done with the descriptors.
SLOWLY = 2

ONE = DomainRef("one", "6695eb01-f6a4-8304-79aa-97f2502e193f", 1)


def greet(files: Sequence[int]) -> None:
    """Write into each descriptor which it was."""
    for number, file in enumerate(files):
        os.write(file, b"file %d" % number)


class DescriptorDriver(Driver):
    """One domain, whose operations with descriptors write into those that came, and make some."""

    name = "FDS"

    @classmethod
    async def open(cls, request: OpenRequest) -> Self:
        return cls()

    @inline
    def connection_list_domains(self, flags: int = 0) -> list[DomainRef]:
        return [ONE]

    @inline
    def connection_lookup_domain(
        self, name: str | None = None, uuid: str | None = None, id: int | None = None
    ) -> DomainRef:
        if name not in (None, "one"):
            raise NoDomain(f"no domain with matching name '{name}'")
        return ONE

    def connection_create_domain_with_files(self, xml: str, files: Sequence[int], flags: int = 0) -> DomainRef:
        greet(files)
        return ONE

    def domain_create_with_files(self, domain: DomainRef, files: Sequence[int], flags: int = 0) -> DomainRef:
        if flags == SLOWLY:
            while not Path(sys.argv[1], "go").exists():
                time.sleep(0.01)
        elif flags:
            raise OperationFailed("as was asked for")
        greet(files)
        return domain

    def domain_associate_fds(self, domain: DomainRef, name: str, files: Sequence[int], flags: int = 0) -> None:
        greet(files)

    def domain_open_graphics(self, domain: DomainRef, idx: int, fd: int, flags: int = 0) -> None:
        os.write(fd, b"graphics %d" % idx)

    def domain_open_graphics_fd(self, domain: DomainRef, idx: int, flags: int = 0) -> int:
        ours, theirs = socket.socketpair()
        with ours:
            ours.sendall(b"graphics %d" % idx)
        return theirs.detach()

    def domain_lxc_open_namespace(self, domain: DomainRef, flags: int = 0) -> Sequence[int]:
        return [self._file(b"namespace %d" % number) for number in range(3)]

    def domain_qemu_monitor_command_with_files(
        self, domain: DomainRef, cmd: str, files: Sequence[int] = (), flags: int = 0
    ) -> MonitorReply:
        greet(files)
        return MonitorReply(cmd.upper(), [self._file(b"reply")] if cmd == "files" else [])

    def _file(self, content: bytes) -> int:
        with tempfile.TemporaryFile(buffering=0) as file:
            file.write(content)
            file.seek(0)
            return os.dup(file.fileno())


if __name__ == "__main__":
    register("fds", DescriptorDriver)
    sys.exit(main(["--root", sys.argv[1], "--listen"]))
