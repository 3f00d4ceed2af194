"""Devices and virtual CPUs that come to and go from real guests, as the guests see it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import guest_image
import pytest

import virtcore
from support import eventually
from virt_qemu.guest import Guest
from virt_qemu.host import QemuState
from virt_qemu.hotplug import media
from virtcore import Domain
from virtcore.enums import (
    DomainCreateFlags,
    DomainDeviceModifyFlags as Modify,
    DomainVcpuFlags as Vcpus,
    DomainXMLFlags,
)
from virtcore.enums.common import TypedParameterType
from virtcore.errors import (
    ConfigUnsupported,
    DeviceMissing,
    InternalError,
    InvalidArg,
    OperationFailed,
    OperationInvalid,
    VirtError,
)
from virtcore.model.domain import Domain as Configuration
from virtcore.model.domain.memballoon import MemballoonModel
from virtcore.model.domain.memory_device import VirtioMEMTarget
from virtcore.operations.events import (
    DomainDeviceAddedEvent,
    DomainDeviceRemovedEvent,
    DomainTrayChangeEvent,
)
from virtcore.types import TypedParameters
from virtcore.xml import parse

MODULES = ("virtio_pci", "virtio_blk", "virtio_net", "virtio_scsi", "sd_mod", "sr_mod")
MAC = "52:54:00:11:22:33"
NIC = f"<interface type='user'><mac address='{MAC}'/><model type='virtio'/></interface>"
RNG = "<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>"
NUMA = "<cpu><numa><cell id='0' cpus='0-3' memory='262144' unit='KiB'/></numa></cpu>"


class Told:
    """A guest's shell on its serial port."""

    def __init__(self, stream: virtcore.Stream) -> None:
        self._stream = stream
        self._number = 0

    def read_until(self, text: str, limit: float = 150.0) -> str:
        got, end = "", time.monotonic() + limit
        while text not in got:
            got += self._stream.read(deadline=max(end - time.monotonic(), 0.1)).decode(errors="replace")
        return got

    def run(self, command: str) -> str:
        """What a command prints."""
        self._number += 1
        mark = f"end-{self._number}"
        # The mark is not in the line that the terminal echoes.
        self._stream.write(f"run {command}; echo end''-{self._number}\n".encode())
        return self.read_until(mark)

    def sees(self, command: str, text: str) -> bool:
        return text in self.run(command)


@pytest.fixture(scope="module")
def initrd(kernel: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    path = tmp_path_factory.mktemp("hotplug") / "initrd"
    guest_image.write_initramfs(path, kernel, modules=MODULES)
    return kernel, path


@pytest.fixture(autouse=True)
def guests_have_their_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A guest under TCG on a loaded machine gives a device away, but not in the seconds that libvirt waits for."""
    monkeypatch.setattr(QemuState, "unplug_limit", 60.0)
    monkeypatch.setattr(media, "_EJECT_LIMIT", 60.0)


Start = Callable[..., tuple[Domain, Told]]


@pytest.fixture
def run_guest(connection: virtcore.Connection, initrd: tuple[Path, Path]) -> Start:
    """Start a guest of the PC's kind, and wait until it is up."""

    def start(
        devices: str = "", more: str = "", vcpus: str = "<vcpu current='1'>4</vcpu>", memory: int = 128
    ) -> tuple[Domain, Told]:
        # It uses one processor: under TCG on a loaded machine it has no patience with others.
        cmdline = f"{guest_image.CMDLINE} maxcpus=1"
        xml = guest_image.guest_xml("hotplug", *initrd, devices=devices + "<serial type='pty'/>", cmdline=cmdline)
        xml = xml.replace("machine='q35'", "machine='pc'").replace("<vcpu>1</vcpu>", vcpus)
        xml = xml.replace("<memory unit='MiB'>128</memory>", f"<memory unit='MiB'>{memory}</memory>")
        domain = connection.define_domain(xml.replace("<features>", f"{more}<features>"))
        domain.create(DomainCreateFlags.START_PAUSED)
        told = Told(domain.open_console())  # what it says while nobody listens is lost
        domain.resume()
        told.read_until(guest_image.MARKER)
        return domain, told

    return start


def disk_xml(path: Path, target: str, bus: str = "virtio", more: str = "", device: str = "disk") -> str:
    kind = "qcow2" if path.suffix == ".qcow2" else "raw"
    return (
        f"<disk type='file' device='{device}'><driver name='qemu' type='{kind}'/><source file='{path}'/>"
        f"<target dev='{target}' bus='{bus}'/>{more}</disk>"
    )


def events_of(connection: virtcore.Connection, kind: type) -> list[str]:
    found: list[str] = []
    connection.on_event(lambda event: found.append(getattr(event, "alias", "a gap")), kind)
    return found


def test_what_joins_is_seen_by_the_guest_and_goes_again(connection, run_guest, tmp_path) -> None:
    image, other = tmp_path / "a.qcow2", tmp_path / "b.img"
    guest_image.write_qcow2(image, 16)
    other.write_bytes(b"\0" * (1 << 20))
    added, removed = events_of(connection, DomainDeviceAddedEvent), events_of(connection, DomainDeviceRemovedEvent)
    domain, told = run_guest("<controller type='scsi' index='0' model='virtio-scsi'/>")
    before = domain.xml()
    disk, scsi = disk_xml(image, "vdb"), disk_xml(other, "sdi", "scsi")
    domain.attach_device(disk, Modify.LIVE)
    domain.attach_device(scsi, Modify.LIVE)
    domain.attach_device(NIC, Modify.LIVE)
    domain.attach_device(RNG, Modify.LIVE)
    eventually(lambda: told.sees("ls /sys/block", "vda"))
    assert "32768" in told.run("cat /sys/block/vda/size")
    eventually(lambda: told.sees("ls /sys/block", "sda"))
    eventually(lambda: told.sees("cat /sys/class/net/*/address", MAC))
    live = domain.xml()
    # The SCSI disk came with a controller, of the model of the one that was there.
    assert "<controller type='scsi' index='1' model='virtio-scsi'>" in live
    for alias in ("virtio-disk1", "net0", "rng0"):
        assert f"<alias name='{alias}'/>" in live
    assert f"<source file='{image}' index='1'/>" in live
    eventually(lambda: added == ["virtio-disk1", "scsi1-0-0-1", "net0", "rng0"])
    assert MAC not in domain.xml(DomainXMLFlags.INACTIVE)
    for device in (scsi, disk, NIC, RNG):
        domain.detach_device(device, Modify.LIVE)
    eventually(lambda: len(removed) == 4)
    assert not told.sees("ls /sys/block", "vda")
    assert not told.sees("cat /sys/class/net/*/address", MAC)
    after = domain.xml()
    assert re.sub(r" *<controller type='scsi' index='1'.*?</controller>\n", "", after, flags=re.S) == before
    # The image can be used again: nothing holds it.
    domain.attach_device(disk, Modify.LIVE)


def test_disks_that_share_a_controller_with_the_host_s_scsi_names(run_guest, tmp_path) -> None:
    image = tmp_path / "a.qcow2"
    guest_image.write_qcow2(image, 16)
    domain, told = run_guest("<controller type='scsi' index='0' model='virtio-scsi'/>")
    domain.attach_device(disk_xml(image, "sdc", "scsi", "<serial>S1</serial>"), Modify.LIVE)
    eventually(lambda: told.sees("ls /sys/block", "sda"))
    assert "QEMU HARDDISK" in told.run("cat /sys/block/sda/device/model")
    with pytest.raises(OperationFailed, match="device cannot be detached: device is busy"):
        domain.detach_device("<controller type='scsi' index='0'/>", Modify.LIVE)
    domain.detach_device(disk_xml(image, "sdc", "scsi"), Modify.LIVE)
    assert "scsi0-0-0-2" not in domain.xml()


def test_virtual_cpus(run_guest) -> None:
    domain, told = run_guest()
    domain.set_vcpus(3, Vcpus.LIVE)
    assert domain.vcpus_count(Vcpus.LIVE) == 3
    eventually(lambda: told.sees("cat /sys/devices/system/cpu/present", "0-2"))
    assert len(domain.vcpus()) == 3
    domain.set_vcpu("3", True, Modify.LIVE)
    assert "<vcpu id='3' enabled='yes' hotpluggable='yes' order='4'/>" in domain.xml()
    with pytest.raises(InvalidArg, match="vcpu '3' is already in requested state"):
        domain.set_vcpu("3", True, Modify.LIVE)
    domain.set_vcpu("2", False, Modify.LIVE)
    eventually(lambda: told.sees("cat /sys/devices/system/cpu/present", "0-1,3"))
    assert "<vcpu id='2' enabled='no' hotpluggable='yes'/>" in domain.xml()
    assert sorted(cpu.number for cpu in domain.vcpus()) == [0, 1, 3]
    assert "<vcpu placement='static' current='1'>4</vcpu>" in domain.xml(DomainXMLFlags.INACTIVE)


def test_virtual_cpus_that_are_on_at_boot_and_can_go(run_guest) -> None:
    more = (
        "<vcpus><vcpu id='0' enabled='yes' hotpluggable='no'/><vcpu id='1' enabled='no' hotpluggable='yes'/>"
        "<vcpu id='2' enabled='yes' hotpluggable='yes'/></vcpus>"
    )
    domain, told = run_guest(vcpus=f"<vcpu current='2'>3</vcpu>{more}")
    # The guest numbers them as it finds them.
    assert "0-1" in told.run("cat /sys/devices/system/cpu/present")
    assert "<vcpu id='2' enabled='yes' hotpluggable='yes' order='2'/>" in domain.xml()
    assert sorted(cpu.number for cpu in domain.vcpus()) == [0, 2]


def test_what_virtio_mem_gives_counts() -> None:
    domain = parse(
        "<domain type='qemu'><name>n</name><memory unit='MiB'>512</memory><devices><memballoon model='virtio'/>"
        "<memory model='virtio-mem'><target><size unit='MiB'>256</size></target>"
        "</memory></devices></domain>",
        Configuration,
    )
    assert domain.devices is not None
    target = domain.devices.memory[0].target
    assert isinstance(target, VirtioMEMTarget)
    target.current = 64 << 10
    guest = Guest(folder=Path("/"), log=Mock(), status=Mock(), balloon=100 << 10)
    guest.tell_memory(domain)
    assert domain.current_memory == 164 << 10
    assert domain.devices.memballoon is not None
    domain.devices.memballoon.model = MemballoonModel.NONE
    guest.tell_memory(domain)
    assert domain.current_memory == domain.memory_total


def test_memory(run_guest) -> None:
    limit = "<maxMemory slots='2' unit='MiB'>512</maxMemory><vcpu current='1'>4</vcpu>"
    domain, told = run_guest(more=NUMA, vcpus=limit, memory=256)
    module = "<memory model='dimm'><target><size unit='MiB'>128</size><node>0</node></target></memory>"
    domain.attach_device(module, Modify.LIVE | Modify.CONFIG)
    live = domain.xml()
    assert "<memory unit='KiB'>393216</memory>" in live
    assert re.search(r"<address type='dimm' slot='0' base='0x[0-9a-f]+'/>", live)
    assert "<memory unit='KiB'>393216</memory>" in domain.xml(DomainXMLFlags.INACTIVE)
    eventually(lambda: told.sees("ls -d /sys/bus/acpi/devices/PNP0C80* | wc -l", "1"))
    with pytest.raises(ConfigUnsupported, match="would exceed domain's maxMemory config size '524288'"):
        domain.attach_device(module.replace("128", "512"), Modify.LIVE)
    assert domain.xml() == live
    with pytest.raises(OperationInvalid, match="can't change nodeset for strict mode for running domain"):
        domain.set_numa_parameters(TypedParameters([("numa_nodeset", TypedParameterType.STRING, "0")]), Modify.LIVE)


def test_media(connection, run_guest, tmp_path) -> None:
    first, second = tmp_path / "a.iso", tmp_path / "b.iso"
    first.write_bytes(b"\0" * 4096)
    second.write_bytes(b"\0" * 8192)
    drive = "<disk type='file' device='cdrom'><target dev='hdc' bus='ide'/><readonly/></disk>"
    trays: list[int] = []
    connection.on_event(lambda event: trays.append(int(event.reason)), DomainTrayChangeEvent)
    domain, _ = run_guest(drive)
    for image in (first, second):
        domain.update_device(disk_xml(image, "hdc", "ide", "<readonly/>", "cdrom"), Modify.LIVE)
        assert str(image) in domain.xml()
    eventually(lambda: trays == [0, 1, 0, 1])
    before = domain.xml()
    with pytest.raises(VirtError, match="nowhere"):
        domain.update_device(disk_xml(tmp_path / "nowhere.iso", "hdc", "ide", "", "cdrom"), Modify.LIVE)
    assert domain.xml() == before
    domain.update_device(drive, Modify.LIVE | Modify.FORCE)
    assert str(second) not in domain.xml()
    second.unlink()


def test_link_and_what_cannot_change(run_guest) -> None:
    domain, told = run_guest()
    domain.attach_device(NIC, Modify.LIVE)
    eventually(lambda: told.sees("cat /sys/class/net/*/address", MAC))
    told.run("for each in /sys/class/net/e*; do ifconfig ${each##*/} up; done")
    domain.update_device(NIC.replace("</interface>", "<link state='down'/></interface>"), Modify.LIVE)
    eventually(lambda: told.sees("cat /sys/class/net/e*/carrier", "0"))
    assert "<link state='down'/>" in domain.xml()
    domain.update_device(NIC, Modify.LIVE)
    eventually(lambda: told.sees("cat /sys/class/net/e*/carrier", "1"))
    with pytest.raises(VirtError, match="cannot modify network device model from virtio to e1000"):
        domain.update_device(NIC.replace("'virtio'", "'e1000'"), Modify.LIVE)


def test_characters(run_guest, tmp_path) -> None:
    domain, _ = run_guest("<controller type='virtio-serial'/>")
    domain.attach_device("<serial type='null'><target type='pci-serial'/></serial>", Modify.CONFIG)
    assert "<target type='pci-serial' port='1'>" in domain.xml(DomainXMLFlags.INACTIVE)
    channel = "<channel type='unix'><target type='virtio' name='org.example.0'/></channel>"
    domain.attach_device(channel, Modify.LIVE)
    path = re.search(r"<source mode='bind' path='([^']+org\.example\.0)'/>", domain.xml())
    assert path is not None
    assert Path(path[1]).is_socket()
    log = f"<channel type='file'><source path='{tmp_path}/out'/><target type='virtio' name='org.example.1'/></channel>"
    domain.attach_device(log, Modify.LIVE)
    domain.attach_device("<console type='pty'><target type='virtio'/></console>", Modify.LIVE)
    live = domain.xml()
    assert "<address type='virtio-serial' controller='0' bus='0' port='2'/>" in live
    assert re.search(r"<console type='pty'>\s*<source path='/dev/pts/\d+'/>\s*<target type='virtio' port='1'/>", live)
    found = re.search(r"<channel type='unix'>.*?</channel>", live, re.S)
    assert found is not None
    domain.detach_device(found[0], Modify.LIVE)
    domain.detach_device(log, Modify.LIVE)
    assert "org.example" not in domain.xml()


def test_both_or_neither(run_guest, tmp_path) -> None:
    image = tmp_path / "a.qcow2"
    guest_image.write_qcow2(image, 16)
    domain, _ = run_guest()
    both = Modify.LIVE | Modify.CONFIG
    domain.attach_device(disk_xml(image, "vdb"), Modify.CONFIG)
    live, config = domain.xml(), domain.xml(DomainXMLFlags.INACTIVE)
    # The definition refuses it, so the guest does not get it.
    with pytest.raises(OperationInvalid, match="target vdb already exists"):
        domain.attach_device(disk_xml(image, "vdb"), both)
    # The guest refuses it, so the definition does not keep it.
    with pytest.raises(VirtError, match="nowhere"):
        domain.attach_device(disk_xml(tmp_path / "nowhere.qcow2", "vdc"), both)
    with pytest.raises(DeviceMissing):
        domain.detach_device(disk_xml(image, "vdb"), both)
    assert (domain.xml(), domain.xml(DomainXMLFlags.INACTIVE)) == (live, config)
    domain.attach_device(NIC, both)
    assert MAC in domain.xml()
    assert MAC in domain.xml(DomainXMLFlags.INACTIVE)
    domain.detach_device_alias("net0", Modify.LIVE)
    eventually(lambda: MAC not in domain.xml())


def test_io_threads(run_guest) -> None:
    domain, _ = run_guest()
    domain.add_iothread(2, Modify.LIVE | Modify.CONFIG)
    assert [each.iothread_id for each in domain.iothreads(Modify.LIVE)] == [2]
    domain.set_iothread_parameters(2, TypedParameters([("poll_max_ns", TypedParameterType.ULLONG, 1000)]), Modify.LIVE)
    assert "<poll max='1000'/>" in domain.xml()
    with pytest.raises(InvalidArg, match="an IOThread is already using iothread_id '2'"):
        domain.add_iothread(2, Modify.LIVE)
    domain.del_iothread(2, Modify.LIVE)
    assert domain.iothreads(Modify.LIVE) == []
    assert [each.iothread_id for each in domain.iothreads(Modify.CONFIG)] == [2]


def test_what_was_taken_out_while_nobody_looked_is_gone(root, run_guest, connection, tmp_path) -> None:
    image = tmp_path / "a.qcow2"
    guest_image.write_qcow2(image, 16)
    domain, told = run_guest()
    domain.attach_device(NIC, Modify.LIVE)
    domain.set_vcpu("2", True, Modify.LIVE)
    told.run("true")
    connection.close()
    monitor = next((root / "run" / "qemu").glob("domain-*/monitor.sock"))
    execute(monitor, "device_del", {"id": "net0"})
    with virtcore.connect(f"qemu:///embed?root={root}") as again:
        [found] = again.list_domains()
        eventually(lambda: MAC not in found.xml())
        assert sorted(cpu.number for cpu in found.vcpus()) == [0, 2]
        found.attach_device(disk_xml(image, "vdb"), Modify.LIVE)
        assert "virtio-disk1" in found.xml()
        found.destroy()


def execute(path: Path, command: str, arguments: dict[str, object]) -> None:
    """Tell a QEMU a command, and wait until a device has gone."""
    import json
    import os
    import socket

    with socket.socket(socket.AF_UNIX) as channel:
        folder = os.open(path.parent, os.O_PATH)
        channel.connect(f"/proc/self/fd/{folder}/{path.name}")
        os.close(folder)
        channel.settimeout(150)
        stream = channel.makefile("rw")
        stream.readline()
        for each in ({"execute": "qmp_capabilities"}, {"execute": command, "arguments": arguments}):
            stream.write(json.dumps(each) + "\n")
            stream.flush()
        while "DEVICE_DELETED" not in stream.readline():
            pass


def test_refusals(run_guest) -> None:
    domain, _ = run_guest()
    live = domain.xml()
    for xml, message in (
        ("<sound model='ich6'/>", "live attach of device 'sound' is not supported"),
        ("<hub type='usb'/>", "live attach of device 'hub' is not supported"),
        ("<controller type='virtio-serial' index='4'/>", "'virtio-serial' controller cannot be hot plugged."),
        ("<input type='mouse' bus='ps2'/>", "input device on bus 'ps2' cannot be hot plugged."),
        ("<watchdog model='ib700'/>", "hotplug of watchdog model 'ib700' is not supported"),
        ("<filesystem><source dir='/'/><target dir='x'/></filesystem>", "only virtiofs filesystems can be hotplugged"),
    ):
        with pytest.raises(VirtError, match=re.escape(message)):
            domain.attach_device(xml, Modify.LIVE)
    with pytest.raises(VirtError, match="live update of device 'memballoon' is not supported"):
        domain.update_device("<memballoon model='virtio' freePageReporting='on'/>", Modify.LIVE)
    with pytest.raises(VirtError, match="live detach of device 'memballoon' is not supported"):
        domain.detach_device("<memballoon model='virtio'/>", Modify.LIVE)
    assert domain.xml() == live
    with pytest.raises(InternalError, match="disk 'vdq' not found"):
        domain.update_device(disk_xml(Path("/x.img"), "vdq"), Modify.LIVE)
