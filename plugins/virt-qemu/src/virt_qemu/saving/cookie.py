"""What a restore needs beside the guest's XML (``<cookie>``): of saved guests, and of snapshots of running ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virt_qemu.live_cpu import cpu_beside, give_cpu
from virtcore.model.snapshot import SaveCookie

if TYPE_CHECKING:
    from virt_qemu.guest import Guest
    from virtcore.model.cpu.element import GuestCPU
    from virtcore.model.domain import Domain

__all__ = ["cookie_of", "format_cookie", "read_cookie", "use_cookie"]


def cookie_of(guest: Guest, domain: Domain) -> SaveCookie:
    """The cookie of a running guest.

    :param domain: its live configuration.
    """
    # The processor that it sees, where the XML has the one that was asked for.
    if guest.status.original_cpu is None or domain.cpu is None:
        return SaveCookie()
    return SaveCookie(cpu=cpu_beside(domain.cpu))


def format_cookie(cookie: SaveCookie) -> str:
    """The cookie's text."""
    from virtcore.xml import Mode, format

    return format(cookie, Mode.SECURE)


def read_cookie(text: str) -> SaveCookie:
    """A cookie from its text.

    :raises VirtError: it is damaged.
    """
    from virtcore.model.cpu.document import complete_guest_cpu
    from virtcore.xml import parse

    cookie = parse(text, SaveCookie)
    if cookie.cpu is not None:
        complete_guest_cpu(cookie.cpu, "/cookie/cpu")
    return cookie


def use_cookie(domain: Domain, cookie: SaveCookie | None) -> GuestCPU | None:
    """Give a domain that is to be restored the processor its guest saw; returns the one that was asked for, where that
    is another."""
    return give_cpu(domain, cookie.cpu if cookie is not None else None)
