"""``virt-ssh-helper``: what foreign clients run here over ssh; carries their bytes to and from a daemon's socket."""

from __future__ import annotations

import _socket
import os
import select
import sys
from collections.abc import Sequence

from virt_remote.client.address import address_of
from virt_remote.client.autostart import open_local
from virt_remote.client.link import Link
from virtcore.errors import VirtError
from virtcore.uri import ConnectionURI

__all__ = ["main"]

USAGE = """\
usage: virt-ssh-helper [-r | --readonly] [-V | --version] [-h | --help] URI

Carries standard input and output to and from the socket of the daemon that serves URI on this host."""

_CHUNK = 262144


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; gives its exit status."""
    readonly = False
    uris = []
    for word in sys.argv[1:] if arguments is None else arguments:
        if word in ("-r", "--readonly"):
            readonly = True
        elif word in ("-V", "--version"):
            from virtcore import __version__

            print(f"virt-ssh-helper (virtcore) {__version__}")
            return 0
        elif word in ("-h", "--help"):
            print(USAGE)
            return 0
        elif word.startswith("-"):
            print(f"virt-ssh-helper: Unknown option {word}\n{USAGE}", file=sys.stderr)
            return 1
        else:
            uris.append(word)
    if len(uris) != 1:
        print("virt-ssh-helper: " + ("unexpected extra arguments" if uris else "missing URI"), file=sys.stderr)
        return 1
    try:
        uri = ConnectionURI.parse(uris[0])
        link = open_local(address_of(uri._replace(transport="unix", user=None, host=None, port=None), readonly))
    except VirtError as error:
        print(f"virt-ssh-helper: {error}", file=sys.stderr)
        return 1
    try:
        carry_standard(link)
    except OSError as error:
        print(f"virt-ssh-helper: {error.strerror}", file=sys.stderr)
        return 1
    finally:
        link.close()
    return 0


def carry_standard(link: Link, source: int = 0, target: int = 1) -> None:
    """Carry bytes until the daemon or whoever asks it has no more."""
    sock = link.socket
    waiting: list[int | _socket.socket] = [source, sock]
    while True:
        ready = select.select(waiting, [], [])[0]
        if source in ready:
            data = os.read(source, _CHUNK)
            if not data:
                return  # nobody is left who could want an answer
            sock.sendall(data)
        if sock in ready:
            data = sock.recv(_CHUNK)
            if not data:
                return
            while data:
                data = data[os.write(target, data) :]


if __name__ == "__main__":
    sys.exit(main())
