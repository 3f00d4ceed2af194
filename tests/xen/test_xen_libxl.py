"""What libxl is given to start a domain."""

from __future__ import annotations

import json
from typing import Any

import pytest

from virt_xen.libxl import PlainResources, domain_configuration, format_configuration
from virt_xen.namespace import XEN, register
from virt_xen.rules import XenRules
from virtcore.errors import VirtError
from virtcore.model.arch import Arch
from virtcore.model.domain.document import load_domain
from virtcore.model.storage.secret import Auth

register()


class Host(PlainResources):
    """A host with a network and a secret, whose guests may have guests."""

    nested = True

    def check_emulator(self, path: str) -> None:
        if path != "/dm":
            raise VirtError(f"emulator '{path}' not found")

    def network_bridge(self, name: str) -> Any:
        return {"n": "virbr3"}[name]

    def secret(self, auth: Auth) -> Any:
        return f"{auth.username}:key=="


def configure(devices: str = "", *, kind: str = "hvm", top: str = "", os: str = "") -> dict[str, Any]:
    text = (
        f"<domain type='xen' xmlns:xen='{XEN.uri}'><name>g</name><memory unit='MiB'>64</memory>{top}"
        f"<os><type>{kind}</type>{os}</os><devices>{devices}</devices></domain>"
    )
    domain = load_domain(text, XenRules(), XenRules().context(arch=Arch.X86_64))
    text = format_configuration(domain_configuration(domain, Host()))
    found: dict[str, Any] = json.loads(text)
    return found


def test_memory_for_shadows_grows_with_the_guest() -> None:
    assert PlainResources().shadow_memory(64 * 1024, 2) == 4 * (512 + 128)


def test_every_display_has_a_port_of_its_own() -> None:
    found = configure("<graphics type='vnc'/><graphics type='vnc' keymap='de' passwd='x'/>")
    first, second = found["vfbs"]
    assert "display" not in first["vnc"]
    assert second["vnc"]["display"] == 1
    assert second["vnc"]["passwd"] == "x"
    assert second["keymap"] == "de"
    assert found["b_info"]["type.hvm"]["vnc"] == first["vnc"]


def test_spice_is_what_the_device_model_shows() -> None:
    found = configure("<graphics type='sdl' display=':0'/><graphics type='spice' port='5905' passwd='x'/>")
    machine = found["b_info"]["type.hvm"]
    assert machine["spice"]["port"] == 5905
    assert machine["spice"]["disable_ticketing"] == "False"
    assert machine["sdl"] == {"enable": "False"}
    assert found["vfbs"][0]["sdl"] == {"enable": "True", "opengl": "False", "display": ":0"}


def test_paravirtual_guests_find_their_kernel() -> None:
    assert configure(kind="linux")["b_info"]["type.pv"] == {"bootloader": "pygrub"}
    kernel = configure(kind="linux", os="<kernel>/k</kernel><cmdline>c</cmdline>")["b_info"]
    assert kernel["type.pv"] == {"kernel": "/k", "cmdline": "c"}
    hardware = configure(kind="xenpvh", os="<kernel>/k</kernel>")
    assert hardware["c_info"]["type"] == "pvh"
    assert hardware["b_info"]["kernel"] == "/k"


def test_devices_of_every_kind() -> None:
    found = configure(
        "<disk type='network'><driver name='qemu' discard='unmap'/><source protocol='rbd' name='p/i'>"
        "<host name='::1' port='5'/><host name='b'/><auth username='me'><secret type='ceph' usage='u'/></auth></source>"
        "<target dev='xvda'/></disk>"
        "<disk device='cdrom'><driver name='qemu'/><target dev='hdc'/></disk>"
        "<interface type='network'><source network='n'/><model type='netfront'/>"
        "<bandwidth><outbound average='100'/></bandwidth></interface>"
        "<hostdev type='pci'><source writeFiltering='no'><address bus='0x01' slot='0x1b' function='0x2'/></source>"
        "</hostdev>"
        "<hostdev type='usb'><source><address bus='1' device='3'/></source></hostdev>"
        "<controller type='usb' model='qusb1' ports='4'/>"
        "<channel type='unix'><source mode='bind' path='/p'/><target type='xen' name='c'/></channel>"
        "<input type='tablet' bus='usb'/><sound model='ac97'/>",
        top="<xen:commandline><xen:arg value='-x'/></xen:commandline>",
    )
    disk, cdrom = found["disks"] if found["disks"][0]["vdev"] == "xvda" else reversed(found["disks"])
    assert disk["pdev_path"] == ("rbd:p/i:id=me:key=me\\:key==:auth_supported=cephx\\;none:mon_host=[\\:\\:1]\\:5\\;b")
    assert disk["discard_enable"] == "True"
    assert (cdrom["format"], cdrom["is_cdrom"], "readwrite" in cdrom) == ("empty", 1, False)
    (nic,) = found["nics"]
    assert (nic["bridge"], nic["nictype"], nic["rate_bytes_per_interval"]) == ("virbr3", "vif", 5120)
    assert found["pcidevs"] == [{"func": 2, "dev": 27, "bus": 1, "permissive": True}]
    assert found["usbdevs"][0]["type.hostdev"] == {"hostbus": 1, "hostaddr": 3}
    assert found["usbctrls"][0]["version"] == 1
    assert found["channels"][0]["connection.socket"] == {"path": "/p"}
    assert found["b_info"]["extra"] == ["-x"]
    assert found["b_info"]["type.hvm"]["usbdevice_list"] == ["tablet"]


def test_nested_guests_need_the_host_and_the_domain() -> None:
    def nested(features: str) -> str:
        found = configure(top=f"<cpu mode='host-passthrough'>{features}</cpu>")
        return str(found["b_info"]["type.hvm"]["nested_hvm"])

    assert nested("") == "True"
    assert nested("<feature policy='disable' name='vmx'/>") == "False"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"devices": "<emulator>/x</emulator>"}, "emulator '/x' not found"),
        (
            {"devices": "<disk><driver name='x'/><source file='/a'/><target dev='hda'/></disk>"},
            "libxenlight does not support disk driver x",
        ),
        (
            {"devices": "<disk><driver name='phy' type='qcow2'/><source file='/a'/><target dev='hda'/></disk>"},
            "libxenlight does not support disk format qcow2 with disk driver phy",
        ),
        (
            {
                "devices": "<disk type='network'><driver name='phy'/><source protocol='rbd' name='p/i'/>"
                "<target dev='hda'/></disk>"
            },
            "only the 'qemu' driver can be used with network disks",
        ),
        ({"devices": "<interface type='user'/>"}, "unsupported interface type user"),
        (
            {"devices": "<graphics type='vnc'/><video><model type='vga' vram='1024'/></video>"},
            "videoram must be at least 16MB for VGA",
        ),
        (
            {"top": "<features><hyperv><spinlocks state='on' retries='4096'/></hyperv></features>"},
            "unsupported HyperV Enlightenment feature: spinlocks",
        ),
        ({"devices": "<parallel type='pty'/>"}, "Parallel devices are not supported by libxl"),
        ({"top": "<clock offset='timezone' timezone='UTC'/>"}, "unsupported clock offset 'timezone'"),
        ({"top": "<clock><timer name='rtc'/></clock>"}, "unsupported timer type (name) 'rtc'"),
    ],
)
def test_what_libxl_cannot_start(arguments: dict[str, str], message: str) -> None:
    with pytest.raises(VirtError) as caught:
        configure(**arguments)
    assert str(caught.value).endswith(message)
