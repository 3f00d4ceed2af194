"""Parameters of QEMU's migration: as the monitor tells and takes them, and as status files keep them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import TypeAlias

from virtcore.errors import ErrorCode, InternalError
from virtcore.xml import attribute, element

__all__ = [
    "MigrationParameter",
    "Parameters",
    "kept_parameters",
    "read_parameters",
    "set_arguments",
    "told_parameters",
]

#: Values by name, in libvirt's order.
Parameters: TypeAlias = "dict[str, int | str]"


class _Kind(Enum):
    """What a value is."""

    INT = range(-(1 << 31), 1 << 31)
    ULONG = range(1 << 64)
    BOOL = ("no", "yes")
    TEXT = None


#: The parameters libvirt handles, in its order (``qemuMigrationParam``); whatever else QEMU has stays as it is.
_KINDS = {
    "compress-level": _Kind.INT,
    "compress-threads": _Kind.INT,
    "decompress-threads": _Kind.INT,
    "cpu-throttle-initial": _Kind.INT,
    "cpu-throttle-increment": _Kind.INT,
    "tls-creds": _Kind.TEXT,
    "tls-hostname": _Kind.TEXT,
    "max-bandwidth": _Kind.ULONG,
    "downtime-limit": _Kind.ULONG,
    "block-incremental": _Kind.BOOL,
    "xbzrle-cache-size": _Kind.ULONG,
    "max-postcopy-bandwidth": _Kind.ULONG,
    "multifd-channels": _Kind.INT,
    "multifd-compression": _Kind.TEXT,
    "multifd-zlib-level": _Kind.INT,
    "multifd-zstd-level": _Kind.INT,
    "avail-switchover-bandwidth": _Kind.ULONG,
    "direct-io": _Kind.BOOL,
}
#: What may be changed while a migration goes on behind the guest.
_RESUMABLE = frozenset({"max-postcopy-bandwidth"})
_NUMBER = re.compile(r"\s*[+-]?[0-9]+")


def _check(parameter: MigrationParameter) -> None:
    _value(parameter)


@element("param", after_parse=_check)
class MigrationParameter:
    """A parameter of QEMU's migration, as it was before."""

    name: str = attribute(required=True, missing="missing migration parameter name", code=ErrorCode.INTERNAL_ERROR)
    value: str = attribute(
        required=True, missing="missing value for migration parameter '{@name}'", code=ErrorCode.INTERNAL_ERROR
    )


def told_parameters(reply: Mapping[str, object]) -> Parameters:
    """The parameters in what ``query-migrate-parameters`` returns. A value that is of another kind is not used."""
    return {name: value for name, kind in _KINDS.items() if (value := _told(kind, reply.get(name))) is not None}


def _told(kind: _Kind, value: object) -> int | str | None:
    if kind is _Kind.TEXT:
        return value if isinstance(value, str) else None
    if kind is _Kind.BOOL:
        return value if isinstance(value, bool) else None
    return value if isinstance(value, int) and not isinstance(value, bool) and value in kind.value else None


def set_arguments(parameters: Parameters, *, resume: bool = False) -> Parameters:
    """The arguments of ``migrate-set-parameters``.

    :param resume: a migration that has stopped behind the guest is to go on: only what can be changed then.
    """
    return {name: value for name, value in parameters.items() if not resume or name in _RESUMABLE}


def read_parameters(elements: Iterable[MigrationParameter]) -> Parameters:
    """The parameters of a status file.

    :raises InternalError: one is unknown, or has no such value.
    """
    found = {each.name: _value(each) for each in elements}
    return {name: found[name] for name in _KINDS if name in found}


def kept_parameters(parameters: Parameters) -> list[MigrationParameter]:
    """What a status file has of parameters."""
    return [
        MigrationParameter(name=name, value=_Kind.BOOL.value[value] if isinstance(value, bool) else str(value))
        for name, value in parameters.items()
    ]


def _value(parameter: MigrationParameter) -> int | str:
    """A value as the monitor has it."""
    kind, text = _KINDS.get(parameter.name), parameter.value
    if kind is None:
        raise InternalError(f"unknown migration parameter '{parameter.name}'", value=parameter.name)
    if kind is _Kind.TEXT:
        return text
    if kind is _Kind.BOOL and text in kind.value:
        return text == "yes"
    if kind is not _Kind.BOOL and _NUMBER.fullmatch(text) and int(text) in kind.value:
        return int(text)
    raise InternalError(f"invalid value '{text}' for migration parameter '{parameter.name}'", value=text)
