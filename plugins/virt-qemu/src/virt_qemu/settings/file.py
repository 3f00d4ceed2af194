"""Reading the file, and what its values must be."""

from __future__ import annotations

import dataclasses
import ipaddress
import logging
import os
import types
import typing
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from virt_qemu.settings.table import QemuSettings
from virtcore.errors import ConfigUnsupported, ConfSyntax, InternalError, InvalidArg, SystemError
from virtcore.runtime import settings as settings_files
from virtcore.runtime.conf import ConfFile, ConfValue

__all__ = ["example", "load", "parse"]

log = logging.getLogger(__name__)

_SERVICES = ("vnc", "spice", "rdp", "chardev", "migrate", "backup", "vxhs", "nbd")
_LOWEST_DISPLAY, _LOWEST_WEBSOCKET = 5900, 5700


def load(path: Path, *, privileged: bool) -> QemuSettings:
    """Read a file; without one everything is as by default.

    :param privileged: they are for the host's guests, not for a user's.
    :raises VirtError: it cannot be read, or makes no sense.
    """
    text = settings_files.read_text(path)
    return QemuSettings() if text is None else parse(text, str(path), privileged=privileged)


def parse(text: str, name: str, *, privileged: bool) -> QemuSettings:
    """Read a file's text.

    :param name: what errors call it.
    :raises VirtError: it makes no sense.
    """
    conf = ConfFile.parse(text, name)
    kinds = typing.get_type_hints(QemuSettings)
    known = {one.name: one.metadata for one in dataclasses.fields(QemuSettings)}
    given: dict[str, Any] = {}
    for key, value in conf.settings().items():
        if key in known:
            given[key] = _value(name, key, value, kinds[key], known[key])
        elif key == "allow_disk_format_probing":
            if value != 0:
                raise ConfigUnsupported("allow_disk_format_probing is no longer supported")
        else:
            near = get_close_matches(key, known, 1)
            advice = f"; is '{near[0]}' meant?" if near else ""
            log.warning("%s: setting '%s' is not one of the QEMU driver's%s", name, key, advice)
    settings = QemuSettings(**given)
    _check(settings, given, name, privileged)
    return settings


def _value(name: str, key: str, value: ConfValue, kind: Any, metadata: Mapping[str, Any]) -> Any:
    """A setting of the kind that it has to be.

    :raises VirtError: it is of another, or out of its bounds.
    """
    if isinstance(kind, types.UnionType):
        kinds = [one for one in typing.get_args(kind) if one is not types.NoneType]
        plain = (one for one in kinds if one in (int, str) and isinstance(value, one))
        kind = next(plain, kinds[0])
    if typing.get_origin(kind) is list:
        return _strings(name, key, value, metadata)
    if kind is str:
        if not isinstance(value, str):
            raise InternalError(f"{name}: expected a string for '{key}' parameter")
        if key == "max_core" and value != "unlimited":
            raise ConfigUnsupported(f"Unknown core size '{value}'")
        return _chosen(value, metadata)
    if kind is bool:
        if not isinstance(value, int):
            raise InternalError(f"{name}: expected a bool for '{key}' parameter")
        if value not in (0, 1):
            raise InternalError(f"{name}: value for '{key}' parameter must be 0 or 1")
        return bool(value)
    least, most = metadata["within"]
    if not isinstance(value, int) or (least == 0 and value < 0):
        sign = "an unsigned" if least == 0 else "a signed"
        raise InternalError(f"{name}: expected {sign} integer for '{key}' parameter")
    if not least <= value <= most:
        raise InternalError(f"{name}: value for '{key}' parameter must be in range {least}:{most}")
    return value


def _strings(name: str, key: str, value: ConfValue, metadata: Mapping[str, Any]) -> list[str]:
    single = key in ("security_driver", "hugetlbfs_mount")
    if single and isinstance(value, str):
        value = [value]
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise InternalError(f"{name}: expected a string {'or string ' if single else ''}list for '{key}' parameter")
    return [_chosen(str(item), metadata) for item in value]


def _chosen(value: str, metadata: Mapping[str, Any]) -> str:
    choices = metadata["choices"]
    if choices is not None and value not in choices:
        refusal, error = metadata["refusal"], metadata["error"]
        raise error(refusal.format(value=value))
    return value


def _check(settings: QemuSettings, given: Mapping[str, Any], name: str, privileged: bool) -> None:
    """Whether the values make sense together.

    :raises VirtError: they do not.
    """
    _check_ports(settings, name)
    if settings.namespaces and not privileged:
        raise ConfigUnsupported("cannot use namespaces in session mode")
    drivers = settings.security_driver or []
    for number, driver in enumerate(drivers):
        if driver in drivers[number + 1 :]:
            raise ConfSyntax(f"Duplicate security driver {driver}")
    for driver in drivers:
        if driver in ("apparmor", "selinux"):
            raise ConfigUnsupported(f"Security driver {driver} not enabled")
        if driver != "none":
            raise InternalError(f"Security driver {driver} not found")
    if settings.security_require_confined:
        # The drivers that could confine guests are none of ours.
        raise ConfigUnsupported('Security driver "none" cannot create confined guests')
    if settings.sched_core != "none":
        from virt_qemu.core_scheduling import is_supported

        if not is_supported():
            raise ConfigUnsupported("SCHED_CORE not supported by kernel")
    for key in ("migration_host", "migration_address"):
        address = getattr(settings, key)
        if address is not None and _is_here(address):
            raise ConfSyntax(f"{key} must not be the address of the local machine: {address}")
    if settings.auto_shutdown_try_save in ("all", "transient"):
        raise InvalidArg("managed save cannot be requested for transient domains")
    for service in ("default", *_SERVICES):
        key = f"{service}_tls_x509_cert_dir"
        folder = given.get(key)
        if folder is not None and not os.path.exists(folder):
            raise ConfSyntax(f"{key} directory '{folder}' does not exist")
    if settings.lock_manager not in (None, "lockd", "nop"):
        raise SystemError(f"Plugin {settings.lock_manager} not accessible: No such file or directory")
    for pair in settings.nvram:
        if pair.count(":") != 1:
            raise ConfSyntax(f"Invalid nvram format: '{pair}'")


def _check_ports(settings: QemuSettings, name: str) -> None:
    for kind, lowest in (("remote_websocket", _LOWEST_WEBSOCKET), ("remote_display", _LOWEST_DISPLAY)):
        least, most = getattr(settings, f"{kind}_port_min"), getattr(settings, f"{kind}_port_max")
        if least < lowest:
            raise InternalError(f"{name}: {kind}_port_min: port must be greater than or equal to {lowest}")
        if most > 65535 or most < least:
            raise InternalError(f"{name}: {kind}_port_max: port must be between the minimal port and 65535")
    least, most = settings.migration_port_min, settings.migration_port_max
    if least <= 0:
        raise InternalError(f"{name}: migration_port_min: port must be greater than 0")
    if most > 65535 or most < least:
        raise InternalError(f"{name}: migration_port_max: port must be between the minimal port {least} and 65535")


def _is_here(address: str) -> bool:
    if address.startswith("localhost"):
        return True
    try:
        return ipaddress.ip_address(address.strip("[]")).is_loopback
    except ValueError:
        return False


def example() -> str:
    """A ``qemu.conf`` that changes nothing and says everything."""
    return settings_files.example(QemuSettings, "qemu.conf: settings of the QEMU driver")
