"""The host that the test driver pretends to run on."""

from __future__ import annotations

from typing import NamedTuple

from virtcore.operations.values import NodeInfo

__all__ = ["DEFAULT_CELLS", "DEFAULT_NODE", "DOMAIN_CAPABILITIES", "SYSINFO", "Cell", "capabilities"]

EMULATOR = "/usr/bin/test-hv"

DEFAULT_NODE = NodeInfo("i686", 3 * 1024 * 1024, 16, 1400, 2, 2, 2, 2)

_PAGE_SIZES = (4, 8, 2048, 1024 * 1024)


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

#: What follows path, domain type, machine and architecture.
DOMAIN_CAPABILITIES = """\
  <cpu>
    <mode name='host-passthrough' supported='no'/>
    <mode name='maximum' supported='no'/>
    <mode name='host-model' supported='no'/>
    <mode name='custom' supported='no'/>
  </cpu>
  <devices>
  </devices>
  <features>
    <sev supported='no'/>
    <sgx supported='no'/>
  </features>
</domainCapabilities>
"""


def capabilities(cells: tuple[Cell, ...]) -> str:
    """Capabilities XML of a host with these NUMA cells."""
    lines = ["<capabilities>", "", "  <host>", "    <cpu>", "      <arch>i686</arch>"]
    lines += ["      <features>", "        <pae/>", "        <nonpae/>", "      </features>"]
    lines += [f"      <pages unit='KiB' size='{size}'/>" for size in _PAGE_SIZES]
    lines += ["    </cpu>", "    <power_management/>", "    <iommu support='no'/>"]
    if cells:
        lines += ["    <topology>", f"      <cells num='{len(cells)}'>"]
        for number, cell in enumerate(cells):
            lines += _cell(number, cell)
        lines += ["      </cells>", "    </topology>"]
    lines += [
        "    <secmodel>",
        "      <model>testSecurity</model>",
        "      <doi></doi>",
        "    </secmodel>",
        "  </host>",
    ]
    for os_type in ("hvm", "xen"):
        lines += ["", "  <guest>", f"    <os_type>{os_type}</os_type>", "    <arch name='i686'>"]
        lines += [
            "      <wordsize>32</wordsize>",
            f"      <emulator>{EMULATOR}</emulator>",
            "      <domain type='test'/>",
        ]
        lines += ["    </arch>", "    <features>", "      <pae/>", "      <nonpae/>", "    </features>", "  </guest>"]
    return "\n".join([*lines, "", "</capabilities>", ""])


def _cell(number: int, cell: Cell) -> list[str]:
    small = _PAGE_SIZES[1] if number == 1 else _PAGE_SIZES[0]
    lines = [f"        <cell id='{number}'>", f"          <memory unit='KiB'>{cell.memory}</memory>"]
    lines += [f"          <pages unit='KiB' size='{small}'>{cell.memory // small}</pages>"]
    lines += [f"          <pages unit='KiB' size='{size}'>0</pages>" for size in _PAGE_SIZES[2:]]
    lines += [f"          <cpus num='{len(cell.cpus)}'>"]
    lines += [
        f"            <cpu id='{cpu}' socket_id='{cpu // 8}' die_id='0' cluster_id='0' core_id='{cpu % 8}'"
        f" siblings='{cpu}'/>"
        for cpu in cell.cpus
    ]
    return [*lines, "          </cpus>", "        </cell>"]
