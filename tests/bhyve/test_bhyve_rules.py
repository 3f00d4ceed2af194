"""bhyve's rules: what domains get, and what is refused. Needs no bhyve."""

from __future__ import annotations

from typing import Any

import pytest

from virt_bhyve.capabilities import ALL, BhyveCapabilities, BhyveCapability, GrubCapability, probe, probe_grub
from virt_bhyve.command import DryRun, bhyve_command
from virt_bhyve.firmware import choose_firmware
from virt_bhyve.loader import loader_command
from virt_bhyve.namespace import register
from virt_bhyve.rules import BhyveRules
from virtcore.errors import ConfigUnsupported, VirtError
from virtcore.model.arch import Arch
from virtcore.model.domain.document import format_domain, load_domain
from virtcore.model.domain.domain import Domain

register()

DISK = "<disk type='file'><source file='/a.img'/><target dev='vda' bus='virtio'/></disk>"
NO_SLOTS = "<disk type='file'><source file='/{0}'/><target dev='vd{1}' bus='virtio'/></disk>"


def load(
    devices: str = "", *, top: str = "", os: str = "", root: str = "", capabilities: BhyveCapabilities = ALL
) -> Domain:
    rules = BhyveRules(capabilities)
    text = (
        f"<domain type='bhyve' {root}><name>g</name><uuid>df3be7e7-a104-11e3-aeb0-50e5492bd3dc</uuid>"
        f"<memory unit='MiB'>64</memory>{top}<os><type>hvm</type>{os}</os><devices>{devices}</devices></domain>"
    )
    return load_domain(text, rules, rules.context(arch=Arch.X86_64))


def words(domain: Domain, capabilities: BhyveCapabilities = ALL) -> list[str]:
    return bhyve_command(domain, capabilities, DryRun())


def without(*names: BhyveCapability) -> BhyveCapabilities:
    return BhyveCapabilities(frozenset(BhyveCapability) - set(names), frozenset(GrubCapability))


def test_the_isa_bridge_keeps_slot_one_unless_another_device_has_it() -> None:
    assert "2:0,virtio-blk,/a.img" in words(load(DISK))
    taken = DISK.replace("</disk>", "<address type='pci' slot='1'/></disk>")
    argv = words(load(taken + "<serial type='nmdm'/>"))
    assert "1:0,virtio-blk,/a.img" in argv
    assert "2:0,lpc" in argv


def test_two_devices_in_one_slot_are_refused() -> None:
    twice = DISK.replace("</disk>", "<address type='pci' slot='4'/></disk>")
    with pytest.raises(VirtError, match=r"Attempted double use of PCI Address 0000:00:04\.0"):
        load(twice + twice.replace("vda", "vdb"))


def test_a_full_bus_is_refused() -> None:
    many = "".join(NO_SLOTS.format(number, chr(97 + number % 26) * (1 + number // 26)) for number in range(31))
    with pytest.raises(VirtError, match="No more available PCI slots"):
        load(many)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"devices": "<controller type='isa' index='1'/>"}, "Bhyve ISA controller can only have index '0'"),
        (
            {"devices": "<controller type='pci' index='1' model='pci-root'/>"},
            "pci-root and pcie-root controllers should have index 0",
        ),
        (
            {"devices": "<rng model='virtio'><backend model='builtin'/></rng>"},
            "Only 'random' backend model is supported",
        ),
        (
            {"devices": "<rng model='virtio'><backend model='random'>/dev/hwrng</backend></rng>"},
            "Only /dev/random source is supported",
        ),
    ],
)
def test_what_no_domain_may_have(document: dict[str, Any], message: str) -> None:
    with pytest.raises(VirtError) as caught:
        load(**document)
    assert str(caught.value).endswith(message)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"top": "<vcpu>3</vcpu><cpu><topology sockets='1' cores='2' threads='1'/></cpu>"}, "CPU topology"),
        ({"top": "<clock offset='variable' basis='utc'/>"}, "unsupported clock offset 'variable'"),
        ({"devices": "<interface type='user'><model type='virtio'/></interface>"}, "Network type 0 is not supported"),
        ({"devices": "<interface type='bridge'><source bridge='b'/></interface>"}, "NIC model is not supported"),
        ({"devices": "<graphics type='vnc' port='5901'/>"}, "Graphics are only supported when booting using UEFI"),
        ({"devices": "<sound model='ac97'/>"}, "Sound device model is not supported"),
        ({"devices": "<serial type='pty'/>"}, "only nmdm console types are supported"),
        ({"devices": "<controller type='usb' model='nec-xhci'/>"}, "only single input device is supported"),
        (
            {"devices": "<disk device='cdrom'><target dev='sda' bus='sata'/></disk>"},
            "cdrom device without source path not supported",
        ),
        (
            {"devices": "<disk type='block'><source dev='/dev/a'/><target dev='vda' bus='virtio'/></disk>"},
            "unsupported disk type",
        ),
    ],
)
def test_what_bhyve_cannot_run(document: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigUnsupported, match=message):
        words(load(**document))


@pytest.mark.parametrize(
    ("devices", "what"),
    [
        (DISK.replace("/a.img", "/a,ro"), "disk paths"),
        ("<filesystem><source dir='/a,ro'/><target dir='t'/></filesystem>", "shared paths"),
        ("<filesystem><source dir='/a'/><target dir='t,ro'/></filesystem>", "share names"),
        ("<serial type='nmdm'><source master='/dev/a,b' slave='/dev/b'/></serial>", "null modem names"),
        ("<sound model='ich7'><audio id='1'/></sound><audio type='oss' id='1'><input dev='a,b'/></audio>", "sound"),
    ],
)
def test_nothing_smuggles_options_in(devices: str, what: str) -> None:
    with pytest.raises(ConfigUnsupported, match=rf"Commas \(','\) are not allowed in {what}"):
        words(load(devices))


def test_a_name_is_no_option() -> None:
    domain = load(DISK)
    domain.name = "-x"
    with pytest.raises(ConfigUnsupported, match="name '-x' would be taken for an option"):
        words(domain)


VNC = "<graphics type='vnc' port='{port}' {more}><listen type='address' address='{host}'/></graphics>"
UEFI = "<loader readonly='yes' type='pflash'>/f.fd</loader>"


def test_a_display_listens_on_ipv6_in_brackets() -> None:
    domain = load(VNC.format(port=5901, host="::1", more=""), os=UEFI)
    assert "2:0,fbuf,tcp=[::1]:5901" in words(domain)


@pytest.mark.parametrize(
    ("port", "more", "message"),
    [
        (80, "", r"vnc port must be in range \[5900,65535\]"),
        (5901, "passwd='a,b'", "Password may not contain ',' character"),
    ],
)
def test_displays_bhyve_cannot_show(port: int, more: str, message: str) -> None:
    with pytest.raises(ConfigUnsupported, match=message):
        words(load(VNC.format(port=port, host="::1", more=more), os=UEFI))


def test_an_older_bhyve_refuses_what_it_cannot_do() -> None:
    domain = load(VNC.format(port=5901, host="::1", more="passwd='x'"), os=UEFI)
    with pytest.raises(ConfigUnsupported, match="VNC Password authentication not supported by bhyve"):
        words(domain, without(BhyveCapability.VNC_PASSWORD))
    with pytest.raises(ConfigUnsupported, match="Installed bhyve binary does not support UTC clock"):
        words(load(DISK), without(BhyveCapability.RTC_UTC))


def test_the_users_words_come_last_but_for_the_name() -> None:
    uri = "http://libvirt.org/schemas/domain/bhyve/1.0"
    domain = load(DISK, root=f"xmlns:b='{uri}'")
    assert "bhyve:" not in format_domain(domain)
    text = (
        format_domain(domain)
        .replace("<domain ", f"<domain xmlns:b='{uri}' ")
        .replace("</domain>", "<b:commandline><b:arg value='-x'/><b:arg value='a b'/></b:commandline></domain>")
    )
    rules = BhyveRules()
    again = load_domain(text, rules, rules.context(arch=Arch.X86_64))
    assert words(again)[-3:] == ["-x", "a b", "g"]
    assert format_domain(again).endswith(
        "  <bhyve:commandline>\n    <bhyve:arg value='-x'/>\n    <bhyve:arg value='a b'/>\n"
        "  </bhyve:commandline>\n</domain>\n"
    )


def test_grub_boots_from_the_cd_or_what_the_user_puts_first() -> None:
    cd = "<disk device='cdrom'><source file='/cd.iso'/><target dev='sdb' bus='sata'/>{}</disk>"
    grub = "<bootloader>/usr/local/sbin/grub-bhyve</bootloader>"
    both = loader_command(load(DISK + cd.format(""), top=grub), ALL, DryRun(), "/map")
    assert both is not None
    assert both.argv[1:5] == ["--root", "cd", "--device-map", "/map"]
    assert both.device_map == "(hd0) /a.img\n(cd) /cd.iso\n"
    first = DISK.replace("</disk>", "<boot order='1'/></disk>")
    chosen = loader_command(load(first + cd.format("<boot order='2'/>"), top=grub), ALL, DryRun(), "/map")
    assert chosen is not None
    assert chosen.argv[2] == "hd0,msdos1"
    assert chosen.device_map == "(hd0) /a.img\n"


def test_loaders_that_cannot_work_are_refused() -> None:
    with pytest.raises(ConfigUnsupported, match="Custom loader requires explicit bootloader_args configuration"):
        loader_command(load(DISK, top="<bootloader>/x</bootloader>"), ALL, DryRun(), "")
    with pytest.raises(ConfigUnsupported, match="Domain should have at least one disk defined"):
        loader_command(load(), ALL, DryRun(), "")
    with pytest.raises(ConfigUnsupported, match="Cannot boot from device network"):
        loader_command(load(DISK, os="<boot dev='network'/>"), ALL, DryRun(), "")


def test_firmware_is_the_usual_one_or_the_first() -> None:
    domain = load(DISK)
    assert domain.os is not None
    choose_firmware(domain, "/fw", [])
    assert domain.os.loader is None
    asks = load_domain(
        format_domain(domain).replace("<os>", "<os firmware='efi'>"), BhyveRules(), BhyveRules().context()
    )
    assert asks.os is not None
    with pytest.raises(ConfigUnsupported, match="no firmwares found in /fw"):
        choose_firmware(asks, "/fw", [".hidden"])
    choose_firmware(asks, "/fw", [".hidden", "a.fd", "b.fd"])
    assert asks.os.loader is not None
    assert asks.os.loader.path == "/fw/a.fd"
    choose_firmware(asks, "/fw", ["a.fd", "BHYVE_UEFI.fd"])
    assert asks.os.loader.path == "/fw/BHYVE_UEFI.fd"


def test_capabilities_come_from_what_the_programs_say() -> None:
    said = {"-h": "Usage: bhyve [-u: RTC keeps UTC time]\n -c vcpus", "0,ahci": 'pci slot 0:0: unknown device "ahci"'}
    found = probe(lambda argv: said.get(argv[-1], ""))
    assert BhyveCapability.RTC_UTC in found
    assert BhyveCapability.NET_E1000 in found
    assert found.isdisjoint({BhyveCapability.AHCI32SLOT, BhyveCapability.CPUTOPOLOGY})
    assert probe_grub(lambda argv: "--cons-dev=") == {GrubCapability.CONSDEV}
    assert probe_grub(lambda argv: "") == set()
