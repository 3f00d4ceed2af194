"""What commands on domains share: the options that name one, ``--live``/``--config``/``--current``, its devices.

The three flags mean the same for networks and devices of the host.
"""

from __future__ import annotations

from virt_shell.command import Arguments, CommandError, data, flag
from virt_shell.completion import active_domains, domains, inactive_domains, local_paths
from virtcore._typing import TYPE_CHECKING, Callable, Sequence

if TYPE_CHECKING:
    from lxml import etree

    from virt_shell.shell import Shell
    from virtcore.api.sync import Domain

__all__ = [
    "ACTIVE",
    "CONFIG",
    "DOMAIN",
    "FILE",
    "IMPACT",
    "INACTIVE",
    "LIVE",
    "PERSISTENT",
    "change_device",
    "descriptors",
    "device_impact",
    "devices",
    "disk_targets",
    "impact",
    "impact_live",
    "interfaces",
]

_NAME = "domain name, id or uuid"
DOMAIN = data("domain", _NAME, completer=domains)
ACTIVE = data("domain", _NAME, completer=active_domains)
INACTIVE = data("domain", _NAME, completer=inactive_domains)
FILE = data("file", "file containing an XML domain description", completer=local_paths)

#: What a change affects (DomainModificationImpact; the flags of devices and memory have the same bits).
LIVE, CONFIG = 1, 2
IMPACT = (
    flag("config", "affect next boot"),
    flag("live", "affect running domain"),
    flag("current", "affect current domain"),
)
PERSISTENT = flag("persistent", "make live change persistent")


def impact(args: Arguments) -> int:
    """The bits of ``--live`` and ``--config``; 0 with ``--current`` and without any.

    :raises CommandError: ``--current`` beside another.
    """
    args.exclusive("current", "live")
    args.exclusive("current", "config")
    return (LIVE if "live" in args else 0) | (CONFIG if "config" in args else 0)


def impact_live(args: Arguments) -> int:
    """As :func:`impact`; without any of the options the running guest alone, which virsh's oldest calls mean."""
    return impact(args) or (0 if "current" in args else LIVE)


def device_impact(args: Arguments) -> int:
    """As :func:`impact`; ``--persistent`` does not go with ``--current``."""
    args.exclusive("persistent", "current")
    return impact(args) | (CONFIG if "persistent" in args else 0)


def change_device(domain: Domain, args: Arguments, change: Callable[[str, int], None], xml: str, flags: int) -> None:
    """Attach or detach a device: ``--persistent`` also changes the guest, if it runs; without any option only it."""
    if "persistent" in args and domain.is_active():
        flags |= LIVE
    change(xml, flags if flags or "current" in args else LIVE)


def devices(domain: Domain, path: str, *, inactive: bool = False) -> list[etree._Element]:
    """Elements of the domain's XML below ``devices``."""
    from lxml import etree

    from virtcore.enums import DomainXMLFlags

    xml = domain.xml(DomainXMLFlags.INACTIVE if inactive else 0)
    return etree.fromstring(xml.encode()).findall(f"devices/{path}")


def disk_targets(shell: Shell, args: Arguments) -> Sequence[str]:
    """Targets of the domain's disks."""
    return [str(target.get("dev")) for target in devices(shell.domain(args), "disk/target[@dev]")]


def interfaces(shell: Shell, args: Arguments) -> Sequence[str]:
    """Target names of the domain's network interfaces, MAC addresses of those without."""
    found: list[str] = []
    for interface in devices(shell.domain(args), "interface"):
        target, mac = interface.find("target"), interface.find("mac")
        name = target.get("dev") if target is not None else None
        address = mac.get("address") if mac is not None else None
        if name or address:
            found.append(str(name or address))
    return found


def descriptors(text: str) -> list[int]:
    """File descriptors of a list like ``3,4``.

    :raises CommandError: something is no number.
    """
    found = []
    for word in text.split(","):
        if not (word.isascii() and word.isdigit()):
            raise CommandError(f"Unable to parse FD number '{word}'")
        found.append(int(word))
    return found
