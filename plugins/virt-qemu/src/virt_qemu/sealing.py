"""Secrets on a command line, which everybody can read: sealed with a key that only the guest's QEMU can open."""

from __future__ import annotations

import base64

__all__ = ["BLOCK", "seal"]

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
