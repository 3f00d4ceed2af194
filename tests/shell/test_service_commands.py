"""Commands on interfaces, volumes and devices where no virsh can be asked: bridges, content, changes, completion."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from virt_shell.parser import parse_line
from virt_shell.shell import Shell
from virtcore.enums import NodeDeviceEventLifecycleType, SecretEventLifecycleType, StoragePoolEventLifecycleType
from virtcore.errors import NoInterface, NoSupport, OperationFailed
from virtcore.operations.events import (
    NodeDeviceLifecycleEvent,
    NodeDeviceUpdateEvent,
    SecretLifecycleEvent,
    SecretValueChangedEvent,
    StoragePoolLifecycleEvent,
    StoragePoolRefreshEvent,
)
from virtcore.types import NodeDeviceRef, SecretRef, StoragePoolRef


class Interface:
    """An interface of :class:`Host`."""

    def __init__(self, host: Host, name: str, document: str) -> None:
        self.host, self.name, self.document = host, name, document

    def xml(self, flags: int = 0) -> str:
        assert flags == 1, "the definition is wanted"
        return self.document

    def __getattr__(self, call: str) -> Any:
        return lambda: self.host.calls.append(f"{call} {self.name}")


class Host:
    """A connection to a host with interfaces; keeps what it is asked to do."""

    def __init__(self, **documents: str) -> None:
        self.calls: list[str] = []
        self.interfaces = {name: Interface(self, name, text) for name, text in documents.items()}

    def lookup_interface(self, name: str) -> Interface:
        if name not in self.interfaces:
            raise NoInterface(f"couldn't find interface named '{name}'")
        return self.interfaces[name]

    def define_interface(self, xml: str, flags: int = 0) -> Interface:
        self.calls.append(xml)
        return Interface(self, "made", xml)

    def is_alive(self) -> bool:
        return True


def run(connection: object, line: str) -> bool:
    shell = Shell()
    shell._connection = connection  # type: ignore[assignment]
    return shell.run(parse_line(line))


ETH0 = """<interface type='vlan' name='eth0'>
  <mac address='52:54:00:00:00:01'/>
  <protocol family='ipv4'><dhcp/></protocol>
  <vlan tag='7'><interface name='eth'/></vlan>
</interface>"""


def squeezed(xml: str) -> str:
    return "".join(line.strip() for line in xml.splitlines())


def test_a_bridge_takes_over_an_interface(capsys: pytest.CaptureFixture[str]) -> None:
    host = Host(eth0=ETH0)
    assert run(host, "iface-bridge eth0 br0 --delay 3")
    assert squeezed(host.calls[0]) == (
        '<interface type="bridge" name="br0"><protocol family="ipv4"><dhcp/></protocol>'
        '<bridge stp="on" delay="3"><interface type="vlan" name="eth0"><mac address="52:54:00:00:00:01"/>'
        '<vlan tag="7"><interface name="eth"/></vlan></interface></bridge></interface>'
    )
    assert host.calls[1:] == ["create made"]
    assert capsys.readouterr().out == ("Created bridge br0 with attached device eth0\nBridge interface br0 started\n\n")


def test_a_bridge_without_stp_has_no_delay_and_may_wait() -> None:
    host = Host(eth0=ETH0)
    assert run(host, "iface-bridge eth0 br0 --no-stp --no-start")
    assert '<bridge stp="off"><interface' in squeezed(host.calls[0])
    assert len(host.calls) == 1


BRIDGE = """<interface type='bridge' name='br0'>
  <protocol family='ipv4'><dhcp/></protocol>
  <bridge stp='on'><interface type='ethernet' name='eth0'><mac address='52:54:00:00:00:01'/></interface></bridge>
</interface>"""


def test_a_bridge_is_dissolved_into_its_interface(capsys: pytest.CaptureFixture[str]) -> None:
    host = Host(br0=BRIDGE)
    assert run(host, "iface-unbridge br0")
    assert host.calls[:2] == ["destroy br0", "undefine br0"]
    assert squeezed(host.calls[2]) == (
        '<interface type="ethernet" name="eth0"><protocol family="ipv4"><dhcp/></protocol>'
        '<mac address="52:54:00:00:00:01"/></interface>'
    )
    assert host.calls[3:] == ["create made"]
    assert capsys.readouterr().out == "Device eth0 un-attached from bridge br0\nInterface eth0 started\n\n"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("iface-bridge eth0 br0", "Network device br0 already exists"),
        ("iface-bridge br0 br1", "Existing device br0 is already a bridge"),
        ("iface-bridge other br1", "Interface name from config eth0 doesn't match given supplied name other"),
        ("iface-unbridge eth0", "Device eth0 is not a bridge"),
        ("iface-unbridge bare", "No bridge node in xml document"),
        ("iface-unbridge empty", "No interface attached to bridge"),
        ("iface-unbridge two", "Multiple interfaces attached to bridge"),
        ("iface-unbridge nameless", "Device attached to bridge nameless has no name"),
        ("iface-unbridge typeless", "Attached device e has no type"),
    ],
)
def test_what_is_no_bridge_stays_as_it_is(line: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    def bridge(name: str, inner: str) -> str:
        return f"<interface type='bridge' name='{name}'>{inner}</interface>"

    host = Host(
        eth0=ETH0,
        other=ETH0,
        br0=BRIDGE,
        bare=bridge("bare", ""),
        empty=bridge("empty", "<bridge/>"),
        two=bridge("two", "<bridge><interface/><interface/></bridge>"),
        nameless=bridge("nameless", "<bridge><interface type='ethernet'/></bridge>"),
        typeless=bridge("typeless", "<bridge><interface name='e'/></bridge>"),
    )
    assert not run(host, line)
    assert capsys.readouterr().err == f"error: {message}\n"
    assert host.calls == []


@pytest.mark.parametrize(
    ("options", "flags", "what"),
    [
        ("", 0, "live state"),
        ("--live", 1, "live state"),
        ("--config", 2, "persistent config"),
        ("--live --config", 3, "persistent config and live state"),
    ],
)
def test_a_changed_device_says_what_changed(
    options: str, flags: int, what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "device.xml").write_text("<device/>")
    seen: list[tuple[str, int]] = []
    device = SimpleNamespace(name="mdev_1", is_active=lambda: True, update=lambda xml, flags: seen.append((xml, flags)))
    host = SimpleNamespace(lookup_node_device=lambda name: device, is_alive=lambda: True)
    assert run(host, f"nodedev-update mdev_1 {tmp_path}/device.xml {options}")
    assert seen == [("<device/>", flags)]
    assert capsys.readouterr().out == f"Updated node device mdev_1 {what}\n"


def test_a_driver_that_cannot_tell_still_gives_information(capsys: pytest.CaptureFixture[str]) -> None:
    def unsupported() -> bool:
        raise NoSupport("virNodeDeviceIsActive")

    device = SimpleNamespace(
        name="computer", parent=lambda: None, is_active=unsupported, is_persistent=unsupported, autostart=unsupported
    )
    host = SimpleNamespace(lookup_node_device=lambda name: device, is_alive=lambda: True)
    assert run(host, "nodedev-info computer")
    assert capsys.readouterr().out == (
        "Name:           computer\nParent:         \nActive:         yes\nPersistent:     yes\n"
        "Autostart:      no autostart\n\n"
    )


def virtsh(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "virt_shell", "-q", "-c", "test:///default", line]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)


def test_content_goes_into_a_volume_and_comes_back(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"some content" + bytes(5000) + b"more")
    done = virtsh(
        "vol-create-as default-pool v 1M; vol-upload v in default-pool --offset 512 --sparse;"
        "vol-download v out default-pool --offset 512 --length 5016; vol-download v whole default-pool --sparse",
        tmp_path,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)
    assert (tmp_path / "out").read_bytes() == (tmp_path / "in").read_bytes()
    assert (tmp_path / "whole").stat().st_size == 1 << 20


@pytest.mark.parametrize("begins", [False, True])
def test_what_was_not_fetched_whole_leaves_no_file(
    begins: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Stream:
        def __enter__(self) -> Stream:
            return self

        def __exit__(self, *problem: object) -> None:
            pass

        def read(self, size: int) -> bytes:
            raise OperationFailed("the disk is gone")

    def download(offset: int, length: int, flags: int) -> Stream:
        if begins:
            return Stream()
        raise OperationFailed("the disk is gone")

    host = SimpleNamespace(
        lookup_storage_vol=lambda key=None, path=None: SimpleNamespace(download=download), is_alive=lambda: True
    )
    (tmp_path / "old").write_text("old")
    assert not run(host, f"vol-download v {tmp_path}/new; vol-download v {tmp_path}/old")
    what = "receive data from" if begins else "download from"
    message = f"error: cannot {what} volume v\nerror: operation failed: the disk is gone\n"
    assert capsys.readouterr().err == message * 2
    assert [file.name for file in tmp_path.iterdir()] == ["old"]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["pool-info", "de"], ["default-pool"]),
        (["pool-list", "--type", "dir,is"], ["dir,iscsi", "dir,iscsi-direct"]),
        (["nodedev-info", "scsi_host1"], ["scsi_host1", "scsi_host11"]),
        (["iface-mac", "e"], ["eth1"]),
        (["vol-info", "--pool", "nope", "v"], []),
        (["vol-wipe", "v", "--algorithm", "pf"], ["pfitzner7", "pfitzner33"]),
    ],
)
def test_completion(words: list[str], found: list[str]) -> None:
    command = [sys.executable, "-m", "virt_shell", "-q", "-c", "test:///default", "complete", "--", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout.split(), done.stderr) == (found, "")


POOL, OTHER = StoragePoolRef("pp", "1" * 36), StoragePoolRef("other", "2" * 36)
SECRET = SecretRef("3" * 36, 1, "/x")
DEVICE = NodeDeviceRef("mdev_1")


class Watched:
    """A connection on which everything happens as soon as somebody listens."""

    happens: Sequence[Any] = (
        StoragePoolLifecycleEvent(OTHER, StoragePoolEventLifecycleType.DEFINED),
        StoragePoolLifecycleEvent(POOL, StoragePoolEventLifecycleType.STARTED),
        StoragePoolRefreshEvent(POOL),
        SecretLifecycleEvent(SECRET, SecretEventLifecycleType.UNDEFINED),
        SecretValueChangedEvent(SECRET),
        NodeDeviceLifecycleEvent(DEVICE, NodeDeviceEventLifecycleType.CREATED),
        NodeDeviceUpdateEvent(DEVICE),
    )

    def on_event(self, callback: Callable[[Any], object], *classes: type) -> SimpleNamespace:
        for event in self.happens:
            if type(event) in classes:
                callback(event)
        return SimpleNamespace(cancel=lambda: None)

    def lookup_storage_pool(self, name: str) -> StoragePoolRef:
        return POOL

    def is_alive(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("line", "printed"),
    [
        (
            "pool-event --event lifecycle --loop --timeout 1",
            (
                "event 'lifecycle' for storage pool other: Defined\nevent 'lifecycle' for storage pool pp: Started\n"
                "event loop timed out\nevents received: 2\n\n"
            ),
        ),
        (
            "pool-event pp lifecycle",
            "event 'lifecycle' for storage pool pp: Started\nevents received: 1\n\n",
        ),
        ("pool-event --event refresh", "event 'refresh' for storage pool pp\nevents received: 1\n\n"),
        (
            "secret-event --event lifecycle",
            f"event 'lifecycle' for secret {SECRET.uuid}: Undefined\nevents received: 1\n\n",
        ),
        (
            "secret-event --event value-changed",
            f"event 'value-changed' for secret {SECRET.uuid}\nevents received: 1\n\n",
        ),
        (
            "nodedev-event --event lifecycle",
            "event 'lifecycle' for node device mdev_1: Created\nevents received: 1\n\n",
        ),
        ("nodedev-event --event update", "event 'update' for node device mdev_1\nevents received: 1\n\n"),
        ("net-event --event lifecycle --timeout 1", "event loop timed out\nevents received: 0\n\n"),
    ],
)
def test_events_are_printed(line: str, printed: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(Watched(), line) is ("received: 0" not in printed)
    assert capsys.readouterr().out == printed
