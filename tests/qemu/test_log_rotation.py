"""Logs of guests are cut at a size, whoever writes them."""

from __future__ import annotations

import asyncio
import os

import pytest
from guest_image import guest_xml

import virtcore
from support import comes, eventually
from virt_qemu import log_rotation
from virt_qemu.log_rotation import LogRotation, rotate
from virtcore.enums import DomainCreateFlags

PAUSED = DomainCreateFlags.START_PAUSED


def test_older_parts_are_counted_up(tmp_path):
    path = tmp_path / "guest.log"
    for text in ("first", "second", "third", "fourth"):
        path.write_text(text)
        rotate(path, 2)
    assert {each.name: each.read_text() for each in tmp_path.iterdir()} == {
        "guest.log": "",
        "guest.log.0": "fourth",
        "guest.log.1": "third",
    }


def test_whoever_writes_too_much_is_cut(tmp_path):
    async def watch() -> None:
        rotation = LogRotation(tmp_path, most=1000, backups=3)
        rotation.start()
        rotation.start()
        writer = os.open(tmp_path / "guest.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            for _ in range(4):
                for _ in range(11):
                    os.write(writer, b"x" * 99 + b"\n")
                    await asyncio.sleep(0.001)
                await comes(lambda: not (tmp_path / "guest.log").stat().st_size)
            await comes(lambda: not rotation._working)
        finally:
            os.close(writer)
            rotation.close()

    asyncio.run(watch())
    sizes = {each.name: each.stat().st_size for each in tmp_path.iterdir()}
    assert sizes == {"guest.log": 0, **dict.fromkeys(("guest.log.0", "guest.log.1", "guest.log.2"), 1100)}


@pytest.mark.parametrize(("handler", "cut"), [("logd", True), ("file", False)])
def test_of_a_running_guest(root, boot, monkeypatch, handler, cut):
    monkeypatch.setattr(log_rotation.LogRotation.__init__, "__defaults__", (20000, 3))
    (root / "etc").mkdir(exist_ok=True)
    (root / "etc" / "qemu.conf").write_text(f'stdio_handler = "{handler}"\n')
    with virtcore.connect(f"qemu:///embed?root={root}") as connection:
        domain = connection.create_domain(guest_xml("chatty", *boot), PAUSED)
        path = root / "log" / "qemu" / "chatty.log"
        with path.open("a") as file:
            file.write("y" * 30000)
        if cut:
            eventually(lambda: path.stat().st_size < 20000)
            assert (
                "starting up libvirt version"
                in path.with_name("chatty.log.0").read_text() + path.with_name("chatty.log.0").read_text()
            )
        domain.destroy()
        assert "reason=destroyed" in path.read_text()
        assert path.with_name("chatty.log.0").exists() is cut
