"""Clients of a display that go with their guest to another host."""

from __future__ import annotations

import re
import shutil
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import load_der_public_key
from guest_image import idle_xml

import virtcore
from virt_qemu.migration.displays import DisplayPlace, place_of
from virt_qemu.migration_cookie import CookieCertificate, CookieGraphics, MigrationCookie
from virtcore.enums import DomainMigrateFlags as Flags
from virtcore.errors import InternalError, InvalidArg
from virtcore.model.domain.graphics import GraphicsType


def _cookie(
    listen: str = "10.0.0.2", port: int = 5901, tls_port: int = -1, subject: str | None = None
) -> MigrationCookie:
    cookie = MigrationCookie(name="g", uuid="", host_name="there", host_uuid="")
    cookie.graphics = CookieGraphics(type=GraphicsType.SPICE, port=port, listen=listen, tls_port=tls_port)
    if subject is not None:
        cookie.graphics.certificate = CookieCertificate(info="subject", value=subject)
    return cookie


@pytest.mark.parametrize(
    ("cookie", "uri", "place"),
    [
        (_cookie(), None, DisplayPlace("10.0.0.2", 5901, -1, None)),
        (_cookie("0.0.0.0"), None, DisplayPlace("there", 5901, -1, None)),
        (_cookie("::"), None, DisplayPlace("there", 5901, -1, None)),
        (_cookie("name", 0, 5902, "CN=x"), None, DisplayPlace("name", 0, 5902, "CN=x")),
        (_cookie(port=0), None, None),
        (_cookie(), "spice://other", DisplayPlace("other", 5901, -1, None)),
        (_cookie(), "spice://[fe80::1]:77?tlsPort=78&tlsSubject=CN%3Dy", DisplayPlace("fe80::1", 77, 78, "CN=y")),
        (_cookie(), "vnc://other:5900", None),
        (MigrationCookie(name="g", uuid="", host_name="there", host_uuid=""), None, None),
    ],
)
def test_where_they_go(cookie: MigrationCookie, uri: str | None, place: DisplayPlace | None) -> None:
    assert place_of(cookie, uri) == place


def test_what_names_no_place() -> None:
    with pytest.raises(InvalidArg, match="unknown graphics type http"):
        place_of(_cookie(), "http://other")
    with pytest.raises(InvalidArg, match="invalid tlsPort number: many"):
        place_of(_cookie(), "spice://other?tlsPort=many")
    with pytest.raises(InternalError, match="Unable to parse URI"):
        place_of(_cookie(), "spice://[")


# -- a client


class _SpiceClient:
    """As much of a SPICE client as hears that its guest moves: the main channel."""

    MIGRATE_BEGIN, SWITCH_HOST, CONNECT_ERROR = 101, 111, 103
    _LINK = struct.Struct("<4sIII")
    _HEADER = struct.Struct("<QHII")

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=150)
        self._sent = 0
        # The main channel, without an identity; of the common abilities none, of the channel's semi-seamless migration.
        message = struct.pack("<IBBIII", 0, 1, 0, 0, 1, 18) + struct.pack("<I", 1)
        self._socket.sendall(self._LINK.pack(b"REDQ", 2, 2, len(message)) + message)
        *_, size = self._LINK.unpack(self._read(self._LINK.size))
        reply = self._read(size)
        assert reply[:4] == bytes(4)
        key = load_der_public_key(reply[4:166])
        assert isinstance(key, RSAPublicKey)
        self._socket.sendall(key.encrypt(b"\0", OAEP(MGF1(SHA1()), SHA1(), None)))  # no password
        assert self._read(4) == bytes(4)

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = self._socket.recv(size - len(data))
            assert part, "the server has hung up"
            data += part
        return data

    def wait_for(self, wanted: int) -> bytes:
        """The next message of a type."""
        while True:
            _, type_, size, _ = self._HEADER.unpack(self._read(self._HEADER.size))
            data = self._read(size)
            if type_ == wanted:
                return data

    def send(self, type_: int) -> None:
        self._sent += 1
        self._socket.sendall(self._HEADER.pack(self._sent, type_, 0, 0))

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def peer(root: Path, tmp_path: Path, probed: Path) -> Iterator[virtcore.Connection]:
    folder = tmp_path / "peer"
    folder.mkdir()
    if probed.is_dir():
        shutil.copytree(probed, folder / "cache")
    with virtcore.connect(f"qemu:///embed?root={folder}") as opened:
        yield opened


def _port(domain: virtcore.Domain) -> int:
    found = re.search(r"<graphics type='spice' port='(\d+)'", domain.xml())
    assert found is not None
    return int(found.group(1))


def test_clients_of_spice_are_told(connection: virtcore.Connection, peer: virtcore.Connection) -> None:
    display = "<graphics type='spice' autoport='yes'><listen type='address' address='127.0.0.1'/></graphics>"
    domain = connection.define_domain(idle_xml("shown", display))
    domain.create()
    client = _SpiceClient(_port(domain))
    try:
        heard: list[bytes] = []

        def listen() -> None:
            heard.append(client.wait_for(client.MIGRATE_BEGIN))
            client.send(client.CONNECT_ERROR)  # not yet
            client.wait_for(client.SWITCH_HOST)
            client.close()

        thread = threading.Thread(target=listen)
        thread.start()
        moved = domain.migrate(peer, flags=Flags.LIVE | Flags.UNSAFE)
        thread.join(150)
    finally:
        client.close()
    [message] = heard
    port, tls_port = struct.unpack_from("<Hh", message)
    assert (port, tls_port) == (_port(moved), -1)
    assert b"127.0.0.1\0" in message
    moved.destroy()
