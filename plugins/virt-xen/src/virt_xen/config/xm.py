"""``xen-xm``: the configuration of Xen's former tool ``xm``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virt_xen.config.boot import read_boot_xm, write_boot_xm
from virt_xen.config.characters import read_characters, write_characters
from virt_xen.config.disks import read_disks_xm, write_disks_xm
from virt_xen.config.displays import read_displays, write_displays
from virt_xen.config.general import complete, read_general, write_general
from virt_xen.config.hostdevs import read_inputs, read_pci, read_sounds, write_inputs, write_pci, write_sounds
from virt_xen.config.interfaces import plug_into_switches, read_interfaces, write_interfaces
from virt_xen.config.settings import Output, Settings
from virt_xen.host import DEFAULT
from virtcore.driver.native import refuse_unprintable

if TYPE_CHECKING:
    from virt_xen.config.interfaces import NetworkBridge
    from virt_xen.host import XenHost
    from virtcore.model.domain.domain import Domain
    from virtcore.model.domain.rules import DomainContext

__all__ = ["format_xm", "parse_xm"]

_PARAVIRTUAL = "netfront"


def parse_xm(text: str, host: XenHost = DEFAULT, context: DomainContext | None = None) -> Domain:
    """The complete domain of a configuration (``virConnectDomainXMLFromNative``).

    :param host: what its defaults depend on.
    :param context: where UUIDs and MAC addresses come from.
    :raises VirtError: the text is malformed, or says what libvirt has no word for.
    """
    refuse_unprintable(text)
    settings = Settings(text)
    domain = read_general(settings, host)
    read_interfaces(settings, domain, _PARAVIRTUAL)
    read_pci(settings, domain)
    read_sounds(settings, domain)
    read_displays(settings, domain)
    read_characters(settings, domain, several=False)
    read_boot_xm(settings, domain)
    read_disks_xm(settings, domain)
    read_inputs(settings, domain, several=False)
    assert domain.devices is not None
    domain.devices.emulator = settings.string("device_model_override")
    complete(domain, host, context)
    plug_into_switches(domain)
    return domain


def format_xm(domain: Domain, network_bridge: NetworkBridge | None = None) -> str:
    """The configuration of a complete domain (``virConnectDomainXMLToNative``).

    :param network_bridge: finds the bridges of virtual networks.
    :raises VirtError: the domain has what the format has no word for.
    """
    output = Output()
    write_general(domain, output)
    write_displays(domain, output)
    write_interfaces(domain, output, _PARAVIRTUAL, network_bridge)
    write_pci(domain, output)
    write_characters(domain, output, several=False)
    write_sounds(domain, output)
    write_boot_xm(domain, output)
    write_disks_xm(domain, output)
    write_inputs(domain, output, several=False)
    return output.format()
