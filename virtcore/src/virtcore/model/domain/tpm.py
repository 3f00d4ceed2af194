"""Trusted platform modules: ``<tpm>``."""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias

from virtcore.errors import ErrorCode
from virtcore.model.domain.address import Device
from virtcore.xml import UUID, YES_NO, attribute, child, element, flags

__all__ = [
    "EmulatorTPM",
    "ExternalTPM",
    "ExternalTPMSource",
    "PCRBank",
    "PassthroughTPM",
    "ProfileRemoveDisabled",
    "TPM",
    "TPMBackend",
    "TPMBackendType",
    "TPMModel",
    "TPMProfile",
    "TPMSourceType",
    "TPMStateSource",
    "TPMVersion",
]


class TPMModel(StrEnum):
    """Interface the guest sees."""

    TPM_TIS = "tpm-tis"
    TPM_CRB = "tpm-crb"
    TPM_SPAPR = "tpm-spapr"
    SPAPR_TPM_PROXY = "spapr-tpm-proxy"


class TPMBackendType(StrEnum):
    """Who implements the module."""

    PASSTHROUGH = "passthrough"
    EMULATOR = "emulator"
    EXTERNAL = "external"


class TPMVersion(StrEnum):
    """Version of the specification."""

    V1_2 = "1.2"
    V2_0 = "2.0"


class TPMSourceType(StrEnum):
    """Where the emulator keeps its state."""

    FILE = "file"
    DIR = "dir"


class PCRBank(StrEnum):
    """Hash of a bank of configuration registers."""

    SHA1 = "sha1"
    SHA256 = "sha256"
    SHA384 = "sha384"
    SHA512 = "sha512"


class ProfileRemoveDisabled(StrEnum):
    """Whether disabled algorithms are taken out of the profile."""

    CHECK = "check"
    FIPS_HOST = "fips-host"


@element("source")
class TPMStateSource:
    """Where an emulated module keeps its state."""

    type: TPMSourceType | None = attribute(doc="file or folder")
    path: str | None = attribute(required=True, missing="missing TPM source path", doc="absolute path")


@element("profile")
class TPMProfile:
    """Profile an emulated TPM 2.0 is created with."""

    source: str | None = attribute(doc="where the profile is taken from, such as local:restricted")
    remove_disabled: ProfileRemoveDisabled | None = attribute("removeDisabled", doc="leave out disabled algorithms")
    name: str | None = attribute(doc="name of the profile in effect")


@element("source")
class ExternalTPMSource:
    """Socket of a running emulator."""

    type: str | None = attribute(
        required=True, missing="missing external TPM backend source type", blank=False, doc="always unix"
    )
    mode: str | None = attribute(doc="always connect")
    path: str | None = attribute(doc="path of the socket")


@element("backend", tag=TPMBackendType.PASSTHROUGH)
class PassthroughTPM:
    """The host's module."""

    device: str | None = attribute("path", within="device", blank=False, doc="path of the device; /dev/tpm0 by default")


@element("backend", tag=TPMBackendType.EMULATOR)
class EmulatorTPM:
    """An emulated module (swtpm)."""

    version: TPMVersion | None = attribute(doc="version of the specification")
    persistent_state: bool | None = attribute(
        codec=YES_NO,
        omit=False,
        invalid="Invalid persistent_state value, either 'yes' or 'no'",
        code=ErrorCode.INTERNAL_ERROR,
        doc="keep the state when the domain is undefined or transient",
        since="7.0.0",
    )
    debug: int | None = attribute(omit=0, doc="level of debug output", since="10.4.0")
    encryption: str | None = attribute(
        "secret",
        within="encryption",
        codec=UUID,
        blank=False,
        invalid="Unable to parse secret uuid '{value}'",
        code=ErrorCode.INTERNAL_ERROR,
        doc="UUID of the secret that encrypts the state",
        since="5.6.0",
    )
    active_pcr_banks: list[PCRBank] = flags(
        within="active_pcr_banks",
        invalid="Unsupported PCR banks '{value}'",
        code=ErrorCode.CONFIG_UNSUPPORTED,
        since="7.10.0",
    )
    source: TPMStateSource | None = child()
    profile: TPMProfile | None = child(shown=lambda self: bool(self.profile.source or self.profile.name))


@element("backend", tag=TPMBackendType.EXTERNAL)
class ExternalTPM:
    """An emulator somebody else runs."""

    source: ExternalTPMSource | None = child(required=True, missing="missing external TPM backend source type")


TPMBackend: TypeAlias = PassthroughTPM | EmulatorTPM | ExternalTPM


@element("tpm")
class TPM(Device):
    """A trusted platform module."""

    model: TPMModel | None = attribute(doc="interface the guest sees")
    backend: TPMBackend | None = child(
        tag="@type",
        required=True,
        missing="missing TPM device backend",
        repeat="refuse",
        repeated="only one TPM backend is supported",
    )
