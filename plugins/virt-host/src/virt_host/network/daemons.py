"""dnsmasq for one network after the other: its files, its process, what the installed program can."""

from __future__ import annotations

import logging
import os
import re
import shlex
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from virt_host.description.program import finish_program
from virt_host.network import lease_helper
from virt_host.network.dnsmasq import dnsmasq_files
from virt_host.tools import find_tool
from virtcore.driver.toolkit.folders import make_folder
from virtcore.errors import InternalError, SystemError
from virtcore.runtime.threads import in_thread

if TYPE_CHECKING:
    from virt_host.network.dnsmasq import DnsmasqFiles
    from virtcore.model.network import Network

__all__ = ["Dnsmasq"]

log = logging.getLogger(__name__)

_VERSION = re.compile(r"Dnsmasq version\s+(\d+)\.(\d+)")
_OLDEST = (2, 67)
_GRACE = 3.0
"""Seconds it has to end when asked, before it is killed."""


class Dnsmasq:
    """The dnsmasqs of one place.

    :param folder: where their files are, which they read as an ordinary user.
    :param run: where they note their processes.
    """

    def __init__(self, folder: Path, run: Path) -> None:
        self.folder = folder
        self.run = run
        self._checked: tuple[str, int] | None = None

    # -- files

    def status_file(self, bridge: str) -> Path:
        """Where the leases of a network are noted, in libvirt's form."""
        return self.folder / f"{bridge}.status"

    def files(self, network: Network) -> DnsmasqFiles:
        """What dnsmasq is told about a network."""
        return dnsmasq_files(network, str(self.folder), pidfile=str(self._pid_file(network.name)))

    def _pid_file(self, name: str) -> Path:
        return self.run / f"{name}.pid"

    def _configuration(self, name: str) -> Path:
        return self.folder / f"{name}.conf"

    @property
    def _helper(self) -> Path:
        return self.folder / "lease-helper"

    def _make_folders(self) -> None:
        make_folder(self.run)
        make_folder(self.folder)
        for folder in (self.folder, self.folder.parent):
            folder.chmod(folder.stat().st_mode | 0o011 | (0o044 if folder is self.folder else 0))
        # dnsmasq gives its script no arguments of ours.
        words = [sys.executable, "-I", "-S", lease_helper.__file__, str(self.folder)]
        text = f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n'
        if not self._helper.exists() or self._helper.read_text() != text:
            _write(self._helper, text, 0o755)

    def _write_hosts(self, files: DnsmasqFiles) -> None:
        try:
            self._make_folders()
            _write(Path(files.hosts_path), files.hosts or "", 0o644)
            _write(Path(files.names_path), files.names or "", 0o644)
        except OSError as error:
            raise SystemError(f"cannot write config file '{error.filename}': {error.strerror}") from None

    def _write_files(self, name: str, files: DnsmasqFiles) -> None:
        self._write_hosts(files)
        path = self._configuration(name)
        try:
            _write(path, files.configuration, 0o600)
        except OSError as error:
            raise SystemError(f"couldn't write dnsmasq config file '{path}': {error.strerror}") from None

    def forget(self, network: Network) -> None:
        """Remove the files of a network that is no more; without them nothing happens."""
        paths = [self._configuration(network.name), self._pid_file(network.name)]
        bridge = network.bridge.name if network.bridge is not None else None
        if bridge is not None:
            files = self.files(network)
            paths += [Path(files.hosts_path), Path(files.names_path), self.status_file(bridge)]
        for path in paths:
            path.unlink(missing_ok=True)

    # -- the program

    async def _program(self) -> str:
        """The installed program.

        :raises VirtError: there is none, or it is too old.
        """
        path = find_tool("dnsmasq")
        if path is None:
            raise SystemError("Unable to find 'dnsmasq' binary in $PATH: No such file or directory")
        known = path, os.stat(path).st_mtime_ns
        if self._checked != known:
            told = await finish_program([path, "--version"])
            found = _VERSION.match(told.output)
            if found is None:
                raise InternalError(f"cannot parse {path} version number in '{told.output.partition(chr(10))[0]}'")
            version = int(found[1]), int(found[2])
            if version < _OLDEST:
                raise InternalError(
                    f"dnsmasq version >= {_OLDEST[0]}.{_OLDEST[1]} required but {version[0]}.{version[1]} found"
                )
            self._checked = known
        return path

    @staticmethod
    def needed(network: Network) -> bool:
        """Whether there is anything to serve."""
        answers = network.dns is None or network.dns.enable is not False
        return bool(network.ips) and (answers or any(ip.serves_dhcp for ip in network.ips))

    async def start(self, network: Network) -> None:
        """Serve a network whose bridge is there, if there is anything to serve.

        :raises VirtError: dnsmasq does not start.
        """
        if not self.needed(network):
            return
        program = await self._program()
        await in_thread(self._write_files, network.name, self.files(network))
        argv = [
            program,
            f"--conf-file={self._configuration(network.name)}",
            "--leasefile-ro",
            f"--dhcp-script={self._helper}",
        ]
        assert network.bridge is not None
        environment = {"VIR_BRIDGE_NAME": network.bridge.name or ""}
        # It goes to the background once it serves.
        _, errors, status = await finish_program(argv, environment=environment, limit=60)
        if status:
            shown = " ".join([*(f"{name}={value}" for name, value in environment.items()), *argv])
            raise InternalError(
                f"Child process ({shown}) unexpected exit status {status}{': ' if errors else ''}{errors}"
            )

    def pid(self, name: str) -> int | None:
        """The process that serves a network; None: none does."""
        try:
            number = int(self._pid_file(name).read_text())
            program = os.path.basename(os.readlink(f"/proc/{number}/exe")).removesuffix(" (deleted)")
        except (OSError, ValueError):
            return None
        return number if program == "dnsmasq" else None

    async def refresh(self, network: Network) -> None:
        """Tell it of changed hosts, or start it where it does not run.

        :raises VirtError: it cannot be told, or does not start.
        """
        number = self.pid(network.name)
        if number is None or not self.needed(network):
            await self.start(network)
            return
        await in_thread(self._write_hosts, self.files(network))
        try:
            os.kill(number, signal.SIGHUP)
        except ProcessLookupError:  # it has just ended
            await self.start(network)

    async def stop(self, name: str) -> None:
        """End it; without it nothing happens. Never raises."""
        await in_thread(self._stop, name)

    def _stop(self, name: str) -> None:
        number = self.pid(name)
        self._pid_file(name).unlink(missing_ok=True)
        if number is None:
            return
        try:
            descriptor = os.pidfd_open(number)
        except ProcessLookupError:
            return
        try:
            for signum in (signal.SIGTERM, signal.SIGKILL):
                signal.pidfd_send_signal(descriptor, signum)
                if _ended(descriptor, _GRACE):
                    return
            log.warning("dnsmasq of network '%s' (process %d) does not end", name, number)
        except ProcessLookupError:
            pass  # it has
        finally:
            os.close(descriptor)


def _ended(descriptor: int, limit: float) -> bool:
    """Whether a process ends in time. Blocks."""
    import select

    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    end = time.monotonic() + limit
    while (left := end - time.monotonic()) > 0:
        if poll.poll(left * 1000):
            return True
    return False


def _write(path: Path, text: str, mode: int) -> None:
    """Replace a file whole."""
    temporary = path.with_name(f".{path.name}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
    with open(descriptor, "w", encoding="utf-8") as file:
        os.fchmod(descriptor, mode)
        file.write(text)
    os.rename(temporary, path)
