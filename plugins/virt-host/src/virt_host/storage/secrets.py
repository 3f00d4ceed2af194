"""Passphrases and passwords that pools and volumes need, out of the host's secrets."""

from __future__ import annotations

import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from virtcore.driver.toolkit.folders import make_folder
from virtcore.enums.secret import SecretUsageType
from virtcore.errors import ErrorDomain, InternalError, InvalidArg, NoSecret, XMLError
from virtcore.runtime.threads import in_thread

if TYPE_CHECKING:
    from virt_host.storage.backend import StorageHost
    from virtcore.driver.composition import PlaceServices
    from virtcore.driver.toolkit.secrets import StatefulSecrets
    from virtcore.model.storage.secret import SecretReference
    from virtcore.model.storage.volume import Volume

__all__ = ["passphrase_file", "secret_of_volume", "secret_value"]


async def _secrets(services: PlaceServices) -> StatefulSecrets:
    from virtcore.driver.toolkit.secrets import StatefulSecrets

    service = await services.open("secret")
    if not isinstance(service, StatefulSecrets):
        raise InternalError("the host's secrets cannot be read")
    return service


async def secret_value(services: PlaceServices, reference: SecretReference, usage: SecretUsageType) -> bytes:
    """The value of a secret, whoever may read it.

    :param usage: what it is to be for.
    :raises NoSecret: there is none, or it has no value.
    :raises InvalidArg: it is for something else.
    """
    secrets = (await _secrets(services)).secrets
    if reference.uuid is not None:
        obj = secrets.get(reference.uuid)
    else:
        found = secrets.find_usage(usage, reference.usage or "")
        if found is None:
            raise NoSecret(f"no secret with matching usage '{reference.usage}'")
        obj = found
    kind = obj.document.usage_type
    if kind.name != usage.name:
        raise InvalidArg(f"secret type {kind} not expected, expected {usage.name.lower()}")
    if obj.value is None:
        raise NoSecret(f"secret '{obj.ref.uuid}' does not have a value")
    return obj.value


async def secret_of_volume(services: PlaceServices, path: str) -> str | None:
    """The UUID of the secret that is kept for a volume; None where there is none."""
    from virtcore.driver import loader

    if "secret" not in loader.service_names():
        return None
    found = (await _secrets(services)).secrets.find_usage(SecretUsageType.VOLUME, path)
    return None if found is None else found.ref.uuid


@asynccontextmanager
async def passphrase_file(host: StorageHost, pool: str, document: Volume | None) -> AsyncIterator[str | None]:
    """A file with the passphrase of a volume, for a program that reads it; it goes at the end. None where the volume
    is not encrypted.

    :raises VirtError: the volume does not name one passphrase, or that is not there.
    """
    target = None if document is None else document.target
    if document is None or target is None or target.encryption is None:
        yield None
        return
    if len(target.encryption.secrets) != 1:
        raise XMLError(
            "A single <secret type='passphrase'...> element is expected in encryption description",
            domain=ErrorDomain.STORAGE,
        )
    value = await secret_value(host.services, target.encryption.secrets[0], SecretUsageType.VOLUME)

    def write() -> str:
        make_folder(host.run)
        descriptor, path = tempfile.mkstemp(prefix="passphrase.", dir=host.run)  # for its owner only
        with open(descriptor, "wb") as file:
            file.write(value)
        return path

    path = await in_thread(write)
    try:
        yield path
    finally:
        await in_thread(os.unlink, path)
