"""What runs on the far side of ssh: command lines for the shell there, quoted, and a relay of our own."""

from __future__ import annotations

from shlex import quote

from virt_remote.client.address import Address
from virtcore._typing import Final

__all__ = ["helper", "netcat", "relay", "script", "server_uri"]

#: A program for whatever Python 3 the far side has: carries standard input and output to and from a socket.
RELAY: Final = """
import os,select,socket,sys
s=socket.socket(socket.AF_UNIX)
try:s.connect(sys.argv[1])
except OSError as e:sys.exit("Failed to connect socket to '%s': %s"%(sys.argv[1],e.strerror))
w=[0,s.fileno()]
while s.fileno() in w:
    for f in select.select(w,[],[])[0]:
        b=os.read(f,65536) if f==0 else s.recv(65536)
        if not b:
            w.remove(f)
            if f==0:s.shutdown(1)
        elif f==0:s.sendall(b)
        else:
            while b:b=b[os.write(1,b):]
"""


def server_uri(address: Address) -> str:
    """The URI for virt-ssh-helper, which finds the daemon's socket by it."""
    return address.name or "remote:///"


def helper(address: Address) -> str:
    """Runs virt-ssh-helper."""
    return " ".join(["virt-ssh-helper", *(["-r"] if address.readonly else []), quote(server_uri(address))])


def netcat(address: Address) -> str:
    """Runs netcat; some of them must be told to end with their input."""
    program = quote(address.get("netcat") or "nc")
    ends = f"if {program} -q 2>&1 | grep 'requires an argument' >/dev/null 2>&1; then ARG=-q0; else ARG=; fi"
    return f"{ends}; {program} $ARG -U {quote(address.path or '')}"


def relay(address: Address) -> str:
    """Runs our own relay."""
    return f"python3 -c {quote(RELAY)} {quote(address.path or '')}"


def script(address: Address) -> str:
    """All of it in one, for an ssh that would have to authenticate anew for every try: the first that is there.

    The last word, where nothing is, is a line on standard error, and status 127.
    """
    proxy = address.proxy
    ways = []
    if proxy in ("auto", "native"):
        ways.append(("command -v virt-ssh-helper >/dev/null 2>&1", f"exec {helper(address)}"))
    if proxy in ("auto", "netcat"):
        program = quote(address.get("netcat") or "nc")
        ways.append((f"command -v {program} >/dev/null 2>&1", netcat(address)))
        ways.append(("command -v python3 >/dev/null 2>&1", f"exec {relay(address)}"))
    tried = {"auto": "virt-ssh-helper, nc and python3 are", "native": "virt-ssh-helper is"}.get(
        proxy, f"{address.get('netcat') or 'nc'} and python3 are"
    )
    text = "".join(f"{'el' if at else ''}if {there}; then {run}; " for at, (there, run) in enumerate(ways))
    missing = quote(f"{tried} not found on the far side")
    return f"sh -c {quote(f'{text}else echo {missing} >&2; exit 127; fi')}"
