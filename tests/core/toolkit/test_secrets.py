"""Secrets on disk: what survives, and who may read it."""

from __future__ import annotations

import asyncio
import stat

from virtcore.driver.toolkit.disk import DiskWorker
from virtcore.driver.toolkit.secrets import Secrets
from virtcore.model.secret import load_secret

UUID = "11111111-2222-4333-8444-555555555555"


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
