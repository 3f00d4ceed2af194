"""Limits of disks' I/O: the operations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virt_qemu.disks.throttling import LIMITS, live_limits
from virt_qemu.guest import guest_of
from virt_qemu.host import QemuState
from virtcore.driver.toolkit.arguments import refuse_empty, refuse_none
from virtcore.driver.toolkit.configuration.disks import find_disk, iotune as limits_of
from virtcore.driver.toolkit.reconfiguring import SettingLimits
from virtcore.errors import (
    ArgumentUnsupported,
    ConfigUnsupported,
    InvalidArg,
    OperationFailed,
    OperationUnsupported,
)
from virtcore.model.domain.disk import Disk, IOTune
from virtcore.model.domain.resources import ThrottleGroup

if TYPE_CHECKING:
    from collections.abc import Mapping

    from virtcore.enums.domain import DomainModificationImpact
    from virtcore.model.domain import Domain
    from virtcore.types import DomainRef, TypedParameters, TypedValue

__all__ = ["LimitOperations"]

_BOTH = 3
#: ``QEMU_BLOCK_IOTUNE_MAX``.
_MOST = 1000000000000000
#: Limits that are set together: those of a family that are not said are lifted.
_FAMILIES = [
    [f"{what}_{unit}_sec{burst}" for what in ("total", "read", "write")]
    for burst in ("", "_max")
    for unit in ("bytes", "iops")
]


def _check(values: Mapping[str, TypedValue]) -> None:
    """Refuse what contradicts itself."""
    for name, value in values.items():
        if isinstance(value, int) and value > _MOST:
            raise ArgumentUnsupported(f"block I/O throttle limit value must be no more than {_MOST}")
        if name not in (*LIMITS, "group_name"):
            raise InvalidArg(f"parameter '{name}' not supported")
    for total, read, write in _FAMILIES:
        if values.get(total) and (values.get(read) or values.get(write)):
            unit = total.removeprefix("total_")
            raise InvalidArg(f"total and read/write of {unit} cannot be set at the same time")


def _check_bursts(tune: IOTune | ThrottleGroup) -> None:
    """Refuse bursts without, or below, what they are bursts of."""
    for name in LIMITS:
        if not name.endswith("_sec"):
            continue
        value, burst = getattr(tune, name, None), getattr(tune, f"{name}_max", None)
        if not burst:
            continue
        if not value:
            raise ConfigUnsupported(f"value '{name}_max' cannot be set if '{name}' is not set")
        if burst < value:
            raise ConfigUnsupported(f"value '{name}_max' cannot be smaller than '{name}'")


def _take(tune: IOTune | ThrottleGroup, values: Mapping[str, TypedValue]) -> None:
    """Set limits; of a family of which one is said, the others are lifted."""
    for family in _FAMILIES:
        if any(name in values for name in family):
            for name in family:
                setattr(tune, name, None)
                if f"{name}_length" in LIMITS and not values.get(name):
                    setattr(tune, f"{name}_length", None)
    for name, value in values.items():
        if name in LIMITS:
            setattr(tune, name, value or None)


class LimitOperations(SettingLimits[QemuState]):
    """Limits of disks' I/O as QEMU's driver sets them."""

    async def domain_block_iotune(
        self, domain: DomainRef, disk: str | None = None, flags: DomainModificationImpact | int = 0
    ) -> TypedParameters:
        obj = self.domain(domain)
        config = self._one_config(domain, "domain_block_iotune", int(flags))
        if not disk:
            return limits_of(Disk())  # how many there are
        if config is not obj.live:
            return await super().domain_block_iotune(domain, disk, flags)
        # QEMU knows best, the group's name included that it chose itself.
        async with obj.job.query("domain_block_iotune"):
            obj.require_active()
            found = find_disk(config, disk)
            if found is None:
                raise InvalidArg(f"disk '{disk}' was not found in the domain config")
            return limits_of(await live_limits(guest_of(obj).channel(), found))

    async def domain_set_block_iotune(
        self, domain: DomainRef, disk: str, params: TypedParameters, flags: DomainModificationImpact | int = 0
    ) -> None:
        from virtcore.operations.parameters import BLOCK_IOTUNE

        operation = "domain_set_block_iotune"
        refuse_none(params, "nparams", operation)
        self.check_flags(flags, _BOTH, operation)
        BLOCK_IOTUNE.validate(params)
        values = dict(params.items())
        _check(values)

        def change(config: Domain, live: bool) -> None:
            found = find_disk(config, disk)
            if found is None:
                raise InvalidArg(
                    f"disk '{disk}' not found in domain"
                    if live
                    else f"missing persistent configuration for disk '{disk}'"
                )
            if found.throttle_filters:
                raise OperationUnsupported(f"block '{disk}' has throttlefilters: set limits of its throttle groups")
            tune = found.iotune or IOTune()
            group = values.get("group_name")
            if isinstance(group, str) and group:
                tune.group_name = group
            _take(tune, values)
            if live:
                _check_bursts(tune)
            _share(config, tune)
            limited = any(getattr(tune, name) for name in LIMITS)
            found.iotune = tune if limited else None

        await self._change(domain, operation, int(flags), change, one=False)

    async def domain_set_throttle_group(
        self, domain: DomainRef, group: str, params: TypedParameters, flags: DomainModificationImpact | int = 0
    ) -> None:
        from virtcore.operations.parameters import BLOCK_IOTUNE

        operation = "domain_set_throttle_group"
        refuse_empty(group, "group", operation)
        self.check_flags(flags, _BOTH, operation)
        BLOCK_IOTUNE.validate(params)
        values = dict(params.items())
        _check(values)

        def change(config: Domain, live: bool) -> None:
            found = next((each for each in config.throttle_groups if each.group_name == group), None)
            if found is None:
                found = ThrottleGroup(group_name=group)
                config.throttle_groups.append(found)
            _take(found, values)
            _check_bursts(found)

        await self._change(domain, operation, int(flags), change, one=False)

    async def domain_del_throttle_group(
        self, domain: DomainRef, group: str, flags: DomainModificationImpact | int = 0
    ) -> None:
        operation = "domain_del_throttle_group"
        refuse_empty(group, "group", operation)
        self.check_flags(flags, _BOTH, operation)

        def change(config: Domain, live: bool) -> None:
            found = next((each for each in config.throttle_groups if each.group_name == group), None)
            if found is None:
                raise InvalidArg(f"throttlegroup '{group}' was not found in the domain config")
            devices = config.devices
            for each in devices.disks if devices is not None else ():
                if any(one.group == group for one in each.throttle_filters):
                    target = each.target.dev if each.target is not None else ""
                    raise OperationFailed(f"throttlegroup '{group}' is still being used by disk {target}")
            config.throttle_groups.remove(found)

        await self._change(domain, operation, int(flags), change, one=False)


def _share(config: Domain, tune: IOTune) -> None:
    """Disks of one group have the same limits."""
    from copy import copy

    devices = config.devices
    for other in devices.disks if devices is not None and tune.group_name else ():
        if other.iotune is not None and other.iotune is not tune and other.iotune.group_name == tune.group_name:
            other.iotune = copy(tune)
