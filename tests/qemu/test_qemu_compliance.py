"""What virtcore asks of every driver, asked of this one with real QEMUs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import agent_image
import guest_image

from virtcore.testing.suite import *  # noqa: F403
from virtcore.testing.suite import Target, pytest
from virtcore.testing.suite.target import MAC


@pytest.mark.skip(reason="this process is in the machine's own network: test_network_compliance is not")
class TestNetworks(TestNetworks):  # type: ignore[no-redef]  # noqa: F405
    """Those of the host."""


@pytest.mark.skip(reason="this process is in the machine's own network: test_network_compliance is not")
class TestFilters(TestFilters):  # type: ignore[no-redef]  # noqa: F405
    """Those of the host."""


class Qemu(Target):
    tested_elsewhere: ClassVar[Mapping[str, str]] = {
        "domain_graphics_reload": "test_inspecting",
        "domain_set_launch_security_state": "test_inspecting",
        # Of a host that is a folder: this one's devices are not the tests' to change.
        **dict.fromkeys(
            (
                "connection_create_node_device",
                "connection_define_node_device",
                "node_device_create",
                "node_device_destroy",
                "node_device_set_autostart",
                "node_device_undefine",
                "node_device_update",
            ),
            "tests/host/test_nodedev_compliance.py",
        ),
        **dict.fromkeys(
            ("node_device_detach", "node_device_reattach", "node_device_reset"), "tests/host/test_pci_for_guests.py"
        ),
    }

    def __init__(self, root: Path, agent_boot: tuple[Path, Path] | None) -> None:
        self.root = root
        self._agent_boot = agent_boot
        self._images = 0

    def uri(self) -> str:
        return f"qemu:///embed?root={self.root}"

    def domain(self, name: str, uuid: str | None = None) -> str:
        identity = f"<uuid>{uuid}</uuid>" if uuid else ""
        return (
            f"<domain type='qemu'><name>{name}</name>{identity}<memory unit='MiB'>32</memory>"
            "<os><type arch='x86_64' machine='q35'>hvm</type></os><features><acpi/></features></domain>"
        )

    def peer(self) -> str:
        return f"qemu:///embed?root={self.root}/peer"

    def responsive_domain(self, name: str) -> str:
        if self._agent_boot is None:
            pytest.skip(str(agent_image.missing()))
        image = self.root / "mounted.raw"
        with image.open("wb") as file:
            file.truncate(4 << 20)
        disk = f"<disk type='file'><source file='{image}'/><target dev='vda' bus='virtio'/></disk>"
        return guest_image.guest_xml(name, *self._agent_boot, devices=agent_image.CHANNEL + disk)

    def disk(self, device: str) -> str:
        self._images += 1
        image = self.root / f"disk-{self._images}.qcow2"
        guest_image.write_qcow2(image, 1)
        return (
            f"<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='{image}'/>"
            f"<target dev='{device}' bus='virtio'/></disk>"
        )

    def raw_disk(self, device: str) -> str:
        self._images += 1
        image = self.root / f"disk-{self._images}.raw"
        image.write_bytes(bytes(1 << 20))
        return (
            f"<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='{image}'/>"
            f"<target dev='{device}' bus='virtio'/></disk>"
        )

    def network_device(self) -> str:
        if os.geteuid() != 0 or not os.path.exists("/dev/net/tun"):
            return super().network_device()
        return f"<interface type='ethernet'><mac address='{MAC}'/></interface>"  # the host counts its traffic

    def destination(self) -> str:
        self._images += 1
        return f"<disk type='file'><driver type='qcow2'/><source file='{self.root}/copy-{self._images}.qcow2'/></disk>"


@pytest.fixture  # type: ignore[no-redef]
def target(kernel: Path, root: Path, request: pytest.FixtureRequest) -> Target:
    # The agent's guest takes a while to make: only for who asks for it.
    responsive = "responsive" in request.fixturenames
    return Qemu(root, request.getfixturevalue("agent_boot") if responsive else None)
