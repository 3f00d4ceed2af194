"""What network cards do by themselves, and what is made of nonsense that devices say."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, strategies

from fake_sysfs import FakeHost, everything
from virt_host.links import devlink
from virt_host.nodedev.features import interface_features
from virt_host.nodedev.kernel_device import HostFiles
from virt_host.nodedev.kinds.vpd import read_vpd
from virt_host.nodedev.uevents import parse_uevent
from virt_host.pci_config import ADVANCED_FEATURES, EXPRESS, EXTENDED_ACS, PCIConfig
from virtcore.model.nodedev import NetFeatureName


def test_switches_and_infiniband(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = FakeHost(tmp_path)
    everything(host)
    cards = {"ens1f0": "0000:01:00.0", "ens1f0v0": "0000:01:10.0"}
    for name, address in cards.items():
        place = host.path(f"sys/class/net/{name}").resolve().relative_to(tmp_path.resolve())
        host.link(f"{place}/device", f"sys/bus/pci/devices/{address}")
    asked: list[str] = []

    def offloads_switch(address: str) -> bool:
        asked.append(address)
        return True

    monkeypatch.setattr(devlink, "offloads_switch", offloads_switch)
    files = HostFiles(str(tmp_path))
    for name in cards:  # which this machine has not got
        assert interface_features(name, files) == [NetFeatureName.SWITCHDEV]
    assert asked == ["0000:01:00.0", "0000:01:00.0"]  # a function is asked by its card
    assert interface_features("no-such-card", files) == []
    monkeypatch.setattr(devlink, "offloads_switch", lambda address: False)
    for folder in ("sys/class/net/ens1f0/device", "sys/class/infiniband/mlx5_0/device"):
        host.write(f"{folder}/resource", "0x0 0x1 0x2\n")
    assert interface_features("ens1f0", files) == [NetFeatureName.RDMA]


def test_a_kernel_or_card_without_such_switches() -> None:
    assert devlink.offloads_switch("ffff:00:00.0") is False


@given(strategies.binary(max_size=120))
def test_product_data_never_breaks_anything(data: bytes) -> None:
    read_vpd(data)
    read_vpd(b"\x82\x01\x00N\x90" + data)


@given(strategies.binary(max_size=400))
def test_registers_never_break_anything(data: bytes) -> None:
    config = PCIConfig(data)
    assert config.is_express in (True, False)
    for kind in (EXPRESS, ADVANCED_FEATURES):
        try:
            config.capability(kind)
            config.extended_capability(EXTENDED_ACS)
        except EOFError:
            pass


@given(strategies.binary(max_size=120))
def test_messages_never_break_anything(data: bytes) -> None:
    parse_uevent(data)
    parse_uevent(b"libudev\0\xfe\xed\xca\xfe" + data)
