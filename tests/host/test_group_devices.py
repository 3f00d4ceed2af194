"""Devices of control groups of the second version, on this machine's kernel."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from virt_host.cgroup import ControlGroup, Mounts
from virt_host.cgroup.devices import are_guarded
from virtcore.errors import SystemError


@pytest.fixture
def group() -> Iterator[ControlGroup]:
    mounts = Mounts.detect()
    if os.geteuid() != 0 or mounts.second is None or not are_guarded(mounts.second):
        pytest.skip("needs root, control groups of the second version and a kernel that guards their devices")
    made = ControlGroup(Mounts(second=mounts.second, unified=frozenset({"cpuacct"})), f"/virtcore-dev-{os.getpid()}")
    try:
        made.create()
    except SystemError as error:
        pytest.skip(f"this machine lets us make no control groups: {error}")
    yield made
    made.remove()


def what_opens(group: ControlGroup, *wanted: tuple[str, int]) -> list[bool]:
    """What a process in a group can open."""
    [folder] = set(group._folders.values())
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        answers = b"?" * len(wanted)
        try:
            (folder / "cgroup.procs").write_text(str(os.getpid()))
            answers = b""
            for path, flags in wanted:
                try:
                    os.close(os.open(path, flags))
                    answers += b"y"
                except PermissionError:
                    answers += b"n"
        finally:
            os.write(writing, answers)
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as file:
        answers = file.read()
    os.waitpid(child, 0)
    return [answer == ord("y") for answer in answers]


def test_only_what_is_allowed_can_be_opened(group: ControlGroup) -> None:
    null, zero, full = ("/dev/null", os.O_RDWR), ("/dev/zero", os.O_RDONLY), ("/dev/full", os.O_RDONLY)
    assert group.guards_devices
    assert what_opens(group, null, zero) == [True, True]
    group.deny_all_devices()
    assert what_opens(group, null, zero) == [False, False]
    group.allow_device("/dev/null")
    group.allow_device("/no/such/device")
    assert what_opens(group, null, zero) == [True, False]
    group.allow_device("/dev/null", "r")
    assert what_opens(group, null, ("/dev/null", os.O_RDONLY)) == [False, True]
    group.allow_devices("c 1:*")
    assert what_opens(group, null, zero, full) == [True, True, True]
    # Whoever comes later finds what was said, and says it no second time.
    later = ControlGroup(group.mounts, group.path)
    later.deny_all_devices()
    assert what_opens(later, zero) == [True]
    later.allow_device("/dev/zero")
    later._allowed.deny("c", 1, 0xFFFFFFFF)  # type: ignore[union-attr]
    assert what_opens(group, null, zero, full) == [False, True, False]
    later.deny_device("/dev/zero")
    later.deny_device("/dev/zero")
    assert what_opens(group, zero) == [False]


def test_a_folder_that_is_no_group(tmp_path: Path) -> None:
    assert not are_guarded(tmp_path)
    group = ControlGroup(Mounts(second=tmp_path, unified=frozenset({"cpuacct"})), "/x")
    assert not group.guards_devices
    with pytest.raises(SystemError, match=f"Unable to guard the devices of '{tmp_path}/x'"):
        group.deny_all_devices()
