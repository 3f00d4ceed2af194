"""Secrets on disk: what survives, and who may read it."""

from __future__ import annotations

import asyncio
import stat

import pytest

from virtcore.driver.base import Place
from virtcore.driver.composition import PlaceServices
from virtcore.driver.toolkit.disk import DiskWorker
from virtcore.driver.toolkit.secrets import Secrets, StatefulSecrets, secret_value
from virtcore.enums import SecretUsageType
from virtcore.errors import InternalError, InvalidArg, InvalidSecret, NoSecret
from virtcore.model.secret import format_secret, load_secret
from virtcore.model.storage.secret import SecretReference

UUID, OTHER = "11111111-2222-4333-8444-555555555555", "11111111-2222-4333-8444-666666666666"


def document(**attributes):
    words = "".join(f" {key}='{value}'" for key, value in attributes.items())
    usage = "<usage type='ceph'><name>n</name></usage>"
    return load_secret(f"<secret{words}><uuid>{UUID}</uuid>{usage}</secret>")


def test_definitions_and_values_survive(tmp_path):
    async def run():
        disk = DiskWorker("secrets")
        try:
            secrets = Secrets(tmp_path, disk)
            await secrets.open()
            await secrets.set_value(await secrets.define(document()), b"\0value")
            again = Secrets(tmp_path, disk)
            await again.open()
            assert again.get(UUID).value == b"\0value"
            files = [path for path in tmp_path.rglob("*") if path.is_file()]
            assert len(files) == 2
            assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in files)
            await again.undefine(again.get(UUID))
            assert not [path for path in tmp_path.rglob("*") if path.is_file()]
        finally:
            await disk.close()

    asyncio.run(run())


def test_ephemeral_ones_never_reach_the_disk(tmp_path):
    async def run():
        disk = DiskWorker("secrets")
        try:
            secrets = Secrets(tmp_path, disk)
            await secrets.open()
            await secrets.set_value(await secrets.define(document()), b"value")
            obj = await secrets.define(document(ephemeral="yes"))
            await secrets.set_value(obj, b"other")
            assert not [path for path in tmp_path.rglob("*") if path.is_file()]
            assert secrets.get(UUID).value == b"other"
        finally:
            await disk.close()

    asyncio.run(run())


def test_what_is_on_disk_is_found_unparsed_and_what_makes_no_sense_is_not(tmp_path, caplog):
    async def run():
        disk = DiskWorker("secrets")
        try:
            secrets = Secrets(tmp_path, disk)
            await secrets.open()
            await secrets.set_value(await secrets.define(document(private="yes")), b"value")
            again = Secrets(tmp_path, disk)
            await again.open()
            found = again.get(UUID)
            assert (found.private, found.ephemeral, found.ref.usage_id) == (True, False, "n")
            assert callable(found._document)
            assert "private='yes'" in format_secret(found.document)
            assert again.find_usage(SecretUsageType.CEPH, "n") is found
            (tmp_path / f"{UUID}.base64").write_bytes(b"no base64!")
            third = Secrets(tmp_path, disk)
            await third.open()
            assert third.by_uuid == {}
            assert f"invalid base64 in '{tmp_path}/{UUID}.base64'" in caplog.text
            assert "no base64!" not in caplog.text
        finally:
            await disk.close()

    asyncio.run(run())


def test_a_secret_keeps_what_it_is_for(tmp_path):
    def of(attributes="", usage="<usage type='ceph'><name>n</name></usage>", uuid=UUID):
        return load_secret(f"<secret {attributes}><uuid>{uuid}</uuid>{usage}</secret>")

    async def run():
        secrets = Secrets()
        await secrets.define(of("private='yes'"))
        for wrong, message in (
            (of(), "cannot change private flag on existing secret"),
            (of(uuid=OTHER), f"a secret with UUID {UUID} already defined for use with n"),
            (
                of("private='yes'", "<usage type='volume'><volume>/v</volume></usage>"),
                f"a secret with UUID {UUID} is already defined for use with n",
            ),
        ):
            with pytest.raises(InternalError) as caught:
                await secrets.define(wrong)
            assert str(caught.value) == f"internal error: {message}"
        await secrets.define(of("private='yes'", "<usage type='iscsi'><target>n</target></usage>"))
        await secrets.define(of(usage="", uuid=OTHER))
        with pytest.raises(InternalError, match=r"is already defined for use with \(null\)"):
            await secrets.define(of(uuid=OTHER))
        with pytest.raises(NoSecret):
            secrets.by_usage(SecretUsageType.NONE, "")

    asyncio.run(run())


def test_drivers_are_told_what_is_private():
    async def run():
        secrets = StatefulSecrets(Place(False))
        secrets.secrets = Secrets()
        services = PlaceServices(Place(False))
        services.open = lambda name: asyncio.sleep(0, secrets)
        obj = await secrets.secrets.define(document(private="yes"))
        with pytest.raises(NoSecret, match=f"secret '{UUID}' does not have a value"):
            await secret_value(services, SecretReference(uuid=UUID))
        await secrets.secrets.set_value(obj, b"told")
        with pytest.raises(InvalidSecret, match="secret is private"):
            secrets.secret_value(obj.ref)
        assert await secret_value(services, SecretReference(uuid=UUID)) == b"told"
        assert await secret_value(services, SecretReference(type="ceph", usage="n")) == b"told"
        with pytest.raises(InvalidArg) as caught:
            await secret_value(services, SecretReference(type="passphrase", uuid=UUID))
        assert f"secret with uuid {UUID} is of type 'ceph' not expected 'volume' type" in str(caught.value)
        await secrets.secrets.set_value(
            await secrets.secrets.define(load_secret(f"<secret><uuid>{OTHER}</uuid></secret>")), b"any"
        )
        assert await secret_value(services, SecretReference(type="passphrase", uuid=OTHER)) == b"any"
        with pytest.raises(NoSecret, match="no secret with matching usage 'n'"):
            await secret_value(services, SecretReference(type="iscsi", usage="n"))

    asyncio.run(run())
