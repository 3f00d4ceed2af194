"""Xen's rules: what domains get, and what is refused. Needs no Xen."""

from __future__ import annotations

import pytest

from virt_xen.rules import XenRules
from virtcore.errors import VirtError
from virtcore.model.arch import Arch
from virtcore.model.domain.document import format_domain, load_domain


def load(devices: str = "", *, kind: str = "hvm", top: str = "", os: str = "", type: str = "xen") -> str:
    text = (
        f"<domain type='{type}'><name>g</name><memory unit='MiB'>64</memory>{top}"
        f"<os><type>{kind}</type>{os}</os><devices>{devices}</devices></domain>"
    )
    return format_domain(load_domain(text, XenRules(), XenRules().context(arch=Arch.X86_64)))


def test_what_every_guest_gets() -> None:
    full, paravirtual = load(), load(kind="linux")
    for xml in (full, paravirtual):
        assert "<controller type='xenbus' index='0'/>" in xml
        assert "<memballoon model='xen'/>" in xml
    assert "<pae/>" in full
    assert "<input type='keyboard' bus='ps2'/>" in full
    assert "<console" not in full
    assert "<input type='mouse' bus='xen'/>" in paravirtual
    assert "<console type='pty'>\n      <target type='xen' port='0'/>" in paravirtual


def test_generated_addresses_are_xens() -> None:
    assert "<mac address='00:16:3e:" in load("<interface type='bridge'><source bridge='b'/></interface>")


@pytest.mark.parametrize(
    ("emulator", "model", "memory"),
    [
        ("/usr/bin/qemu", "", "type='cirrus' vram='8192'"),
        ("/usr/lib/xen/bin/qemu-dm", "", "type='cirrus' vram='4096'"),
        ("/usr/bin/qemu", "<model type='vga'/>", "type='vga' vram='16384'"),
        ("/usr/lib/xen/bin/qemu-dm", "<model type='vga'/>", "type='vga' vram='8192'"),
        ("/usr/bin/qemu", "<model type='qxl'/>", "vram='131072'"),
    ],
)
def test_video_memory_depends_on_the_device_model(emulator: str, model: str, memory: str) -> None:
    xml = load(f"<emulator>{emulator}</emulator><graphics type='vnc'/><video>{model}</video>")
    assert memory in xml


def test_tables_of_windows_licences_are_whole_tables() -> None:
    assert "<table type='rawset'>/t</table>" in load(os="<acpi><table type='slic'>/t</table></acpi>")


def test_disks_are_raw_and_networked_ones_are_qemus() -> None:
    xml = load(
        "<disk type='network'><source protocol='rbd' name='p/i'/><target dev='hda'/></disk>"
        "<disk><source file='/a'/><target dev='hdb'/></disk>"
    )
    assert "<driver name='qemu' type='raw'/>" in xml
    assert "<driver type='raw'/>" in xml


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"type": "kvm"}, "could not find capabilities for arch=x86_64 domaintype=kvm "),
        ({"os": "<acpi><table type='msdm'>/t</table></acpi>"}, "ACPI table type 'msdm' is not supported"),
        (
            {"os": "<loader readonly='yes' secure='yes' type='pflash'>/f</loader>"},
            "Secure boot is not supported on Xen",
        ),
        (
            {"devices": "<hostdev mode='capabilities' type='misc'><source><char>/dev/a</char></source></hostdev>"},
            "hostdev mode 'capabilities' is not supported in xen",
        ),
    ],
)
def test_what_xen_cannot_run(arguments: dict[str, str], message: str) -> None:
    with pytest.raises(VirtError) as caught:
        load(**arguments)
    assert str(caught.value).endswith(message)
