"""QEMU refuses a step, dies, or is slow; the guest keeps a device: with a QEMU that does as it is told."""

from __future__ import annotations

import re
from pathlib import Path

import guest_image
import pytest
from block_guest import state
from scripted_qemu import Scripted

import virtcore
from support import eventually
from virt_qemu.host import QemuState
from virt_qemu.hotplug.rehearsal import rehearse
from virtcore import Domain
from virtcore.enums import DomainDeviceModifyFlags as Modify, DomainState
from virtcore.errors import OperationFailed, VirtError
from virtcore.operations.events import DomainDeviceRemovalFailedEvent, DomainDeviceRemovedEvent
from virtcore.xml import readergen, writer

UNDO = {
    "object-add": ("object-del", "id"),
    "blockdev-add": ("blockdev-del", "node-name"),
    "netdev_add": ("netdev_del", "id"),
    "chardev-add": ("chardev-remove", "id"),
    "getfd": ("closefd", "fdname"),
    "add-fd": ("remove-fd", "fdset-id"),
    "device_add": ("device_del", "id"),
}
NIC = "<interface type='user'><mac address='52:54:00:11:22:33'/><model type='virtio'/></interface>"


DEVICES = {
    "disk": "<disk type='file'><driver name='qemu' type='qcow2' copy_on_read='on'/><source file='FOLDER/a.qcow2'/>"
    "<target dev='sdb' bus='scsi'/></disk>",
    "interface": NIC.replace("</interface>", "<link state='down'/></interface>"),
    "rng": "<rng model='virtio'><backend model='egd' type='tcp'><source mode='connect' host='h' service='1'/>"
    "</backend></rng>",
    "listening": "<channel type='unix'><target type='virtio' name='a'/></channel>",
    "logged": "<channel type='file'><source path='FOLDER/out'/><log file='FOLDER/log'/>"
    "<target type='virtio' name='b'/></channel>",
    "forwarded": "<channel type='unix'><source mode='bind' path='FOLDER/fwd'/>"
    "<target type='guestfwd' address='10.0.2.1' port='4600'/></channel>",
    "shmem": "<shmem name='s'><model type='ivshmem-plain'/><size unit='M'>4</size></shmem>",
    "watchdog": "<watchdog model='i6300esb' action='pause'/>",
    "redirdev": "<redirdev bus='usb' type='tcp'><source mode='connect' host='h' service='1'/></redirdev>",
}


@pytest.mark.parametrize("kind", [*DEVICES])
def test_whatever_step_is_refused_nothing_is_left(
    scripted_guest: Domain, scripted: Scripted, kind: str, tmp_path: Path
) -> None:
    guest_image.write_qcow2(tmp_path / "a.qcow2", 16)
    xml = DEVICES[kind].replace("FOLDER", str(tmp_path))
    live = scripted_guest.xml()
    scripted.plan(unplug="event")
    scripted_guest.attach_device(xml, Modify.LIVE)
    asks = ("query-fdsets", "query-block", "qom-list")
    steps = [name for name, _ in scripted.commands() if name not in asks]
    assert steps
    attached = scripted_guest.xml()
    assert attached != live
    for at in range(len(steps)):
        scripted.plan(unplug="event", at=None)
        scripted_guest.detach_device(_device(scripted_guest.xml(), live, xml), Modify.LIVE)
        assert scripted_guest.xml() == live
        scripted.commands()
        scripted.plan(unplug="event", at=at)
        with pytest.raises(VirtError, match="refused by plan"):
            scripted_guest.attach_device(xml, Modify.LIVE)
        assert scripted_guest.xml() == live
        done = [command for command in scripted.commands() if command[0] not in asks]
        assert [name for name, _ in done[: at + 1]] == steps[: at + 1]
        undone = [(UNDO[name][0], arguments[UNDO[name][1]]) for name, arguments in done[:at] if name in UNDO]
        assert [(name, *arguments.values()) for name, arguments in done[at + 1 :]] == undone[::-1]
        scripted.plan(unplug="event", at=None)
        scripted_guest.attach_device(xml, Modify.LIVE)
        assert _plain(scripted_guest.xml()) == _plain(attached)


def _plain(xml: str) -> str:
    """A configuration without what is numbered anew each time."""
    return re.sub(r" index='\d+'/>", "/>", xml)


def _device(now: str, before: str, xml: str) -> str:
    """What was added to a configuration, as its own document says it."""
    tag = xml[1 : xml.index(" ")]
    old = set(re.findall(rf"<{tag} .*?</{tag}>", before, re.S))
    [found] = [each for each in re.findall(rf"<{tag} .*?</{tag}>", now, re.S) if each not in old]
    return str(found)


@pytest.mark.parametrize("at", range(2))
def test_qemu_dies_in_the_middle(scripted_guest: Domain, scripted: Scripted, at: int) -> None:
    scripted.plan(at=at, die=True)
    with pytest.raises(VirtError):
        scripted_guest.attach_device(NIC, Modify.LIVE | Modify.CONFIG)
    eventually(lambda: scripted_guest.state().state == DomainState.SHUTOFF)
    assert "52:54:00:11:22:33" not in scripted_guest.xml()


def test_the_guest_keeps_a_device(connection: virtcore.Connection, scripted_guest: Domain, scripted: Scripted) -> None:
    failed: list[str] = []
    connection.on_event(lambda event: failed.append(getattr(event, "alias", "")), DomainDeviceRemovalFailedEvent)
    scripted_guest.attach_device(NIC, Modify.LIVE)
    live = scripted_guest.xml()
    scripted.plan(unplug="refuse")
    with pytest.raises(OperationFailed, match="unplug of device was rejected by the guest"):
        scripted_guest.detach_device(NIC, Modify.LIVE)
    assert scripted_guest.xml() == live
    eventually(lambda: failed == ["net0"])
    scripted.plan(unplug="event")
    scripted_guest.detach_device(NIC, Modify.LIVE)
    assert "net0" not in scripted_guest.xml()


def test_a_guest_that_takes_its_time(
    connection: virtcore.Connection, scripted_guest: Domain, scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(QemuState, "unplug_limit", 0.1)
    removed: list[str] = []
    connection.on_event(lambda event: removed.append(getattr(event, "alias", "")), DomainDeviceRemovedEvent)
    scripted_guest.attach_device(NIC, Modify.LIVE)
    scripted_guest.detach_device(NIC, Modify.LIVE)  # it was asked; that is all there is to say
    assert "net0" in scripted_guest.xml()
    assert removed == []
    scripted.plan(late="net0")
    scripted.commands()
    scripted_guest.update_device(NIC.replace("</interface>", "<link state='down'/></interface>"), Modify.LIVE)
    eventually(lambda: removed == ["net0"])
    assert "net0" not in scripted_guest.xml()
    assert ("netdev_del", {"id": "hostnet0"}) in scripted.commands()


def test_a_device_that_qemu_does_not_know(scripted_guest: Domain, scripted: Scripted) -> None:
    scripted_guest.attach_device(NIC, Modify.LIVE)
    scripted.commands()
    scripted.plan(at=0, **{"class": "DeviceNotFound"})
    scripted_guest.detach_device(NIC, Modify.LIVE)
    assert "net0" not in scripted_guest.xml()
    assert [name for name, _ in scripted.commands()] == ["device_del", "netdev_del", "qom-list"]


def test_what_the_first_devices_need_is_made_before(
    scripted_guest: Domain, scripted: Scripted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    readers: dict[object, object] = {}
    writers: dict[object, object] = {}
    monkeypatch.setattr(readergen, "_READERS", readers)
    monkeypatch.setattr(writer, "_WRITERS", writers)
    [obj] = state().domains
    for _ in rehearse(state().hotplug(obj)):
        pass
    assert not scripted.commands()
    known = set(readers), set(writers)
    (tmp_path / "disk").touch()
    scripted_guest.attach_device(
        f"<disk type='file'><source file='{tmp_path}/disk'/><target dev='vdb' bus='virtio'/></disk>"
    )
    scripted_guest.attach_device(NIC)
    assert (set(readers) - known[0], set(writers) - known[1]) == (set(), set())
    assert "vdzz" not in scripted_guest.xml()
