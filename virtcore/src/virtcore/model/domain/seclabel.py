"""``<seclabel>`` and ``<keywrap>``: who else may touch the guest, and its keys."""

from __future__ import annotations

from enum import StrEnum

from virtcore.xml import ON_OFF, YES_NO, attribute, children, element, leaf

__all__ = ["CipherName", "KeyWrap", "KeyWrapCipher", "SecurityLabel", "SecurityLabelType"]


class SecurityLabelType(StrEnum):
    """Who chooses a guest's security label."""

    NONE = "none"
    DYNAMIC = "dynamic"
    STATIC = "static"


def _labelled(label: SecurityLabel) -> bool:
    """Where there is no labelling nothing more is said."""
    return label.type is not SecurityLabelType.NONE


@element("seclabel", doc="Label under which the guest runs, for one security model.")
class SecurityLabel:
    type: SecurityLabelType | None = attribute(doc="Who chooses the label; dynamic by default.")
    model: str | None = attribute(doc="Security model, as ``selinux`` or ``dac``.")
    relabel: bool | None = attribute(
        codec=YES_NO,
        shown=_labelled,
        doc="Whether the guest's files are labelled for it.",
    )
    label: str | None = leaf(shown=_labelled, doc="The label.")
    imagelabel: str | None = leaf(
        shown=lambda self: self.relabel and _labelled(self), doc="Label of the guest's files."
    )
    baselabel: str | None = leaf(
        shown=lambda self: self.type is SecurityLabelType.DYNAMIC, doc="What a dynamic label is derived from."
    )


class CipherName(StrEnum):
    """A cipher for wrapping keys."""

    AES = "aes"
    DEA = "dea"


@element("cipher", doc="Whether a guest may wrap keys with a cipher.")
class KeyWrapCipher:
    name: CipherName = attribute(required=True)
    state: bool = attribute(codec=ON_OFF, required=True)


@element("keywrap", doc="Protected key operations of an s390 guest.", since="1.2.19")
class KeyWrap:
    ciphers: list[KeyWrapCipher] = children("cipher")
