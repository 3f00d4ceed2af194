"""Secrets on a command line, which everybody can read: sealed with a key that only the guest's QEMU can open."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable

__all__ = ["seal", "secret_object"]

#: Bytes of an initialisation vector.
BLOCK = 16


def seal(key: bytes, vector: bytes, secret: bytes) -> str:
    """A secret as QEMU's ``secret`` object takes it: AES-256-CBC with PKCS#7 padding, in base64.

    :param key: 32 bytes, the guest's own.
    :param vector: 16 bytes, never used before with this key.
    """
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    padding = BLOCK - len(secret) % BLOCK
    encryptor = Cipher(algorithms.AES(key), modes.CBC(vector)).encryptor()
    sealed = encryptor.update(secret + bytes([padding]) * padding) + encryptor.finalize()
    return base64.b64encode(sealed).decode()


def secret_object(
    key: bytes, name: str, value: bytes, random: Callable[[int], bytes] = os.urandom
) -> dict[str, object]:
    """A ``secret`` object as ``-object`` and ``object-add`` take it.

    :param key: the guest's own.
    :param name: the object's id.
    :param random: gives random bytes.
    """
    vector = random(BLOCK)
    return {
        "qom-type": "secret",
        "id": name,
        "data": seal(key, vector, value),
        "keyid": "masterKey0",
        "iv": base64.b64encode(vector).decode(),
        "format": "base64",
    }
