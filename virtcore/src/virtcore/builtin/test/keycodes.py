"""Which numbers are keys, in each set of key codes."""

from __future__ import annotations

from virtcore.enums.domain_more import KeycodeSet
from virtcore.xml import CpuSet

__all__ = ["is_key", "set_name"]

_AT = "0-95,99-109,111-121,123,125-126"

#: Numbers that stand for a key, as libvirt's keyboard tables have them.
_KEYS = {
    KeycodeSet.LINUX: "0-265,272-279,288-299,303-318,320-327,330-337,352-439,448-451,464-484,497-506,512-524",
    KeycodeSet.XT: _AT,
    KeycodeSet.ATSET1: _AT,
    KeycodeSet.ATSET2: "0-1,3-7,9-15,17-22,26-30,33-39,41-47,49-55,58-63,65-70,73-78,81-82,84-85,88-91,93,95,97-100,"
    "102-103,105-109,112-127,131",
    KeycodeSet.ATSET3: "0,7-63,65-71,73-79,82,84-103,105-118,121-122,124-131,133-135,139-142,145,147-152,154-163",
    KeycodeSet.OSX: "0-51,53-65,67,69,71-76,78-107,109-111,113-126,255",
    KeycodeSet.XT_KBD: f"{_AT},257-268,270-272,274-297,299-310,312-351,355-365,367-377,379,381",
    KeycodeSet.USB: "0,4-48,50-119,121-125,133,135-140,144-148,182-183,224-251",
    KeycodeSet.WIN32: "0-2,4-6,8-9,13,17-22,26-29,32-42,44-57,65-93,95-135,144-145,160-161,163,165-180,186-192,"
    "219-222,226,242,250-251",
    KeycodeSet.QNUM: f"{_AT},129-140,142-144,146-169,171-182,184-223,227-237,239-249,251,253",
}


def is_key(codes: KeycodeSet, number: int) -> bool:
    """Whether a number stands for a key."""
    return number in CpuSet.parse(_KEYS[codes])


def set_name(codes: KeycodeSet) -> str:
    """What libvirt calls a set."""
    return {KeycodeSet.OSX: "os_x"}.get(codes, codes.name.lower())
