"""Images on servers that nbdkit reaches for QEMU: on a real server of HTTP, with real guests."""

from __future__ import annotations

import contextlib
import http.server
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from guest_image import idle_xml

import virtcore
from support import eventually
from virt_qemu.host_side.nbdkit import nbdkit_command
from virtcore.enums import DomainCreateFlags, DomainDeviceModifyFlags, DomainXMLFlags
from virtcore.errors import OperationFailed
from virtcore.model.domain.disk import Disk
from virtcore.xml import parse as parse_xml

PAUSED, LIVE = DomainCreateFlags.START_PAUSED, DomainDeviceModifyFlags.LIVE
SIZE = 1 << 20


def _has_nbdkit() -> bool:
    if shutil.which("nbdkit") is None:
        return False
    return subprocess.run(["nbdkit", "curl", "--version"], check=False, capture_output=True).returncode == 0


with_nbdkit = pytest.mark.skipif(not _has_nbdkit(), reason="nbdkit with its plugin curl is not installed")


class _Handler(http.server.BaseHTTPRequestHandler):
    """Answers for one image, by ranges, to who brings the cookie."""

    protocol_version = "HTTP/1.1"
    image: ClassVar[bytes]
    cookies: ClassVar[set[str]]

    def do_HEAD(self) -> None:
        self._answer(False)

    def do_GET(self) -> None:
        self._answer(True)

    def _answer(self, whole: bool) -> None:
        if self.path != "/image.raw":
            self.send_error(404)
            return
        type(self).cookies.add(self.headers.get("Cookie") or "")
        first, _, last = (self.headers.get("Range") or "").removeprefix("bytes=").partition("-")
        part = self.image[int(first) : int(last) + 1] if first else self.image
        self.send_response(206 if first else 200)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        if whole:
            self.wfile.write(part)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[int]:
    """The port of a server of HTTP that has an image."""
    _Handler.image, _Handler.cookies = b"virtcore" * (SIZE // 8), set()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as serving:
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        yield serving.server_address[1]
        serving.shutdown()
        thread.join()


@pytest.fixture
def opened(root: Path, image_tools: None) -> Iterator[Callable[[str], virtcore.Connection]]:
    connections = []

    def open_(settings: str = "storage_use_nbdkit = 1\n") -> virtcore.Connection:
        (root / "etc").mkdir(exist_ok=True)
        (root / "etc" / "qemu.conf").write_text(settings)
        connections.append(virtcore.connect(f"qemu:///embed?root={root}"))
        return connections[-1]

    yield open_
    for connection in connections:
        connection.close()


def disk(port: int, name: str = "image.raw", more: str = "", target: str = "vda") -> str:
    return (
        f"<disk type='network' device='disk'><driver name='qemu' type='raw'/><source protocol='http' name='{name}'>"
        f"<host name='127.0.0.1' port='{port}'/>{more}</source><target dev='{target}' bus='virtio'/><readonly/></disk>"
    )


COOKIE = "<cookies><cookie name='ticket'>hunter2</cookie></cookies>"


def served(root: Path) -> list[str]:
    """Command lines of the nbdkits that serve images of a root's guests."""
    found = []
    for path in root.glob("run/qemu/domain-*/nbdkit-*.pid"):
        pid = path.read_text().split()[0]
        found.append(Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode())
    return found


@with_nbdkit
def test_start(opened, root, server):
    """An image on a server, cookies and all."""
    connection = opened()
    domain = connection.define_domain(idle_xml("far", disk(server, more=COOKIE)))
    domain.create(PAUSED)
    [program] = served(root)
    assert f" curl protocols=http,https url=http://127.0.0.1:{server}/image.raw cookie=-3" in program
    assert "--readonly" in program
    assert _Handler.cookies == {"ticket=hunter2"}
    assert "hunter2" not in program
    started = (root / "log" / "qemu" / "far.log").read_text()
    assert '"driver":"nbd","server":{"type":"unix","path":"' in started
    assert "hunter2" not in started
    assert domain.block_info("vda").capacity == SIZE
    [status] = (root / "run" / "qemu" / "status").glob("*.xml")
    assert "<socketfile>" in status.read_text()
    assert "nbdkit" not in domain.xml(DomainXMLFlags.SECURE)
    connection.close()
    domain = opened().lookup_domain("far")
    domain.destroy()
    assert served(root) == []
    assert list((root / "run" / "qemu" / "nbdkit").iterdir()) == []


def _kill(root: Path) -> int:
    """Kill what serves the only image; returns its number."""
    [path] = root.glob("run/qemu/domain-*/nbdkit-*.pid")
    pid = int(path.read_text().split()[0])
    os.kill(pid, signal.SIGKILL)
    return pid


def _serves_other_than(root: Path, pid: int) -> bool:
    numbers = [path.read_text().split()[:1] for path in root.glob("run/qemu/domain-*/nbdkit-*.pid")]
    return numbers not in ([], [[]], [[str(pid)]]) and len(served(root)) == 1


@with_nbdkit
def test_again(opened, root, server):
    """An nbdkit that dies before its guest, also while no daemon looks."""
    connection = opened()
    domain = connection.define_domain(idle_xml("far", disk(server)))
    domain.create(PAUSED)
    first = _kill(root)
    eventually(lambda: _serves_other_than(root, first))
    eventually(lambda: domain.block_info("vda").capacity == SIZE)
    connection.close()
    second = _kill(root) if served(root) else first  # none: the start was broken off
    domain = opened().lookup_domain("far")
    eventually(lambda: _serves_other_than(root, second))
    domain.destroy()
    assert served(root) == []


@with_nbdkit
def test_later(opened, root, server):
    """A disk that comes to a running guest."""
    domain = opened().create_domain(
        idle_xml(
            "later",
            "<controller type='pci' model='pcie-root'/>",
            *["<controller type='pci' model='pcie-root-port'/>"] * 6,
        ),
        PAUSED,
    )
    domain.attach_device(disk(server, target="vdb"), LIVE)
    [program] = served(root)
    assert f"url=http://127.0.0.1:{server}/image.raw" in program
    with pytest.raises(OperationFailed, match=r"Failed to connect to nbdkit for 'http://127\.0\.0\.1:.*/other': .*404"):
        domain.attach_device(disk(server, "other", target="vdc"), LIVE)
    assert len(served(root)) == 1
    domain.destroy()
    assert served(root) == []


@with_nbdkit
def test_missing(opened, root, server):
    """An image that the server has not got."""
    connection = opened()
    with pytest.raises(OperationFailed, match=r"Failed to connect to nbdkit for 'http://127\.0\.0\.1:.*/none': .*404"):
        connection.create_domain(idle_xml("none", disk(server, "none")), PAUSED)
    assert connection.list_domains() == []
    assert list((root / "run" / "qemu" / "nbdkit").iterdir()) == []


def test_not_wanted(opened, root, server):
    """QEMU reaches servers itself where nobody says otherwise."""
    connection = opened("")
    with contextlib.suppress(virtcore.VirtError):  # QEMU can come without
        connection.create_domain(idle_xml("near", disk(server)), PAUSED).destroy()
    assert '"driver":"http"' in (root / "log" / "qemu" / "near.log").read_text()
    assert not (root / "run" / "qemu" / "nbdkit").exists()


HTTPS = (
    "<source protocol='https' name='a/b' query='q=1'><host name='h' port='44'/><ssl verify='no'/>"
    "<readahead size='1024'/><timeout seconds='7'/>"
    "<auth username='me'><secret type='iscsi' usage='u'/></auth></source>"
)
SSH = (
    "<source protocol='ssh' name='/i'><host name='h'/><identity username='me' keyfile='/k' agentsock='/s'/>"
    "<knownHosts path='/kh'/></source>"
)
BY_CURL = "curl protocols=https url=https://h:44/a/b?q=1 user=me password=-3 sslverify=false timeout=7"
BY_SSH = "ssh host=h port=22 path=/i identity=/k user=me known-hosts=/kh"


@pytest.mark.parametrize(
    ("source", "expected", "environment"),
    [
        (HTTPS, f"--readonly --filter=readahead {BY_CURL}", {}),
        (SSH, f"--readonly {BY_SSH}", {"SSH_AUTH_SOCK": "/s"}),
    ],
)
def test_what_nbdkit_is_told(source, expected, environment):
    found = parse_xml(f"<disk type='network'>{source}<target dev='vda'/></disk>", Disk).source
    argv, variables = nbdkit_command(
        "nbdkit", "/s", found, read_only=True, ahead=bool(found.readahead), secrets=["password"] if found.auth else []
    )
    assert " ".join(argv) == f"nbdkit --unix /s --foreground {expected}"
    assert variables == environment
