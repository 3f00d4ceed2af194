"""Devices of the host for guests, on a kernel that is made of files: PCI, USB, SCSI, mediated, sockets, memory."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import struct
from pathlib import Path

import pytest
from guest_image import guest_xml

import virtcore
from virt_host.links import netlink
from virt_host.passthrough import DeviceTree
from virt_qemu import vhost_user, vsock
from virt_qemu.host_side import HostSide, videos
from virt_qemu.host_side.hostdevs import hostdev_nodes
from virt_qemu.host_side.owner import Owner
from virt_qemu.resources import HostResources
from virt_qemu.settings import QemuSettings, parse
from virt_qemu.settings.host import host_settings
from virtcore.driver.base import Place
from virtcore.driver.toolkit import StateFolders
from virtcore.enums import DomainCreateFlags
from virtcore.errors import ConfigUnsupported, InternalError, OperationFailed, OperationInvalid, SystemError
from virtcore.model.domain import Domain
from virtcore.model.domain.hostdev import PCIOriginalState
from virtcore.runtime.launcher import launcher
from virtcore.xml import parse as parse_xml

PAUSED = DomainCreateFlags.START_PAUSED
CARD, SISTER = "0000:06:12.5", "0000:06:12.6"


class FakeKernel:
    """What the kernel does when a program writes into these files, done when the test asks for it."""

    def __init__(self, bus: Path) -> None:
        self.bus = bus
        for driver in ("vfio-pci", "e1000e"):
            folder = bus / "pci" / "drivers" / driver
            folder.mkdir(parents=True)
        group = bus / "groups" / "7" / "devices"
        group.mkdir(parents=True)
        for address in (CARD, SISTER):
            device = bus / "pci" / "devices" / address
            device.mkdir(parents=True)
            (device / "iommu_group").symlink_to(bus / "groups" / "7")
            (group / address).mkdir()
        self.bind(CARD, "e1000e")
        usb = bus / "usb" / "devices"
        for name, facts in {
            "1-1": (1, 4, "0951", "1666"),
            "1-2": (1, 5, "0951", "1666"),
            "2-1": (2, 2, "1d6b", "0003"),
        }.items():
            (usb / name).mkdir(parents=True)
            for file, fact in zip(("busnum", "devnum", "idVendor", "idProduct"), facts, strict=True):
                (usb / name / file).write_text(f"{fact}\n")
        (bus / "scsi" / "devices" / "2:0:1:3" / "scsi_generic" / "sg4").mkdir(parents=True)

    def bind(self, address: str, driver: str | None) -> None:
        link = self.bus / "pci" / "devices" / address / "driver"
        link.unlink(missing_ok=True)
        if driver is not None:
            link.symlink_to(self.bus / "pci" / "drivers" / driver)


class LivingTree(DeviceTree):
    """The files of a fake kernel that follows what is written."""

    kernel: FakeKernel
    refuses = False

    def _write(self, path: Path, text: str) -> None:
        kernel = type(self).kernel
        if path.name == "unbind":
            kernel.bind(text, None)
        elif path.name == "drivers_probe":
            override = kernel.bus / "pci" / "devices" / text / "driver_override"
            wanted = override.read_text().strip() if override.exists() else ""
            if not (wanted and type(self).refuses):
                kernel.bind(text, wanted or "e1000e")
        else:
            super()._write(path, text)


@pytest.fixture
def tree(tmp_path, monkeypatch) -> DeviceTree:
    kernel = FakeKernel(tmp_path / "bus")
    monkeypatch.setattr(LivingTree, "kernel", kernel, raising=False)
    monkeypatch.setattr(LivingTree, "refuses", False)
    return LivingTree(tmp_path / "bus")


@pytest.fixture
def side(tmp_path, tree) -> HostSide:
    folders = StateFolders.below(tmp_path / "root", "qemu")
    folders.make()
    settings = QemuSettings()
    made = HostSide(settings, folders, host_settings(settings, folders, False), Place(False), isolated=False)
    made.devices = tree
    return made


def guest(side: HostSide, number: int) -> Owner:
    folder = side.folders.run / f"domain-{number}"
    folder.mkdir(exist_ok=True)
    return Owner(f"guest{number}", f"{number:08}-0000-0000-0000-000000000000", f"{number}-guest", folder, None)


def device(xml: str):
    domain = parse_xml(f"<domain type='qemu'><name>x</name><devices>{xml}</devices></domain>", Domain)
    assert domain.devices is not None
    return domain.devices.hostdevs[0]


def pci(managed: str = "yes", function: str = "5"):
    return device(
        f"<hostdev mode='subsystem' type='pci' managed='{managed}'><source>"
        f"<address domain='0' bus='6' slot='0x12' function='{function}'/></source></hostdev>"
    )


def prepare(side: HostSide, owner: Owner, hostdev: object) -> HostResources:
    with HostResources() as resources:
        asyncio.run(side.prepare_device(owner, hostdev, resources))
        return resources


def release(side: HostSide, owner: Owner, hostdev: object) -> None:
    asyncio.run(side.release_device(owner, hostdev))


def test_a_pci_device_changes_its_driver_and_back(side, tree):
    card = pci()
    prepare(side, guest(side, 1), card)
    assert tree.pci_driver(CARD) == "vfio-pci"
    assert card.source.original_states == [PCIOriginalState.UNBIND, PCIOriginalState.REPROBE]
    assert list(hostdev_nodes(side, card)) == ["/dev/vfio/vfio", "/dev/vfio/7"]
    with pytest.raises(OperationInvalid, match=f"PCI device {CARD} is in use by driver QEMU, domain guest1"):
        prepare(side, guest(side, 2), pci())
    assert tree.pci_driver(CARD) == "vfio-pci", "the second one changed nothing"
    with pytest.raises(OperationInvalid, match=f"PCI device {CARD} is in use by driver QEMU, domain guest1"):
        prepare(side, guest(side, 2), pci(function="6"))  # they only go together
    release(side, guest(side, 1), card)
    release(side, guest(side, 1), card)
    assert tree.pci_driver(CARD) == "e1000e"
    prepare(side, guest(side, 2), pci())


def test_a_pci_device_that_stays_with_the_host(side, tree, monkeypatch):
    with pytest.raises(OperationInvalid, match=f"Unmanaged PCI device {CARD} must be manually detached from the host"):
        prepare(side, guest(side, 1), pci("no"))
    with pytest.raises(OperationFailed, match=r"Device 0000:06:12.7 not found: could not access"):
        prepare(side, guest(side, 1), pci(function="7"))
    monkeypatch.setattr(LivingTree, "refuses", True)
    with pytest.raises(InternalError, match=f"Failed to bind PCI device '{CARD}' to vfio-pci"):
        prepare(side, guest(side, 1), pci())
    assert tree.pci_driver(CARD) == "e1000e", "it is the host's again"
    assert side.hostdevs.holder("pci", CARD) is None


def test_a_pci_device_that_was_taken_by_hand_stays_taken(side, tree):
    side.hostdevs.detach(tree, CARD, "vfio-pci")
    for managed in ("yes", "no"):
        card = pci(managed)
        prepare(side, guest(side, 1), card)
        with pytest.raises(OperationInvalid, match=f"PCI device {CARD} is in use by driver QEMU, domain guest1"):
            side.hostdevs.reattach(tree, CARD)
        release(side, guest(side, 1), card)
        assert tree.pci_driver(CARD) == "vfio-pci"
    side.hostdevs.reattach(tree, CARD)
    assert tree.pci_driver(CARD) == "e1000e"


def test_a_bridge_is_for_no_guest(side, tree):
    tree.config(CARD).write_bytes(bytes(14) + b"\x81" + bytes(49))
    with pytest.raises(InternalError, match="Non-endpoint PCI devices cannot be assigned to guests"):
        prepare(side, guest(side, 1), pci())
    assert tree.pci_driver(CARD) == "e1000e"


def test_what_an_older_version_noted_is_known(side, tmp_path):
    former = tmp_path / "root" / "run" / "qemu" / "hostdevs"
    former.mkdir()
    (former / f"pci-{CARD}").write_text(json.dumps(["uuid", "old"]))
    side.hostdevs.adopt(former)
    with pytest.raises(OperationInvalid, match=f"PCI device {CARD} is in use by driver QEMU, domain old"):
        prepare(side, guest(side, 1), pci())
    assert not former.exists()


def switch(tree: DeviceTree, *, control: int | None, kind: int = 6) -> None:
    """Put the card below a port of a PCI Express switch.

    :param control: what of access control services is on; None: it has none.
    :param kind: of the port; 6 looks downstream.
    """
    config = bytearray(0x200)
    config[0x06], config[0x34] = 0x10, 0x40
    config[0x40:0x44] = bytes((0x05, 0x50, 0, 0))  # another capability before
    config[0x50:0x54] = bytes((0x10, 0, kind << 4, 0))
    config[0x100:0x104] = (0x0001 | 0x140 << 20).to_bytes(4, "little")
    if control is not None:
        config[0x140:0x148] = (0x000D | control << 48).to_bytes(8, "little")
    port = tree.bus / "devices" / "pci0000:00" / "0000:05:01.0"
    port.mkdir(parents=True, exist_ok=True)
    (port / "config").write_bytes(config)
    place = tree.bus / "pci" / "devices" / CARD
    if not place.is_symlink():
        place.rename(port / CARD)
        place.symlink_to(port / CARD)


def test_devices_that_reach_others_past_the_iommu(side, tree):
    switch(tree, control=None)
    with pytest.raises(OperationInvalid, match=f"PCI device {CARD} is not assignable"):
        prepare(side, guest(side, 1), pci())
    switch(tree, control=0x1B)  # something is not redirected
    with pytest.raises(OperationInvalid, match=f"PCI device {CARD} is not assignable"):
        prepare(side, guest(side, 1), pci())
    assert tree.pci_driver(CARD) == "e1000e"
    side.settings = parse("relaxed_acs_check = 1", "qemu.conf", privileged=True)
    hostdev = pci()
    prepare(side, guest(side, 1), hostdev)
    assert tree.pci_driver(CARD) == "vfio-pci"
    release(side, guest(side, 1), hostdev)


@pytest.mark.parametrize("port", [{"control": 0x1D}, {"control": 0x1F}, {"control": None, "kind": 4}])
def test_devices_below_ports_that_keep_them_apart(side, tree, port):
    switch(tree, **port)
    hostdev = pci()
    prepare(side, guest(side, 1), hostdev)
    assert tree.pci_driver(CARD) == "vfio-pci"
    release(side, guest(side, 1), hostdev)


def usb(source: str, policy: str = ""):
    return device(f"<hostdev mode='subsystem' type='usb'><source{policy}>{source}</source></hostdev>")


def test_usb_devices_are_found(side):
    hub = usb("<vendor id='0x1d6b'/><product id='0x0003'/>")
    prepare(side, guest(side, 1), hub)
    assert (hub.source.address.bus, hub.source.address.device) == (2, 2)
    assert list(hostdev_nodes(side, hub)) == ["/dev/bus/usb/002/002"]
    with pytest.raises(OperationInvalid, match="USB device 002:002 is in use by driver QEMU, domain guest1"):
        prepare(side, guest(side, 2), usb("<address bus='2' device='2'/>"))
    with pytest.raises(OperationFailed, match="Multiple USB devices for 951:1666 were found, please use <address>"):
        prepare(side, guest(side, 2), usb("<vendor id='0x0951'/><product id='0x1666'/>"))
    with pytest.raises(InternalError, match="Did not find USB device abcd:0001"):
        prepare(side, guest(side, 2), usb("<vendor id='0xabcd'/><product id='0x0001'/>"))
    gone = usb("<vendor id='0xabcd'/><product id='0x0001'/>", " startupPolicy='optional'")
    prepare(side, guest(side, 2), gone)
    assert gone.source.missing


def test_scsi_devices_are_named(side):
    disk = device(
        "<hostdev mode='subsystem' type='scsi'><source><adapter name='scsi_host2'/>"
        "<address bus='0' target='1' unit='3'/></source></hostdev>"
    )
    resources = prepare(side, guest(side, 1), disk)
    assert resources.scsi_generic(disk.source) == "sg4"
    with pytest.raises(OperationInvalid, match="SCSI device sg4 is in use"):
        prepare(side, guest(side, 2), disk)
    release(side, guest(side, 1), disk)
    prepare(side, guest(side, 2), disk)


def test_addresses_of_sockets(tmp_path, monkeypatch):
    taken, node = {3, 4}, tmp_path / "vhost-vsock"
    node.touch()

    def ioctl(descriptor: int, request: int, argument: bytes) -> None:
        [cid] = struct.unpack("=Q", argument)
        if cid in taken:
            raise OSError(errno.EADDRINUSE, "Address already in use")

    monkeypatch.setattr(vsock.fcntl, "ioctl", ioctl)
    descriptor, cid = vsock.open_vsock(None, auto=True, device=str(node))
    os.close(descriptor)
    assert cid == 5
    with pytest.raises(SystemError, match="failed to set guest cid: Address already in use"):
        vsock.open_vsock(4, auto=False, device=str(node))
    with pytest.raises(SystemError, match="unable to open vhost-vsock device: No such file"):
        vsock.open_vsock(4, auto=False, device=str(tmp_path / "none"))


VF = "0000:06:10.1"


def interface(rest: str = "", address: str = "<address type='pci' domain='0' bus='6' slot='0x10' function='1'/>"):
    domain = parse_xml(
        "<domain type='qemu'><name>x</name><devices><interface type='hostdev' managed='yes'>"
        f"<mac address='52:54:00:00:00:01'/><source>{address}</source>{rest}</interface></devices></domain>",
        Domain,
    )
    assert domain.devices is not None
    return domain.devices.interfaces[0]


@pytest.fixture
def card(tree, monkeypatch):
    """A network card with functions; returns what their settings are."""
    devices = tree.bus / "pci" / "devices"
    (devices / "0000:06:00.0" / "net" / "enp6s0").mkdir(parents=True)
    (devices / VF).mkdir()
    (devices / VF / "physfn").symlink_to(devices / "0000:06:00.0")
    (devices / VF / "iommu_group").symlink_to(tree.bus / "groups" / "9")
    (tree.bus / "groups" / "9" / "devices" / VF).mkdir(parents=True)
    (devices / "0000:06:00.0" / "virtfn3").symlink_to(devices / VF)
    LivingTree.kernel.bind(VF, "e1000e")
    settings = {("enp6s0", 3): ("02:00:00:00:00:99", 7)}
    monkeypatch.setattr(netlink, "function_settings", lambda card, number: settings[card, number])
    monkeypatch.setattr(
        netlink, "set_function", lambda card, number, mac, vlan: settings.update({(card, number): (mac, vlan)})
    )
    return settings


def test_a_function_of_a_network_card(side, tree, card):
    mine = interface("<vlan><tag id='42'/></vlan>")
    prepare(side, guest(side, 1), mine)
    assert card["enp6s0", 3] == ("52:54:00:00:00:01", 42)
    assert tree.pci_driver(VF) == "vfio-pci"
    assert list(hostdev_nodes(side, mine)) == ["/dev/vfio/vfio", "/dev/vfio/9"]
    with pytest.raises(OperationInvalid, match=f"PCI device {VF} is in use by driver QEMU, domain guest1"):
        prepare(side, guest(side, 2), interface())
    assert card["enp6s0", 3] == ("52:54:00:00:00:01", 42)
    release(side, guest(side, 1), mine)
    assert card["enp6s0", 3] == ("02:00:00:00:00:99", 7)
    assert tree.pci_driver(VF) == "e1000e"


def test_cards_without_functions(side, tree, card):
    whole = "<address type='pci' domain='0' bus='6' slot='0x12' function='5'/>"
    with pytest.raises(ConfigUnsupported, match="supported on SR-IOV Virtual Functions only"):
        prepare(side, guest(side, 1), interface(address=whole))
    with pytest.raises(ConfigUnsupported, match="vlan trunking is not supported by SR-IOV network devices"):
        prepare(side, guest(side, 1), interface("<vlan trunk='yes'><tag id='1'/><tag id='2'/></vlan>"))
    assert tree.pci_driver(VF) == "e1000e"


def test_a_graphics_card_in_another_process(side, tmp_path, monkeypatch):
    folder = tmp_path / "usr" / "share" / "qemu" / "vhost-user"
    folder.mkdir(parents=True)
    program = tmp_path / "gpu"
    program.write_text("#!/bin/sh\necho served >&3\n[ $1 = --fd=3 ] && exec sleep 60\n")
    program.chmod(0o755)
    (folder / "50-gpu.json").write_text(json.dumps({"type": "gpu", "binary": str(program)}))
    (folder / "40-broken.json").write_text("{")
    find = vhost_user.find_program
    monkeypatch.setattr(videos, "find_program", lambda kind: find(kind, root=tmp_path))
    domain = parse_xml(
        "<domain type='qemu'><name>x</name><devices><video><driver name='vhostuser'/>"
        "<model type='virtio'><acceleration accel3d='yes' rendernode='/dev/dri/r'/></model></video></devices></domain>",
        Domain,
    )
    [video] = domain.devices.videos
    video.alias = "video0"
    assert videos.gpu_command("/gpu", video, 3) == ["/gpu", "--fd=3", "--virgl", "--render-node=/dev/dri/r"]

    async def serve() -> bytes:
        with HostResources() as resources:
            await side.prepare_device(guest(side, 1), video, resources)
            descriptor = resources.fds[resources.vhost_user_gpu("video0")]
            said = os.read(descriptor, 100)
            await side.release_device(guest(side, 1), video)
            assert os.read(descriptor, 100) == b"", "it has ended"
        launcher().close()
        return said

    assert asyncio.run(serve()) == b"served\n"
    monkeypatch.setattr(videos, "find_program", lambda kind: None)
    with pytest.raises(OperationFailed, match="Unable to find a satisfying vhost-user-gpu"):
        prepare(side, guest(side, 1), video)


def test_memory_in_files(connection, boot, root):
    backing = "<memoryBacking><source type='file'/><access mode='shared'/></memoryBacking>"
    domain = connection.create_domain(guest_xml("files", *boot).replace("<vcpu>", f"{backing}<vcpu>"), PAUSED)
    [folder] = (root / "lib" / "qemu" / "ram").iterdir()
    assert [file.stat().st_size for file in folder.iterdir()] == [128 << 20]
    domain.destroy()
    assert not folder.exists()


def test_huge_pages_of_a_mount_that_is_named(root, boot, tmp_path):
    (root / "etc").mkdir(exist_ok=True)
    mount = tmp_path / "huge"
    mount.mkdir()
    (root / "etc" / "qemu.conf").write_text(f'hugetlbfs_mount = "{mount}"\n')
    backing = "<memoryBacking><hugepages/></memoryBacking>"
    assert parse(f'hugetlbfs_mount = "{mount}"', "x", privileged=True).hugetlbfs_mount == [str(mount)]
    with virtcore.connect(f"qemu:///embed?root={root}") as connection:
        domain = connection.create_domain(guest_xml("huge", *boot).replace("<vcpu>", f"{backing}<vcpu>"), PAUSED)
        [folder] = (mount / "virtcore" / "qemu").iterdir()
        assert f'"mem-path":"{folder}"' in (root / "log" / "qemu" / "huge.log").read_text()
        domain.destroy()
        assert not folder.exists()
