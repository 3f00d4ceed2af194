"""What the declarations cannot say about the elements of the namespace ``qemu:``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from virt_qemu.namespace import QemuCommandLine, QemuOverride, QemuProperty, find
from virtcore.errors import InternalError, XMLError

if TYPE_CHECKING:
    from virtcore.model.domain.domain import Domain

__all__ = ["check_passthrough"]

#: Lowest and highest value of the number types.
_LIMITS = {"signed": (-(1 << 63), (1 << 63) - 1), "unsigned": (0, (1 << 64) - 1)}


def check_passthrough(domain: Domain) -> None:
    """Refuse impossible variables and overridden properties.

    :raises VirtError: with libvirt's message.
    """
    if not domain.hypervisor:
        return
    command_line = find(domain, QemuCommandLine)
    for variable in command_line.variables if command_line is not None else ():
        _check_variable(variable.name)
    override = find(domain, QemuOverride)
    for device in override.devices if override is not None else ():
        for changed in device.frontend.properties if device.frontend is not None else ():
            _check_property(changed)


def _check_variable(name: str) -> None:
    if not re.match("[A-Za-z_]", name):
        raise InternalError("Invalid environment name, it must begin with a letter or underscore", value=name)
    if not re.fullmatch("[A-Za-z0-9_]+", name):
        raise InternalError("Invalid environment name, it must contain only alphanumerics and underscore", value=name)


def _check_property(changed: QemuProperty) -> None:
    if changed.name == "id":
        raise XMLError("property with name 'id' can't be overridden")
    kind, value = changed.type, changed.value
    if kind not in ("string", "signed", "unsigned", "bool", "remove"):
        raise XMLError(f"Invalid value for attribute 'type' in element 'property': '{kind}'.", value=kind)
    if kind == "remove":
        if value is not None:
            raise XMLError("setting 'value' attribute of 'qemu:property' doesn't make sense with 'remove' type")
        return
    if value is None:
        raise XMLError("missing 'value' attribute for 'qemu:property'")
    if kind in _LIMITS:
        lowest, highest = _LIMITS[kind]
        valid = re.fullmatch(r"\s*[+-]?[0-9]+", value, re.ASCII) is not None and lowest <= int(value) <= highest
    else:
        valid = kind == "string" or value in ("true", "false")
    if not valid:
        raise XMLError(f"invalid value '{value}' of 'value' attribute of 'qemu:property'", value=value)
