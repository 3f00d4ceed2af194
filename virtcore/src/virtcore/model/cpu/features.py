"""The list of features in a processor's description."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from virtcore.model.cpu.element import CPUFeature, CPUFeaturePolicy

if TYPE_CHECKING:
    from virtcore.model.cpu.element import GuestCPU, HostCPU

__all__ = ["add_missing", "policies", "update_feature", "with_policy"]


def policies(cpu: GuestCPU | HostCPU) -> Iterable[tuple[str, CPUFeaturePolicy]]:
    """Features and what is wanted of them; all of a host's are there."""
    for feature in cpu.features:
        yield feature.name, getattr(feature, "policy", None) or CPUFeaturePolicy.REQUIRE


def update_feature(cpu: GuestCPU, name: str, policy: CPUFeaturePolicy) -> None:
    """Gives a feature a policy, whether it is listed or not (``virCPUDefUpdateFeature``)."""
    for feature in cpu.features:
        if feature.name == name:
            feature.policy = policy
            return
    cpu.features.append(CPUFeature(policy=policy, name=name))


def add_missing(cpu: GuestCPU, names: Iterable[str], policy: CPUFeaturePolicy) -> None:
    """Adds features that are not listed yet (``virCPUDefAddFeatureIfMissing``)."""
    listed = {feature.name for feature in cpu.features}
    cpu.features += [CPUFeature(policy=policy, name=name) for name in names if name not in listed]


def with_policy(names: Iterable[str], policy: CPUFeaturePolicy) -> list[CPUFeature]:
    """Features of one policy."""
    return [CPUFeature(policy=policy, name=name) for name in names]
