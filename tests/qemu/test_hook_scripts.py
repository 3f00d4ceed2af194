"""Scripts that are told of guests' transitions, and guests that start by themselves one after the other."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from guest_image import idle_xml

import virtcore
from support import eventually
from virtcore.enums import DomainCreateFlags
from virtcore.errors import HookScriptFailed

PAUSED = DomainCreateFlags.START_PAUSED


@pytest.fixture
def script(root) -> Callable[..., Path]:
    """Install a script."""

    def install(body: str, name: str = "qemu") -> Path:
        path = root / "etc" / "hooks" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
        return path

    return install


def test_they_are_told_what_happens(connection, script, tmp_path):
    told = tmp_path / "told"
    script(f'echo "$@" >> {told}; grep -c "<name>hooked</name>" >> {told}')
    script(f'echo "second $2" >> {told}', "qemu.d/10-more")
    connection.create_domain(idle_xml("hooked"), PAUSED).destroy()
    assert told.read_text().splitlines() == [
        *("hooked prepare begin -", "1", "second prepare"),
        *("hooked start begin -", "1", "second start"),
        *("hooked started begin -", "1", "second started"),
        *("hooked stopped end -", "1", "second stopped"),
        *("hooked release end -", "1", "second release"),
    ]


@pytest.mark.parametrize("operation", ["prepare", "start"])
def test_they_can_keep_a_guest_from_running(connection, script, root, operation):
    path = script(f'[ "$2" != {operation} ] || {{ echo not today >&2; exit 3; }}')
    with pytest.raises(HookScriptFailed) as caught:
        connection.create_domain(idle_xml("refused"), PAUSED)
    assert str(caught.value) == (
        f"Hook script execution failed: internal error: Child process ({path} refused {operation} begin -) "
        "unexpected exit status 3: not today"
    )
    assert connection.list_domains() == []
    assert not list((root / "run" / "qemu").glob("domain-*"))


def test_what_has_happened_they_cannot_prevent(connection, script):
    script('[ "$2" != started -a "$2" != stopped ]')
    domain = connection.create_domain(idle_xml("anyway"), PAUSED)
    assert domain.is_active()
    domain.destroy()


def test_guests_that_are_found_again(root, script, tmp_path):
    told = tmp_path / "told"
    uri = f"qemu:///embed?root={root}"
    with virtcore.connect(uri) as connection:
        connection.create_domain(idle_xml("found"), PAUSED)
    script(f'echo "$@" >> {told}')
    with virtcore.connect(uri) as connection:
        eventually(lambda: told.exists() and "found reconnect begin -" in told.read_text())
        connection.lookup_domain(name="found").destroy()


def test_guests_start_with_the_host_one_after_the_other(root, script, tmp_path):
    uri = f"qemu:///embed?root={root}"
    with virtcore.connect(uri) as connection:
        for name in ("one", "two"):
            connection.define_domain(idle_xml(name)).set_autostart(True)
        eventually((root / "run" / "qemu" / "autostarted").exists)
    (root / "run" / "qemu" / "autostarted").unlink()  # as if the host had booted
    (root / "etc" / "qemu.conf").write_text("auto_start_delay = 1500\n")
    script(f'[ "$2" != prepare ] || date +%s.%N >> {tmp_path}/begun')
    with virtcore.connect(uri) as connection:
        begun = tmp_path / "begun"
        eventually(lambda: begun.exists() and begun.read_text().count("\n") == 2)
        first, second = map(float, begun.read_text().split())
        eventually((root / "run" / "qemu" / "autostarted").exists)
        assert second - first >= 1.5
        for domain in connection.list_domains():
            domain.destroy()
    assert time.time() > second
