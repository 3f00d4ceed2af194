"""The compliance suite's tests of devices on a described host that has one which mediated ones are parts of."""

from __future__ import annotations

from pathlib import Path

from suite_target import TestHypervisor
from virtcore.testing.suite import Target, pytest
from virtcore.testing.suite.nodedevs import TestNodeDevices as TestNodeDevices
from virtcore.testing.suite.target import (
    connection as connection,
    says_what_it_tests as says_what_it_tests,
    uri as uri,
)

HOST = """\
<node>
  <device><name>card</name><capability type='pci'>
    <domain>0</domain><bus>1</bus><slot>2</slot><function>3</function><product id='0x1'/><vendor id='0x2'/>
    <capability type='mdev_types'><type id='small'><deviceAPI>vfio-pci</deviceAPI>
      <availableInstances>1</availableInstances></type></capability>
  </capability></device>
</node>
"""


class TestHost(TestHypervisor):
    def __init__(self, folder: Path) -> None:
        self.file = folder / "host.xml"
        self.file.write_text(HOST)

    def uri(self) -> str:
        return f"test://{self.file}"

    def mediated_device(self) -> str:
        return "<device><parent>card</parent><capability type='mdev'><type id='small'/></capability></device>"

    def node_device(self) -> str:
        return self.mediated_device()


@pytest.fixture
def target(tmp_path: Path) -> Target:
    return TestHost(tmp_path)
