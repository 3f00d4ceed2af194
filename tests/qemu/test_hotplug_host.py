"""Devices that join running guests and need something of the host: taps, bridges, networks, devices of the host.

QEMU is real where interfaces are concerned; with devices of the host it is made up, as the devices are.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import guest_image
import pytest
from guest_image import guest_xml
from scripted_qemu import Scripted
from test_host_devices import CARD, VF, FakeKernel, LivingTree, card
from test_networks import MAC, PAUSED, FakeNetworks, administrator, bridge, interface, made_of, run, target

import virtcore
from virt_host.links import devices as links
from virt_qemu.host import QemuState
from virtcore import Domain
from virtcore.driver import loader
from virtcore.enums import DomainDeviceModifyFlags as Modify
from virtcore.errors import InternalError, OperationFailed, OperationInvalid, OperationUnsupported, VirtError

__all__ = ["bridge", "card"]  # fixtures


@pytest.fixture
def domain(connection: virtcore.Connection, boot: tuple[Path, Path]) -> Domain:
    return connection.create_domain(guest_xml("host", *boot), PAUSED)


@pytest.fixture
def other_bridge(bridge: str) -> Iterator[str]:
    name = f"{bridge}o"
    run("ip", "link", "add", name, "type", "bridge")
    yield name
    run("ip", "link", "del", name)


@administrator
def test_a_tap_comes_and_goes(domain: Domain, bridge: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = made_of("lo", bridge)
    device = interface("bridge", f"<source bridge='{bridge}'/>")
    domain.attach_device(device, Modify.LIVE)
    name = target(domain)
    assert links.bridge_of(name) == bridge
    with pytest.raises(VirtError):  # QEMU refuses what has its address already
        domain.attach_device(device.replace(MAC, "52:54:00:12:34:57").replace("<model", "<rom file='/none'/><model"))
    assert made_of("lo", bridge) == before | {name}
    monkeypatch.setattr(QemuState, "unplug_limit", 0.1)
    domain.detach_device_alias("net0", Modify.LIVE)
    # A guest that is paused lets nothing go: what QEMU still has stays.
    assert links.exists(name) == ("net0" in domain.xml())


@administrator
def test_an_interface_moves_to_another_bridge(domain: Domain, bridge: str, other_bridge: str) -> None:
    device = interface("bridge", f"<source bridge='{bridge}'/><port isolated='yes'/>")
    domain.attach_device(device, Modify.LIVE)
    name = target(domain)
    isolated = Path(f"/sys/class/net/{name}/brport/isolated")
    assert isolated.read_text().strip() == "1"
    domain.update_device(device.replace("<port isolated='yes'/>", ""), Modify.LIVE)
    assert isolated.read_text().strip() == "0"
    domain.update_device(device.replace(bridge, other_bridge), Modify.LIVE)
    assert links.bridge_of(name) == other_bridge
    assert isolated.read_text().strip() == "1"
    assert f"<source bridge='{other_bridge}'/>" in domain.xml()
    with pytest.raises(OperationFailed, match="bridge none0 doesn't exist"):
        domain.update_device(device.replace(bridge, "none0"), Modify.LIVE)
    assert links.bridge_of(name) == other_bridge
    with pytest.raises(OperationUnsupported, match="cannot modify network device tap name"):
        domain.update_device(device.replace("<model", "<target dev='x'/><model"), Modify.LIVE)


@administrator
def test_throughput_changes(domain: Domain, bridge: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "tc"  # the kernel here may not have what limits
    fake.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/told\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    device = interface("bridge", f"<source bridge='{bridge}'/>")
    limited = device.replace("<model", "<bandwidth><inbound average='200'/></bandwidth><model")
    domain.attach_device(device, Modify.LIVE)
    assert not (tmp_path / "told").exists()
    domain.update_device(limited, Modify.LIVE)
    name = target(domain)
    assert f"class add dev {name} parent 1: classid 1:1 htb rate 200kbps" in (tmp_path / "told").read_text()
    assert "<inbound average='200'/>" in domain.xml()
    (tmp_path / "told").unlink()
    domain.update_device(device, Modify.LIVE)
    assert (tmp_path / "told").read_text().splitlines() == [
        f"qdisc del dev {name} root",
        f"qdisc del dev {name} ingress",
    ]
    assert "<inbound" not in domain.xml()
    fake.write_text("#!/bin/sh\n[ $2 != add ]\n")
    with pytest.raises(InternalError, match="unexpected exit status 1"):
        domain.update_device(limited, Modify.LIVE)
    assert "<inbound" not in domain.xml()


@administrator
def test_an_interface_in_a_network(
    domain: Domain, bridge: str, other_bridge: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(loader._registered_services, "network", FakeNetworks)
    monkeypatch.setattr(FakeNetworks, "bridge", bridge)
    device = interface("network", "<source network='default'/>")
    domain.attach_device(device, Modify.LIVE)
    [port] = FakeNetworks.ports
    domain.update_device(device.replace("<model", "<link state='down'/><model"), Modify.LIVE)
    assert "<link state='down'/>" in domain.xml()
    assert list(FakeNetworks.ports) == [port], "it is asked, and the answer not kept"
    monkeypatch.setattr(FakeNetworks, "bridge", other_bridge)
    domain.update_device(device, Modify.LIVE)
    assert links.bridge_of(target(domain)) == other_bridge
    [second] = FakeNetworks.ports
    assert second != port
    assert f"<source network='default' portid='{second}' bridge='{other_bridge}'/>" in domain.xml()
    with pytest.raises(VirtError, match="no network with matching name 'none'"):
        domain.update_device(device.replace("default", "none"), Modify.LIVE)
    assert list(FakeNetworks.ports) == [second]
    domain.destroy()
    assert FakeNetworks.ports == {}


# ------------------------------------------------------------------------------------------------- devices of the host


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LivingTree:
    """The host's devices, made of files; to be asked for before the connection."""
    monkeypatch.setattr(LivingTree, "kernel", FakeKernel(tmp_path / "bus"), raising=False)
    made = LivingTree(tmp_path / "bus")
    mediated = tmp_path / "bus" / "mdev" / "devices" / MDEV
    mediated.mkdir(parents=True)
    (mediated / "iommu_group").symlink_to(tmp_path / "bus" / "groups" / "7")
    monkeypatch.setattr("virt_qemu.host_side.host.DeviceTree", lambda: made)
    return made


MDEV = "4b20d080-1b54-4048-85b3-a6a62d165c01"
HOSTDEVS = {
    "mdev": "<hostdev mode='subsystem' type='mdev' model='vfio-pci'><source>"
    f"<address uuid='{MDEV}'/></source></hostdev>",
    "usb": "<hostdev mode='subsystem' type='usb'><source><address bus='1' device='4'/></source></hostdev>",
    "pci": "<hostdev mode='subsystem' type='pci' managed='yes'><source>"
    "<address domain='0x0000' bus='0x06' slot='0x12' function='0x5'/></source></hostdev>",
    "scsi": "<hostdev mode='subsystem' type='scsi'><source><adapter name='scsi_host2'/>"
    "<address bus='0' target='1' unit='3'/></source></hostdev>",
}
ADDED = {
    "mdev": {"driver": "vfio-pci", "sysfsdev": f"/sys/bus/mdev/devices/{MDEV}", "id": "hostdev0"},
    "usb": {"driver": "usb-host", "hostdevice": "/dev/bus/usb/001/004", "id": "hostdev0"},
    "pci": {"driver": "vfio-pci", "host": CARD, "id": "hostdev0"},
    "scsi": {"driver": "scsi-generic", "id": "hostdev0"},
}


@pytest.mark.parametrize("kind", [*HOSTDEVS])
def test_devices_of_the_host(tree: LivingTree, scripted_guest: Domain, scripted: Scripted, kind: str) -> None:
    before = scripted_guest.xml()
    scripted.plan(unplug="event")
    scripted_guest.attach_device(HOSTDEVS[kind], Modify.LIVE)
    [added] = [arguments for name, arguments in scripted.commands() if name == "device_add"]
    assert added.items() >= ADDED[kind].items()
    assert (tree.pci_driver(CARD) == "vfio-pci") == (kind == "pci")
    with pytest.raises(OperationInvalid, match=r"device [-0-9a-f:.]+ is in use by driver QEMU, domain fake"):
        scripted_guest.attach_device(HOSTDEVS[kind], Modify.LIVE)
    scripted_guest.detach_device(HOSTDEVS[kind], Modify.LIVE)
    assert scripted_guest.xml() == before
    assert tree.pci_driver(CARD) == "e1000e"
    scripted.commands()
    scripted.plan(unplug="event", at=0)
    with pytest.raises(VirtError, match="refused by plan"):
        scripted_guest.attach_device(HOSTDEVS[kind], Modify.LIVE)
    assert scripted_guest.xml() == before
    assert tree.pci_driver(CARD) == "e1000e", "it is given back"
    scripted.plan(unplug="event")
    scripted_guest.attach_device(HOSTDEVS[kind], Modify.LIVE)
    assert "<hostdev" in scripted_guest.xml()


def test_a_device_that_stays_with_the_host(
    tree: LivingTree, scripted_guest: Domain, scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LivingTree, "refuses", True)
    with pytest.raises(VirtError):
        scripted_guest.attach_device(HOSTDEVS["pci"], Modify.LIVE)
    assert [name for name, _ in scripted.commands()] == []
    assert "<hostdev" not in scripted_guest.xml()


def test_a_function_of_a_network_card(
    tree: LivingTree, card: dict[tuple[str, int], tuple[str, int]], scripted_guest: Domain, scripted: Scripted
) -> None:
    before, as_it_was = scripted_guest.xml(), dict(card)
    where = "<address type='pci' domain='0x0000' bus='0x06' slot='0x10' function='0x1'/>"
    device = f"<interface type='hostdev' managed='yes'><mac address='{MAC}'/><source>{where}</source></interface>"
    scripted.plan(unplug="event")
    scripted_guest.attach_device(device, Modify.LIVE)
    [added] = [arguments for name, arguments in scripted.commands() if name == "device_add"]
    assert added.items() >= {"driver": "vfio-pci", "host": VF, "id": "hostdev0"}.items()
    assert card["enp6s0", 3][0] == MAC
    with pytest.raises(OperationUnsupported, match="cannot change config of 'hostdev' network interface type"):
        scripted_guest.update_device(device, Modify.LIVE)
    scripted_guest.detach_device(device, Modify.LIVE)
    assert [name for name, _ in scripted.commands()] == ["device_del", "qom-list"]
    assert scripted_guest.xml() == before
    assert card == as_it_was
    scripted.plan(at=0)
    with pytest.raises(VirtError, match="refused by plan"):
        scripted_guest.attach_device(device, Modify.LIVE)
    assert card == as_it_was
    assert tree.pci_driver(VF) == "e1000e"


def test_a_socket_to_the_host(scripted_guest: Domain, scripted: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []

    def open_vsock(cid: int | None, *, auto: bool) -> tuple[int, int]:
        taken.append(os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC))
        return taken[-1], 7

    monkeypatch.setattr("virt_qemu.vsock.open_vsock", open_vsock)
    scripted.plan(unplug="event")
    before = scripted_guest.xml()
    scripted_guest.attach_device("<vsock model='virtio'><cid auto='yes'/></vsock>", Modify.LIVE)
    told = scripted.commands()
    assert [name for name, _ in told[:2]] == ["getfd", "device_add"]
    assert told[1][1]["guest-cid"] == 7
    assert "<cid auto='yes' address='7'/>" in scripted_guest.xml()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(taken[0])
    with pytest.raises(OperationUnsupported, match="the domain already has a vsock device"):
        scripted_guest.attach_device("<vsock model='virtio'><cid auto='yes'/></vsock>", Modify.LIVE)
    scripted_guest.detach_device("<vsock model='virtio'><cid auto='yes' address='7'/></vsock>", Modify.LIVE)
    assert scripted_guest.xml() == before


def test_a_disk_with_limits(scripted_guest: Domain, scripted: Scripted, tmp_path: Path) -> None:
    image = tmp_path / "a.qcow2"
    guest_image.write_qcow2(image, 16)
    disk = (
        f"<disk type='file'><driver name='qemu' type='qcow2'/><source file='{image}'/><target dev='vdb' bus='virtio'/>"
        "<iotune><total_bytes_sec>5000</total_bytes_sec></iotune></disk>"
    )
    scripted_guest.attach_device(disk, Modify.LIVE)
    told = scripted.commands()
    [limits] = [arguments for name, arguments in told if name == "block_set_io_throttle"]
    assert (limits["id"], limits["bps"]) == ("/machine/peripheral/virtio-disk1/virtio-backend", 5000)
    assert "<total_bytes_sec>5000<" in scripted_guest.xml()
    guest_image.write_qcow2(tmp_path / "b.qcow2", 16)
    scripted.plan(at=[name for name, _ in told].index("block_set_io_throttle"))
    scripted_guest.attach_device(disk.replace("vdb", "vdc").replace("a.qcow2", "b.qcow2"), Modify.LIVE)
    assert "vdc" in scripted_guest.xml(), "nothing sane can be done where QEMU refuses them"
