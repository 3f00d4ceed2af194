"""nbdkit: serves images on HTTP, FTP and SSH, so that QEMU need not speak these protocols (``storage_use_nbdkit``)."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import socket
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from virt_host.description.program import finish_program
from virt_host.tools import find_tool
from virt_qemu.block.chain import images_of
from virt_qemu.block.image import disk_image
from virt_qemu.block.storage import CURL, cookie_text, source_uri
from virt_qemu.host_secrets import secret_values
from virt_qemu.private_data import SourcePrivate
from virtcore.errors import InternalError, OperationFailed, VirtError
from virtcore.model.domain.disk import DiskDevice
from virtcore.model.storage.source import DEFAULT_PORTS, NetProtocol, NetworkSource, SSHIdentity
from virtcore.runtime.threads import in_thread

if TYPE_CHECKING:
    from virt_qemu.block.image import Image
    from virt_qemu.host_side.host import HostSide
    from virt_qemu.host_side.owner import Owner
    from virtcore.model.domain.disk import Disk
    from virtcore.runtime.launcher import Process

__all__ = [
    "nbdkit_command",
    "serve_images",
    "serve_images_again",
    "served_images",
    "stop_serving",
    "stop_serving_all",
    "use_nbdkit",
]

log = logging.getLogger(__name__)

_PLUGINS = {**dict.fromkeys(CURL, "curl"), NetProtocol.SSH: "ssh"}
_READAHEAD = "readahead"
_FIRST = 3
"""Number of the first secret's descriptor in nbdkit."""
_LIMIT = 30.0
"""Seconds nbdkit has to reach the server of an image."""


def served_images(disk: Disk, plugins: Collection[str]) -> Iterator[Image]:
    """Images of a disk that are reached through nbdkit.

    :param plugins: those it has.
    """
    for image in disk_image(disk).chain() if disk.source is not None else ():
        if _plugin(image) in plugins:
            yield image


def _plugin(image: Image) -> str | None:
    """What of nbdkit knows the protocol of an image's server."""
    return _PLUGINS.get(image.source.protocol) if isinstance(image.source, NetworkSource) else None


def use_nbdkit(image: Image, folder: Path) -> SourcePrivate:
    """Have QEMU ask nbdkit for an image.

    :param folder: where nbdkit listens.
    """
    source = image.source
    if not isinstance(source.private_data, SourcePrivate):
        source.private_data = SourcePrivate()
    source.private_data.nbdkit_socket = str(_socket(image, folder))
    return source.private_data


def _name(image: Image) -> str:
    """Of the program that serves an image."""
    return f"nbdkit-{image.nodes.storage}"


def _socket(image: Image, folder: Path) -> Path:
    return folder / f"{_name(image)}.socket"


async def serve_images(side: HostSide, owner: Owner, disk: Disk) -> None:
    """Start what serves the images of a disk.

    :raises VirtError: one cannot be served.
    """
    if not side.settings.storage_use_nbdkit:
        return
    program = find_tool("nbdkit")
    if program is None:
        return  # QEMU reaches them itself
    needed = {_plugin(image) for image in served_images(disk, _PLUGINS.values())}
    plugins = {name for name in needed if name is not None and await _has(program, [name, "--version"])}
    for image in served_images(disk, plugins):
        serve = partial(_serve, side, owner, program, image, _is_only_read(disk, image))
        _keep(side, owner, image, serve, await serve())


def serve_images_again(side: HostSide, owner: Owner, disk: Disk) -> None:
    """Go on with what serves the images of a disk of a guest that was found again."""
    if not any(_served(disk)):
        return
    program = find_tool("nbdkit") or "nbdkit"
    for image in served_images(disk, _PLUGINS.values()):
        if image.nbdkit_socket is not None:
            serve = partial(_serve, side, owner, program, image, _is_only_read(disk, image))
            _keep(side, owner, image, serve, side.programs.attach(owner, _name(image)))


def _served(disk: Disk) -> Iterator[SourcePrivate]:
    """What is known of the images of a disk that nbdkit serves."""
    for link in images_of(disk):
        known = link.source.private_data if link.source is not None else None
        if isinstance(known, SourcePrivate) and known.nbdkit_socket is not None and known.nbdkit_pid_file is not None:
            yield known


def _is_only_read(disk: Disk, image: Image) -> bool:
    return image.readonly or disk.device is DiskDevice.CDROM


def _keep(
    side: HostSide, owner: Owner, image: Image, serve: Callable[[], Awaitable[Process]], process: Process | None
) -> None:
    """Start nbdkit again when it ends though the guest still has the image."""

    async def keep(process: Process | None) -> None:
        while True:
            if process is not None:
                await process.wait()
                process.close()
            log.warning("domain '%s': what serves '%s' has ended and is started again", owner.name, image.nodes.storage)
            await side.programs.stop(owner, _name(image))
            try:
                process = await serve()
            except VirtError as error:
                log.error("domain '%s' has lost image '%s': %s", owner.name, image.nodes.storage, error)
                return

    side.kept[_kept_as(owner, _name(image))] = asyncio.create_task(keep(process))


def _kept_as(owner: Owner, name: str) -> str:
    return f"{owner.folder}/{name}"


async def _let_go(side: HostSide, owner: Owner, name: str) -> None:
    """End what serves an image."""
    task = side.kept.pop(_kept_as(owner, name), None)
    if task is not None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    await side.programs.stop(owner, name)


async def _has(program: str, words: list[str]) -> bool:
    return (await finish_program([program, *words])).status == 0


async def _serve(side: HostSide, owner: Owner, program: str, image: Image, read_only: bool) -> Process:
    source = image.source
    assert isinstance(source, NetworkSource)
    folder = side.guests_folder(owner, "nbdkit")
    name, path = _name(image), str(_socket(image, folder))
    side.remove_file(path)
    ahead = bool(source.readahead) and await _has(program, ["--version", f"--filter={_READAHEAD}", "null"])
    secrets = await _secrets(side, source)
    argv, environment = nbdkit_command(program, path, source, read_only=read_only, ahead=ahead, secrets=list(secrets))
    uri = source_uri(source)

    def failure(written: str) -> VirtError:
        return OperationFailed(f"Failed to connect to nbdkit for '{uri}': {written}")

    side.take_files(owner, _files(source))
    with ExitStack() as stack:
        fds = {}
        for number, value in enumerate(secrets.values(), _FIRST):
            fds[number] = os.memfd_create("secret", os.MFD_CLOEXEC)
            stack.callback(os.close, fds[number])
            os.write(fds[number], value)
            os.lseek(fds[number], 0, os.SEEK_SET)
        identity = side.identity_of(owner)
        process = await side.programs.start(
            owner, name, argv, socket=path, fds=fds, identity=identity, died=failure, environment=environment
        )
    try:
        await in_thread(_try, path)
    except (OSError, EOFError):
        # What kept it from the image is in what it wrote; all of it is there when it has ended.
        await side.programs.stop(owner, name)
        raise failure(side.programs.last_words(owner, name)) from None
    except asyncio.CancelledError:
        await side.programs.stop(owner, name)
        raise
    known = use_nbdkit(image, folder)
    known.nbdkit_pid_file = str(owner.folder / f"{name}.pid")
    return process


async def _secrets(side: HostSide, source: NetworkSource) -> Mapping[str, bytes]:
    """What nobody is to see, by nbdkit's name of it.

    :raises VirtError: there is no such secret.
    """
    found = {}
    if source.auth is not None:
        if source.auth.secret is None:
            raise InternalError("authentication without a secret")
        lookup = await secret_values(side.services, [source.auth.secret])
        found["password"] = lookup(source.auth.secret)
    if source.cookies:
        found["cookie"] = cookie_text(source).encode()
    return found


def _files(source: NetworkSource) -> list[str]:
    """Files that nbdkit opens for an image."""
    identity = source.identity if isinstance(source.identity, SSHIdentity) else None
    named = [source.known_hosts, *((identity.keyfile, identity.agentsock) if identity is not None else ())]
    return [path for path in named if path is not None]


def nbdkit_command(
    program: str, path: str, source: NetworkSource, *, read_only: bool, ahead: bool, secrets: list[str]
) -> tuple[list[str], dict[str, str]]:
    """What nbdkit is run with, and variables of its environment.

    :param path: of the socket it listens on.
    :param ahead: it can read ahead, as the image asks for.
    :param secrets: what it reads from descriptors, in their order.
    :raises InternalError: the source is incomplete.
    """
    argv = [program, "--unix", path, "--foreground"]
    argv += ["--readonly"] if read_only else []
    argv += [f"--filter={_READAHEAD}"] if ahead else []
    hidden = {name: f"{name}=-{number}" for number, name in enumerate(secrets, _FIRST)}
    login = [f"user={source.auth.username}", hidden["password"]] if source.auth is not None else []
    if source.protocol is not NetProtocol.SSH:
        protocols = "http,https" if source.protocol is NetProtocol.HTTP else str(source.protocol)
        argv += ["curl", f"protocols={protocols}", f"url={source_uri(source)}", *login]
        argv += [hidden["cookie"]] if "cookie" in hidden else []
        argv += ["sslverify=false"] if source.ssl_verify is False else []
        argv += [f"timeout={source.timeout}"] if source.timeout else []
        return argv, {}
    if len(source.hosts) != 1 or source.name is None:
        raise InternalError("protocol 'ssh' accepts only one host")
    host, identity = source.hosts[0], source.identity if isinstance(source.identity, SSHIdentity) else None
    argv += ["ssh", f"host={host.name}", f"port={host.port or DEFAULT_PORTS[NetProtocol.SSH]}", f"path={source.name}"]
    environment = {}
    if login:
        argv += login
    elif identity is not None:
        argv += [f"identity={identity.keyfile}"] if identity.keyfile is not None else []
        argv += [f"user={identity.username}"] if identity.username is not None else []
    if identity is not None and identity.agentsock is not None:
        environment["SSH_AUTH_SOCK"] = identity.agentsock
    argv += [f"known-hosts={source.known_hosts}"] if source.known_hosts is not None else []
    return argv, environment


def _try(path: str) -> None:
    """Ask nbdkit for the image, as QEMU will: only then does it go to the server. Blocks.

    :raises OSError: it does not answer, or has not got it.
    """
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(_LIMIT)
        client.connect(path)
        _receive(client, 18)  # greeting
        go = (7).to_bytes(4, "big") + (6).to_bytes(4, "big") + bytes(6)  # NBD_OPT_GO of the default export
        client.sendall((3).to_bytes(4, "big") + b"IHAVEOPT" + go)
        kind = 3
        while kind == 3:  # NBD_REP_INFO
            reply = _receive(client, 20)
            kind = int.from_bytes(reply[12:16], "big")
            _receive(client, int.from_bytes(reply[16:20], "big"))
        if kind != 1:  # NBD_REP_ACK
            raise OSError("the image is not there")


def _receive(client: socket.socket, count: int) -> bytes:
    found = b""
    while len(found) < count:
        part = client.recv(count - len(found))
        if not part:
            raise EOFError
        found += part
    return found


async def stop_serving(side: HostSide, owner: Owner, disk: Disk) -> None:
    """End what serves the images of a disk."""
    for known in list(_served(disk)):
        assert known.nbdkit_pid_file is not None
        assert known.nbdkit_socket is not None
        await _let_go(side, owner, os.path.basename(known.nbdkit_pid_file).removesuffix(".pid"))
        side.remove_file(known.nbdkit_socket)
        known.nbdkit_socket = known.nbdkit_pid_file = None


async def stop_serving_all(side: HostSide, owner: Owner) -> None:
    """End what serves images of a guest that has ended: those that were merged away, too."""
    names = {path.stem for path in owner.folder.glob("nbdkit-*.pid")}
    names |= {os.path.basename(each) for each in side.kept if os.path.dirname(each) == str(owner.folder)}
    for name in names:
        await _let_go(side, owner, name)
    shutil.rmtree(side.folders.run / "nbdkit" / owner.short_name, ignore_errors=True)
