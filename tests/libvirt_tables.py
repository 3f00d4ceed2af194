"""libvirt's tables of what its drivers implement, against what a connection of ours claims."""

from __future__ import annotations

import json
from pathlib import Path

from virtcore.api.sync import Connection
from virtcore.operations.spellings import of_function


def unclaimed(shared: Path, driver: str, table: str, connection: Connection) -> list[str]:
    """The methods of one of libvirt's tables that a connection does not have, but for those about events."""
    facts = json.loads((shared / "facts/driver-support.json").read_text())
    methods = facts["drivers"][driver]["tables"][table]["methods"]
    missing = []
    for method in methods:
        function = f"vir{method[0].upper()}{method[1:]}"
        if "EventRegister" in function or "EventDeregister" in function:
            continue
        spelling = of_function(function)
        if spelling is None or not connection.supports(spelling.operation):
            missing.append(method)
    return missing
