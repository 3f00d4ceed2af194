"""Resource control: how the kernel can share out, and watch, caches and memory bandwidth."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from math import gcd
from typing import TYPE_CHECKING

from virt_host.description.units import unit_of
from virtcore.errors import InternalError
from virtcore.model.capabilities import BandwidthControl, CacheControl, CPUCacheKind

if TYPE_CHECKING:
    from virt_host.description.tree import HostTree

__all__ = ["CacheAllocation", "Monitoring", "ResourceControl", "resource_control"]

_SCOPES = {"": CPUCacheKind.BOTH, "CODE": CPUCacheKind.CODE, "DATA": CPUCacheKind.DATA}


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheAllocation:
    """How caches of a level can be shared out.

    :ivar bits: how many equal parts a cache has.
    :ivar min_bits: the fewest parts a group can have.
    :ivar groups: how many groups there can be.
    """

    level: int
    scope: CPUCacheKind
    bits: int
    min_bits: int
    groups: int

    def control(self, size: int) -> CacheControl:
        """In sizes, for a cache of ``size`` bytes."""
        granularity = size // self.bits
        smallest = granularity * self.min_bits if self.min_bits != 1 else 0
        # Both are printed in one unit.
        scale, unit = unit_of(gcd(granularity, smallest))
        return CacheControl(
            granularity=granularity // scale,
            min=smallest // scale or None,
            unit=unit,
            type=self.scope,
            max_allocs=self.groups,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Monitoring:
    """What can be watched.

    :ivar groups: how many groups there can be.
    :ivar reuse_threshold: bytes of cache below which a group's number can be used again.
    :ivar features: the kernel's names of the counters.
    """

    groups: int
    reuse_threshold: int
    features: list[str]

    def with_prefix(self, prefix: str) -> list[str]:
        """Counters of one kind: ``llc_`` of caches, ``mbm_`` of memory bandwidth."""
        return [name for name in self.features if name.startswith(prefix)]


@dataclass(slots=True, kw_only=True)
class ResourceControl:
    """What the kernel offers."""

    caches: list[CacheAllocation] = field(default_factory=list)
    bandwidth: BandwidthControl | None = None
    monitoring: Monitoring | None = None

    def of_level(self, level: int) -> list[CacheAllocation]:
        """How caches of a level can be shared out, by what they hold."""
        order = list(_SCOPES.values())
        found = [each for each in self.caches if each.level == level]
        return sorted(found, key=lambda each: order.index(each.scope))


def resource_control(tree: HostTree) -> ResourceControl:
    """What the kernel offers; nothing where its file system is not mounted.

    :raises InternalError: its files make no sense.
    """
    found = ResourceControl()
    info = tree.resctrl / "info"
    if not info.exists():
        return found
    granularity = tree.number(info / "MB" / "bandwidth_gran")
    if granularity is not None:
        found.bandwidth = BandwidthControl(
            granularity=granularity,
            min=_require(tree.number(info / "MB" / "min_bandwidth"), "min bandwidth from resctrl memory info"),
            max_allocs=_require(tree.number(info / "MB" / "num_closids"), "max allocation from resctrl memory info"),
        )
    for entry in sorted(info.iterdir()):
        name = re.fullmatch(r"L(\d+)(\w*)", entry.name)
        if name is None or name[2] not in _SCOPES:
            continue
        mask = tree.text(entry / "cbm_mask")
        if mask is None:
            raise InternalError("Cannot get cbm_mask from resctrl cache info")
        try:
            bits = int(mask, 16).bit_count()
        except ValueError:
            bits = 0
        if not bits:
            raise InternalError("Cannot parse cbm_mask from resctrl cache info")
        found.caches.append(
            CacheAllocation(
                level=int(name[1]),
                scope=_SCOPES[name[2]],
                bits=bits,
                min_bits=_require(tree.number(entry / "min_cbm_bits"), "min_cbm_bits from resctrl cache info"),
                groups=tree.number(entry / "num_closids") or 0,
            )
        )
    found.monitoring = _monitoring(tree)
    return found


def _monitoring(tree: HostTree) -> Monitoring | None:
    folder = tree.resctrl / "info" / "L3_MON"
    groups = tree.number(folder / "num_rmids")
    if groups is None:
        return None
    features = tree.text(folder / "mon_features")
    if features is None:
        raise InternalError("Cannot get mon_features from resctrl")
    if not features:
        raise InternalError("Got empty feature list from resctrl")
    threshold = tree.number(folder / "max_threshold_occupancy") or 0
    return Monitoring(groups=groups, reuse_threshold=threshold, features=features.split())


def _require(number: int | None, what: str) -> int:
    if number is None:
        raise InternalError(f"Cannot get {what}")
    return number
