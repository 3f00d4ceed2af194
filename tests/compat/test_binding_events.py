"""Programs over libvirt's Python binding that wait for events, in its own loop and in asyncio's."""

from __future__ import annotations

import ast
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from compat.conftest import uri, wait_for_socket

SCRIPT = Path(__file__).with_name("events_session.py")

UNSUPPORTED = "3: this function is not supported by the connection driver"

#: What both drivers have and answer otherwise, and why.
EXPLAINED = {
    "test": {
        "pin": "virsh 9.0's test driver refuses the flag that says what it does",
        "iotune": "libvirt 9.0 ends this error with a space",
    },
    "qemu": {},
}

#: What QEMU's driver behind virtcored cannot do yet: there is no service for networks, pools and devices of the host,
#: and the driver's own.
PENDING = {
    "qemu": (
        "network",
        "pool",
        "volume",
        "upload",
        "download",
        "same data",
        "holes",
        "spars",
        "secret",
        "device",
    ),
}

#: When these come depends on how QEMU's own events race: that processors begin to run or a killed guest shuts down,
#: that a guest resets, that a device has left it.
RACING = (["LIFECYCLE", "4", "0"], ["LIFECYCLE", "6", "2"], ["REBOOT"], ["DEVICE_REMOVED"], ["CONTROL_ERROR"])


def ran(binding: Any, loop: str, driver: str, where: str, folder: Path) -> dict[str, Any]:
    folder.mkdir()
    seen = json.loads(binding(SCRIPT, loop, driver, where, str(folder)))
    return json.loads(json.dumps(seen).replace(str(folder), "FOLDER"))


@pytest.mark.parametrize("loop", ["default", "asyncio"])
def test_events_of_the_test_driver(binding: Any, virtcored: Path, libvirtd: Path, tmp_path: Path, loop: str) -> None:
    theirs, ours = (
        ran(binding, loop, "test", uri("test+unix:///default", socket), tmp_path / name)
        for name, socket in (("theirs", libvirtd), ("ours", virtcored / "run" / "libvirt-sock"))
    )
    compare(theirs, ours, EXPLAINED["test"])
    # What libvirt's test driver cannot do.
    assert ours["same data"]
    assert ours["holes"] == [True, 1 << 20]
    assert ours["sparsely sent"]
    assert ours["secret"] == "b'value'"
    more = [event for event in ours["events"] if event not in theirs["events"]]
    assert [event[:2] for event in more] == [
        ["domain", "DEVICE_ADDED"],
        ["domain", "DEVICE_REMOVED"],
        ["secret", "LIFECYCLE"],
        ["secret", "VALUE_CHANGED"],
        ["secret", "LIFECYCLE"],
    ]


def of_guests(events: list[list[str]]) -> tuple[list[list[str]], list[list[str]]]:
    """What guests' events say, in order, and those that come at any time; of jobs, what their statistics tell."""
    told = [[name, *details] for kind, name, _, *details in events if kind == "domain"]
    told = [
        # How fast it was is told when it took long enough to be measured.
        [name, *sorted(set(ast.literal_eval(details[0])) - {"memory_bps"})]
        if name == "JOB_COMPLETED"
        else [name, *details]
        for name, *details in told
        if name != "MIGRATION_ITERATION"
    ]
    racing = [any(each[: len(start)] == start for start in RACING) for each in told]
    ordered = [each for each, late in zip(told, racing, strict=True) if not late]
    return ordered, [each for each, late in zip(told, racing, strict=True) if late and each[0] == "DEVICE_REMOVED"]


@pytest.mark.parametrize("loop", ["default"])
def test_events_of_qemus_guests(binding: Any, virtcored: Path, libvirtd: Path, tmp_path: Path, loop: str) -> None:
    theirs, ours = (
        ran(binding, loop, "qemu", uri("qemu+unix:///system", socket), tmp_path / name)
        for name, socket in (("theirs", libvirtd), ("ours", virtcored / "run" / "libvirt-sock"))
    )
    differ = {
        name: (told, ours.get(name))
        for name, told in theirs.items()
        if name not in ("events", "refused")
        and ours.get(name) != told
        and not any(word in name for word in PENDING["qemu"])
    }
    assert not differ
    for expected, found in zip(of_guests(theirs["events"]), of_guests(ours["events"]), strict=True):
        assert "\n".join(map(str, found)) == "\n".join(map(str, expected))


def compare(theirs: dict[str, Any], ours: dict[str, Any], explained: dict[str, str]) -> None:
    """What libvirt's driver does, ours does, with the same answers and the same events in the same order."""
    differ = {
        name: (theirs[name], ours.get(name))
        for name in theirs
        if name not in ("events", "refused") and name not in explained
        if not str(theirs[name]).startswith(UNSUPPORTED) and theirs[name] != ours.get(name)
    }
    assert not differ
    assert set(ours["refused"]) <= set(theirs["refused"])
    shared = [event for event in ours["events"] if event in theirs["events"]]
    assert shared == theirs["events"]


@contextmanager
def daemon(root: Path) -> Iterator[subprocess.Popen[bytes]]:
    with (root / "stderr").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", "virt_remote", "--root", str(root)], stderr=log)
    try:
        wait_for_socket(root / "run" / "libvirt-sock", process)
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    ("how", "patience", "reason"), [("SIGSTOP", 2, "KEEPALIVE"), ("SIGKILL", 60, "EOF"), ("SIGTERM", 60, "EOF")]
)
def test_a_connection_that_is_gone_is_told(
    binding: Any, tmp_path_factory: pytest.TempPathFactory, how: str, patience: int, reason: str
) -> None:
    root = tmp_path_factory.mktemp("c")
    with daemon(root) as process:
        where = uri("test+unix:///default", root / "run" / "libvirt-sock")
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        command = ["/usr/bin/python3", str(SCRIPT), f"closing-{patience}", "test", where, str(root)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as client:
            assert client.stdout is not None
            assert client.stdout.readline() == "connected\n"
            process.send_signal(getattr(signal, how))
            told = client.stdout.read()
    assert re.fullmatch(rf"{reason} 0\n", told)
