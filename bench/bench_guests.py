"""Real guests: start, destroy, ten at once, bulk statistics, cold capabilities, beside libvirtd in the same run.

    python bench/bench_guests.py [--rounds 5] [--json FILE]

Our side is the API in this process (``qemu:///embed``); libvirt's is a private libvirtd of the shared kit, driven
through the distribution's own binding by a helper process under the system's Python. The two take turns. Where
libvirtd, its binding or the kit is missing, our figures come alone. Guests are TCG, q35, 128 MiB, one qcow2 disk, ten
root ports, a serial port into a file: the kit's guest.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import virtcore
from virtcore.enums import DomainCreateFlags

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("VIRTCORE_SHARED") or ROOT.parent / "shared")
sys.path.insert(0, str(ROOT / "tests" / "qemu"))

import guest_image  # noqa: E402  # the tests' guest is measured too

GUESTS = 10
#: row -> the ratio to libvirt that is to be reached.
TARGETS = {
    "create": 0.25,
    "destroy": 0.10,
    "10 guests, sequential": 0.25,
    "10 guests, parallel": 0.35,
    "bulk stats of 10": 0.35,
    "capabilities, cold": 0.20,
}

#: The same operations through libvirt's binding; one command a line, seconds back.
HELPER = """
import sys, time, concurrent.futures, libvirt
libvirt.registerErrorHandler(lambda *a: None, None)
connection = libvirt.open(sys.argv[1])
domains = [connection.defineXML(xml) for xml in open(sys.argv[2]).read().split("\\0")]
pool = concurrent.futures.ThreadPoolExecutor(10)
for line in sys.stdin:
    began = time.perf_counter()
    word = line.strip()
    if word == "create": domains[0].create()
    elif word == "destroy": domains[0].destroy()
    elif word == "start-each": [d.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED) for d in domains]
    elif word == "start-all": list(pool.map(lambda d: d.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED), domains))
    elif word == "stats": connection.domainListGetStats(domains, 0, 0)
    elif word == "destroy-all": [d.destroy() for d in domains]
    elif word == "undefine": [d.undefine() for d in domains]
    print(time.perf_counter() - began, flush=True)
"""


def guest_documents(folder: Path, kernel: Path, initrd: Path, mark: str) -> list[str]:
    """The guests' XML, with images of their own."""
    documents = []
    for number in range(GUESTS):
        name = f"{mark}{number}"
        disk, serial = folder / f"{name}.qcow2", folder / f"{name}.serial"
        guest_image.write_qcow2(disk, 64)
        serial.touch()
        for path in (disk, serial):
            path.chmod(0o666)
        ports = "    <controller type='pci' model='pcie-root-port'/>\n" * 10
        devices = f"""    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/><source file='{disk}'/><target dev='vda' bus='virtio'/>
    </disk>
    <controller type='pci' model='pcie-root'/>
{ports}    <serial type='file'><source path='{serial}'/></serial>"""
        documents.append(guest_image.guest_xml(name, kernel, initrd, devices=devices))
    return documents


class Ours:
    """Our side: the API in this process."""

    def __init__(self, root: Path, documents: list[str]) -> None:
        self.connection = virtcore.connect(f"qemu:///embed?root={root}", deadline=None)
        self.domains = [self.connection.define_domain(document) for document in documents]
        self.pool = concurrent.futures.ThreadPoolExecutor(GUESTS)

    def run(self, word: str) -> float:
        """Do one thing; returns the seconds it took."""
        actions: dict[str, Callable[[], object]] = {
            "create": self.domains[0].create,
            "destroy": self.domains[0].destroy,
            "start-each": lambda: [self._start(domain) for domain in self.domains],
            "start-all": lambda: list(self.pool.map(self._start, self.domains)),
            "stats": lambda: self.connection.domain_stats(self.domains),
            "destroy-all": lambda: list(map(virtcore.Domain.destroy, self.domains)),
        }
        began = time.perf_counter()
        actions[word]()
        return time.perf_counter() - began

    @staticmethod
    def _start(domain: virtcore.Domain) -> None:
        domain.create(DomainCreateFlags.START_PAUSED)

    def leave(self) -> None:
        """Undefine the guests."""
        for domain in self.domains:
            domain.undefine()

    def close(self) -> None:
        """Close, ending guests that are left."""
        for domain in self.connection.list_domains():
            if domain.is_active():
                domain.destroy()
        self.connection.close()


class Theirs:
    """libvirt's side: a private libvirtd and a process with its binding."""

    def __init__(self, folder: Path, documents: list[str]) -> None:
        self.kit = [sys.executable, str(SHARED / "bench" / "libvirtd_private.py")]
        self.folder = folder / "libvirtd"
        self.uri = self._start()
        listing = folder / "documents"
        listing.write_text("\0".join(documents))
        self.helper = subprocess.Popen(
            ["/usr/bin/python3", "-c", HELPER, self.uri, str(listing)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def _start(self, *options: str) -> str:
        command = [*self.kit, "start", "--dir", str(self.folder), *options]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    def run(self, word: str) -> float:
        """Do one thing; returns the seconds it took."""
        assert self.helper.stdin is not None
        assert self.helper.stdout is not None
        self.helper.stdin.write(word + "\n")
        self.helper.stdin.flush()
        return float(self.helper.stdout.readline())

    def cold_capabilities(self) -> float:
        """Seconds to the capabilities of a daemon that knows nothing yet."""
        subprocess.run([*self.kit, "stop", "--dir", str(self.folder)], capture_output=True, check=False)
        uri = self._start("--no-cache")
        code = (
            "import sys,time,libvirt; c=libvirt.open(sys.argv[1]); t=time.perf_counter(); c.getCapabilities();"
            "print(time.perf_counter()-t)"
        )
        command = ["/usr/bin/python3", "-c", code, uri]
        return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    def leave(self) -> None:
        """Undefine the guests and end the helper."""
        self.run("undefine")
        assert self.helper.stdin is not None
        self.helper.stdin.close()
        self.helper.wait(10)

    def close(self) -> None:
        """End the daemon and its guests."""
        self.helper.kill()
        self.helper.wait(10)
        subprocess.run([*self.kit, "stop", "--dir", str(self.folder)], capture_output=True, check=False)


def cold_capabilities(folder: Path) -> float:
    """Seconds to our capabilities with an empty cache."""
    root = Path(tempfile.mkdtemp(dir=folder))
    with virtcore.connect(f"qemu:///embed?root={root}") as connection:
        began = time.perf_counter()
        connection.capabilities()
        return time.perf_counter() - began


def libvirt_missing() -> str | None:
    """Why there is nothing to compare with; None when there is."""
    if os.geteuid() != 0:
        return "a private libvirtd needs the administrator"
    if shutil.which("libvirtd", path=os.environ.get("PATH", "") + ":/usr/sbin") is None:
        return "libvirtd is not installed"
    if not (SHARED / "bench" / "libvirtd_private.py").is_file():
        return f"the kit is not at {SHARED}"
    probe = subprocess.run(["/usr/bin/python3", "-c", "import libvirt"], capture_output=True, check=False)
    return None if probe.returncode == 0 else "python3-libvirt is not installed"


def measure(rounds: int, folder: Path) -> dict[str, dict[str, list[float]]]:
    """Every row's samples, by side."""
    kernel = guest_image.find_kernel()
    assert kernel is not None
    initrd = folder / "initrd"
    guest_image.write_initramfs(initrd, kernel)
    initrd.chmod(0o644)
    sides: dict[str, Any] = {"virtcore": Ours(folder / "root", guest_documents(folder, kernel, initrd, "vc"))}
    reason = libvirt_missing()
    if reason is None:
        sides["libvirt"] = Theirs(folder, guest_documents(folder, kernel, initrd, "lv"))
    else:
        print(f"without libvirt: {reason}")
    samples: dict[str, dict[str, list[float]]] = {row: {side: [] for side in sides} for row in TARGETS}
    try:
        for number in range(rounds + 1):
            for side, target in sides.items():
                taken = {"create": target.run("create"), "destroy": target.run("destroy")}
                taken["10 guests, sequential"] = target.run("start-each")
                taken["bulk stats of 10"] = statistics.median(target.run("stats") for _ in range(20))
                target.run("destroy-all")
                taken["10 guests, parallel"] = target.run("start-all")
                target.run("destroy-all")
                for row, seconds in taken.items() if number else ():  # the first round warms up
                    samples[row][side].append(seconds)
        for target in sides.values():
            target.leave()
        for _ in range(rounds):
            samples["capabilities, cold"]["virtcore"].append(cold_capabilities(folder))
            if "libvirt" in sides:
                samples["capabilities, cold"]["libvirt"].append(sides["libvirt"].cold_capabilities())
    finally:
        for target in sides.values():
            target.close()
    return samples


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write every sample there")
    arguments = parser.parse_args()
    reason = guest_image.missing()
    if reason is not None:
        print(f"skipped: {reason}")
        return 0
    with tempfile.TemporaryDirectory(prefix="vcb-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        samples = measure(arguments.rounds, folder)
    print(f"{'row':26} {'virtcore ms':>12} {'libvirt ms':>12} {'ratio':>7} {'wanted':>7}")
    for row, sides in samples.items():
        medians = {side: statistics.median(values) * 1e3 for side, values in sides.items() if values}
        theirs = medians.get("libvirt")
        ratio = f"{medians['virtcore'] / theirs:7.3f}" if theirs else "      -"
        shown = f"{theirs:12.1f}" if theirs else " " * 11 + "-"
        print(f"{row:26} {medians['virtcore']:12.1f} {shown} {ratio} {TARGETS[row]:7.2f}")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(samples, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
