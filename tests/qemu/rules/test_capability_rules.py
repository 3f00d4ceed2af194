"""Rules that look at more of an emulator than its flags."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from virt_qemu.capabilities.model import GIC, Accelerator, EmulatorCapabilities, Machine
from virt_qemu.firmware import FirmwareCatalog
from virt_qemu.prepare import decide
from virt_qemu.rules import QemuRules
from virt_qemu.rules.audio import HostAudio
from virtcore.errors import ConfigUnsupported, InternalError, OperationFailed, XMLError
from virtcore.model.arch import Arch
from virtcore.model.domain.devices import Devices
from virtcore.model.domain.document import load_domain
from virtcore.model.domain.domain import Domain
from virtcore.model.domain.rules import ParseFlag
from virtcore.model.domain.tpm import TPMVersion
from virtcore.xml import format_part

LoadARM = Callable[..., Domain]


@pytest.fixture
def arm() -> LoadARM:
    """A guest on the board ``virt``, of an emulator with these interrupt controllers."""

    def run(*gics: GIC, kind: str = "kvm", cpu: str = "") -> Domain:
        known = EmulatorCapabilities(
            binary="/qemu",
            arch=Arch.AARCH64,
            version=10_000_000,
            package="",
            flags=frozenset({"pcie-root-port", "tcg", "kvm", "hvf"}),
            accelerators={"tcg": Accelerator(machines=[Machine(name="virt", max_cpus=8)])},
        )
        known = dataclasses.replace(known, gics=list(gics))
        rules = QemuRules(lambda arch: None, lambda path: known)
        text = f"""<domain type='{kind}'><name>x</name><memory>1048576</memory>
            <os><type arch='aarch64' machine='virt'>hvm</type></os>{cpu}
            <devices><emulator>/qemu</emulator></devices></domain>"""
        return load_domain(text, rules, rules.context(ParseFlag.INACTIVE, arch=Arch.AARCH64))

    return run


@pytest.mark.parametrize(
    ("kind", "gics", "version"),
    [
        ("kvm", [GIC(version=3, kernel=True, emulated=True), GIC(version=2, kernel=True, emulated=True)], "3"),
        ("kvm", [GIC(version=3, kernel=False, emulated=True)], "2"),
        ("qemu", [GIC(version=3, kernel=False, emulated=True)], "2"),
        ("hvf", [GIC(version=3, kernel=True, emulated=True)], "2"),
        ("kvm", [], "2"),
    ],
)
def test_interrupt_controller(arm: LoadARM, kind: str, gics: list[GIC], version: str) -> None:
    domain = arm(*gics, kind=kind)
    assert domain.features is not None
    assert domain.features.gic is not None
    assert domain.features.gic.version == version


def test_lengths_of_vectors_ask_for_vectors(arm: LoadARM) -> None:
    cpu = "<cpu mode='host-passthrough'><feature name='sve256' policy='require'/>{}</cpu>"
    domain = arm(cpu=cpu.format(""))
    assert domain.cpu is not None
    assert [(feature.name, feature.policy) for feature in domain.cpu.features] == [
        ("sve256", "require"),
        ("sve", "require"),
    ]
    with pytest.raises(ConfigUnsupported, match="SVE disabled, but SVE vector lengths provided"):
        arm(cpu=cpu.format("<feature name='sve' policy='disable'/>"))


DIMM = "<memory model='dimm'><target><size unit='KiB'>{}</size></target></memory>"
NVDIMM = """<memory model='nvdimm'><uuid>49545eb3-75e1-2d0a-acdd-f0294406c99e</uuid><source><path>/n</path></source>
    <target><size unit='KiB'>{}</size><node>0</node><label><size unit='KiB'>128</size></label></target></memory>"""
ROOM = "<maxMemory slots='4'>4194304</maxMemory>"


def test_a_new_guest_with_pluggable_memory_gets_a_cell(load: Any) -> None:
    domain = load(DIMM.format(300000), rest=ROOM, new=True)
    [cell] = domain.cpu.numa.cells
    assert cell.memory == 748576
    assert domain.memory_total == 1048576
    assert domain.devices.memory[0].target.node == 0
    with pytest.raises(ConfigUnsupported, match="At least one numa node has to be configured"):
        load(DIMM.format(300000), rest=ROOM)


def test_modules_on_power_have_whole_blocks(load: Any) -> None:
    power: dict[str, Any] = {"arch": Arch.PPC64, "machine": "pseries", "rest": ROOM}
    domain = load(DIMM.format(300000) + NVDIMM.format(300000), new=True, **power)
    assert [device.target.size for device in domain.devices.memory] == [524288, 262144 + 128]
    assert domain.memory_total == 1048576 - 600000 + 524288 + 262272
    stored = load(DIMM.format(300000), **power)
    assert stored.devices.memory[0].target.size == 300000
    with pytest.raises(XMLError, match="minimum target size for the NVDIMM must be 256MB plus the label size"):
        load(NVDIMM.format(262144), new=True, **power)


CHANNEL = (
    """<channel type='unix'><source mode='connect' path='{}'>{}</source><target type='virtio' name='x'/></channel>"""
)


@pytest.mark.parametrize(
    ("path", "kept"), [("/a/domain-3-old/x", False), ("/a/domain-3-old/y", True), ("/a/guest/x", True)]
)
def test_sockets_we_made_are_made_again(load: Any, path: str, kept: bool) -> None:
    [channel] = load(CHANNEL.format(path, "")).devices.channels
    assert (channel.source.source.path is not None) is kept
    assert channel.source.source.mode == ("connect" if kept else "bind")
    if not kept:
        with pytest.raises(InternalError, match="chardev reconnect is possible only for connect mode"):
            load(CHANNEL.format(path, "<reconnect enabled='yes' timeout='1'/>"))


RBD = """<disk type='network'><driver name='qemu' type='raw'/><source protocol='rbd' name='p/i'>
    <encryption format='luks-any' engine='librbd'>{}</encryption></source><target dev='vda' bus='virtio'/></disk>"""
SECRET = "<secret type='passphrase' uuid='0a81f5b2-8403-7b23-c8d6-21ccc2f80d6f'/>"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ((), "librbd encryption is not supported by this QEMU binary"),
        (("rbd-encryption",), "luks-any encryption is not supported by this QEMU binary"),
        (
            ("rbd-encryption", "rbd-encryption-luks-any"),
            "librbd encryption layering is not supported by this QEMU binary",
        ),
    ],
)
def test_encryption_by_ceph(load: Any, flags: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigUnsupported, match=message):
        load(RBD.format(SECRET * 2), flags=flags)


def test_channel_addresses_to_be_chosen(load: Any) -> None:
    disk = "<disk type='file'><source file='/a'/><target dev='{}' bus='virtio'/><address type='ccw'{}/></disk>"
    first = disk.format("vda", " cssid='0xfe' ssid='0' devno='0'")
    domain = load(first + disk.format("vdb", ""), arch=Arch.S390X, machine="s390-ccw-virtio")
    address = domain.devices.disks[1].address
    assert (address.cssid, address.ssid, address.devno) == (0xFE, 0, 1)


def test_processes_beside_qemu_need_shared_memory(load: Any) -> None:
    interface = (
        "<interface type='vhostuser'><source type='unix' path='/s' mode='client'/><model type='virtio'/></interface>"
    )
    with pytest.raises(ConfigUnsupported, match="'interface' requires shared memory"):
        load(interface)
    shared = "<memoryBacking><access mode='shared'/></memoryBacking>"
    cells = "<cpu><numa><cell cpus='0' memory='1048576'{}/></numa></cpu>"
    assert load(interface, rest=shared + cells.format("")).devices.interfaces
    with pytest.raises(ConfigUnsupported, match="'interface' requires shared memory"):
        load(interface, rest=shared + cells.format(" memAccess='private'"))
    assert load(interface, rest=cells.format(" memAccess='shared'")).devices.interfaces


def test_mirrors_are_raw_by_default() -> None:
    known = EmulatorCapabilities(
        binary="/qemu", arch=Arch.X86_64, version=0, package="", flags=frozenset(), accelerators={}
    )
    rules = QemuRules(lambda arch: None, lambda path: known)
    text = """<domain type='kvm' id='1'><name>x</name><memory>1048576</memory>
        <os><type arch='x86_64' machine='pc-i440fx-9.0'>hvm</type></os><devices><emulator>/qemu</emulator>
        <disk type='file'><source file='/a'/><mirror file='/copy' ready='yes'/><target dev='fda' bus='fdc'/></disk>
        </devices></domain>"""
    context = rules.context(ParseFlag.STATUS | ParseFlag.SKIP_VALIDATE, arch=Arch.X86_64)
    domain = load_domain(text, rules, context)
    assert domain.devices is not None
    mirror = domain.devices.disks[0].mirror
    assert mirror is not None
    assert mirror.format is not None
    assert (mirror.format.type, mirror.format_name) == ("raw", "raw")


def test_sockets_of_displays_are_made_again(load: Any) -> None:
    vnc = "<graphics type='vnc' socket='{}'/>"
    [made] = load(vnc.format("/run/domain-1-x/vnc.sock"), sockets="/run").devices.graphics
    [kept] = load(vnc.format("/mine/vnc.sock"), sockets="/run").devices.graphics
    assert [type(listen).__name__ for listen in (*made.listens, *kept.listens)] == ["AddressListen", "SocketListen"]
    assert made.autoport


@pytest.mark.parametrize(
    ("devices", "host", "sound"),
    [
        ("", HostAudio(driver="alsa"), "none"),
        ("", HostAudio(driver="alsa", nographics=True), "alsa"),
        ("<graphics type='vnc'/>", HostAudio(driver="pa"), "none"),
        ("<graphics type='vnc'/>", HostAudio(driver="pa", vnc=True), "pulseaudio"),
        ("<graphics type='sdl'/>", HostAudio(), None),
        ("<graphics type='sdl'/>", HostAudio.of_environment({"QEMU_AUDIO_DRV": "oss"}), "oss"),
    ],
)
def test_where_sound_goes(load: Any, devices: str, host: HostAudio, sound: str | None) -> None:
    audios = load(devices, audio=host).devices.audios
    text = "".join(format_part(audio, Devices) for audio in audios)
    assert text == ("" if sound is None else f"<audio id='1' type='{sound}'/>\n")
    sdl = HostAudio.of_environment({"QEMU_AUDIO_DRV": "sdl", "SDL_AUDIODRIVER": "esd"}).backend()
    assert getattr(sdl, "driver", None) == "esd"


@pytest.mark.parametrize(("arch", "machine", "cells"), [(Arch.X86_64, "pc", 1), (Arch.S390X, "s390-ccw-virtio", 0)])
def test_memory_can_be_plugged_without_nodes_where_guests_need_none(
    load: Any, arch: Arch, machine: str, cells: int
) -> None:
    domain = load("", arch=arch, machine=machine, rest=ROOM, new=True)
    numa = domain.cpu.numa
    assert len(numa.cells if numa is not None else []) == cells


def test_versions_that_the_hosts_tpm_emulator_has_not_got(load: Any) -> None:
    tpm = "<tpm model='tpm-tis'><backend type='emulator' version='1.2'/></tpm>"
    flags = ("tpm-emulator", "tpm-tis")
    assert load(tpm, flags=flags).devices.tpms
    with pytest.raises(ConfigUnsupported, match=re.escape("TPM version '1.2' is not supported")):
        load(tpm, flags=flags, tpm_versions=lambda: (TPMVersion.V2_0,))


def test_an_image_that_is_none_of_the_hosts_is_found_out_when_the_guest_starts(load: Any, tmp_path: Path) -> None:
    image = "<loader readonly='yes' type='pflash' format='raw'>/own/code.fd</loader>"
    catalog = FirmwareCatalog([tmp_path], str(tmp_path))
    domain = load(
        os=image, os_attributes="firmware='efi'", rest="<features><acpi/></features>", machine="q35", firmware=catalog
    )
    assert domain.os.loader.path == "/own/code.fd"
    domain.cpu = None
    known = EmulatorCapabilities(
        binary="", arch=Arch.X86_64, version=0, package="", flags=frozenset(), accelerators={"tcg": Accelerator()}
    )
    with pytest.raises(OperationFailed, match="Unable to find 'efi' firmware that is compatible"):
        decide(domain, tmp_path, lambda _: 1, known, firmware=catalog)
