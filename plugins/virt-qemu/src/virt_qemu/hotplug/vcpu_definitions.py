"""How many virtual CPUs a definition gives its guest, and which."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtcore.driver.toolkit.configuration.vcpus import online
from virtcore.errors import InvalidArg
from virtcore.model.domain.cputune import VCPU

if TYPE_CHECKING:
    from virtcore.model.domain import Domain

__all__ = ["check_states", "set_count", "set_states"]


def _one_by_one(domain: Domain) -> list[VCPU]:
    """The virtual CPUs, also of a definition that only counts them. Their order does not hold any more."""
    if not domain.vcpus:
        now = online(domain)
        return [VCPU(id=n, enabled=n in now, hotpluggable=n not in now) for n in range(domain.vcpu_maximum)]
    for vcpu in domain.vcpus:
        vcpu.order = None
    return sorted(domain.vcpus, key=lambda vcpu: vcpu.id)


def _record(domain: Domain, vcpus: list[VCPU], listed: bool) -> None:
    domain.vcpus = vcpus if listed else []
    count = sum(vcpu.enabled for vcpu in vcpus)
    if domain.vcpu is not None:
        domain.vcpu.current = None if count == domain.vcpu.maximum else count


def set_count(domain: Domain, count: int, hotpluggable: bool) -> None:
    """Let a guest begin with ``count`` virtual CPUs (``qemuDomainSetVcpusConfig``).

    :param hotpluggable: those that it gets can be taken out again.
    """
    listed = bool(domain.vcpus)
    vcpus = _one_by_one(domain)
    now = sum(vcpu.enabled for vcpu in vcpus)
    if now < count:
        for vcpu in vcpus:
            if vcpu.enabled:
                # Those that cannot be taken out come first.
                hotpluggable = hotpluggable or bool(vcpu.hotpluggable)
                continue
            vcpu.enabled, vcpu.hotpluggable = True, hotpluggable
            listed = listed or hotpluggable
            now += 1
            if now == count:
                break
    else:
        for vcpu in reversed(vcpus):
            if now == count:
                break
            if vcpu.enabled:
                vcpu.enabled, vcpu.hotpluggable = False, True
                now -= 1
    _record(domain, vcpus, listed)


def check_states(domain: Domain, numbers: frozenset[int]) -> None:
    """Refuse to take single virtual CPUs in or out that have to stay.

    :raises InvalidArg: one has.
    """
    if 0 in numbers:
        raise InvalidArg("vCPU '0' can't be modified")
    first = min(numbers)
    for vcpu in _one_by_one(domain):
        if vcpu.id > first and vcpu.id not in numbers and vcpu.enabled and vcpu.hotpluggable is False:
            raise InvalidArg(f"vcpu '{first}' can't be modified as it is followed by non-hotpluggable online vcpus")


def set_states(domain: Domain, numbers: frozenset[int], state: bool) -> None:
    """Let a guest begin with single virtual CPUs, or without them (``qemuDomainSetVcpuConfig``)."""
    vcpus = _one_by_one(domain)
    for vcpu in vcpus:
        if vcpu.id in numbers:
            vcpu.enabled, vcpu.hotpluggable = state, True
    _record(domain, vcpus, True)
