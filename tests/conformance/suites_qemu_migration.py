"""Adapter of suite ``qemu-migparams``: parameters of a migration, from the monitor and from status files."""

from __future__ import annotations

import json
from typing import Any

from virt_qemu.migration_parameters import (
    MigrationParameter,
    kept_parameters,
    read_parameters,
    set_arguments,
    told_parameters,
)
from virtcore.xml import children, element, format, load


@element("test", root=True)
class _Wrapped:
    """The corpus' root around what is a part of a status file."""

    parameters: list[MigrationParameter] = children("param", within="migParams")


def qemu_migparams(case: Any) -> Any:
    """The parameters as the case wants them."""
    if case.has("xml"):
        parameters = read_parameters(load(case.text("xml"), _Wrapped).parameters)
    else:
        parameters = told_parameters(case.json("reply")["return"])
    if "migrate-set-parameters" in case.params["op"]:
        return json.dumps(set_arguments(parameters), indent=2)
    return format(_Wrapped(parameters=kept_parameters(parameters)))
