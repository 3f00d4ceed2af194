"""Virtual CPUs of a configuration: how many, and the host CPUs they may be on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtcore.errors import InvalidArg
from virtcore.types import CpuMap

if TYPE_CHECKING:
    from virtcore.model.domain import Domain
    from virtcore.model.domain.cputune import CPUTune

__all__ = ["emulator_pin", "online", "pin_emulator", "pin_vcpu", "pins", "set_count", "set_maximum", "set_online"]


def online(domain: Domain) -> frozenset[int]:
    """Numbers of the virtual CPUs that are in use."""
    if domain.vcpus:
        return frozenset(vcpu.id for vcpu in domain.vcpus if vcpu.enabled)
    return frozenset(range(domain.vcpu_count))


def _tune(domain: Domain) -> CPUTune:
    if domain.cputune is None:
        from virtcore.model.domain.cputune import CPUTune

        domain.cputune = CPUTune()
    return domain.cputune


def _any_cpu(domain: Domain, host: CpuMap) -> CpuMap:
    """Host CPUs of what is not pinned."""
    return host if domain.vcpu is None or domain.vcpu.cpuset is None else CpuMap(domain.vcpu.cpuset)


def pins(domain: Domain, host: CpuMap) -> list[CpuMap]:
    """The host CPUs that each virtual CPU may be on.

    :param host: all there are.
    """
    pinned = {} if domain.cputune is None else {pin.vcpu: pin.cpuset for pin in domain.cputune.vcpupins}
    unpinned = _any_cpu(domain, host)
    return [CpuMap(pinned.get(number, unpinned)) for number in range(domain.vcpu_maximum)]


def pin_vcpu(domain: Domain, number: int, cpus: CpuMap) -> None:
    """Set the host CPUs that a virtual CPU may be on."""
    from virtcore.model.domain.cputune import VCPUPin
    from virtcore.xml import CpuSet

    if number not in online(domain):
        raise InvalidArg(f"requested vcpu '{number}' is not present in the domain")
    tune = _tune(domain)
    others = [pin for pin in tune.vcpupins if pin.vcpu != number]
    tune.vcpupins = sorted([*others, VCPUPin(vcpu=number, cpuset=CpuSet(cpus))], key=lambda pin: pin.vcpu)


def emulator_pin(domain: Domain, host: CpuMap) -> CpuMap:
    """The host CPUs that the emulator's own threads may be on."""
    tune = domain.cputune
    if tune is not None and tune.emulatorpin is not None:
        return CpuMap(tune.emulatorpin.cpuset)
    return _any_cpu(domain, host)


def pin_emulator(domain: Domain, cpus: CpuMap) -> None:
    """Set the host CPUs that the emulator's own threads may be on."""
    from virtcore.model.domain.cputune import EmulatorPin
    from virtcore.xml import CpuSet

    if not cpus:
        raise InvalidArg("Empty cpu list for pinning")
    _tune(domain).emulatorpin = EmulatorPin(cpuset=CpuSet(cpus))


def set_count(domain: Domain, count: int) -> None:
    """Set how many virtual CPUs are in use: the first ones."""
    if count > domain.vcpu_maximum:
        raise InvalidArg(f"requested cpu amount exceeds maximum ({count} > {domain.vcpu_maximum})")
    for vcpu in domain.vcpus:
        vcpu.enabled = vcpu.id < count
    _record(domain, count)


def set_maximum(domain: Domain, maximum: int) -> None:
    """Set how many virtual CPUs there are; with those that go, what is said of them."""
    from virtcore.model.domain.cputune import VCPUMaximum
    from virtcore.xml import CpuSet

    numa = domain.cpu.numa if domain.cpu is not None else None
    if numa is not None and sum(len(cell.cpus or ()) for cell in numa.cells) > maximum:
        raise InvalidArg("Number of CPUs in <numa> exceeds the desired maximum vcpu count")
    count = min(len(online(domain)), maximum)
    if domain.vcpu is None:
        domain.vcpu = VCPUMaximum(maximum=maximum)
    domain.vcpu.maximum = maximum
    if domain.vcpus:
        from virtcore.model.domain.cputune import VCPU

        domain.vcpus = [vcpu for vcpu in domain.vcpus if vcpu.id < maximum]
        known = {vcpu.id for vcpu in domain.vcpus}
        added = (VCPU(id=number, enabled=False) for number in range(maximum) if number not in known)
        domain.vcpus += added
        count = len(online(domain))
    tune = domain.cputune
    if tune is not None:
        tune.vcpupins = [pin for pin in tune.vcpupins if pin.vcpu < maximum]
        for entry in tune.vcpuscheds:
            entry.vcpus = CpuSet(number for number in entry.vcpus if number < maximum)
        tune.vcpuscheds = [entry for entry in tune.vcpuscheds if entry.vcpus]
    _record(domain, count)


def set_online(domain: Domain, numbers: frozenset[int], state: bool) -> None:
    """Take single virtual CPUs into use, or out of it."""
    from virtcore.model.domain.cputune import VCPU

    for number in sorted(numbers):
        if number >= domain.vcpu_maximum:
            raise InvalidArg(f"vCPU '{number}' is not present in the domain")
    if not state and 0 in numbers:
        raise InvalidArg("vCPU '0' can't be modified")
    now = online(domain)
    if not domain.vcpus:
        domain.vcpus = [VCPU(id=number, enabled=number in now) for number in range(domain.vcpu_maximum)]
    for vcpu in domain.vcpus:
        if vcpu.id in numbers:
            vcpu.enabled = state
    _record(domain, len(online(domain)))


def _record(domain: Domain, count: int) -> None:
    if domain.vcpu is not None:
        domain.vcpu.current = None if count == domain.vcpu.maximum else count
