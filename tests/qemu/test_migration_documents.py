"""Documents as older peers read them."""

from __future__ import annotations

import pytest

from virt_qemu.capabilities.model import EmulatorCapabilities
from virt_qemu.migration.migratable import make_migratable
from virt_qemu.rules import QemuRules
from virtcore.model.arch import Arch
from virtcore.model.domain import Domain
from virtcore.model.domain.document import format_domain, load_domain
from virtcore.model.domain.rules.context import ParseFlag


def _domain(machine: str, devices: str) -> Domain:
    known = EmulatorCapabilities(
        binary="/qemu", arch=Arch.X86_64, version=0, package="", flags=frozenset(), accelerators={}
    )
    rules = QemuRules(lambda arch: "/qemu", lambda path: known)
    text = f"""<domain type='qemu'><name>x</name><memory>65536</memory>
    <os><type arch='x86_64' machine='{machine}'>hvm</type></os><devices>{devices}</devices></domain>"""
    return load_domain(text, rules, rules.context(ParseFlag.SKIP_VALIDATE, arch=Arch.X86_64))


@pytest.mark.parametrize(
    ("machine", "devices", "gone", "stays"),
    [
        ("pc-i440fx-7.2", "", ["<controller", "<audio"], []),
        ("pc-i440fx-7.2", "<graphics type='spice'/>", ["<audio"], []),
        ("pc-i440fx-7.2", "<input type='keyboard' bus='ps2'/><input type='mouse' bus='ps2'/>", ["keyboard"], ["mouse"]),
        ("pc-i440fx-7.2", "<input type='keyboard' bus='usb'/>", [], ["<input type='keyboard' bus='usb'"]),
        ("pc-i440fx-7.2", "<audio id='1' type='alsa'/>", [], ["<audio id='1' type='alsa'/>"]),
        ("pc-i440fx-7.2", "<controller type='usb' model='ehci'/>", ["model='pci-root'"], ["model='ehci'"]),
        ("pc-i440fx-7.2", "<controller type='usb'/><controller type='usb' index='1'/>", [], ["type='usb' index='0'"]),
        ("pc-q35-7.2", "<controller type='usb'/>", ["<audio"], ["type='usb'", "model='pcie-root'"]),
    ],
)
def test_what_older_peers_add_by_themselves(machine: str, devices: str, gone: list[str], stays: list[str]) -> None:
    domain = _domain(machine, devices)
    assert all(each in format_domain(domain) for each in [*gone, *stays])
    make_migratable(domain)
    text = format_domain(domain)
    assert not any(each in text for each in gone)
    assert all(each in text for each in stays)


def test_sockets_that_the_driver_made_are_made_anew() -> None:
    made = (
        "<channel type='unix'><source mode='bind' path='/run/domain-3-x/a'/><target type='virtio' name='a'/></channel>"
    )
    domain = _domain("pc-i440fx-7.2", made + made.replace("/run/domain-3-x", "/srv"))
    make_migratable(domain)
    text = format_domain(domain)
    assert "/run/domain-3-x" not in text
    assert "<source mode='bind' path='/srv/a'/>" in text
