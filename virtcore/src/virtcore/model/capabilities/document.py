"""``<capabilities>``: what a host offers (``virConnectGetCapabilities``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtcore.xml import child, children, element, extras

if TYPE_CHECKING:
    from virtcore.model.capabilities.guest import Guest
    from virtcore.model.capabilities.host import Host
    from virtcore.xml import Extras

__all__ = ["Capabilities", "format_capabilities", "parse_capabilities"]


@element("capabilities", root=True, empty="open")
class Capabilities:
    """What a host offers."""

    host: Host | None = child("host")
    guests: list[Guest] = children("guest")
    extra: Extras = extras()


def parse_capabilities(source: str | bytes) -> Capabilities:
    """Reads a capabilities document; what it does not know it keeps.

    :raises VirtError: it is malformed, or not one.
    """
    from virtcore.xml import parse

    return parse(source, Capabilities, name="(capabilities)")


def format_capabilities(capabilities: Capabilities) -> str:
    """The document as libvirt prints it: with empty lines between its parts."""
    from virtcore.xml import format

    first, *lines = format(capabilities).splitlines()
    spaced = [first, ""]
    for line in lines:
        spaced.append(line)
        if line.startswith(("  </", "  <host/>", "  <guest/>")):
            spaced.append("")
    return "\n".join([*spaced, ""])
