"""Fields that many capabilities of node devices have."""

from __future__ import annotations

from typing import Any

from virtcore.errors import ErrorCode
from virtcore.xml import HEX, attribute, leaf, number

__all__ = ["identifier", "known_number", "s390_number"]

#: An unsigned number that may be written as a negative one.
NUMBER = number(32, wraps=True)


def known_number(what: str, doc: str) -> Any:
    """A number every such device has.

    :param what: what libvirt's messages call it.
    """
    return leaf(
        codec=NUMBER,
        required=True,
        missing=f"no {what} supplied for '{{document}}'",
        invalid=f"invalid {what} supplied for '{{document}}'",
        code=ErrorCode.INTERNAL_ERROR,
        doc=doc,
    )


def identifier(what: str) -> Any:
    """The hexadecimal ``id`` of a vendor or product."""
    return attribute(
        codec=HEX("0x%04x", base=16),
        required=True,
        pattern="0x[0-9a-fA-F]{1,4}",
        blank=False,
        missing=f"no {what} supplied for '{{document}}'",
        invalid=f"invalid {what} supplied for '{{document}}'",
        code=ErrorCode.INTERNAL_ERROR,
        doc="number",
    )


def s390_number(name: str, form: str, doc: str, pattern: str, *, base: int = 0) -> Any:
    """A number of s390's channel subsystem or crypto cards, in hexadecimal."""
    return leaf(
        name,
        codec=HEX(form, base=base),
        required=True,
        pattern=pattern,
        missing=f"missing {name} value for '{{document}}'",
        invalid=f"invalid {name} value '{{value}}' for '{{document}}'",
        code=ErrorCode.CONFIG_UNSUPPORTED,
        doc=doc,
    )
