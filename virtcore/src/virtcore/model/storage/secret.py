"""References to secrets: ``<auth>`` and ``<encryption>`` of disks, pools and volumes."""

from __future__ import annotations

from enum import StrEnum

from virtcore.errors import ErrorCode
from virtcore.xml import UUID, attribute, child, children, element, inherited

__all__ = [
    "Auth",
    "AuthType",
    "Cipher",
    "Encryption",
    "EncryptionEngine",
    "EncryptionFormat",
    "IVGenerator",
    "Passphrase",
    "SecretReference",
]


class AuthType(StrEnum):
    """How a client proves itself to a storage server."""

    NONE = "none"
    CHAP = "chap"
    CEPH = "ceph"


class EncryptionFormat(StrEnum):
    """On-disk encryption format."""

    DEFAULT = "default"
    QCOW = "qcow"
    LUKS = "luks"
    LUKS2 = "luks2"
    LUKS_ANY = "luks-any"


class EncryptionEngine(StrEnum):
    """Who decrypts: the emulator or the storage library."""

    QEMU = "qemu"
    LIBRBD = "librbd"


@element("secret", empty="keep")
class SecretReference:
    """A secret named by UUID or by usage, never its value."""

    type: str | None = attribute(doc="what the secret is for")
    uuid: str | None = attribute(
        codec=UUID, exclusive="lookup", invalid="invalid secret uuid '{value}'", doc="UUID of the secret"
    )
    usage: str | None = attribute(exclusive="lookup", doc="usage of the secret, unique per type")


@element("secret", empty="keep")
class Passphrase(SecretReference):
    """A passphrase of an encrypted image, by UUID or by usage."""

    type: str | None = attribute(demanded=True, pattern="passphrase", doc="always passphrase")
    uuid: str | None = attribute(
        codec=UUID,
        exclusive="lookup",
        demanded=True,
        invalid="invalid secret uuid '{value}'",
        doc="UUID of the secret",
    )
    _reference = inherited()


@element("auth")
class Auth:
    """Credentials for a networked image: a user and a secret."""

    type: AuthType | None = attribute(
        blank=False,
        omit=AuthType.NONE,
        invalid="unknown auth type '{value}'",
        code=ErrorCode.CONFIG_UNSUPPORTED,
        doc="kind of credentials",
    )
    username: str = attribute(
        required=True, blank=False, missing="missing username for auth", doc="name to log in with"
    )
    secret: SecretReference | None = child(required=True, missing="Missing <secret> element in auth")


@element("cipher")
class Cipher:
    """Cipher of a LUKS volume."""

    name: str = attribute(required=True, missing="cipher info missing 'name' attribute", doc="algorithm, such as aes")
    size: int = attribute(required=True, doc="key size in bits")
    mode: str | None = attribute(doc="block mode, such as cbc")
    hash: str | None = attribute(doc="hash of the key derivation")


@element("ivgen")
class IVGenerator:
    """Generator of initialisation vectors of a LUKS volume."""

    name: str = attribute(required=True, missing="missing ivgen info name string", doc="such as plain64")
    hash: str | None = attribute(doc="hash, where the generator takes one")


@element("encryption", empty="open")
class Encryption:
    """How an image is encrypted and where its passphrases come from."""

    format: EncryptionFormat = attribute(
        required=True,
        blank=False,
        missing="unknown volume encryption format",
        missing_code=ErrorCode.XML_ERROR,
        invalid="unknown volume encryption format type {value}",
        code=ErrorCode.CONFIG_UNSUPPORTED,
        doc="format on disk",
    )
    engine: EncryptionEngine | None = attribute(doc="who decrypts")
    secrets: list[Passphrase] = children("secret", doc="passphrases, one per layer")
    cipher: Cipher | None = child(only={"format": (EncryptionFormat.LUKS,)})
    ivgen: IVGenerator | None = child(only={"format": (EncryptionFormat.LUKS,)})
