"""``xen-xl``: the configuration of Xen's tool ``xl``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virt_xen.config.boot import read_boot_xl, write_boot_xl
from virt_xen.config.characters import read_channels, read_characters, write_channels, write_characters
from virt_xen.config.cpu import read_cpuid, read_nested, read_vnuma, write_cpuid, write_nested, write_vnuma
from virt_xen.config.disks import read_disks_xl, write_disks_xl
from virt_xen.config.displays import read_displays, read_spice, write_displays, write_spice
from virt_xen.config.general import complete, read_general, write_general
from virt_xen.config.hostdevs import (
    read_inputs,
    read_pci,
    read_sounds,
    read_usb,
    read_xenbus,
    write_inputs,
    write_pci,
    write_sounds,
    write_usb,
    write_xenbus,
)
from virt_xen.config.interfaces import plug_into_switches, read_interfaces, write_interfaces
from virt_xen.config.settings import Output, Settings
from virt_xen.host import DEFAULT
from virt_xen.namespace import set_words, words_of
from virtcore.driver.native import refuse_unprintable

if TYPE_CHECKING:
    from virt_xen.config.interfaces import NetworkBridge
    from virt_xen.host import XenHost
    from virtcore.model.domain.domain import Domain
    from virtcore.model.domain.rules import DomainContext

__all__ = ["format_xl", "parse_xl"]

_PARAVIRTUAL = "vif"


def parse_xl(text: str, host: XenHost = DEFAULT, context: DomainContext | None = None) -> Domain:
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
    read_characters(settings, domain, several=True)
    read_boot_xl(settings, domain, host)
    read_nested(settings, domain, host)
    read_vnuma(settings, domain)
    read_xenbus(settings, domain)
    read_cpuid(settings, domain)
    read_disks_xl(settings, domain)
    read_spice(settings, domain)
    read_inputs(settings, domain, several=True)
    read_usb(settings, domain)
    read_channels(settings, domain)
    set_words(domain, settings.strings("device_model_args"))
    assert domain.devices is not None
    domain.devices.emulator = settings.string("device_model_override")
    complete(domain, host, context)
    plug_into_switches(domain)
    return domain


def format_xl(domain: Domain, network_bridge: NetworkBridge | None = None) -> str:
    """The configuration of a complete domain (``virConnectDomainXMLToNative``).

    :param network_bridge: finds the bridges of virtual networks.
    :raises VirtError: the domain has what the format has no word for.
    """
    output = Output()
    write_general(domain, output)
    write_displays(domain, output)
    write_interfaces(domain, output, _PARAVIRTUAL, network_bridge)
    write_pci(domain, output)
    write_characters(domain, output, several=True)
    write_sounds(domain, output)
    write_boot_xl(domain, output)
    write_nested(domain, output)
    write_cpuid(domain, output)
    write_vnuma(domain, output)
    write_xenbus(domain, output)
    write_disks_xl(domain, output)
    write_spice(domain, output)
    write_inputs(domain, output, several=True)
    write_usb(domain, output)
    write_channels(domain, output)
    output.set_list("device_model_args", words_of(domain))
    return output.format()
