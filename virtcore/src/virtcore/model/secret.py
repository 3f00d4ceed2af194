"""``<secret>``: what a stored secret is for; its value is never part of the document."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar, TypeAlias

from virtcore.errors import ErrorCode, ErrorDomain
from virtcore.model.definition import DefinitionContext, DefinitionRules
from virtcore.model.patterns import ABSOLUTE_PATH, OBJECT_NAME
from virtcore.xml import UUID, YES_NO, Mode, Stage, attribute, child, element, extras, leaf

if TYPE_CHECKING:
    from virtcore.xml import Extras

__all__ = [
    "CephUsage",
    "ISCSIUsage",
    "NoUsage",
    "Secret",
    "SecretRules",
    "SecretUsage",
    "SecretUsageType",
    "TLSUsage",
    "VTPMUsage",
    "VolumeUsage",
    "format_secret",
    "load_secret",
]


class SecretUsageType(StrEnum):
    """What a secret is for (``virSecretUsageType``)."""

    NONE = "none"
    VOLUME = "volume"
    CEPH = "ceph"
    ISCSI = "iscsi"
    TLS = "tls"
    VTPM = "vtpm"


@element("usage", tag=SecretUsageType.NONE)
class NoUsage:
    """Of no use in particular: the same as no ``<usage>``."""


def _usage(message: str, doc: str, pattern: str = OBJECT_NAME) -> str:
    """What the secret is used with."""
    value: str = leaf(required=True, pattern=pattern, missing=message, code=ErrorCode.INTERNAL_ERROR, doc=doc)
    return value


@element("usage", tag=SecretUsageType.VOLUME)
class VolumeUsage:
    """Passphrase of an encrypted volume."""

    volume: str = _usage("volume usage specified, but volume path is missing", "path of the volume", ABSOLUTE_PATH)


@element("usage", tag=SecretUsageType.CEPH)
class CephUsage:
    """Key of a Ceph user."""

    name: str = _usage("Ceph usage specified, but name is missing", "name to find it by")


@element("usage", tag=SecretUsageType.ISCSI)
class ISCSIUsage:
    """CHAP password of an iSCSI target."""

    target: str = _usage("iSCSI usage specified, but target is missing", "name to find it by")


@element("usage", tag=SecretUsageType.TLS)
class TLSUsage:
    """Passphrase of a TLS private key."""

    name: str = _usage("TLS usage specified, but name is missing", "name to find it by")


@element("usage", tag=SecretUsageType.VTPM)
class VTPMUsage:
    """Passphrase of a virtual TPM's state."""

    name: str = _usage("vTPM usage specified, but name is missing", "name to find it by")


if TYPE_CHECKING:
    SecretUsage: TypeAlias = NoUsage | VolumeUsage | CephUsage | ISCSIUsage | TLSUsage | VTPMUsage
else:
    SecretUsage = "NoUsage | VolumeUsage | CephUsage | ISCSIUsage | TLSUsage | VTPMUsage"


@element("secret", root=True, doc="A secret the host keeps for disks, pools and TPMs.")
class Secret:
    ephemeral: bool | None = attribute(
        codec=YES_NO, blank=False, invalid="invalid value of 'ephemeral'", doc="kept in memory only"
    )
    private: bool | None = attribute(
        codec=YES_NO, blank=False, invalid="invalid value of 'private'", doc="its value is not revealed to anybody"
    )
    uuid: str | None = leaf(
        codec=UUID, invalid="malformed uuid element", code=ErrorCode.INTERNAL_ERROR, doc="unique identifier"
    )
    description: str | None = leaf(doc="text for people")
    usage: SecretUsage | None = child(
        tag="@type",
        missing="unknown secret usage type",
        missing_code=ErrorCode.XML_ERROR,
        invalid="unknown secret usage type {value}",
        code=ErrorCode.CONFIG_UNSUPPORTED,
        doc="what it is for",
    )
    extra: Extras = extras()

    @property
    def usage_type(self) -> SecretUsageType:
        """What it is for."""
        return _TYPES[type(self.usage)]

    @property
    def usage_id(self) -> str | None:
        """What it is used with, unique per type: a path, a name or a target."""
        if self.usage is None or isinstance(self.usage, NoUsage):
            return None
        if isinstance(self.usage, VolumeUsage):
            return self.usage.volume
        return self.usage.target if isinstance(self.usage, ISCSIUsage) else self.usage.name


_TYPES: dict[type, SecretUsageType] = {
    type(None): SecretUsageType.NONE,
    NoUsage: SecretUsageType.NONE,
    VolumeUsage: SecretUsageType.VOLUME,
    CephUsage: SecretUsageType.CEPH,
    ISCSIUsage: SecretUsageType.ISCSI,
    TLSUsage: SecretUsageType.TLS,
    VTPMUsage: SecretUsageType.VTPM,
}


def _complete(_rules: SecretRules, secret: Secret, context: DefinitionContext) -> None:
    secret.ephemeral = bool(secret.ephemeral)
    secret.private = bool(secret.private)
    if secret.uuid is None:
        secret.uuid = str(context.new_uuid())
    if isinstance(secret.usage, NoUsage):
        secret.usage = None


class SecretRules(DefinitionRules[Secret, DefinitionContext]):
    """What makes the definition of a secret complete."""

    error_domain: ClassVar[ErrorDomain] = ErrorDomain.SECRET
    completion = (Stage("defaults", _complete),)


def load_secret(source: str | bytes, *, validate: bool = False, context: DefinitionContext | None = None) -> Secret:
    """Reads the definition of a secret and completes it (``virSecretDefineXML``).

    :param validate: the schema is checked first (``VIR_SECRET_DEFINE_VALIDATE``).
    :raises VirtError: the document is malformed or refused by libvirt's parser.
    """
    from virtcore.xml import load

    return load(
        source,
        Secret,
        SecretRules(),
        context or DefinitionContext(),
        mode=Mode.INACTIVE,
        validate=validate,
        name="(definition_of_secret)",
    )


def format_secret(secret: Secret) -> str:
    """The definition of a secret, as libvirt prints it."""
    from virtcore.xml import format

    return format(secret)
