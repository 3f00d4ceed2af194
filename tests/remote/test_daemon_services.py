"""A daemon's services of the host: for every client, over its restarts, without a client; as access control allows."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import virtcore
from support import eventually
from virt_remote.server.daemon import Daemon
from virt_remote.server.importing import import_libvirt
from virt_remote.server.settings import Places
from virtcore.enums import SecretUsageType
from virtcore.errors import AccessDenied, InvalidSecret, NoSupport
from virtcore.operations.events import SecretLifecycleEvent

PLACE = "system" if os.geteuid() == 0 else "session"
UUIDS = [f"aaaaaaaa-0000-4000-8000-00000000000{number}" for number in range(4)]


def at(root: Path, service: str) -> virtcore.Connection:
    return virtcore.connect(f"{service}+unix:///{PLACE}?socket={root / 'run' / 'libvirt-sock'}")


def secret_xml(number: int, attributes: str = "") -> str:
    usage = f"<usage type='ceph'><name>key{number}</name></usage>"
    return f"<secret {attributes}><uuid>{UUIDS[number]}</uuid>{usage}</secret>"


def test_clients_share_them_and_restarts_keep_them(serve: Any) -> None:
    with serve("") as root:
        with at(root, "secret") as one, at(root, "secret") as other, other.events(SecretLifecycleEvent) as heard:
            assert one.type() == "secret"
            kept = one.define_secret(secret_xml(0, "private='yes'"))
            kept.set_value(b"hidden from everybody")
            event = heard.get(60)
            assert isinstance(event, SecretLifecycleEvent)
            assert event.secret.uuid == kept.uuid
            assert other.lookup_secret(usage_type=SecretUsageType.CEPH, usage_id="key0") == other.secret(kept.ref)
            with pytest.raises(InvalidSecret, match="secret is private"):
                other.secret(kept.ref).value()
            with pytest.raises(NoSupport):
                one.list_networks()
            passing = other.define_secret(secret_xml(1, "ephemeral='yes'"))
            passing.set_value(b"soon forgotten")
        with at(root, "secret") as later:
            assert later.secret(passing.ref).value() == b"soon forgotten", "the daemon keeps it, whoever has left"
    with serve("") as root, at(root, "secret") as again:
        assert [secret.uuid for secret in again.list_secrets()] == [UUIDS[0]]
    for path in root.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert b"hidden from" not in content, path
            assert b"soon forg" not in content, path
    assert not list(root.rglob(f"{UUIDS[1]}*"))


@pytest.mark.skipif(os.geteuid() != 0, reason="the system's services are root's")
def test_the_systems_are_not_the_users(serve: Any) -> None:
    with serve("") as root:
        socket = root / "run" / "libvirt-sock"
        with at(root, "secret") as system, virtcore.connect(f"qemu+unix:///session?socket={socket}") as session:
            system.define_secret(secret_xml(0))
            session.define_secret(secret_xml(1)).set_value(b"mine")
            assert [secret.uuid for secret in system.list_secrets()] == [UUIDS[0]]
            assert [secret.uuid for secret in session.list_secrets()] == [UUIDS[1]]
        assert (root / "system" / "etc" / "secret" / f"{UUIDS[0]}.xml").is_file()
        assert (root / "session" / "etc" / "secret" / f"{UUIDS[1]}.base64").is_file()


def test_what_starts_with_the_host_starts_without_a_client(serve: Any, tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    text = f"<pool type='dir'><name>images</name><target><path>{images}</path></target></pool>"
    with serve("") as root:
        state = root / PLACE
        assert not (state / "run" / "storage").exists(), "nobody has asked for pools"
        with at(root, "storage") as connection:
            pool = connection.define_storage_pool(text)
            pool.set_autostart(True)
            assert not pool.is_active()
        eventually((state / "run" / "storage" / "autostarted").exists)
    (state / "run" / "storage" / "autostarted").write_text("the host's uptime before this one")
    status = state / "run" / "storage" / "status" / f"{pool.uuid}.xml"
    with serve(""):
        eventually(status.exists)
        with at(root, "storage") as connection:
            assert connection.lookup_storage_pool(name="images").is_active()


def test_a_daemon_stays_for_services_in_use(tmp_path: Path) -> None:
    async def main() -> None:
        daemon = Daemon(Places.below(tmp_path), timeout=3600)
        daemon._stop = asyncio.Event()
        service = SimpleNamespace(in_use=True)
        daemon._kept = [service]  # type: ignore[assignment]
        await daemon._leave_if_unused()
        assert not daemon._stop.is_set()
        service.in_use = False
        await daemon._leave_if_unused()
        assert daemon._stop.is_set()
        daemon.set_timeout(0)

    asyncio.run(main())


POLICY = """
[[rule]]
allow = ["connect:*"]
[[rule]]
objects = ["aaaaaaaa-*"]
allow = ["secret:getattr"]
[[rule]]
objects = ["*-000000000001"]
allow = ["secret:*"]
[[rule]]
objects = ["lo"]
allow = ["interface:*"]
[[rule]]
deny = ["secret:*", "interface:*"]
"""


def test_each_object_is_for_whom_it_is_for(serve: Any) -> None:
    with serve("") as root, at(root, "secret") as connection:
        for number in range(2):
            connection.define_secret(secret_xml(number)).set_value(b"x")
        connection.define_secret("<secret><uuid>bbbbbbbb-0000-4000-8000-000000000000</uuid></secret>")
    (root / "etc" / "access.toml").write_text(POLICY)
    with serve('access_drivers = ["policy"]') as root:
        with at(root, "secret") as connection:
            assert sorted(secret.uuid for secret in connection.list_secrets()) == UUIDS[:2]
            hidden, open_one = (connection.lookup_secret(uuid=uuid) for uuid in UUIDS[:2])
            assert open_one.value() == b"x"
            open_one.set_value(b"y")
            for refused in (
                hidden.value,
                hidden.undefine,
                lambda: hidden.set_value(b"z"),
                lambda: connection.define_secret(secret_xml(2)),
                lambda: connection.lookup_secret(uuid="bbbbbbbb-0000-4000-8000-000000000000"),
            ):
                with pytest.raises(AccessDenied):
                    refused()
        with at(root, "interface") as connection:
            assert [interface.name for interface in connection.list_interfaces()] == ["lo"]
            assert "name='lo'" in connection.lookup_interface(name="lo").xml()


def test_secrets_of_libvirt_are_taken_over_with_their_values(serve: Any, tmp_path: Path) -> None:
    folder = tmp_path / "libvirt"
    (folder / "secrets").mkdir(parents=True)
    (folder / "storage" / "autostart").mkdir(parents=True)
    for number in range(2):
        (folder / "secrets" / f"{UUIDS[number]}.xml").write_text(secret_xml(number))
    (folder / "secrets" / f"{UUIDS[0]}.base64").write_text("dGFrZW4gb3Zlcg==")
    pool = folder / "storage" / "old.xml"
    pool.write_text(
        f"<pool type='dir'><name>old</name><uuid>{UUIDS[3]}</uuid><target><path>/nowhere/at/all</path></target></pool>"
    )
    (folder / "storage" / "autostart" / "old.xml").symlink_to(pool)
    root = tmp_path / "embedded"

    async def main() -> None:
        from virtcore.driver.opening import open_session

        async def open_service(uri: str) -> Any:
            return await open_session(f"{uri.partition(':')[0]}:///embed?root={root}", aliases=False)

        found = await import_libvirt(open_service, [], folder)
        assert [(one.noun, one.outcome) for one in found] == [("secret", "imported")] * 2 + [
            ("storage pool", "imported")
        ]
        again = await import_libvirt(open_service, [], folder)
        assert {one.outcome for one in again} == {"there already"}

    from virtcore.runtime.loop import core_loop

    asyncio.run_coroutine_threadsafe(main(), core_loop().loop).result(60)
    with virtcore.connect(f"secret:///embed?root={root}") as connection:
        assert connection.lookup_secret(uuid=UUIDS[0]).value() == b"taken over"
        assert len(connection.list_secrets()) == 2
    with virtcore.connect(f"storage:///embed?root={root}") as connection:
        assert connection.lookup_storage_pool(name="old").autostart()
