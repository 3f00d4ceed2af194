"""Enumerations and flags of libvirt's public API: nwfilter."""

from __future__ import annotations

from virtcore._quick_enum import LateIntFlag as IntFlag, late


class NWFilterDefineFlags(IntFlag):
    """``virNWFilterDefineFlags``."""

    VALIDATE = 1


class NWFilterBindingCreateFlags(IntFlag):
    """``virNWFilterBindingCreateFlags``."""

    VALIDATE = 1


late(globals())
