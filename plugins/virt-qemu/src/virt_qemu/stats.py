"""Information and statistics of running guests: few questions, asked together, never waiting for a stuck guest."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING

from virt_qemu.command.disks import disk_path
from virt_qemu.monitor import JSON
from virtcore.driver.toolkit import DomainObject
from virtcore.enums.common import TypedParameterType as Kind
from virtcore.enums.domain_more import DomainStatsTypes as Group
from virtcore.errors import VirtError
from virtcore.types import TypedParameters

if TYPE_CHECKING:
    from virt_qemu.guest import Guest

__all__ = ["ASK_LIMIT", "GROUPS", "add_live", "cpu_times"]

ASK_LIMIT = 0.5
"""Seconds a guest has to answer questions for statistics; then its last values count."""

GROUPS = Group.STATE | Group.CPU_TOTAL | Group.BALLOON | Group.VCPU | Group.INTERFACE | Group.BLOCK

_TICK = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE") // 1024

#: Our names of a disk's counters, QEMU's.
_COUNTERS = (
    ("rd.reqs", "rd_operations"),
    ("rd.bytes", "rd_bytes"),
    ("rd.times", "rd_total_time_ns"),
    ("wr.reqs", "wr_operations"),
    ("wr.bytes", "wr_bytes"),
    ("wr.times", "wr_total_time_ns"),
    ("fl.reqs", "flush_operations"),
    ("fl.times", "flush_total_time_ns"),
)


def cpu_times(pid: int, thread: int | None = None) -> tuple[int, int]:
    """User and system time of a process, or of one of its threads, in ns; zeros when it has ended."""
    path = f"/proc/{pid}/stat" if thread is None else f"/proc/{pid}/task/{thread}/stat"
    try:
        with open(path, "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return 0, 0
    return int(fields[11]) * _TICK, int(fields[12]) * _TICK


def _resident(pid: int) -> int:
    """Memory of a process that is in RAM, in KiB."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            return int(file.read().split()[1]) * _PAGE
    except OSError:
        return 0


async def _ask(guest: Guest, command: str, arguments: dict[str, JSON] | None = None) -> object:
    """The answer to a question, or the last one there was."""
    monitor = guest.monitor
    if monitor is not None and monitor.connected:
        waiting = monitor.waiting_since
        # A guest that has not answered for a while is not asked again until it does.
        if waiting is None or time.monotonic() - waiting < ASK_LIMIT:
            try:
                guest.last[command] = await monitor.execute(command, arguments, limit=ASK_LIMIT)
            except VirtError:
                pass  # the last value counts
    return guest.last.get(command)


async def add_live(obj: DomainObject, guest: Guest, groups: int, rows: TypedParameters) -> None:
    """Add what only a running guest has."""
    domain, process = obj.live, guest.process
    if domain is None or domain.devices is None or process is None:
        return
    questions = []
    if groups & Group.BLOCK:
        questions = [_ask(guest, "query-blockstats"), _ask(guest, "query-named-block-nodes", {"flat": True})]
    answers = await asyncio.gather(*questions)
    if groups & Group.CPU_TOTAL:
        user, system = cpu_times(process.pid)
        rows.add("cpu.time", Kind.ULLONG, user + system)
        rows.add("cpu.user", Kind.ULLONG, user)
        rows.add("cpu.system", Kind.ULLONG, system)
    if groups & Group.BALLOON:
        rows.add("balloon.rss", Kind.ULLONG, _resident(process.pid))
    if groups & Group.VCPU:
        for number, thread in sorted(guest.threads.items()):
            user, system = cpu_times(process.pid, thread)
            rows.add(f"vcpu.{number}.state", Kind.INT, 1)
            rows.add(f"vcpu.{number}.time", Kind.ULLONG, user + system)
    if groups & Group.INTERFACE:
        rows.add("net.count", Kind.UINT, len(domain.devices.interfaces))
    if groups & Group.BLOCK:
        _add_blocks(obj, rows, answers[0], answers[1])


def _add_blocks(obj: DomainObject, rows: TypedParameters, counters: object, nodes: object) -> None:
    domain = obj.live
    assert domain is not None
    assert domain.devices is not None
    by_device = {}
    for row in counters if isinstance(counters, list) else ():
        # The device's path in QEMU's tree ends in its id, or in a part of it.
        by_device[str(row.get("qdev", "")).removeprefix("/machine/peripheral/").split("/")[0]] = row.get("stats", {})
    by_node = {row.get("node-name"): row for row in nodes} if isinstance(nodes, list) else {}
    rows.add("block.count", Kind.UINT, len(domain.devices.disks))
    for number, disk in enumerate(domain.devices.disks):
        prefix = f"block.{number}."
        rows.add(prefix + "name", Kind.STRING, disk.target.dev or "" if disk.target is not None else "")
        path = disk_path(disk.source)
        if path is not None:
            rows.add(prefix + "path", Kind.STRING, path)
        if disk.source is not None and disk.source.index:
            rows.add(prefix + "backingIndex", Kind.UINT, disk.source.index)
        stats = by_device.get(disk.alias or "")
        if isinstance(stats, dict):
            for name, counter in _COUNTERS:
                if isinstance(stats.get(counter), int):
                    rows.add(prefix + name, Kind.ULLONG, stats[counter])
        index = disk.source.index if disk.source is not None else None
        node = by_node.get(f"libvirt-{index}-format") or by_node.get(f"libvirt-{index}-storage")
        if isinstance(node, dict):
            if isinstance(stats, dict) and isinstance(stats.get("wr_highest_offset"), int):
                rows.add(prefix + "allocation", Kind.ULLONG, stats["wr_highest_offset"])
            image = node.get("image")
            if isinstance(image, dict):
                rows.add(prefix + "capacity", Kind.ULLONG, int(image.get("virtual-size", 0)))
                if "actual-size" in image:
                    rows.add(prefix + "physical", Kind.ULLONG, int(image["actual-size"]))
