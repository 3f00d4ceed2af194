"""The host's processor: asked for by CPUID, or read from what the kernel says."""

from __future__ import annotations

from pathlib import Path

import pytest

from virt_host.description.capabilities import host_capabilities
from virt_host.description.cpu_model import host_cpu
from virt_host.description.cpuid import Registers, cpuid_data, cpuid_reader
from virt_host.description.kvm import read_tsc
from virt_host.description.tree import HostTree
from virtcore.errors import VirtError
from virtcore.model.arch import Arch
from virtcore.model.capabilities import Capabilities, format_capabilities
from virtcore.model.cpu.element import HostCPU
from virtcore.model.cpu.x86_map import x86_map

LEAVES = {
    (0x0, 0): (0x7, 0x756E6547, 0x6C65746E, 0x49656E69),
    (0x1, 0): (0x000206A7, 0, 0x1, 0),
    (0x7, 0): (0, 0, 0, 1 << 29),
    # Beyond the last leaf: never to be asked for.
    (0xD, 1): (0xF, 0, 0, 0),
    (0x80000000, 0): (0x80000001, 0, 0, 0),
    (0x80000001, 0): (0, 0, 0, 1 << 29),
}


def ask(leaf: int, subleaf: int) -> Registers:
    return Registers(*LEAVES.get((leaf, subleaf), (0, 0, 0, 0)))


def test_answers() -> None:
    asked = []
    data = cpuid_data(ask, lambda index: asked.append(index) or (1 << 32 | 1))  # type: ignore[func-returns-value]
    assert (data.vendor, data.signature) == ("Intel", (6, 42, 7))
    assert asked == [0x10A]
    assert list(x86_map().names_of(data.features())) == ["pni", "arch-capabilities", "lm", "rdctl-no"]
    assert list(x86_map().names_of(cpuid_data(ask, lambda index: None).features())) == [
        "pni",
        "arch-capabilities",
        "lm",
    ]
    assert not cpuid_data(ask).has("rdctl-no")


def plant(root: Path, cpuinfo: str, midr: str | None = None) -> HostTree:
    system = root / "system/cpu"
    register = system / "cpu0/regs/identification/midr_el1"
    register.parent.mkdir(parents=True)
    (system / "present").write_text("0\n")
    (system / "online").write_text("0\n")
    if midr is not None:
        register.write_text(f"{midr}\n")
    (root / "cpuinfo").write_text(cpuinfo)
    return HostTree(system=root / "system", cpuinfo=root / "cpuinfo")


def test_power(tmp_path: Path) -> None:
    cpu = host_cpu(plant(tmp_path, "cpu : POWER9\nrevision\t: 2.2 (pvr 004e 1202)\n"), Arch.PPC64LE)
    assert cpu is not None
    assert (cpu.model, cpu.vendor) == ("POWER9", "IBM")
    assert cpu.topology is not None
    assert (cpu.topology.sockets, cpu.topology.cores, cpu.topology.threads) == (1, 1, 1)


def test_arm(tmp_path: Path) -> None:
    cpu = host_cpu(plant(tmp_path, "Features\t: fp asimd\n", "0x00000000413fd0c1"), Arch.AARCH64)
    assert cpu is not None
    assert (cpu.model, cpu.vendor) == ("Neoverse-N1", "ARM")
    assert [feature.name for feature in cpu.features] == ["fp", "asimd"]


def test_not_known(tmp_path: Path) -> None:
    tree = plant(tmp_path, "Features\t: fp\n", "0x41000ff0")
    with pytest.raises(VirtError, match="Cannot find CPU model with PVR 0x0ff"):
        host_cpu(tree, Arch.AARCH64)
    assert host_cpu(tree, Arch.S390X) is None
    assert host_cpu(tree, Arch.PPC64) is None
    printed = format_capabilities(Capabilities(host=host_capabilities(tree, Arch.S390X)))
    assert "<cpu>\n      <arch>s390x</arch>\n    </cpu>" in printed


def test_this_processor() -> None:
    reader = cpuid_reader()
    if reader is None:
        pytest.skip("this is no x86_64, or memory cannot be made executable")
    data = cpuid_data(reader)
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    said = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    signature = data.signature
    assert signature is not None
    assert [str(part) for part in signature] == [said["cpu family"], said["model"], said["stepping"]]
    assert data.has("lm")
    cpu = host_cpu(HostTree(), Arch.X86_64)
    assert isinstance(cpu, HostCPU)
    assert cpu.microcode is None or hex(cpu.microcode) == said["microcode"]
    tsc = read_tsc()
    if tsc is not None and cpu.counter is not None:
        assert cpu.counter.frequency == tsc.frequency > 10**8
