"""Processor models as drivers tell of them."""

from __future__ import annotations

import pytest

import virtcore
from virtcore.driver.toolkit.cpus import HostCPUDriver
from virtcore.enums.host import ConnectBaselineCPUFlags, ConnectCompareCPUFlags, CPUCompareResult
from virtcore.errors import CPUIncompatible, VirtError
from virtcore.model.arch import Arch
from virtcore.model.cpu import HostCPU, load_host_cpu

HOST = "<cpu><arch>x86_64</arch><model>Westmere</model><vendor>Intel</vendor><feature name='invtsc'/></cpu>"


class Machine(HostCPUDriver):
    """A driver on a Westmere, or on something unknown."""

    function_prefix = "machine"
    known = True

    def host_cpu(self) -> HostCPU | None:
        return load_host_cpu(HOST) if self.known else None


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.setattr("virtcore.model.arch.host_arch", lambda: Arch.X86_64)
    return object.__new__(Machine)  # type: ignore[type-abstract]


def test_compare(machine: Machine) -> None:
    wanted = "<cpu match='exact'><model>Haswell</model></cpu>"
    assert machine.connection_compare_cpu(wanted) is CPUCompareResult.INCOMPATIBLE
    assert machine.connection_compare_cpu(HOST) is CPUCompareResult.IDENTICAL
    with pytest.raises(CPUIncompatible, match="Host CPU does not provide required features: "):
        machine.connection_compare_cpu(wanted, ConnectCompareCPUFlags.FAIL_INCOMPATIBLE)
    machine.known = False
    with pytest.raises(CPUIncompatible, match="unknown host CPU"):
        machine.connection_compare_cpu(wanted, ConnectCompareCPUFlags.FAIL_INCOMPATIBLE)


def test_compare_checks_the_document_if_asked(machine: Machine) -> None:
    odd = "<cpu match='exact'><model>Nehalem</model><sofa/></cpu>"
    assert machine.connection_compare_cpu(odd) is CPUCompareResult.SUPERSET
    with pytest.raises(VirtError, match="XML document failed to validate against schema"):
        machine.connection_compare_cpu(odd, ConnectCompareCPUFlags.VALIDATE_XML)
    with pytest.raises(VirtError, match=r"unsupported flags \(0x40\) in function machineConnectCompareCPU"):
        machine.connection_compare_cpu(HOST, 0x40)


def test_baseline(machine: Machine) -> None:
    assert "invtsc" in machine.connection_baseline_cpu([HOST])
    assert "invtsc" not in machine.connection_baseline_cpu([HOST], ConnectBaselineCPUFlags.MIGRATABLE)
    assert "name='aes'" in machine.connection_baseline_cpu([HOST], ConnectBaselineCPUFlags.EXPAND_FEATURES)


def test_through_a_connection() -> None:
    with virtcore.connect("test:///default") as connection:
        assert "Nehalem" in connection.cpu_model_names("x86_64")
        assert list(connection.cpu_model_names("aarch64")) == []
        assert "Westmere" in connection.baseline_cpu([HOST])
        with pytest.raises(VirtError, match="cannot find architecture vax"):
            connection.cpu_model_names("vax")
        with pytest.raises(VirtError, match=r"unsupported flags \(0x2\) in function testConnectBaselineCPU"):
            connection.baseline_cpu([HOST], ConnectBaselineCPUFlags.MIGRATABLE)
