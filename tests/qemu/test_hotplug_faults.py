"""QEMU refuses a step, dies, or is slow; the guest keeps a device: with a QEMU that does as it is told."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import guest_image
import pytest
from test_guest_faults import GREET
from waiting import eventually

import virtcore
from virt_qemu.host import QemuState
from virtcore import Domain
from virtcore.enums import DomainDeviceModifyFlags as Modify, DomainState
from virtcore.errors import OperationFailed, VirtError
from virtcore.operations.events import DomainDeviceRemovalFailedEvent, DomainDeviceRemovedEvent

#: Answers every command; what it is to do with one is read from a file before each answer, what it got is written down.
BODY = (
    GREET
    + """
got = open(FOLDER + '/got', 'a')
def commands():
    text = ''
    while more := peer.recv(65536).decode():
        text = (text + more).lstrip()
        while text:
            try:
                command, end = json.JSONDecoder().raw_decode(text)
            except ValueError:
                break
            text = text[end:].lstrip()
            yield command
def send(document):
    peer.sendall(json.dumps(document).encode() + b'\\n')
def event(name, device):
    send({'event': name, 'data': {'device': device, 'path': ''}, 'timestamp': {'seconds': 1, 'microseconds': 0}})
for command in commands():
    name, arguments = command['execute'], command.get('arguments', {})
    got.write(json.dumps([name, arguments]) + '\\n')
    got.flush()
    plan = json.load(open(FOLDER + '/plan'))
    answer = {'return': plan.get('answers', {}).get(name, [] if name.startswith(('query-', 'qom-list')) else {})}
    number = plan.setdefault('count', 0)
    if plan.get('at') is not None and name not in ('query-fdsets',):
        if number == plan['at']:
            if plan.get('die'):
                sys.exit(1)
            answer = {'error': {'class': plan.get('class', 'GenericError'), 'desc': 'refused by plan'}}
        plan['count'] = number + 1
        json.dump(plan, open(FOLDER + '/plan', 'w'))
    if name == 'device_del' and plan.get('unplug') == 'event':
        event('DEVICE_DELETED', arguments['id'])
    if name == 'device_del' and plan.get('unplug') == 'refuse':
        event('DEVICE_UNPLUG_GUEST_ERROR', arguments['id'])
    send(answer | {key: command[key] for key in command if key == 'id'})
    if name == 'set_link' and plan.get('late'):
        event('DEVICE_DELETED', plan['late'])
"""
)
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


class Fake:
    """A guest whose QEMU is made up."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.plan()

    def plan(self, **plan: Any) -> None:
        (self.folder / "plan").write_text(json.dumps(plan))

    def commands(self) -> list[tuple[str, dict[str, Any]]]:
        """What it got since it was asked last."""
        lines = (self.folder / "got").read_text().splitlines()
        (self.folder / "got").write_text("")
        return [(name, arguments) for name, arguments in map(json.loads, lines)]


@pytest.fixture
def fake(tmp_path: Path) -> Fake:
    return Fake(tmp_path)


@pytest.fixture
def guest(connection: virtcore.Connection, fake_emulator: Callable[[str], Path], fake: Fake, tmp_path: Path) -> Domain:
    emulator = fake_emulator(BODY.replace("FOLDER", repr(str(tmp_path))))
    domain = connection.define_domain(
        f"""<domain type='qemu'><name>fake</name><memory unit='MiB'>64</memory><vcpu>1</vcpu>
        <os><type arch='x86_64' machine='pc'>hvm</type></os>
        <devices><emulator>{emulator}</emulator><memballoon model='none'/>
        <controller type='scsi' index='0' model='virtio-scsi'/><controller type='virtio-serial' index='0'/>
        </devices></domain>"""
    )
    domain.create()
    fake.commands()
    return domain


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
def test_whatever_step_is_refused_nothing_is_left(guest: Domain, fake: Fake, kind: str, tmp_path: Path) -> None:
    guest_image.write_qcow2(tmp_path / "a.qcow2", 16)
    xml = DEVICES[kind].replace("FOLDER", str(tmp_path))
    live = guest.xml()
    fake.plan(unplug="event")
    guest.attach_device(xml, Modify.LIVE)
    asks = ("query-fdsets", "query-block", "qom-list")
    steps = [name for name, _ in fake.commands() if name not in asks]
    assert steps
    attached = guest.xml()
    assert attached != live
    for at in range(len(steps)):
        fake.plan(unplug="event", at=None)
        guest.detach_device(_device(guest.xml(), live, xml), Modify.LIVE)
        assert guest.xml() == live
        fake.commands()
        fake.plan(unplug="event", at=at)
        with pytest.raises(VirtError, match="refused by plan"):
            guest.attach_device(xml, Modify.LIVE)
        assert guest.xml() == live
        done = [command for command in fake.commands() if command[0] not in asks]
        assert [name for name, _ in done[: at + 1]] == steps[: at + 1]
        undone = [(UNDO[name][0], arguments[UNDO[name][1]]) for name, arguments in done[:at] if name in UNDO]
        assert [(name, *arguments.values()) for name, arguments in done[at + 1 :]] == undone[::-1]
        fake.plan(unplug="event", at=None)
        guest.attach_device(xml, Modify.LIVE)
        assert _plain(guest.xml()) == _plain(attached)


def _plain(xml: str) -> str:
    """A configuration without what is numbered anew each time."""
    return re.sub(r" index='\d+'/>", "/>", xml)


def _device(now: str, before: str, xml: str) -> str:
    """What was added to a configuration, as its own document says it."""
    tag = xml[1 : xml.index(" ")]
    old = set(re.findall(rf"<{tag} .*?</{tag}>", before, re.S))
    [found] = [each for each in re.findall(rf"<{tag} .*?</{tag}>", now, re.S) if each not in old]
    return found


@pytest.mark.parametrize("at", range(2))
def test_qemu_dies_in_the_middle(guest: Domain, fake: Fake, at: int) -> None:
    fake.plan(at=at, die=True)
    with pytest.raises(VirtError):
        guest.attach_device(NIC, Modify.LIVE | Modify.CONFIG)
    eventually(lambda: guest.state().state == DomainState.SHUTOFF)
    assert "52:54:00:11:22:33" not in guest.xml()


def test_the_guest_keeps_a_device(connection: virtcore.Connection, guest: Domain, fake: Fake) -> None:
    failed: list[str] = []
    connection.on_event(lambda event: failed.append(event.alias), DomainDeviceRemovalFailedEvent)
    guest.attach_device(NIC, Modify.LIVE)
    live = guest.xml()
    fake.plan(unplug="refuse")
    with pytest.raises(OperationFailed, match="unplug of device was rejected by the guest"):
        guest.detach_device(NIC, Modify.LIVE)
    assert guest.xml() == live
    eventually(lambda: failed == ["net0"])
    fake.plan(unplug="event")
    guest.detach_device(NIC, Modify.LIVE)
    assert "net0" not in guest.xml()


def test_a_guest_that_takes_its_time(
    connection: virtcore.Connection, guest: Domain, fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(QemuState, "unplug_limit", 0.1)
    removed: list[str] = []
    connection.on_event(lambda event: removed.append(event.alias), DomainDeviceRemovedEvent)
    guest.attach_device(NIC, Modify.LIVE)
    guest.detach_device(NIC, Modify.LIVE)  # it was asked; that is all there is to say
    assert "net0" in guest.xml()
    assert removed == []
    fake.plan(late="net0")
    fake.commands()
    guest.update_device(NIC.replace("</interface>", "<link state='down'/></interface>"), Modify.LIVE)
    eventually(lambda: removed == ["net0"])
    assert "net0" not in guest.xml()
    assert ("netdev_del", {"id": "hostnet0"}) in fake.commands()


def test_a_device_that_qemu_does_not_know(guest: Domain, fake: Fake) -> None:
    guest.attach_device(NIC, Modify.LIVE)
    fake.commands()
    fake.plan(at=0, **{"class": "DeviceNotFound"})
    guest.detach_device(NIC, Modify.LIVE)
    assert "net0" not in guest.xml()
    assert [name for name, _ in fake.commands()] == ["device_del", "netdev_del", "qom-list"]
