"""Over the system's ``ssh``: the user's configuration, agent and jump hosts count."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time

from virt_remote.client import far_side
from virt_remote.client.address import Address
from virt_remote.client.credentials import Asker
from virt_remote.client.link import Link, await_start
from virt_remote.client.reach import end_process, program_link, unix_link
from virtcore.errors import ErrorDomain, InvalidArg, OperationTimeout, SystemError

__all__ = ["system_ssh"]


def arguments(address: Address, options: list[str]) -> list[str]:
    """The argument list of ssh up to the command: what the user wrote can be no option there."""
    host, user = address.host, address.uri.user
    if host.startswith("-") or (user or "").startswith("-"):
        raise InvalidArg(f"'{host}' is not the name of a host", value=host, domain=ErrorDomain.REMOTE)
    argv = [address.get("command") or "ssh"]
    if address.port:
        argv += ["-p", str(address.port)]
    if user is not None:
        argv += ["-l", user]
    keyfile = address.get("keyfile")
    if keyfile is not None:
        argv += ["-i", keyfile]
    if address.on("no_tty"):
        argv += ["-o", "BatchMode=yes"]
    if address.on("no_verify"):
        argv += ["-o", "StrictHostKeyChecking=no"]
    return [*argv, "-T", "-e", "none", *options, "--", host]


def system_ssh(address: Address, ask: Asker | None, end: float | None) -> Link:
    """Connect by way of the ``ssh`` program, or as libssh does where there is none.

    :raises SystemError: no way leads to the daemon; the error tells all that were tried.
    """
    program = address.get("command") or "ssh"
    if shutil.which(program) is None and address.get("command") is None:
        from virt_remote.client.ssh_library import library_ssh

        return library_ssh(address, ask, end)
    link = program_link([*arguments(address, []), far_side.script(address)], secure=True)
    try:
        await_start(link, end)
    except SystemError as error:
        link.close()
        if "not found on the far side" not in str(error.detail) or address.proxy == "native":
            raise
        forwarded = _forwarded(address, end)
        if isinstance(forwarded, Link):
            return forwarded
        raise SystemError(
            f"{error.detail}; forwarding of the socket '{address.path}': {forwarded}", domain=ErrorDomain.RPC
        ) from None
    except BaseException:
        link.close()
        raise
    return link


def _forwarded(address: Address, end: float | None) -> Link | str:
    """Have ssh itself connect to the far socket; else what it says."""
    folder = tempfile.mkdtemp(prefix="virt-remote-")
    path = os.path.join(folder, "sock")
    options = ["-o", "ExitOnForwardFailure=yes", "-N", "-L", f"{path}:{address.path}"]
    process = subprocess.Popen(
        arguments(address, options), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )

    def close() -> None:
        process.terminate()
        end_process(process)
        shutil.rmtree(folder, ignore_errors=True)

    try:
        while process.poll() is None and not os.path.exists(path):
            if end is not None and time.monotonic() > end:
                raise OperationTimeout("ssh did not connect in time", domain=ErrorDomain.RPC)
            time.sleep(0.02)
        if process.poll() is None:
            link = unix_link(path)
            try:
                await_start(link, end)
            except BaseException:
                link.close()
                raise
            link.also_close(close)
            return link
        failure = f"ssh ended with status {process.returncode}"
    except SystemError as error:
        failure = str(error)
    except BaseException:
        close()
        raise
    process.terminate()
    said = (process.stderr.read() if process.stderr is not None else b"").decode("utf-8", "replace").strip()
    close()
    return said or failure
