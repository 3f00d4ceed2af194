"""Devices that come to, go from and change in domains of the test driver."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import virtcore
from virtcore import errors
from virtcore.operations.events import DomainDeviceAddedEvent, DomainDeviceRemovedEvent, DomainLifecycleEvent

LIVE, CONFIG, BOTH = 1, 2, 3
UNSUPPORTED = errors.ErrorCode.OPERATION_UNSUPPORTED
NOT_NOW = errors.ErrorCode.OPERATION_INVALID
MISSING = errors.ErrorCode.DEVICE_MISSING
INTERNAL = errors.ErrorCode.INTERNAL_ERROR


@pytest.fixture
def connection() -> Iterator[virtcore.Connection]:
    with virtcore.connect("test:///default") as opened:
        yield opened


@pytest.fixture
def domain(connection: virtcore.Connection) -> virtcore.Domain:
    return connection.lookup_domain(name="test")


@pytest.fixture
def following(connection: virtcore.Connection) -> Callable[[], Any]:
    events: queue.Queue[Any] = queue.Queue()
    connection.on_event(events.put, DomainDeviceAddedEvent, DomainDeviceRemovedEvent, DomainLifecycleEvent)
    return lambda: events.get(timeout=60)


def refused(code: int, message: str, call: Callable[[], object]) -> None:
    with pytest.raises(errors.VirtError) as caught:
        call()
    assert (caught.value.code, str(caught.value)) == (code, message)


def disk(target: str, bus: str = "virtio", more: str = "", device: str = "disk", file: str = "/x") -> str:
    return (
        f"<disk type='file' device='{device}'><source file='{file}'/><target dev='{target}' bus='{bus}'/>{more}</disk>"
    )


BRIDGE = "<interface type='bridge'><mac address='52:54:00:00:00:{}'/><source bridge='br0'/></interface>"


def test_a_disk_comes_and_goes(domain: virtcore.Domain, following: Callable[[], Any]) -> None:
    domain.attach_device(disk("vdb"))
    event = following()
    assert (type(event), event.alias) == (DomainDeviceAddedEvent, "virtio-disk1")
    assert "<target dev='vdb' bus='virtio'/>\n      <alias name='virtio-disk1'/>" in domain.xml()
    assert "vdb" not in domain.xml(2)
    domain.detach_device_alias("virtio-disk1")
    event = following()
    assert (type(event), event.alias) == (DomainDeviceRemovedEvent, "virtio-disk1")
    assert "vdb" not in domain.xml()
    message = "internal error: no device found with alias virtio-disk1"
    refused(INTERNAL, message, lambda: domain.detach_device_alias("virtio-disk1"))


def test_interfaces_are_numbered(domain: virtcore.Domain, following: Callable[[], Any]) -> None:
    domain.attach_device(BRIDGE.format("01"))
    domain.attach_device(BRIDGE.format("02"))
    assert [following().alias, following().alias] == ["net0", "net1"]
    domain.detach_device(
        "<interface type='bridge'><mac address='52:54:00:00:00:01'/><source bridge='br0'/></interface>"
    )
    assert following().alias == "net0"
    assert "00:00:01" not in domain.xml()
    message = "device not found: no device matching MAC address 52:54:00:00:00:01 found"
    refused(MISSING, message, lambda: domain.detach_device(BRIDGE.format("01")))
    message = "operation failed: multiple matching devices found"
    anyone = "<interface type='bridge'><source bridge='br0'/></interface>"
    refused(errors.ErrorCode.OPERATION_FAILED, message, lambda: domain.detach_device(anyone))


def test_a_device_of_the_host(domain: virtcore.Domain, following: Callable[[], Any]) -> None:
    address = "<address domain='0' bus='2' slot='0' function='0'/>"
    pci = f"<hostdev mode='subsystem' type='pci'><source>{address}</source><alias name='ua-card'/></hostdev>"
    domain.attach_device(pci)
    assert following().alias == "ua-card"
    message = "unsupported configuration: non unique alias detected: ua-card"
    refused(errors.ErrorCode.CONFIG_UNSUPPORTED, message, lambda: domain.attach_device(pci))
    domain.detach_device_alias("ua-card")
    assert "hostdev" not in domain.xml()
    usb = "<hostdev mode='subsystem' type='usb'><source><vendor id='0x1'/><product id='0x1'/></source></hostdev>"
    message = "unsupported configuration: hotplug is not supported for hostdev subsys type 'usb'"
    refused(errors.ErrorCode.CONFIG_UNSUPPORTED, message, lambda: domain.attach_device(usb))


def test_what_running_guests_do_not_take(domain: virtcore.Domain) -> None:
    prefix = "Operation not supported: "
    rng = "<rng model='virtio'><backend model='random'>/dev/random</backend></rng>"
    for message, xml in (
        (prefix + "live attach of device 'rng' is not supported", rng),
        (prefix + "hotplug of interface type of user is not implemented yet", "<interface type='user'/>"),
        (prefix + "disk bus 'sata' cannot be hotplugged.", disk("sda", "sata")),
        (prefix + "cdrom device with virtio bus isn't supported", disk("vdb", device="cdrom")),
        (prefix + "floppy device hotplug isn't supported", disk("fda", "fdc", device="floppy")),
    ):
        before = domain.xml()
        refused(UNSUPPORTED, message, lambda: domain.attach_device(xml))  # noqa: B023
        assert domain.xml() == before
    message = "XML error: target 'vda' duplicated for disk sources '/guest/diskimage1' and '/x'"
    refused(errors.ErrorCode.XML_ERROR, message, lambda: domain.attach_device(disk("vda")))
    boot = "unsupported configuration: per-device boot elements cannot be used together with os/boot elements"
    ordered = disk("vdb", more="<boot order='1'/>")
    refused(errors.ErrorCode.CONFIG_UNSUPPORTED, boot, lambda: domain.attach_device(ordered))
    message = "unsupported configuration: unknown device type 'nonsense'"
    refused(errors.ErrorCode.CONFIG_UNSUPPORTED, message, lambda: domain.attach_device("<nonsense/>"))
    with pytest.raises(errors.XMLDetail):
        domain.attach_device("<disk")
    message = "Operation not supported: live detach of interface type network is not implemented yet"
    mac = "<interface type='network'><mac address='aa:bb:cc:dd:ee:ff'/><source network='default'/></interface>"
    refused(UNSUPPORTED, message, lambda: domain.detach_device(mac))
    message = "unsupported flags (0x8) in function testDomainAttachDeviceLiveAndConfig"
    refused(errors.ErrorCode.INVALID_ARG, message, lambda: domain.attach_device(disk("vdb"), 8))


def test_another_medium(connection: virtcore.Connection) -> None:
    drive = "<disk type='file' device='cdrom'><target dev='hdc' bus='ide'/></disk>"
    xml = f"<domain type='test'><name>a</name><memory>1</memory><os><type>hvm</type></os><devices>{drive}"
    domain = connection.create_domain(xml + "</devices></domain>")
    domain.attach_device(disk("hdc", "ide", device="cdrom", file="/y"))
    assert "<source file='/y'/>\n      <target dev='hdc' bus='ide'/>" in domain.xml()
    assert domain.xml().count("<disk ") == 1
    message = "Operation not supported: disk device type 'cdrom' cannot be detached"
    refused(UNSUPPORTED, message, lambda: domain.detach_device(disk("hdc", "ide", device="cdrom")))


def test_definitions(domain: virtcore.Domain, following: Callable[[], Any]) -> None:
    domain.attach_device(disk("vdc"), CONFIG)
    event = following()
    assert (int(event.type), event.detail) == (0, 1)
    assert ("vdc" in domain.xml(2), "vdc" in domain.xml()) == (True, False)
    message = "Requested operation is not valid: target vdc already exists."
    refused(NOT_NOW, message, lambda: domain.attach_device(disk("vdc"), CONFIG))
    refused(NOT_NOW, message, lambda: domain.attach_device(disk("vdc"), BOTH))
    assert "vdc" not in domain.xml()  # both or none
    domain.destroy()
    domain.attach_device("<controller type='scsi' index='3' model='virtio-scsi'/>")
    message = "Requested operation is not valid: controller index='3' already exists"
    refused(NOT_NOW, message, lambda: domain.attach_device("<controller type='scsi' index='3'/>"))
    domain.detach_device("<controller type='scsi' index='3' model='virtio-scsi'/>")
    domain.detach_device(disk("vdc", file="/other"))
    assert ("vdc" in domain.xml(), "scsi" in domain.xml()) == (False, False)
    refused(MISSING, "device not found: no target device vdc", lambda: domain.detach_device(disk("vdc")))
    message = "Operation not supported: persistent attach of device 'video' is not supported"
    refused(UNSUPPORTED, message, lambda: domain.attach_device("<video/>"))
    rng = "<rng model='virtio'><backend model='random'>/dev/random</backend></rng>"
    domain.attach_device(rng)
    domain.detach_device(rng)
    assert "rng" not in domain.xml()


def test_update(domain: virtcore.Domain, following: Callable[[], Any]) -> None:
    domain.update_device(disk("vda", file="/new"), BOTH)
    event = following()
    assert (type(event), int(event.type), event.detail) == (DomainLifecycleEvent, 0, 1)
    assert ("'/new'" in domain.xml(), "'/new'" in domain.xml(2)) == (True, True)
    message = "invalid argument: target vdb doesn't exist."
    refused(errors.ErrorCode.INVALID_ARG, message, lambda: domain.update_device(disk("vdb")))
    message = "Operation not supported: persistent update of device 'interface' is not supported"
    refused(UNSUPPORTED, message, lambda: domain.update_device(BRIDGE.format("01")))
    message = "unsupported flags (0x4) in function testDomainUpdateDeviceFlags"
    refused(errors.ErrorCode.INVALID_ARG, message, lambda: domain.update_device(disk("vda"), 4))
