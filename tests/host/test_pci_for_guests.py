"""PCI devices that are taken from the host for guests, given back, and reset, on a kernel that is made of files."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from fake_nodedevs import FakeNodeDevices
from fake_sysfs import FakeHost, config_space, everything
from virt_host import pci_reset
from virt_host.hostdev_manager import Holder, HostdevManager
from virt_host.passthrough import DeviceTree
from virt_host.vfio import driver_for_guests, variant_module
from virtcore.errors import ArgumentUnsupported, InternalError, InvalidArg, OperationInvalid, SystemError
from virtcore.runtime.launcher import launcher
from virtcore.types import NodeDeviceRef

CARD, FUNCTION = "0000:01:00.0", "0000:01:10.0"
DEVICE = NodeDeviceRef("pci_0000_01_00_0")
GUEST = Holder("11111111-2222-4333-8444-555555555555", "guest")


class FakeKernel(DeviceTree):
    """The kernel's files, and what it does when they are written."""

    def _write(self, path: Path, text: str) -> None:
        if path.name == "unbind":
            self._link(text).unlink()
        elif path.name == "drivers_probe":
            override = (self._pci(text) / "driver_override").read_text().strip()
            if not self._link(text).exists():
                self._link(text).symlink_to(self.bus / "pci" / "drivers" / (override or "i40e"))
        else:
            super()._write(path, text)

    def _link(self, address: str) -> Path:
        return self._pci(address) / "driver"


class Service(FakeNodeDevices):
    def tree(self) -> DeviceTree:
        return FakeKernel(self.root / "sys" / "bus")


@pytest.fixture
def host(tmp_path: Path) -> FakeHost:
    made = FakeHost(tmp_path)
    everything(made)
    made.path("sys/bus/pci/drivers/vfio-pci").mkdir()
    made.write("dev/vfio/vfio", "")
    return made


def run(host: FakeHost, work: Callable[[Service], Awaitable[None]]) -> None:
    async def whole() -> None:
        service = Service(host.root)
        await service.open()
        try:
            await work(service)
        finally:
            await service.close()
            launcher().close()

    asyncio.run(whole())


def test_taken_and_given_back_by_another_process(host: FakeHost) -> None:
    async def take(service: Service) -> None:
        await service.node_device_detach(DEVICE)
        assert "<name>vfio-pci</name>" in await service.node_device_xml(DEVICE)
        await service.node_device_detach(DEVICE, "vfio")  # again is no error

    async def give(service: Service) -> None:
        assert service.manager.is_detached(CARD)
        await service.node_device_reset(DEVICE)  # its driver does it
        await service.node_device_reattach(DEVICE)
        assert "<name>i40e</name>" in await service.node_device_xml(DEVICE)
        assert not service.manager.is_detached(CARD)
        await service.node_device_reattach(DEVICE)

    run(host, take)
    run(host, give)


def test_what_is_refused(host: FakeHost) -> None:
    async def work(service: Service) -> None:
        with pytest.raises(ArgumentUnsupported, match="'legacy KVM' device assignment is no longer supported"):
            await service.node_device_detach(DEVICE, "kvm")
        with pytest.raises(InternalError, match="Failed to load PCI driver module no-such-driver"):
            await service.node_device_detach(DEVICE, "no-such-driver")
        for ask in (service.node_device_detach, service.node_device_reattach, service.node_device_reset):
            with pytest.raises(InvalidArg, match="device block_vdz is not a PCI device"):
                await ask(NodeDeviceRef("block_vdz"))
        service.manager.claim("pci", CARD, GUEST, "it")
        for ask in (service.node_device_detach, service.node_device_reattach):
            with pytest.raises(OperationInvalid, match=f"PCI device {CARD} is in use by driver QEMU, domain guest"):
                await ask(DEVICE)
        with pytest.raises(InternalError, match=f"Not resetting active device {CARD}"):
            await service.node_device_reset(DEVICE)
        service.manager.disclaim("pci", CARD, GUEST.uuid)
        host.path("dev/vfio/vfio").unlink()
        with pytest.raises(
            ArgumentUnsupported, match="VFIO device assignment is currently not supported on this system"
        ):
            await service.node_device_detach(DEVICE)
        assert service.tree().pci_driver(CARD) == "i40e"

    run(host, work)


# ------------------------------------------------------------------------------------------------------------- resets


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, bytes]]:
    """What is written into registers: where, and what."""
    found: list[tuple[int, bytes]] = []
    write = os.pwrite

    def record(descriptor: int, data: bytes, offset: int) -> int:
        found.append((offset, data))
        return write(descriptor, data, offset)

    monkeypatch.setattr(os, "pwrite", record)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    return found


def reset(host: FakeHost, address: str, *aside: str) -> None:
    pci_reset.reset_device(FakeKernel(host.path("sys/bus")), address, aside.__contains__)


def test_resets(host: FakeHost, written: list[tuple[int, bytes]]) -> None:
    reset(host, CARD)  # each guest's start resets the function
    with pytest.raises(InternalError, match=f"Active {CARD} devices on bus with {FUNCTION}"):
        reset(host, FUNCTION)  # a virtual one that does not say so
    assert written == []
    place = host.path(f"sys/bus/pci/devices/{CARD}/config")
    before = config_space(power=0x100, size=256)
    place.write_bytes(before)
    reset(host, CARD)
    sleeping, awake, restored = written
    assert sleeping == (0x44, (0x103).to_bytes(4, "little"))
    assert awake == (0x44, (0x100).to_bytes(4, "little"))
    assert restored == (0, before)
    written.clear()
    place.write_bytes(config_space(power=0x08))  # it keeps its state when it sleeps
    with pytest.raises(
        InternalError, match=rf"Unable to reset PCI device {CARD}: internal error: Active {FUNCTION} devices on bus"
    ):
        reset(host, CARD)
    assert written == []
    reset(host, CARD, FUNCTION)
    assert [entry for entry in written if entry[0] == 0x3E] == [(0x3E, b"\x40\0"), (0x3E, b"\0\0")]


def test_what_cannot_be_reset(host: FakeHost, written: list[tuple[int, bytes]]) -> None:
    bridge = "0000:00:1c.0"
    with pytest.raises(InternalError, match=f"Invalid attempt to reset PCI device {bridge}. Only PCI endpoint devices"):
        reset(host, bridge)
    with pytest.raises(InternalError, match=r"Unable to reset PCI device 0000:00:1f.0: no FLR, PM reset or bus reset"):
        reset(host, "0000:00:1f.0")  # it is on the root bus
    with pytest.raises(SystemError, match="Failed to open config space file"):
        reset(host, "0000:0a:00.0")
    host.path(f"sys/bus/pci/devices/{CARD}/config").write_bytes(bytes(256))
    host.path(f"sys/bus/pci/devices/{bridge}/class").write_text("0x060000\n")
    with pytest.raises(
        InternalError,
        match=f"Unable to reset PCI device {CARD}: internal error: Failed to find parent device for {CARD}",
    ):
        reset(host, CARD, FUNCTION)
    assert written == []


# ------------------------------------------------------------------------------------------------------------ drivers


def test_the_variant_that_fits_best(tmp_path: Path, host: FakeHost) -> None:
    aliases = tmp_path / "modules.alias"
    device = "pci:v000015B3d0000101Esv000015B3sd00000001bc02sc00i00"
    assert variant_module(aliases, device) is None
    aliases.write_text(
        "alias pci:v000015B3d0000101Esv*sd*bc*sc*i* mlx5_core\n"
        "alias vfio_pci:v*d*sv*sd*bc*sc*i* vfio_pci\n"
        "alias vfio_pci:v000015B3d*sv*sd*bc*sc*i* any_vfio_pci\n"
        "alias vfio_pci:v000015B3d0000101Esv*sd*bc*sc*i* mlx5_vfio_pci\n"
        "alias vfio_pci:v00008086d*sv*sd*bc*sc*i* other_vfio_pci\n"
        "alias vfio_pci:broken\n"
    )
    assert variant_module(aliases, device) == "mlx5_vfio_pci"
    assert variant_module(aliases, device.replace("101E", "101F")) == "any_vfio_pci"
    assert variant_module(aliases, device.replace("15B3", "15B4")) is None
    tree = FakeKernel(host.path("sys/bus"))
    assert asyncio.run(driver_for_guests(tree, CARD)) == "vfio-pci"
    host.path("sys/module/mlx5_vfio_pci/drivers/pci:mlx5-vfio-pci").mkdir(parents=True)
    assert tree.driver_of_module("mlx5_vfio_pci") == "mlx5-vfio-pci"


def test_notes_outlast_processes_and_are_whole(tmp_path: Path) -> None:
    manager = HostdevManager(tmp_path / "run" / "hostdevmgr")
    manager.claim("usb", "001:002", GUEST, "USB device 001:002")
    again = HostdevManager(manager.folder)
    again.claim("usb", "001:002", GUEST, "USB device 001:002")  # its own
    with pytest.raises(OperationInvalid, match="USB device 001:002 is in use by driver QEMU, domain guest"):
        again.claim("usb", "001:002", Holder("other", "x"), "USB device 001:002")
    again.disclaim("usb", "001:002", "other")
    assert again.holder("usb", "001:002") == GUEST
    (manager.folder / "usb-001:003").write_text("{")
    with pytest.raises(OperationInvalid, match=r"it is in use$"):
        again.claim("usb", "001:003", GUEST, "it")
