"""Passwords of displays: who knows them gets in, as long as they are valid."""

from __future__ import annotations

import re
import socket
import warnings
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from guest_image import guest_xml

from virtcore.enums import DomainCreateFlags, DomainXMLFlags

PAUSED = DomainCreateFlags.START_PAUSED


def gets_in(port: int, password: str) -> bool:
    """Whether VNC lets somebody in."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
        from cryptography.hazmat.primitives.ciphers import Cipher, modes

        key = bytes(int(f"{byte:08b}"[::-1], 2) for byte in password.encode()[:8].ljust(8, b"\0"))
        cipher = Cipher(TripleDES(key * 3), modes.ECB()).encryptor()
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        assert connection.recv(12).startswith(b"RFB")
        connection.sendall(b"RFB 003.008\n")
        count = connection.recv(1)[0]
        assert 2 in connection.recv(count), "it asks for a password"
        connection.sendall(b"\2")
        challenge = connection.recv(16, socket.MSG_WAITALL)
        if len(challenge) < 16:
            return False
        connection.sendall(cipher.update(challenge))
        return connection.recv(4, socket.MSG_WAITALL) == bytes(4)


def vnc(rest: str) -> str:
    return f"<graphics type='vnc' autoport='yes'{rest}/><video><model type='vga'/></video>"


def port_of(xml: str) -> int:
    found = re.search(r"<graphics type='vnc' port='(\d+)'", xml)
    assert found is not None
    return int(found.group(1))


@pytest.mark.parametrize(
    ("valid_to", "right"),
    [(None, True), (datetime.now(UTC) + timedelta(hours=1), True), (datetime.now(UTC) - timedelta(hours=1), False)],
    ids=["never expires", "not expired", "expired"],
)
def test_who_knows_it_gets_in(connection, boot, root, valid_to, right):
    until = f" passwdValidTo='{valid_to:%Y-%m-%dT%H:%M:%S}'" if valid_to is not None else ""
    domain = connection.create_domain(guest_xml("vnc", *boot, devices=vnc(f" passwd='secret'{until}")), PAUSED)
    port = port_of(domain.xml())
    assert gets_in(port, "secret") is right
    assert not gets_in(port, "wrong")
    assert "secret" not in domain.xml()
    assert "passwd='secret'" in domain.xml(DomainXMLFlags.SECURE)
    assert "secret" not in (root / "log" / "qemu" / "vnc.log").read_text().replace('qom-type":"secret', "")
    domain.destroy()


def test_guests_that_say_none_have_the_hosts(root, boot):
    import virtcore

    (root / "etc").mkdir(exist_ok=True)
    (root / "etc" / "qemu.conf").write_text('vnc_password = "ours"\nremote_display_port_min = 6100\n')
    with virtcore.connect(f"qemu:///embed?root={root}") as connection:
        domain = connection.create_domain(guest_xml("vnc", *boot, devices=vnc("")), PAUSED)
        port = port_of(domain.xml())
        assert port >= 6100
        assert gets_in(port, "ours")
        domain.destroy()


def test_ports_for_browsers(connection, boot):
    device = vnc(" websocket='-1'")
    domain = connection.define_domain(guest_xml("web", *boot, devices=device))
    domain.create(PAUSED)
    found = re.search(r" websocket='(\d+)'", domain.xml())
    assert found is not None
    assert int(found.group(1)) >= 5700
    socket.create_connection(("127.0.0.1", int(found.group(1))), 10).close()
    assert "websocket='-1'" in domain.xml(DomainXMLFlags.INACTIVE)
    domain.destroy()


def test_guests_that_start_together_have_ports_of_their_own(connection, boot):
    names = [f"beside{number}" for number in range(4)]
    with ThreadPoolExecutor(4) as pool:
        guests = list(
            pool.map(lambda name: connection.create_domain(guest_xml(name, *boot, devices=vnc("")), PAUSED), names)
        )
    assert len({port_of(guest.xml()) for guest in guests}) == 4
    for guest in guests:
        guest.destroy()
