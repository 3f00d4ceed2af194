"""Pools that are a target of iSCSI: the host logs in while they run, and has its units as devices."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING

from virt_host.description.program import finish_program
from virt_host.storage.devices import DeviceBackend, wait_for_devices
from virt_host.storage.programs import failure, installed, run
from virt_host.storage.sources import sources_xml
from virt_host.storage.units import find_units
from virtcore.driver.toolkit.disk import write_file
from virtcore.driver.toolkit.secrets import secret_value
from virtcore.enums.secret import SecretUsageType
from virtcore.errors import (
    ConfigUnsupported,
    ErrorDomain,
    InternalError,
    InvalidArg,
    XMLError,
)
from virtcore.model.storage.pool_source import ISCSIPoolSource, PoolDevice, PoolHost
from virtcore.model.storage.secret import AuthType
from virtcore.runtime.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Mapping

    from virtcore.driver.toolkit.pool_backend import VolumeObject
    from virtcore.driver.toolkit.pools import PoolObject
    from virtcore.model.storage.pool import StoragePool
    from virtcore.model.storage.pool_source import PoolSource

__all__ = ["ISCSIBackend"]

_DOMAIN = ErrorDomain.STORAGE
_PORT = 3260
_LIMIT = 300.0
#: How ``iscsiadm`` ends where nobody is logged in anywhere.
_NO_SESSION = 21
_SESSION = re.compile(r"\w+:\s+\[(\S+)\]\s+\S+\s+(\S+).*")
_IFACE = re.compile(r"(\S+)\s+(?:[^,]*,){4}([^,\s]*)\s*")
#: Where open-iscsi keeps what it knows of targets.
_RECORDS = ("/etc/iscsi/nodes", "/var/lib/iscsi/nodes")
_SETTING = re.compile(r"([\w.\[\]]+)\s*=")


def _source(pool: StoragePool) -> ISCSIPoolSource:
    source = pool.source
    assert isinstance(source, ISCSIPoolSource)
    if len(source.hosts) != 1:
        raise ConfigUnsupported("Expected exactly 1 host for the storage pool", domain=_DOMAIN)
    if len(source.devices) != 1:
        raise InternalError("missing source device", domain=_DOMAIN)
    return source


def _portal(host: PoolHost) -> str:
    name = f"[{host.name}]" if ":" in host.name else host.name
    return f"{name}:{host.port or _PORT},1"


class ISCSIBackend(DeviceBackend):
    """``<pool type='iscsi'>``."""

    probes_tables = True

    async def find_sources(self, source: PoolSource | None) -> str:
        if not isinstance(source, ISCSIPoolSource) or not source.hosts:
            raise InvalidArg("hostname must be specified for iscsi sources", domain=_DOMAIN)
        if len(source.hosts) != 1:
            raise ConfigUnsupported("Expected exactly 1 host for the storage pool", domain=_DOMAIN)
        host = source.hosts[0]
        host.port = host.port or _PORT
        targets = await self._targets(_portal(host), source.initiator)
        return sources_xml(
            ISCSIPoolSource(hosts=[host], devices=[PoolDevice(path=target)], initiator=source.initiator)
            for target in targets
        )

    # -- pools

    async def check(self, pool: PoolObject) -> bool:
        return await self._session(_source(pool.current)) is not None

    async def start(self, pool: PoolObject) -> None:
        source = _source(pool.current)
        if await self._session(source) is not None:
            return
        portal, target = _portal(source.hosts[0]), source.devices[0].path
        await self._targets(portal, source.initiator)
        await run("iscsiadm", "--mode", "node", "--portal", portal, "--targetname", target, "--op", "new")
        await self._authenticate(source, target)
        await self._connect(source, "--login")

    async def stop(self, pool: PoolObject) -> None:
        source = _source(pool.current)
        if await self._session(source) is not None:
            await self._connect(source, "--logout")

    async def refresh(self, pool: PoolObject) -> list[VolumeObject]:
        document = pool.live
        assert document is not None
        session = await self._session(_source(document))
        if session is None:
            raise InternalError("cannot find iscsiadm session", domain=_DOMAIN)
        await run("iscsiadm", "--mode", "session", "-r", session, "-R")
        await wait_for_devices()
        number = await in_thread(self._host, session)
        return await find_units(self.host, document, number)

    def _host(self, session: str) -> int:
        folder = f"/sys/class/iscsi_session/session{session}/device"
        for name in sorted(self.host.files.entries(folder)):
            found = re.match("target([0-9]+):", name)
            if found is not None:
                return int(found[1])
        raise InternalError(f"Failed to get host number for iSCSI session with path '{folder}'", domain=_DOMAIN)

    # -- sessions

    async def _session(self, source: ISCSIPoolSource) -> str | None:
        """The session with a target."""
        command = [installed("iscsiadm"), "--mode", "session"]
        done = await finish_program(command, limit=_LIMIT)
        if done.status not in (0, _NO_SESSION):
            raise failure(command, done.status, done.errors)
        for line in done.output.splitlines():
            found = _SESSION.fullmatch(line.strip())
            if found is not None and found[2] == source.devices[0].path:
                return found[1]
        return None

    async def _connect(self, source: ISCSIPoolSource, action: str) -> None:
        argv = ["--mode", "node", "--portal", _portal(source.hosts[0]), "--targetname", source.devices[0].path, action]
        if source.initiator is not None:
            argv += ["--interface", await self._interface(source.initiator)]
        await run("iscsiadm", *argv)

    async def _targets(self, portal: str, initiator: str | None) -> list[str]:
        """The targets behind a portal. A target can be logged in to when its portal has told of it."""
        argv = ["--mode", "discovery", "--type", "sendtargets", "--portal", portal]
        if initiator is not None:
            argv += ["--interface", await self._interface(initiator)]
        rows = (line.split() for line in (await run("iscsiadm", *argv)).splitlines())
        return [row[1] for row in rows if len(row) == 2]

    async def _interface(self, initiator: str) -> str:
        """The interface that logs in by a name; made where there is none."""
        for line in (await run("iscsiadm", "--mode", "iface")).splitlines():
            found = _IFACE.fullmatch(line.strip())
            if found is not None and found[2] == initiator:
                return found[1]
        import secrets

        name = f"libvirt-iface-{secrets.token_hex(4)}"
        told = ["iscsiadm", "--mode", "iface", "--interface", name, "--op"]
        await run(*told, "new")
        await run(*told, "update", "--name", "iface.initiatorname", "--value", initiator)
        return name

    async def _authenticate(self, source: ISCSIPoolSource, target: str) -> None:
        auth = source.auth
        if auth is None:
            return
        if auth.type is not AuthType.CHAP:
            raise XMLError("iscsi pool only supports 'chap' auth type", domain=_DOMAIN)
        assert auth.secret is not None  # the document has one
        password = await secret_value(self.host.services, auth.secret, SecretUsageType.ISCSI)
        # Not by iscsiadm, whose arguments everybody can read.
        settings = {
            "node.session.auth.authmethod": "CHAP",
            "node.session.auth.username": auth.username,
            "node.session.auth.password": password.decode(errors="surrogateescape"),
        }
        await in_thread(set_in_records, target, settings)


def set_in_records(target: str, settings: Mapping[str, str], places: tuple[str, ...] = _RECORDS) -> None:
    """Change what open-iscsi knows of a target, in its own files.

    :raises InternalError: it knows nothing of the target.
    """
    files = []
    for place in places:
        for folder, _, names in os.walk(f"{place}/{target}"):
            files += [(folder, name) for name in names]
    if not files:
        raise InternalError(f"no record of iSCSI target '{target}' was found", domain=_DOMAIN)
    for folder, name in files:
        with open(f"{folder}/{name}", encoding="utf-8", errors="surrogateescape") as file:
            lines = file.read().splitlines()
        kept = [line for line in lines if (found := _SETTING.match(line)) is None or found[1] not in settings]
        # The last line of a record says that it ends.
        end = len(kept) - 1 if kept and kept[-1].startswith("# END") else len(kept)
        kept[end:end] = [f"{key} = {value}" for key, value in settings.items()]
        text = "\n".join(kept) + "\n"
        write_file(folder, name, text.encode(errors="surrogateescape"))
        with suppress(OSError):
            os.chmod(f"{folder}/{name}", 0o600)
