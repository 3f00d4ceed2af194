"""Passphrases and passwords that pools and volumes need, out of the host's secrets."""

from __future__ import annotations

import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from virtcore.driver.toolkit.folders import make_folder
from virtcore.driver.toolkit.secrets import secret_value
from virtcore.enums.secret import SecretUsageType
from virtcore.errors import ErrorDomain, NoSecret, XMLError
from virtcore.runtime.threads import in_thread

if TYPE_CHECKING:
    from virt_host.storage.backend import StorageHost
    from virtcore.driver.composition import PlaceServices
    from virtcore.model.storage.volume import Volume

__all__ = ["passphrase_file", "secret_of_volume"]


async def secret_of_volume(services: PlaceServices, path: str) -> str | None:
    """The UUID of the secret that is kept for a volume; None where there is none."""
    from virtcore.driver import loader

    if "secret" not in loader.service_names():
        return None
    try:
        found = await services.call("secret", "connection_lookup_secret", None, SecretUsageType.VOLUME, path)
    except NoSecret:
        return None
    uuid: str = found.uuid
    return uuid


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
