"""Priority strings of TLS: of GnuTLS' language the part that says which versions of the protocol there are."""

from __future__ import annotations

from ssl import TLSVersion
from typing import Final

__all__ = ["begins_with_level", "versions"]

_VERSIONS: Final = {"VERS-TLS1.2": TLSVersion.TLSv1_2, "VERS-TLS1.3": TLSVersion.TLSv1_3}
#: Versions that are never used here, so that they may be ruled out, too.
_OLD: Final = frozenset(["VERS-TLS1.0", "VERS-TLS1.1", "VERS-SSL3.0"])
_ALL: Final = frozenset(["VERS-ALL", "VERS-TLS-ALL"])
#: Keywords that a string may begin with; but for the last they ask for what there is anyway.
_LEVELS: Final = frozenset(
    ["NORMAL", "SYSTEM", "LIBVIRT", "SECURE", "SECURE128", "SECURE192", "SECURE256", "PFS", "DEFAULT", "NONE"]
)


def begins_with_level(priority: str) -> bool:
    """Whether a string begins as GnuTLS' do: with a level, or with what the system's settings (``@``) call one."""
    return priority.split(":")[0].lstrip("@").split(",")[0] in _LEVELS


def versions(priority: str) -> tuple[TLSVersion, TLSVersion]:
    """The lowest and the highest version that a priority string leaves.

    :raises ValueError: it asks for something else, or leaves none.
    """
    first, *rest = priority.split(":")
    words = rest if begins_with_level(priority) else [first, *rest]
    wanted = set() if first == "NONE" else set(_VERSIONS.values())
    for word in words:
        sign, name = word[:1], word[1:]
        named = set(_VERSIONS.values()) if name in _ALL else {_VERSIONS[name]} if name in _VERSIONS else None
        if sign == "+" and named is not None:
            wanted |= named
        elif sign in ("-", "!") and (named is not None or name in _OLD):
            wanted -= named or set()
        else:
            raise ValueError(f"'{word}' is no version of TLS")
    if not wanted:
        raise ValueError("no version of TLS is left")
    return min(wanted), max(wanted)
