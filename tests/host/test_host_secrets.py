"""The host's secrets: on disk for their owner only, over restarts, in libvirt's words."""

from __future__ import annotations

import logging
import stat
from pathlib import Path

import pytest

import virtcore
from virt_host.secret.service import HostSecrets
from virtcore.enums import ConnectListAllSecretsFlags, SecretUsageType
from virtcore.errors import InvalidArg, InvalidSecret, NoSecret
from virtcore.operations.events import SecretLifecycleEvent, SecretValueChangedEvent

UUID = "11111111-2222-4333-8444-555555555555"
XML = f"<secret private='yes'><uuid>{UUID}</uuid><usage type='volume'><volume>/img</volume></usage></secret>"
VALUE = b"let me in"


@pytest.fixture
def uri(tmp_path):
    return f"secret:///embed?root={tmp_path}"


def test_they_survive_and_nobody_else_reads_them(uri, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    with virtcore.connect(uri) as connection, connection.events() as events:
        secret = connection.define_secret(XML)
        secret.set_value(VALUE)
        assert [type(events.get(60)) for _ in range(2)] == [SecretLifecycleEvent, SecretValueChangedEvent]
        passing = connection.define_secret("<secret ephemeral='yes'/>")
        passing.set_value(VALUE)
        flags = ConnectListAllSecretsFlags
        assert connection.list_secrets(flags.EPHEMERAL) == [passing]
        assert connection.list_secrets(flags.PRIVATE | flags.NO_EPHEMERAL) == [secret]
        assert connection.list_secrets(flags.PRIVATE | flags.EPHEMERAL) == []
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".xml", ".base64", ""}
    for path in files:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
        assert VALUE not in path.read_bytes()
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700, path
    with virtcore.connect(uri) as connection:
        (found,) = connection.list_secrets()
        assert found == connection.lookup_secret(usage_type=SecretUsageType.VOLUME, usage_id="/img")
        with pytest.raises(InvalidSecret, match="secret is private"):
            found.value()
        found.undefine()
        with pytest.raises(NoSecret, match=f"no secret with matching uuid '{UUID}'"):
            found.set_value(VALUE)
    left = [path.name for path in tmp_path.rglob("*") if path.is_file()]
    assert UUID not in str(left)
    assert VALUE.decode() not in caplog.text


def test_flags_are_refused_as_the_driver_of_libvirt_does(uri):
    with virtcore.connect(uri) as connection:
        secret = connection.define_secret(XML)
        for function, call in (
            ("secretConnectListAllSecrets", lambda: connection.list_secrets(0x100)),
            ("secretDefineXML", lambda: connection.define_secret(XML, 8)),
            ("secretGetXMLDesc", lambda: secret.xml(1)),
            ("secretSetValue", lambda: secret.set_value(b"", 1)),
            ("secretGetValue", lambda: secret.value(1)),
        ):
            with pytest.raises(InvalidArg, match=rf"unsupported flags \(0x\d+\) in function {function}$"):
                call()
        with pytest.raises(InvalidArg, match=r"^value in virSecretSetValue must not be NULL$"):
            secret.set_value(b"")


def test_a_daemon_stays_for_what_it_alone_remembers(tmp_path):
    import asyncio

    from virtcore.driver.base import Place
    from virtcore.model.secret import load_secret

    async def run():
        service = HostSecrets(Place(False, str(tmp_path)))
        await service.open()
        await service.secrets.define(load_secret(XML))
        assert not service.in_use
        await service.secrets.define(load_secret("<secret ephemeral='yes'/>"))
        assert service.in_use
        await service.close()
        again = HostSecrets(Place(False, str(tmp_path)))
        await again.open()
        assert not again.in_use
        await again.close()

    asyncio.run(run())
    assert Path(tmp_path / "etc" / "secret" / f"{UUID}.xml").is_file()
