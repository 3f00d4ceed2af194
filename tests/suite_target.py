"""What the compliance suite is told about the test driver."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from virtcore.testing.suite import Target


class TestHypervisor(Target):
    __test__ = False  # no test case, whatever its name
    persistent = False
    # The default host has no device that mediated ones could be parts of.
    tested_elsewhere: ClassVar[dict[str, str]] = dict.fromkeys(
        (
            "connection_define_node_device",
            "node_device_create",
            "node_device_set_autostart",
            "node_device_undefine",
            "node_device_update",
        ),
        "tests/core/testing/test_compliance_mediated.py",
    )
    lenient: ClassVar[dict[str, str]] = {
        "connection_node_cpu_stats": "every CPU has the same, however many there are",
        "connection_node_free_pages": "pages of every size are free",
        "domain_launch_security_info": "nothing is told of any domain",
        "domain_managed_save": "guests run when their image is restored",
        "domain_os_type": "the same for every domain",
        "domain_pin_vcpu": "an empty map is taken",
        "domain_scheduler_type": "the same for every domain",
        "storage_pool_create_volume": "names are names, there are no files",
    }

    def uri(self) -> str:
        return "test:///default"

    def domain(self, name: str, uuid: str | None = None) -> str:
        identity = f"<uuid>{uuid}</uuid>" if uuid else ""
        return (
            f"<domain type='test'><name>{name}</name>{identity}<memory unit='MiB'>16</memory>"
            "<os><type>hvm</type></os></domain>"
        )

    def disk(self, device: str) -> str:
        return f"<disk type='file'><source file='/image-{device}'/><target dev='{device}'/></disk>"

    def responsive_domain(self, name: str) -> str:
        return self.domain_with(name, self.disk("vda"))  # its guests have the file systems of their disks

    def peer(self) -> str:
        return f"test://{Path(__file__).with_name('suite_peer.xml')}"

    def node_device(self) -> str:
        return (
            "<device><capability type='scsi_host'><capability type='fc_host'><wwnn>2000000012340000</wwnn>"
            "<wwpn>1000000012340000</wwpn></capability></capability></device>"
        )
