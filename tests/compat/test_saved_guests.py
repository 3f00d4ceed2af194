"""Files that real libvirtd saves guests into are restored by us, and ours by libvirtd: the guests count on."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

import virtcore
from compat.conftest import Virsh, uri

# libvirt 9.0 knows nothing of the watchdog that every q35 has, and that later versions write down.
GUEST = """<domain type='qemu'>
  <name>crossing</name>
  <memory unit='MiB'>128</memory>
  <vcpu>1</vcpu>
  <os>
    <type arch='x86_64' machine='pc'>hvm</type>
    <kernel>{kernel}</kernel>
    <initrd>{initrd}</initrd>
    <cmdline>console=ttyS0 quiet panic=-1 no_timer_check 8250.nr_uarts=1 count</cmdline>
  </os>
  <devices>
    <controller type='usb' model='none'/>
    <serial type='file'><source path='{output}' append='on'/></serial>
  </devices>
</domain>
"""

BOOT = 150.0
"""Seconds a guest may take to boot on a busy machine without KVM."""


def counts(output: Path) -> list[int]:
    text = output.read_text(errors="replace") if output.exists() else ""
    return [int(found) for found in re.findall(r"^count (\d+)\n", text, re.M)]


def wait(output: Path, further: int) -> None:
    end = time.monotonic() + BOOT
    while len(counts(output)) <= further:
        assert time.monotonic() < end, "the guest does not count"
        time.sleep(0.05)


def goes_on(output: Path) -> None:
    """The guest has gone on counting, and never begun again."""
    wait(output, len(counts(output)) + 2)
    found = counts(output)
    assert found == sorted(found)
    assert found[0] == 1


@pytest.mark.parametrize("format", ["raw", "gzip"])
def test_there_and_back(libvirtd: Path, virsh: Virsh, boot: tuple[Path, Path], tmp_path: Path, format: str) -> None:
    output = tmp_path / "output"
    xml = GUEST.format(kernel=boot[0], initrd=boot[1], output=output)
    theirs = uri("qemu+unix:///system", libvirtd)
    (tmp_path / "guest.xml").write_text(xml)
    virsh(theirs, "create", str(tmp_path / "guest.xml"))
    try:
        wait(output, 2)
        virsh(theirs, "save", "crossing", str(tmp_path / "theirs"))
        with virtcore.connect(f"qemu:///embed?root={tmp_path / 'root'}") as ours:
            assert "<name>crossing</name>" in ours.save_image_xml(str(tmp_path / "theirs"))
            ours.restore(str(tmp_path / "theirs"))
            goes_on(output)
            ours.lookup_domain("crossing").save(str(tmp_path / "ours"), image_format=format)
        shown = virsh(theirs, "save-image-dumpxml", str(tmp_path / "ours")).stdout
        assert "<name>crossing</name>" in shown
        virsh(theirs, "restore", str(tmp_path / "ours"))
        goes_on(output)
    finally:
        virsh(theirs, "destroy", "crossing", check=False)
