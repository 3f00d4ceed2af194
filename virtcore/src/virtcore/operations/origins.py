"""The part of libvirt that an error comes from, where nothing nearer to what went wrong has said it.

Programs show it: ``libvirt: QEMU Driver error : ...``.
"""

from __future__ import annotations

import re

from virtcore.errors import ErrorDomain, NoName, NoSupport, VirtError, XMLDetail, XMLError

__all__ = ["claim_error", "part_of"]

#: The first pattern that a function's name fits says which part of the library it is in.
_PARTS = (
    (r"Snapshot", ErrorDomain.DOMAIN_SNAPSHOT),
    (r"Checkpoint", ErrorDomain.DOMAIN_CHECKPOINT),
    (r"^vir(Connect\w*)?Domain|^virConnect\w+Domains", ErrorDomain.DOMAIN),
    (r"NWFilter", ErrorDomain.NWFILTER),
    (r"Network", ErrorDomain.NETWORK),
    (r"Storage", ErrorDomain.STORAGE),
    (r"NodeDevice|^virNode(ListDevices|NumOfDevices)", ErrorDomain.NODEDEV),
    (r"Interface", ErrorDomain.INTERFACE),
    (r"Secret", ErrorDomain.SECRET),
    (r"^virStream", ErrorDomain.STREAMS),
)


def part_of(function: str) -> ErrorDomain:
    """The part of the library that a function belongs to."""
    return next((part for pattern, part in _PARTS if re.search(pattern, function)), ErrorDomain.NONE)


def claim_error(error: VirtError, function: str, driver: ErrorDomain) -> None:
    """Say where an error of nobody in particular comes from.

    :param function: of libvirt, that was called.
    :param driver: of the driver that it reached; NONE where that is one of the host's services.
    """
    if error.domain is not ErrorDomain.NONE:
        return
    nearer = isinstance(error, NoName | NoSupport | XMLDetail | XMLError) or driver is ErrorDomain.NONE
    error.domain = part_of(function) if nearer else driver
