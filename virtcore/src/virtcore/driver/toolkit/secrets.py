"""Secrets that this process keeps: every operation of the service ``secret`` over a table of them, and what drivers
inside ask of whatever service has the secrets.

A definition is a file like any other object's; a value is a file of its own that only its owner reads, and none at all
where the secret is ephemeral.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
import os
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Protocol, runtime_checkable

from virtcore.driver.service import ServiceDriver
from virtcore.driver.toolkit.checks import canonical_uuid, check_flags, select
from virtcore.driver.toolkit.events import EventHub
from virtcore.enums.secret import (
    ConnectListAllSecretsFlags as ListFlags,
    SecretDefineFlags,
    SecretEventLifecycleType,
    SecretUsageType,
)
from virtcore.errors import ErrorDomain, InternalError, InvalidArg, InvalidSecret, NoSecret, SystemError, VirtError
from virtcore.operations.declare import inline
from virtcore.operations.events import SecretLifecycleEvent, SecretValueChangedEvent
from virtcore.operations.secret import SecretService
from virtcore.types import SecretRef

if TYPE_CHECKING:
    from pathlib import Path

    from virtcore.driver.base import Subscription
    from virtcore.driver.composition import PlaceServices
    from virtcore.driver.toolkit.disk import DiskWorker
    from virtcore.driver.toolkit.store import IndexEntry
    from virtcore.model.secret import Secret
    from virtcore.model.storage.secret import SecretReference
    from virtcore.operations.events import Event

__all__ = ["RevealingSecrets", "SecretObject", "Secrets", "StatefulSecrets", "secret_value"]

log = logging.getLogger(__name__)

_SUFFIX = ".base64"


class SecretObject:
    """One secret.

    :ivar ref: its reference.
    :ivar private: its value is for drivers only.
    :ivar ephemeral: it never reaches the disk.
    :ivar value: None while it has none.
    """

    __slots__ = ("_document", "ephemeral", "private", "ref", "value")

    def __init__(
        self, ref: SecretRef, document: Secret | Callable[[], Secret], *, private: bool, ephemeral: bool
    ) -> None:
        self.ref = ref
        self.private = private
        self.ephemeral = ephemeral
        self.value: bytes | None = None
        self._document = document

    @classmethod
    def of(cls, document: Secret) -> SecretObject:
        """The secret of a complete definition."""
        assert document.uuid is not None
        ref = SecretRef(document.uuid, int(SecretUsageType[document.usage_type.name]), document.usage_id or "")
        return cls(ref, document, private=bool(document.private), ephemeral=bool(document.ephemeral))

    @property
    def document(self) -> Secret:
        """Its definition, without the value. It is read when somebody looks for the first time."""
        if callable(self._document):
            self._document = self._document()
        return self._document

    def __repr__(self) -> str:
        return f"<SecretObject {self.ref.uuid}>"


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
        from virtcore.model.secret import load_secret

        return _entry(SecretObject.of(load_secret(text)))

    async def open(self) -> None:
        """Learn the secrets on disk, without parsing their definitions, and their values. One whose value cannot be
        read is logged and not known."""
        store, folder, disk = self._store, self._folder, self._disk
        if store is None or folder is None or disk is None:
            return
        entries = await store.open()
        values = await disk.run(lambda: {entry.uuid: _read(folder / f"{entry.uuid}{_SUFFIX}") for entry in entries})
        for entry in entries:
            value = values[entry.uuid]
            if isinstance(value, VirtError):
                log.error("secret %s is not known: %s", entry.uuid, value)
                continue
            facts = entry.facts
            usage_type, usage_id = facts["usage_type"], facts["usage_id"]
            assert isinstance(usage_type, int)
            assert isinstance(usage_id, str)
            obj = SecretObject(
                SecretRef(entry.uuid, usage_type, usage_id),
                self._reader(entry.uuid),
                private=bool(facts["private"]),
                ephemeral=False,
            )
            obj.value = value
            self.by_uuid[entry.uuid] = obj

    def _reader(self, uuid: str) -> Callable[[], Secret]:
        def read() -> Secret:
            from virtcore.model.secret import load_secret

            assert self._store is not None
            return load_secret(self._store.read(uuid))

        return read

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
        if usage_type != SecretUsageType.NONE:
            for obj in self.by_uuid.values():
                if (obj.ref.usage_type, obj.ref.usage_id) == (usage_type, usage_id):
                    return obj
        return None

    def by_usage(self, usage_type: int, usage_id: str) -> SecretObject:
        """The secret that is for something.

        :raises NoSecret: there is none.
        """
        found = self.find_usage(usage_type, usage_id)
        if found is None:
            raise NoSecret(f"no secret with matching usage '{usage_id}'")
        return found

    # -- changes

    async def define(self, document: Secret) -> SecretObject:
        """Define a secret, or change the definition of one; returns when that is durable.

        :raises InternalError: its UUID or what it is for belongs to another secret, or a private one is to be so no
            more.
        """
        from virtcore.model.secret import format_secret

        new = SecretObject.of(document)
        uuid = new.ref.uuid
        async with self._changing:
            known = self.by_uuid.get(uuid)
            if known is not None:
                if known.ref.usage_id != new.ref.usage_id:
                    used = known.ref.usage_id or "(null)"
                    raise InternalError(f"a secret with UUID {uuid} is already defined for use with {used}")
                if known.private and not new.private:
                    raise InternalError("cannot change private flag on existing secret")
                new.value = known.value
            elif (other := self.find_usage(new.ref.usage_type, new.ref.usage_id)) is not None:
                raise InternalError(
                    f"a secret with UUID {other.ref.uuid} already defined for use with {other.ref.usage_id}"
                )
            if self._store is not None and not new.ephemeral:
                if known is not None and known.ephemeral and new.value is not None:
                    await self._write_value(uuid, new.value)
                await self._store.write(uuid, uuid, format_secret(document), _entry(new).facts)
            elif known is not None and not known.ephemeral:
                await self._remove(uuid)
            self.by_uuid[uuid] = new
        self.events.emit(SecretLifecycleEvent(new.ref, SecretEventLifecycleType.DEFINED))
        return new

    async def set_value(self, obj: SecretObject, value: bytes) -> None:
        """Give a secret its value; returns when that is durable."""
        async with self._changing:
            obj = self.get(obj.ref.uuid)  # it may have been defined anew meanwhile
            if not obj.ephemeral:
                await self._write_value(obj.ref.uuid, value)
            obj.value = value
        self.events.emit(SecretValueChangedEvent(obj.ref))

    async def undefine(self, obj: SecretObject) -> None:
        """Remove a secret and its value; returns when that is durable."""
        async with self._changing:
            obj = self.get(obj.ref.uuid)
            if not obj.ephemeral:
                await self._remove(obj.ref.uuid)
            del self.by_uuid[obj.ref.uuid]
            obj.value = None
        self.events.emit(SecretLifecycleEvent(obj.ref, SecretEventLifecycleType.UNDEFINED))

    async def _write_value(self, uuid: str, value: bytes) -> None:
        if self._disk is None or self._folder is None:
            return
        from virtcore.driver.toolkit.disk import write_file

        folder, file = self._folder, f"{uuid}{_SUFFIX}"
        work = partial(write_file, folder, file, base64.b64encode(value))
        await self._disk.change(work, folder, f"cannot write data to file '{folder / file}'")

    async def _remove(self, uuid: str) -> None:
        if self._store is None or self._disk is None or self._folder is None:
            return
        from virtcore.driver.toolkit.disk import remove_file

        folder, file = self._folder, f"{uuid}{_SUFFIX}"
        # The value first: what is left behind by a crash is a definition, not a password.
        await self._disk.change(partial(remove_file, folder, file), folder, f"cannot unlink '{folder / file}'")
        await self._store.remove(uuid)


def _entry(obj: SecretObject) -> IndexEntry:
    """What is known of a secret without parsing its definition."""
    from virtcore.driver.toolkit.store import Facts, IndexEntry

    ref = obj.ref
    facts: Facts = {"usage_type": ref.usage_type, "usage_id": ref.usage_id, "private": obj.private}
    return IndexEntry(ref.uuid, ref.uuid, facts)


def _read(path: Path) -> bytes | VirtError | None:
    """A value on disk, or why it cannot be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        with open(descriptor, "rb") as file:
            return base64.b64decode(file.read(), validate=True)
    except FileNotFoundError:
        return None
    except OSError as error:
        return SystemError(f"cannot open '{path}': {error.strerror}")
    except binascii.Error:
        return InternalError(f"invalid base64 in '{path}'")


# -- for drivers


@runtime_checkable
class RevealingSecrets(Protocol):
    """A service of secrets that tells drivers in this process what it tells nobody else: values of private ones."""

    def reveal(self, secret: SecretRef) -> bytes:
        """The value of a secret. Never waits.

        :raises NoSecret: there is no such secret (any more), or it has no value.
        """


_USAGES = {
    "passphrase": SecretUsageType.VOLUME,
    "volume": SecretUsageType.VOLUME,
    "ceph": SecretUsageType.CEPH,
    "iscsi": SecretUsageType.ISCSI,
    "tls": SecretUsageType.TLS,
    "vtpm": SecretUsageType.VTPM,
}


async def secret_value(
    services: PlaceServices, reference: SecretReference, usage: SecretUsageType | None = None
) -> bytes:
    """The value of a secret that a guest, a pool or a volume names; those that are private as well.

    :param services: those of the place; where its secrets are kept elsewhere, private ones stay so.
    :param usage: what the secret is to be for; by default what the reference says.
    :raises NoConnect: there are no secrets.
    :raises NoSecret: there is no such secret, or it has no value.
    :raises InvalidArg: it is for something else.
    """
    if usage is None:
        usage = _USAGES.get(reference.type or "", SecretUsageType.NONE)
    wanted = (reference.uuid, None, None) if reference.uuid is not None else (None, usage, reference.usage or "")
    ref: SecretRef = await services.call("secret", "connection_lookup_secret", *wanted)
    if SecretUsageType.NONE not in (usage, ref.usage_type) and ref.usage_type != usage:
        found = SecretUsageType(ref.usage_type).name.lower()
        raise InvalidArg(
            f"secret with uuid {ref.uuid} is of type '{found}' not expected '{usage.name.lower()}' type",
            domain=ErrorDomain.SECRET,
        )
    service = await services.open("secret")
    if isinstance(service, RevealingSecrets):
        return service.reveal(ref)
    value: bytes = await services.call("secret", "secret_value", ref, 0)
    return value


# -- the operations


_FILTERS = (
    (
        int(ListFlags.EPHEMERAL | ListFlags.NO_EPHEMERAL),
        lambda obj: int(ListFlags.EPHEMERAL if obj.ephemeral else ListFlags.NO_EPHEMERAL),
    ),
    (
        int(ListFlags.PRIVATE | ListFlags.NO_PRIVATE),
        lambda obj: int(ListFlags.PRIVATE if obj.private else ListFlags.NO_PRIVATE),
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
        return self.secrets.by_usage(int(usage_type), usage_id).ref

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
        if obj.private:
            raise InvalidSecret("secret is private")
        return _value(obj)

    def reveal(self, secret: SecretRef) -> bytes:
        """The value of a secret, for drivers (:class:`RevealingSecrets`)."""
        return _value(self.secrets.get(secret.uuid))

    async def secret_set_value(self, secret: SecretRef, value: bytes, flags: int = 0) -> None:
        self._check(flags, 0, "secret_set_value")
        if not isinstance(value, bytes | bytearray | memoryview):
            raise InvalidArg(f"a secret's value is bytes, not {type(value).__name__}")
        if not value:  # to libvirt's daemon none at all is none
            from virtcore.driver.toolkit.arguments import invalid_argument

            raise invalid_argument("value in virSecretSetValue must not be NULL")
        await self.secrets.set_value(self.secrets.get(secret.uuid), bytes(value))

    async def secret_undefine(self, secret: SecretRef) -> None:
        await self.secrets.undefine(self.secrets.get(secret.uuid))


def _value(obj: SecretObject) -> bytes:
    if obj.value is None:
        raise NoSecret(f"secret '{obj.ref.uuid}' does not have a value")
    return obj.value
