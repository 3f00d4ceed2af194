"""What virtcore asks of every driver's node devices, asked of a host's that is a folder."""

from __future__ import annotations

from pathlib import Path

from fake_nodedevs import Events, FakeMdevctl
from fake_sysfs import FakeHost, everything
from virt_host.nodedev.kernel_device import HostFiles
from virt_host.nodedev.service import HostNodeDevices
from virtcore.testing.suite import Target, pytest
from virtcore.testing.suite.nodedevs import TestNodeDevices as TestNodeDevices
from virtcore.testing.suite.target import (
    connection as connection,
    says_what_it_tests as says_what_it_tests,
    uri as uri,
)


class Devices(Target):
    def __init__(self, root: Path) -> None:
        self._root = root

    def uri(self) -> str:
        return f"nodedev:///embed?root={self._root / 'state'}"

    def mediated_device(self) -> str:
        kind = "<capability type='mdev'><type id='i915-GVTg_V5_8'/></capability>"
        return f"<device><parent>pci_0000_00_02_0</parent>{kind}</device>"

    def node_device(self) -> str:
        return self.mediated_device()


@pytest.fixture
def target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Target:
    host = FakeHost(tmp_path)
    everything(host)
    mdevctl = FakeMdevctl(host)
    monkeypatch.setattr(HostNodeDevices, "files", lambda self: HostFiles(str(tmp_path)))
    monkeypatch.setattr(HostNodeDevices, "mdevctl", lambda self: mdevctl)
    monkeypatch.setattr(HostNodeDevices, "listen", lambda self: Events())
    return Devices(tmp_path)
