"""Passphrases and passwords that pools and volumes need, out of the host's secrets."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from virtcore.driver.toolkit.secrets import secret_value
from virtcore.enums.secret import SecretUsageType
from virtcore.errors import ErrorDomain, NoConnect, NoSecret, XMLError

if TYPE_CHECKING:
    from virtcore.driver.composition import PlaceServices
    from virtcore.model.storage.volume import Volume

__all__ = ["handed_passphrases", "secret_of_volume"]

#: Number of the first passphrase's descriptor in a program.
_FIRST = 3


async def secret_of_volume(services: PlaceServices, path: str) -> str | None:
    """The UUID of the secret that is kept for a volume; None where there is none."""
    try:
        found = await services.call("secret", "connection_lookup_secret", None, SecretUsageType.VOLUME, path)
    except (NoConnect, NoSecret):
        return None
    uuid: str = found.uuid
    return uuid


@asynccontextmanager
async def handed_passphrases(
    services: PlaceServices, *documents: Volume | None
) -> AsyncIterator[tuple[list[str | None], dict[int, int]]]:
    """Files with the passphrases of volumes, for a program that reads them. They are in memory only, and gone with
    those who have them open, however these end.

    Yields their paths as the program sees them (None: that volume is not encrypted), and what it is started with:
    number in the program -> descriptor of ours.

    :raises VirtError: a volume does not name one passphrase, or that is not there.
    """
    paths: list[str | None] = []
    fds: dict[int, int] = {}
    with ExitStack() as stack:
        for number, document in enumerate(documents, _FIRST):
            value = None if document is None else await _passphrase(services, document)
            if value is None:
                paths.append(None)
                continue
            fds[number] = os.memfd_create("passphrase", os.MFD_CLOEXEC)
            stack.callback(os.close, fds[number])
            os.write(fds[number], value)
            paths.append(f"/proc/self/fd/{number}")
        yield paths, fds


async def _passphrase(services: PlaceServices, document: Volume) -> bytes | None:
    encryption = None if document.target is None else document.target.encryption
    if encryption is None:
        return None
    if len(encryption.secrets) != 1:
        raise XMLError(
            "A single <secret type='passphrase'...> element is expected in encryption description",
            domain=ErrorDomain.STORAGE,
        )
    return await secret_value(services, encryption.secrets[0], SecretUsageType.VOLUME)
