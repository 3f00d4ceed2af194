"""Secrets that this process keeps: every operation of the service ``secret`` over a table of them.

A definition is a file like any other object's; a value is a file of its own that only its owner reads, and none at all
where the secret is ephemeral.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from virtcore.driver.service import ServiceDriver
from virtcore.driver.toolkit.checks import canonical_uuid, check_flags, select
from virtcore.driver.toolkit.events import EventHub
from virtcore.enums.secret import (
    ConnectListAllSecretsFlags as ListFlags,
    SecretDefineFlags,
    SecretEventLifecycleType,
    SecretUsageType,
)
from virtcore.errors import InternalError, InvalidArg, InvalidSecret, NoSecret, OperationDenied
from virtcore.operations.declare import inline
from virtcore.operations.events import SecretLifecycleEvent, SecretValueChangedEvent
from virtcore.operations.secret import SecretService
from virtcore.types import SecretRef

if TYPE_CHECKING:
    from pathlib import Path

    from virtcore.driver.base import Subscription
    from virtcore.driver.toolkit.disk import DiskWorker
    from virtcore.driver.toolkit.store import IndexEntry
    from virtcore.model.secret import Secret
    from virtcore.operations.events import Event

__all__ = ["SecretObject", "Secrets", "StatefulSecrets"]

_VALUES = "values"


class SecretObject:
    """One secret.

    :ivar document: its definition, without the value.
    :ivar value: None while it has none.
    """

    __slots__ = ("document", "value")

    def __init__(self, document: Secret) -> None:
        self.document = document
        self.value: bytes | None = None

    @property
    def ref(self) -> SecretRef:
        """Its reference."""
        document = self.document
        assert document.uuid is not None
        return SecretRef(document.uuid, int(SecretUsageType[document.usage_type.name]), document.usage_id or "")

    def __repr__(self) -> str:
        return f"<SecretObject {self.document.uuid}>"


class Secrets:
    """The secrets of one place, by UUID. Lives in the core loop.

    :param folder: where they are kept; None keeps them in memory only.
    :param disk: does the disk work; needed with a folder.
    """

    def __init__(self, folder: Path | None = None, disk: DiskWorker | None = None) -> None:
        self.by_uuid: dict[str, SecretObject] = {}
        self.events = EventHub()
        self._disk = disk
        self._folder = folder
        self._changing = asyncio.Lock()
        self._store = None
        if folder is not None and disk is not None:
            from virtcore.driver.toolkit.store import DefinitionStore

            self._store = DefinitionStore(folder, disk, self._describe)

    @staticmethod
    def _describe(text: str) -> IndexEntry:
        from virtcore.driver.toolkit.store import IndexEntry
        from virtcore.model.secret import load_secret

        uuid = load_secret(text).uuid
        assert uuid is not None
        return IndexEntry(uuid, uuid, {})

    async def open(self) -> None:
        """Learn the secrets on disk and their values."""
        if self._store is None or self._folder is None or self._disk is None:
            return
        from virtcore.driver.toolkit.folders import make_folder
        from virtcore.model.secret import load_secret

        values = self._folder / _VALUES
        for entry in await self._store.open():
            self.by_uuid[entry.uuid] = SecretObject(load_secret(self._store.read(entry.uuid)))
        await self._disk.run(lambda: make_folder(values))
        for uuid, obj in self.by_uuid.items():
            obj.value = await self._disk.run(lambda uuid=uuid: _read(values / uuid))  # type: ignore[misc]

    # -- look-up

    def get(self, uuid: str) -> SecretObject:
        """The secret of a UUID in canonical form.

        :raises NoSecret: there is none.
        """
        found = self.by_uuid.get(uuid)
        if found is None:
            raise NoSecret(f"no secret with matching uuid '{uuid}'")
        return found

    def find_usage(self, usage_type: int, usage_id: str) -> SecretObject | None:
        """The secret that is for something; None when there is none."""
        for obj in self.by_uuid.values():
            if (obj.ref.usage_type, obj.ref.usage_id) == (usage_type, usage_id):
                return obj
        return None

    # -- changes

    async def define(self, document: Secret) -> SecretObject:
        """Define a secret, or change the definition of one; returns when that is durable.

        :raises InternalError: its UUID or what it is for belongs to another secret.
        :raises OperationDenied: a private secret is to be private no more.
        """
        from virtcore.model.secret import format_secret

        new = SecretObject(document)
        async with self._changing:
            known = self.by_uuid.get(new.ref.uuid)
            if known is not None:
                if known.ref.usage_id != new.ref.usage_id:
                    raise InternalError(
                        f"a secret with UUID {known.ref.uuid} is already defined for use with {known.ref.usage_id}"
                    )
                if known.document.private and not document.private:
                    raise OperationDenied("cannot change private flag on existing secret")
            elif new.ref.usage_type != SecretUsageType.NONE:
                other = self.find_usage(new.ref.usage_type, new.ref.usage_id)
                if other is not None:
                    raise InternalError(
                        f"a secret with UUID {other.ref.uuid} already defined for use with {other.ref.usage_id}"
                    )
            new.value = None if known is None else known.value
            if self._store is not None and not document.ephemeral:
                await self._store.write(new.ref.uuid, new.ref.uuid, format_secret(document))
                if new.value is not None:
                    await self._write_value(new.ref.uuid, new.value)
            elif known is not None:  # it was kept on disk before
                await self._remove(new.ref.uuid)
            self.by_uuid[new.ref.uuid] = new
        self.events.emit(SecretLifecycleEvent(new.ref, SecretEventLifecycleType.DEFINED))
        return new

    async def set_value(self, obj: SecretObject, value: bytes) -> None:
        """Give a secret its value; returns when that is durable."""
        async with self._changing:
            if not obj.document.ephemeral:
                await self._write_value(obj.ref.uuid, value)
            obj.value = value
        self.events.emit(SecretValueChangedEvent(obj.ref))

    async def undefine(self, obj: SecretObject) -> None:
        """Remove a secret and its value; returns when that is durable."""
        async with self._changing:
            await self._remove(obj.ref.uuid)
            self.by_uuid.pop(obj.ref.uuid, None)
            obj.value = None
        self.events.emit(SecretLifecycleEvent(obj.ref, SecretEventLifecycleType.UNDEFINED))

    async def _write_value(self, uuid: str, value: bytes) -> None:
        if self._disk is None or self._folder is None:
            return
        from virtcore.driver.toolkit.disk import write_file

        folder = self._folder / _VALUES
        complaint = f"cannot write data to file '{folder / uuid}'"
        await self._disk.change(lambda: write_file(folder, uuid, value), folder, complaint)

    async def _remove(self, uuid: str) -> None:
        if self._store is None or self._disk is None or self._folder is None:
            return
        from virtcore.driver.toolkit.disk import remove_file

        folder = self._folder / _VALUES
        # The value first: what is left behind by a crash is a definition, not a password.
        await self._disk.change(lambda: remove_file(folder, uuid), folder, f"cannot remove file '{folder / uuid}'")
        await self._store.remove(uuid)


def _read(path: Path) -> bytes | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    with open(descriptor, "rb") as file:
        return file.read()


_FILTERS = (
    (
        int(ListFlags.EPHEMERAL | ListFlags.NO_EPHEMERAL),
        lambda obj: int(ListFlags.EPHEMERAL if obj.document.ephemeral else ListFlags.NO_EPHEMERAL),
    ),
    (
        int(ListFlags.PRIVATE | ListFlags.NO_PRIVATE),
        lambda obj: int(ListFlags.PRIVATE if obj.document.private else ListFlags.NO_PRIVATE),
    ),
)
_ALL_FILTERS = sum(group for group, _ in _FILTERS)


class StatefulSecrets(ServiceDriver, SecretService):
    """Every operation on secrets, over :attr:`secrets`."""

    #: What libvirt's driver has before its functions' names; occurs in messages.
    secret_prefix: ClassVar[str] = "vir"
    secrets: Secrets

    def subscribe(self, deliver: Callable[[Event], None]) -> Subscription:
        return self.secrets.events.subscribe(deliver)

    def _check(self, flags: int, supported: int, operation: str) -> None:
        check_flags(flags, supported, operation, self.secret_prefix)

    @inline
    def connection_list_secrets(self, flags: ListFlags | int = 0) -> list[SecretRef]:
        self._check(flags, _ALL_FILTERS, "connection_list_secrets")
        return [obj.ref for obj in select(self.secrets.by_uuid.values(), flags, _FILTERS)]

    @inline
    def connection_lookup_secret(
        self, uuid: str | None = None, usage_type: SecretUsageType | int | None = None, usage_id: str | None = None
    ) -> SecretRef:
        if uuid is not None:
            return self.secrets.get(canonical_uuid(uuid, "virSecretLookupByUUIDString")).ref
        assert usage_type is not None
        assert usage_id is not None
        found = self.secrets.find_usage(int(usage_type), usage_id)
        if found is None:
            raise NoSecret(f"no secret with matching usage '{usage_id}'")
        return found.ref

    async def connection_define_secret(self, xml: str, flags: SecretDefineFlags | int = 0) -> SecretRef:
        from virtcore.model.secret import load_secret

        self._check(flags, SecretDefineFlags.VALIDATE, "connection_define_secret")
        return (await self.secrets.define(load_secret(xml, validate=bool(flags)))).ref

    @inline
    def secret_xml(self, secret: SecretRef, flags: int = 0) -> str:
        from virtcore.model.secret import format_secret

        self._check(flags, 0, "secret_xml")
        return format_secret(self.secrets.get(secret.uuid).document)

    @inline
    def secret_value(self, secret: SecretRef, flags: int = 0) -> bytes:
        self._check(flags, 0, "secret_value")
        obj = self.secrets.get(secret.uuid)
        if obj.document.private:
            raise InvalidSecret("secret is private")
        if obj.value is None:
            raise NoSecret(f"secret '{secret.uuid}' does not have a value")
        return obj.value

    async def secret_set_value(self, secret: SecretRef, value: bytes, flags: int = 0) -> None:
        self._check(flags, 0, "secret_set_value")
        if not isinstance(value, bytes | bytearray | memoryview):
            raise InvalidArg(f"a secret's value is bytes, not {type(value).__name__}")
        await self.secrets.set_value(self.secrets.get(secret.uuid), bytes(value))

    async def secret_undefine(self, secret: SecretRef) -> None:
        await self.secrets.undefine(self.secrets.get(secret.uuid))
