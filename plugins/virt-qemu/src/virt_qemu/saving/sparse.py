"""Files of saved guests in which every page of memory has its place (QEMU's ``mapped-ram``): no larger than the guest's
memory, with holes where it has nothing. QEMU writes and reads them itself, over several channels at once.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple

from virt_qemu.migration.control import MigrationControl
from virt_qemu.migration_cookie import MigrationCapability
from virt_qemu.monitor import JSON
from virtcore.errors import ArgumentUnsupported, VirtError

if TYPE_CHECKING:
    from virt_qemu.guest import Guest

__all__ = ["StateFile", "mapped", "require_mapped_memory"]

log = logging.getLogger(__name__)

_CAPABILITIES = (MigrationCapability.MAPPED_RAM, MigrationCapability.MULTIFD)


class StateFile(NamedTuple):
    """A file that QEMU opens itself.

    :ivar descriptors: of the file; a second one where memory is not to go through the host's cache, opened so.
    :ivar offset: where in it the guest's state is, in bytes.
    :ivar channels: how many write or read it at once.
    """

    descriptors: tuple[int, ...]
    offset: int
    channels: int = 1


async def require_mapped_memory(guest: Guest) -> frozenset[str]:
    """Check that a guest's QEMU knows such files; what its migration is capable of.

    :raises ArgumentUnsupported: it does not.
    """
    supported = await MigrationControl(guest).supported()
    if MigrationCapability.MAPPED_RAM not in supported:
        raise ArgumentUnsupported("save image format 'sparse' is not supported by this QEMU binary")
    return supported


@asynccontextmanager
async def mapped(guest: Guest, file: StateFile) -> AsyncIterator[str]:
    """Have QEMU treat its next migration as one into, or out of, such a file; what that is called for it. Left, it is
    as it was before.

    :raises ArgumentUnsupported: it does not know such files.
    """
    supported = await require_mapped_memory(guest)
    monitor, control = guest.channel(), MigrationControl(guest)
    told = await monitor.execute("query-migrate-parameters")
    before = told if isinstance(told, dict) else {}
    wanted: dict[str, JSON] = {"multifd-channels": file.channels}
    if len(file.descriptors) > 1:
        wanted["direct-io"] = True
    rows = await monitor.execute("query-fdsets")
    taken = [row["fdset-id"] for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    number = max((each for each in taken if isinstance(each, int)), default=-1) + 1
    try:
        await control.set_capabilities(supported, _CAPABILITIES)
        await monitor.execute("migrate-set-parameters", wanted)
        for descriptor in file.descriptors:
            await monitor.execute("add-fd", {"fdset-id": number, "opaque": "state"}, descriptor=descriptor)
        yield f"file:/dev/fdset/{number},offset={file.offset:#x}"
    finally:
        if monitor.connected:
            try:
                await control.set_capabilities(supported, ())
                await monitor.execute("migrate-set-parameters", {name: before.get(name) for name in wanted})
                await monitor.execute("remove-fd", {"fdset-id": number})
            except VirtError as error:
                log.warning("%s: settings of migration cannot be restored: %s", monitor.name, error)
