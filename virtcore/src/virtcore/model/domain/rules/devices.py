"""The generic rules of devices, as the stages of :mod:`.domain_rules` call them."""

from __future__ import annotations

from virtcore.model.domain.rules.device_complete import (
    assign_controller_indexes,
    assign_isa_serial_ports,
    check_device_features,
    complete_device,
)
from virtcore.model.domain.rules.device_implicit import (
    add_implicit_devices,
    collect_boot_orders,
    complete_graphics,
    reject_duplicate_controllers,
    reject_duplicate_panics,
    settle_first_devices,
)
from virtcore.model.domain.rules.device_list import every_device
from virtcore.model.domain.rules.device_settle import memory_device_size, settle_devices

__all__ = [
    "add_implicit_devices",
    "assign_controller_indexes",
    "assign_isa_serial_ports",
    "check_device_features",
    "collect_boot_orders",
    "complete_device",
    "complete_graphics",
    "every_device",
    "memory_device_size",
    "reject_duplicate_controllers",
    "reject_duplicate_panics",
    "settle_devices",
    "settle_first_devices",
]
