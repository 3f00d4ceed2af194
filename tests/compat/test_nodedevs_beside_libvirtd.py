"""The devices of this host, as libvirtd shows them."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

Virsh = Callable[..., "subprocess.CompletedProcess[str]"]

#: What changes by itself: a cable is plugged in, another test makes a card.
_PASSING = re.compile(r"net_(?!lo_)")


def test_devices_and_their_xml(virsh: Virsh, libvirtd: Path, virtcored: Path) -> None:
    theirs = f"qemu:///system?socket={libvirtd}"
    ours = f"qemu:///system?socket={virtcored}/run/libvirt-sock"

    def shown(uri: str) -> dict[str, str]:
        names = virsh(uri, "nodedev-list").stdout.split()
        return {name: virsh(uri, "nodedev-dumpxml", name).stdout for name in names if not _PASSING.match(name)}

    expected, found = shown(theirs), shown(ours)
    # A libvirtd without udevd hears of nothing that came or went since it started.
    there = {name: xml for name, xml in expected.items() if _is_there(xml)}
    assert {"computer", "net_lo_00_00_00_00_00_00"} <= there.keys()
    assert {name: found.get(name) for name in there} == there


def _is_there(xml: str) -> bool:
    path = re.search("<path>(.*)</path>", xml)
    return path is None or Path(path[1]).exists()


def test_tree_and_filters(virsh: Virsh, libvirtd: Path, virtcored: Path) -> None:
    theirs = f"qemu:///system?socket={libvirtd}"
    ours = f"qemu:///system?socket={virtcored}/run/libvirt-sock"
    for command in (
        ["nodedev-list", "--cap", "pci"],
        ["nodedev-list", "--cap", "system,storage"],
        ["nodedev-list", "--inactive"],
        ["nodedev-info", "computer"],
        ["nodedev-info", "net_lo_00_00_00_00_00_00"],
    ):
        assert virsh(ours, *command).stdout == virsh(theirs, *command).stdout, command
