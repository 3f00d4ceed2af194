"""The capabilities document, and the list of emulators behind it, are made anew when something has changed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from virt_host.description import capabilities as description
from virt_host.description.tree import HostTree
from virt_qemu import host_capabilities
from virt_qemu.capabilities import find
from virt_qemu.capabilities.model import Accelerator, EmulatorCapabilities
from virt_qemu.host_capabilities import HostDescription
from virtcore.model.arch import Arch

_FILES = {
    "system/cpu/present": "0",
    "system/cpu/online": "0",
    "system/cpu/cpu0/topology/thread_siblings_list": "0",
    "system/node/online": "0",
    "system/node/node0/meminfo": "Node 0 MemTotal: 8192 kB",
    "system/node/node0/cpulist": "0",
    "system/node/node0/distance": "10",
    "system/node/node0/hugepages/hugepages-2048kB/nr_hugepages": "0",
    "hugepages/hugepages-2048kB/nr_hugepages": "0",
    "etc/host-uuid": "6695eb01-f6a4-8304-79aa-97f2502e193f",
}


def _write(root: Path, name: str, text: str) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text + "\n")


def _emulator() -> EmulatorCapabilities:
    machines = {"tcg": Accelerator()}
    return EmulatorCapabilities(
        binary="/q", arch=Arch.X86_64, version=1, package="", flags=frozenset(), accelerators=machines
    )


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[str, bool]]:
    """The document on a host of a few files, and whether it was made for this call."""
    for name, text in _FILES.items():
        _write(tmp_path, name, text)
    tree = HostTree(
        system=tmp_path / "system",
        resctrl=tmp_path / "resctrl",
        hugepages=tmp_path / "hugepages",
        iommu_groups=tmp_path / "iommu_groups",
    )
    made: list[str] = []
    real = host_capabilities._document

    def document(*arguments: Any) -> str:
        made.append(real(*arguments))
        return made[-1]

    monkeypatch.setattr(host_capabilities, "_document", document)
    kept = HostDescription(tmp_path / "etc", tree=tree)

    def tell(**emulators: EmulatorCapabilities) -> tuple[str, bool]:
        before = len(made)
        named = {Arch(name): one for name, one in emulators.items()}
        text = kept.known(named, ()) or kept.make(named, (), lambda: None)
        return text, len(made) > before

    return tell


@pytest.mark.parametrize(
    ("name", "text", "shown"),
    [
        ("system/node/node0/hugepages/hugepages-2048kB/nr_hugepages", "2", "<pages unit='KiB' size='2048'>2</pages>"),
        ("system/node/node0/meminfo", "Node 0 MemTotal: 4096 kB", "<memory unit='KiB'>4096</memory>"),
        ("system/cpu/online", "", None),
        ("iommu_groups/7/type", "DMA", "<iommu support='yes'/>"),
        ("resctrl/info/MB/bandwidth_gran", "10", None),
        ("hugepages/hugepages-1048576kB/nr_hugepages", "0", "<pages unit='KiB' size='1048576'/>"),
        ("etc/host-uuid", "11111111-2222-4333-8444-555555555555", "<uuid>11111111-2222-4333-8444-555555555555</uuid>"),
    ],
)
def test_the_host_changes(
    told: Callable[..., tuple[str, bool]], tmp_path: Path, name: str, text: str, shown: str | None
) -> None:
    first, made = told()
    assert made
    assert shown is None or shown not in first
    assert told() == (first, False)
    if name.startswith("resctrl"):  # what is needed beside it
        for one, value in (("min_bandwidth", "10"), ("num_closids", "4")):
            _write(tmp_path, f"resctrl/info/MB/{one}", value)
    _write(tmp_path, name, text)
    then, made = told()
    assert made
    assert shown is None or shown in then
    assert told() == (then, False)


def test_an_emulator_changes(told: Callable[..., tuple[str, bool]]) -> None:
    one, other = (_emulator() for _ in range(2))
    assert told(x86_64=one)[1]
    assert not told(x86_64=one)[1]
    assert told(x86_64=other)[1], "it was probed anew"
    assert told()[1], "it is gone"


def test_emulators_come_and_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    looked: list[Arch] = []
    real = find.find_emulator

    def look(arch: Arch, host: Arch | None = None) -> str | None:
        looked.append(arch)
        return real(arch, host)

    monkeypatch.setattr(find, "find_emulator", look)

    def installed() -> tuple[dict[Arch, str], bool]:
        looked.clear()
        return find.installed_emulators(Arch.S390X), bool(looked)

    def settle(at: int) -> None:
        os.utime(folder, ns=(at, at))

    settle(1)
    assert installed() == ({}, True)
    assert installed() == ({}, False)
    emulator = folder / "qemu-system-s390x"
    emulator.write_text("")
    assert installed() == ({}, True), "who has just changed may change again in the same moment"
    assert installed() == ({}, True)
    settle(2)
    assert installed() == ({}, True)
    assert installed() == ({}, False)
    emulator.chmod(0o755)
    assert installed() == ({Arch.S390X: str(emulator)}, True)
    assert installed() == ({Arch.S390X: str(emulator)}, False)
    emulator.unlink()
    settle(3)
    assert installed() == ({}, True)


def test_facts_are_those_of_the_running_host() -> None:
    tree = HostTree()
    if not tree.cpus.exists():
        pytest.skip("no /sys here")
    assert description.changing_facts(tree) == description.changing_facts(tree)
