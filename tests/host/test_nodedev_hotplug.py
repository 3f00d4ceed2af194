"""Interfaces that come and go in a network of their own, heard of from the kernel."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from support import ROOT

#: Runs in new namespaces: a service on the kernel's own files and events.
SCRIPT = """
import asyncio, os, subprocess, sys
from virt_host.nodedev.service import HostNodeDevices
from virtcore.driver.base import Place

async def main():
    service = HostNodeDevices(Place(True, sys.argv[1]))
    await service.open()
    told = asyncio.Queue()
    service.subscribe(told.put_nowait)

    async def next_of(kind, name):
        while True:
            event = await asyncio.wait_for(told.get(), 120)
            found, type = event.device.name, getattr(event, "type", None)  # updates have none
            if found.startswith(f"net_{name}_") and type is not None and type.name == kind:
                return found

    before = {ref.name for ref in service.connection_list_node_devices("net")}
    subprocess.run(["ip", "link", "add", "one", "type", "veth", "peer", "name", "two"], check=True)
    made = await next_of("CREATED", "one")
    assert made in {ref.name for ref in service.connection_list_node_devices("net")}
    subprocess.run(["ip", "link", "set", "one", "name", "other"], check=True)
    assert await next_of("DELETED", "one") == made
    await next_of("CREATED", "other")
    subprocess.run(["ip", "link", "delete", "two"], check=True)
    await next_of("DELETED", "other")
    while {ref.name for ref in service.connection_list_node_devices("net")} != before:
        await asyncio.wait_for(told.get(), 120)
    await service.close()

asyncio.run(main())
"""


def test_interfaces_come_and_go(tmp_path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root to make a network of its own")
    for program in ("unshare", "ip", "mount"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed (Debian: iproute2, util-linux)")
    command = 'mount -t sysfs sysfs /sys && exec "$0" -c "$1" "$2"'
    done = subprocess.run(
        ["unshare", "--net", "--mount", "sh", "-c", command, sys.executable, SCRIPT, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        timeout=600,
    )
    if "unshare failed" in done.stderr or "mount: " in done.stderr:
        pytest.skip(f"no namespaces here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
