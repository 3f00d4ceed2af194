"""Questions about, and changes of, the block layer of a running QEMU that several operations share."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, TypedDict

from virt_qemu.block.bitmaps import Bitmaps, read_bitmaps
from virt_qemu.block.create import create_format_options, create_storage_options
from virt_qemu.block.image import Image, disk_image
from virt_qemu.block.layers import format_layer
from virt_qemu.monitor import JSON, CommandError, MonitorClosed
from virtcore.errors import InternalError, OperationFailed, VirtError
from virtcore.model.storage.source import StorageFormat

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from virt_qemu.block.nodes import Attaching
    from virt_qemu.guest import Guest
    from virt_qemu.monitor import Monitor
    from virtcore.model.domain.disk import Disk

__all__ = [
    "NamedNodes",
    "alias_of",
    "as_json",
    "create_image",
    "disk_images",
    "reopen",
    "rows_of",
    "run_job",
    "transaction",
]

log = logging.getLogger(__name__)

#: Seconds after which a job is looked at though no event has come.
_PATIENCE = 5.0
#: Seconds between two looks at a job that is to end.
_PAUSE = 0.05


def as_json(value: object) -> dict[str, JSON]:
    """An object made of what JSON has, as commands take it."""
    assert isinstance(value, dict)
    return value


class NamedNodes:
    """What ``query-named-block-nodes`` says.

    :ivar rows: by name of the node.
    """

    def __init__(self, reply: object) -> None:
        self.rows: dict[str, dict[str, JSON]] = {str(row.get("node-name")): row for row in rows_of(reply)}
        self._reply = reply

    @classmethod
    async def ask(cls, monitor: Monitor) -> NamedNodes:
        """Ask QEMU."""
        return cls(await monitor.execute("query-named-block-nodes", {"flat": True}))

    @property
    def bitmaps(self) -> Bitmaps:
        """The dirty bitmaps of all nodes."""
        return read_bitmaps(self._reply)

    def image(self, node: str) -> Mapping[str, JSON]:
        """``image`` of a node: what QEMU knows of the image that is opened there.

        :raises InternalError: there is no such node.
        """
        found = self.rows.get(node, {}).get("image")
        if not isinstance(found, dict):
            raise InternalError(f"QEMU does not know the node '{node}'")
        return found

    def capacity(self, node: str) -> int:
        """Bytes the guest sees of an image."""
        size = self.image(node).get("virtual-size")
        assert isinstance(size, int)
        return size


def rows_of(reply: object) -> list[dict[str, JSON]]:
    """A list of objects in a reply."""
    return [row for row in reply if isinstance(row, dict)] if isinstance(reply, list) else []


def alias_of(row: Mapping[str, JSON]) -> str:
    """Alias of the device that a row of ``query-block`` or ``query-blockstats`` is about."""
    # The device's path in QEMU's tree ends in its id, or in a part of it.
    return str(row.get("qdev") or "").removeprefix("/machine/peripheral/").split("/")[0]


def disk_images(guest: Guest, disk: Disk) -> list[Image]:
    """The images in a drive of a running guest, the top one first."""
    assert guest.capabilities is not None
    raw_layers = not guest.capabilities.has("blockjob.backing-mask-protocol")
    return list(disk_image(disk, raw_layers=raw_layers).chain())


async def transaction(monitor: Monitor, actions: Sequence[Mapping[str, object]]) -> None:
    """Do several things at one instant, or none of them.

    :raises CommandError: QEMU refused one.
    """
    if actions:
        await monitor.execute("transaction", {"actions": [as_json(dict(each)) for each in actions]})


async def reopen(monitor: Monitor, image: Image, *, readonly: bool) -> None:
    """Let an image below the top one be written to, or no longer (``blockdev-reopen``)."""
    from dataclasses import replace

    layer = format_layer(replace(image, readonly=readonly)) | {"read-only": readonly}
    await monitor.execute("blockdev-reopen", {"options": [as_json(layer)]})


async def run_job(monitor: Monitor, name: str, command: str, arguments: Mapping[str, object]) -> None:
    """Run a job of QEMU's to its end.

    :param name: its id.
    :raises OperationFailed: it failed; what QEMU says.
    """
    with monitor.events("JOB_STATUS_CHANGE") as events:
        await monitor.execute(command, as_json({"job-id": name, **arguments}))
        try:
            while True:
                event = await events.next(_PATIENCE)
                if event is not None and event.data.get("id") != name:
                    continue
                ended, error = await _outcome(monitor, name)
                if ended:
                    break
            await monitor.execute("job-dismiss", {"id": name})
        except MonitorClosed:
            raise
        except BaseException:
            await _give_up(monitor, name)
            raise
    if error is not None:
        raise OperationFailed(error)


async def _outcome(monitor: Monitor, name: str) -> tuple[bool, str | None]:
    """Whether a job has ended, and why it failed if it did."""
    rows = await monitor.execute("query-jobs")
    for row in rows if isinstance(rows, list) else []:
        if isinstance(row, dict) and row.get("id") == name:
            error = row.get("error")
            return row.get("status") == "concluded", None if error is None else str(error)
    raise InternalError(f"QEMU has lost job '{name}'")


async def _give_up(monitor: Monitor, name: str) -> None:
    """Get rid of a job, which may have to come to its end for that; what cannot be done is logged."""
    with suppress(CommandError):
        await monitor.execute("job-cancel", {"id": name})
    try:
        async with asyncio.timeout(_PATIENCE):
            while not (await _outcome(monitor, name))[0]:
                await asyncio.sleep(_PAUSE)
        await monitor.execute("job-dismiss", {"id": name})
    except (VirtError, TimeoutError) as error:
        log.warning("%s: job '%s' cannot be ended: %s", monitor.name, name, error)


async def create_image(
    attaching: Attaching,
    monitor: Monitor,
    image: Image,
    capacity: int,
    below: Image | None,
    like: Mapping[str, JSON] | None = None,
) -> None:
    """Make an image, and have QEMU open it.

    :param attaching: what it opens is removed again with.
    :param capacity: bytes the guest sees.
    :param below: the image it names as the one below.
    :param like: what QEMU knows of an image whose parameters it gets where it is of the same format.
    :raises OperationFailed: it cannot be made.
    """
    raw = image.format is StorageFormat.RAW and not image.luks
    storage = create_storage_options(image, capacity if raw else 0)
    name = f"create-{image.nodes.storage}"
    try:
        if storage is not None:
            await attaching.make_way(image)
            await run_job(monitor, name, "blockdev-create", {"options": storage})
        await attaching.add_storage(image)
        made = create_format_options(image, capacity, below, **_parameters(image, like or {}))
        if made is not None:
            await run_job(monitor, f"create-{image.nodes.format}", "blockdev-create", {"options": made})
    except OperationFailed as error:
        raise OperationFailed(f"failed to format image: '{error.detail}'") from error
    await attaching.add_format(image)


class _Parameters(TypedDict, total=False):
    compat: str | None
    cluster_size: int | None
    extended_l2: bool


def _parameters(image: Image, like: Mapping[str, JSON]) -> _Parameters:
    """Version and cluster size of a qcow2 image that is to be like another one."""
    if image.format is not StorageFormat.QCOW2 or like.get("format") != "qcow2":
        return {}
    specific = like.get("format-specific")
    data = specific.get("data") if isinstance(specific, dict) else None
    details = data if isinstance(data, dict) else {}
    compat, size = details.get("compat"), like.get("cluster-size")
    return {
        "compat": compat if isinstance(compat, str) else None,
        "cluster_size": size if isinstance(size, int) else None,
        "extended_l2": details.get("extended-l2") is True,
    }
