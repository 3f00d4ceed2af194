"""QEMU's command line for people who run it by hand."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

import virtcore
from virtcore import errors


@pytest.mark.usefixtures("kernel")
def test_a_command_line_needs_nothing_but_paths(connection: virtcore.Connection, root: Path) -> None:
    xml = (
        "<domain type='qemu'><name>by hand</name><memory unit='MiB'>32</memory>"
        "<os><type arch='x86_64' machine='q35'>hvm</type></os><devices>"
        f"<serial type='file'><source path='{root}/log'/></serial>"
        "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>"
        "<interface type='network'><source network='default'/><mac address='52:54:00:00:00:01'/></interface>"
        "<graphics type='vnc'/></devices></domain>"
    )
    text = connection.xml_to_native("qemu-argv", xml)
    words = shlex.split(text)
    assert any(word.endswith("qemu-system-x86_64") for word in words)
    assert not [word for word in words if "fd=" in word or "/dev/fdset" in word]
    assert [word for word in words if word.startswith("socket,id=charmonitor,path=") and "domain--1-by" in word]
    assert f"file,id=charserial0,path={root}/log" in words
    [net] = [word for word in words if '"hostnet0"' in word and '"tap"' in word]
    assert "fd" not in net
    assert "guest=by hand,debug-threads=on" in words
    assert connection.list_domains() == []
    with pytest.raises(errors.InvalidArg, match="unsupported config type foo"):
        connection.xml_to_native("foo", xml)
    with pytest.raises(errors.NoSupport):
        connection.xml_from_native("qemu-argv", text)
