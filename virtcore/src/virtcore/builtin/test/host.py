"""The host that the test driver pretends to run on."""

from __future__ import annotations

from typing import NamedTuple

from virtcore.operations.values import NodeInfo

__all__ = ["DEFAULT_CELLS", "DEFAULT_NODE", "EMULATOR", "MAX_VCPUS", "PAGE_SIZES", "SYSINFO", "Cell"]

EMULATOR = "/usr/bin/test-hv"

DEFAULT_NODE = NodeInfo("i686", 3 * 1024 * 1024, 16, 1400, 2, 2, 2, 2)

#: Most virtual CPUs of a guest.
MAX_VCPUS = 32

PAGE_SIZES = (4, 8, 2048, 1024 * 1024)


class Cell(NamedTuple):
    """A NUMA cell: memory and free memory as libvirt's driver counts them (KiB and bytes), ids of its CPUs."""

    memory: int
    free: int
    cpus: range


DEFAULT_CELLS = tuple(
    Cell((cell + 1) * 2048 * 1024, (cell + 1) * 1024 * 1024, range(cell * 8, cell * 8 + 8)) for cell in range(2)
)

SYSINFO = """\
<sysinfo type='smbios'>
  <bios>
    <entry name='vendor'>LENOVO</entry>
    <entry name='version'>G4ETA1WW (2.61 )</entry>
    <entry name='date'>05/07/2014</entry>
    <entry name='release'>2.61</entry>
  </bios>
</sysinfo>
"""
