"""What nobody should ask of the test driver: it refuses, and nothing has changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import virtcore
from virtcore import errors
from virtcore.enums import TypedParameterType as Type
from virtcore.types import CpuMap, TypedParameters

CALLS: dict[str, Callable[[virtcore.Domain, virtcore.Connection], object]] = {
    "less than no CPUs": lambda d, c: d.set_vcpus(-1),
    "CPUs beyond any number": lambda d, c: d.set_vcpus(1 << 40),
    "less than no memory": lambda d, c: d.set_memory(-1),
    "memory beyond any number": lambda d, c: d.set_memory(1 << 70, 6),
    "a CPU before the first": lambda d, c: d.pin_vcpu(-1, CpuMap([1])),
    "a host CPU before the first": lambda d, c: d.pin_vcpu(0, CpuMap([-1])),
    "a host CPU behind the last": lambda d, c: d.pin_emulator(CpuMap([1 << 40])),
    "a host CPU by name": lambda d, c: d.pin_vcpu(0, CpuMap(["a"])),  # type: ignore[list-item]
    "a thread before the first": lambda d, c: d.add_iothread(-1),
    "a thread behind the last": lambda d, c: d.add_iothread(1 << 40),
    "an address before the first": lambda d, c: d.memory_peek(-1, 5, 1),
    "more memory than one message holds": lambda d, c: d.memory_peek(0, 5 << 20, 1),
    "a time behind all others": lambda d, c: d.set_time(1 << 80),
    "a fraction below 0": lambda d, c: d.set_time(1, -1),
    "a key held for less than no time": lambda d, c: d.send_key(0, -1, [1]),
    "a period beyond any number": lambda d, c: d.set_memory_stats_period(1 << 40),
    "times of less than no CPUs": lambda d, c: d.cpu_stats(0, -1),
    "a NUL in a text": lambda d, c: d.set_metadata(0, "a\0b"),
    "a text that cannot be encoded": lambda d, c: d.set_metadata(0, "\ud800"),
    "a prefix that is none": lambda d, c: d.set_metadata(2, "<a/>", "1k", "u:"),
    "a prefix with a colon": lambda d, c: d.set_metadata(2, "<a/>", "k:x", "u:"),
    "an entity": lambda d, c: d.set_metadata(2, "<a>&x;</a>", "k", "u:"),
    "a device with entities": lambda d, c: d.attach_device("<!DOCTYPE x [<!ENTITY a 'b'>]><disk/>"),
    "a domain as device": lambda d, c: d.attach_device("<domain/>"),
    "an empty document": lambda d, c: d.attach_device(""),
    "a disk of nothing": lambda d, c: d.attach_device("<disk/>"),
    "no alias": lambda d, c: d.detach_device_alias(""),
    "a NUL in a group's name": lambda d, c: d.set_block_iotune(
        "vda", TypedParameters([("group_name", Type.STRING, "\0")])
    ),
    "a limit of another type": lambda d, c: d.set_block_iotune(
        "vda", TypedParameters([("total_bytes_sec", Type.UINT, 5)])
    ),
    "a limit twice": lambda d, c: d.set_block_iotune("vda", TypedParameters([("size_iops_sec", Type.ULLONG, 0)] * 2)),
    "a NUL in a path": lambda d, c: d.save("/tmp/a\0b"),
    "a folder as file": lambda d, c: d.save("/"),
    "to start from a folder": lambda d, c: c.restore("/"),
    "to start from a NUL": lambda d, c: c.restore("a\0b"),
    "no name": lambda d, c: d.rename(None),
    "pages of all cells there could be": lambda d, c: c.node_free_pages([4], 0, 1 << 30),
    "pages of less than no size": lambda d, c: c.node_free_pages([-4], 0, 1),
    "the memory of cells beyond any number": lambda d, c: c.node_cells_free_memory(0, 1 << 40),
    "CPUs that are no numbers": lambda d, c: d.set_vcpu("x", True),
    "a sleep of no kind": lambda d, c: d.pm_suspend(-1),
}


@pytest.fixture
def connection() -> Iterator[virtcore.Connection]:
    with virtcore.connect("test:///default") as opened:
        yield opened


@pytest.mark.parametrize("name", list(CALLS))
def test_it_is_refused_and_nothing_has_changed(connection: virtcore.Connection, name: str) -> None:
    domain = connection.lookup_domain(name="test")

    def seen() -> list[Any]:
        return [domain.xml(), domain.xml(2), domain.state(), domain.time(), connection.list_domains()]

    before = seen()
    with pytest.raises(errors.VirtError):
        CALLS[name](domain, connection)
    assert seen() == before
