"""What is required of references to secrets, wherever they stand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtcore.errors import ConfigUnsupported, XMLError

if TYPE_CHECKING:
    from virtcore.model.storage.secret import Encryption, SecretReference

__all__ = ["settle_encryption", "settle_secret"]


def settle_secret(secret: SecretReference | None) -> None:
    """A secret is named by UUID or by usage.

    :raises XMLError: by neither, or by both.
    """
    if secret is None:
        return
    if secret.uuid is None and secret.usage is None:
        raise XMLError("missing secret uuid or usage attribute")
    if secret.uuid is not None and secret.usage is not None:
        raise XMLError("either secret uuid or usage expected")


def settle_encryption(encryption: Encryption) -> None:
    """What an encryption names is complete.

    :raises VirtError: a secret of an unknown type or without a name, a generator without cipher.
    """
    for secret in encryption.secrets:
        if secret.type is None:
            raise XMLError("unknown volume encryption secret type")
        if secret.type != "passphrase":
            raise ConfigUnsupported(f"unknown volume encryption secret type {secret.type}")
        settle_secret(secret)
    if encryption.ivgen is not None and encryption.cipher is None:
        raise XMLError("ivgen element found, but cipher is missing")
