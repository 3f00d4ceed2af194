"""What guests of Xen can have depends on how they are virtualized."""

from __future__ import annotations

from virt_xen.domain_capabilities import domain_capabilities
from virtcore.model.arch import Arch
from virtcore.model.domain_capabilities import format_domain_capabilities


def test_fully_virtual_guests_have_firmware() -> None:
    text = format_domain_capabilities(domain_capabilities(Arch.X86_64, "xenfv", firmware=["/hvmloader"]))
    assert "<vcpu max='128'/>" in text
    assert "<loader supported='yes'>\n      <value>/hvmloader</value>\n      <enum name='type'>" in text


def test_guests_without_a_bus_have_no_devices_of_the_host() -> None:
    text = format_domain_capabilities(domain_capabilities(Arch.X86_64, "xenpvh", firmware=["/hvmloader"]))
    assert "<hostdev" not in text
    assert "<loader supported='no'/>" in text
