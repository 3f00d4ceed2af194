"""What firmware and kernel say of a machine."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from virt_host.description.dmi import garbled_oem_strings, parse_dmidecode
from virt_host.description.sysinfo import arm_sysinfo, format_sysinfo, host_sysinfo, ppc_sysinfo, s390_sysinfo
from virt_host.description.tree import HostTree
from virtcore.errors import InternalError, NoSupport
from virtcore.model.arch import Arch

DMIDECODE = """BIOS Information
\tVendor: Acme   \t
\tVersion: 1

System Information
\tManufacturer: Acme
\tUUID: 4CD00C81-4A85-11CB-88EC-A5A7A8F13986

Base Board Information
\tFeatures:

Processor Information
\tSocket Designation: P0

Memory Device
\tSize: No Module Installed

Memory Device
\tSize: 4 GB
\tLocator: <A>

OEM Strings
\tString 1: plain
\tString 2: a.b
\tString 3:
"""


def test_dmidecode() -> None:
    assert garbled_oem_strings(DMIDECODE) == [2]
    assert format_sysinfo(parse_dmidecode(DMIDECODE, {2: "a\nb"})) == (
        "<sysinfo type='smbios'>\n"
        "  <bios>\n"
        "    <entry name='vendor'>Acme</entry>\n"
        "    <entry name='version'>1</entry>\n"
        "  </bios>\n"
        "  <system>\n"
        "    <entry name='manufacturer'>Acme</entry>\n"
        "    <entry name='uuid'>4CD00C81-4A85-11CB-88EC-A5A7A8F13986</entry>\n"
        "  </system>\n"
        "  <processor>\n"
        "    <entry name='socket_destination'>P0</entry>\n"
        "  </processor>\n"
        "  <memory_device>\n"
        "    <entry name='size'>4 GB</entry>\n"
        "    <entry name='locator'>&lt;A&gt;</entry>\n"
        "  </memory_device>\n"
        "  <oemStrings>\n"
        "    <entry>plain</entry>\n"
        "    <entry>a\nb</entry>\n"
        "  </oemStrings>\n"
        "</sysinfo>\n"
    )


def test_nothing_known() -> None:
    assert format_sysinfo(parse_dmidecode("")) == "<sysinfo type='smbios'/>\n"


def test_kernels(tmp_path: Path) -> None:
    cpuinfo, sysinfo = tmp_path / "cpuinfo", tmp_path / "sysinfo"
    tree = HostTree(cpuinfo=cpuinfo, sysinfo=sysinfo)
    for read in (arm_sysinfo, ppc_sysinfo, s390_sysinfo):
        with pytest.raises(InternalError, match="Failed to open"):
            read(tree)
    cpuinfo.write_text("processor\t: 0\ncpu : POWER9\nrevision : 2.3\nplatform : PowerNV\nmodel : 9006\nmachine : M\n")
    power = ppc_sysinfo(tree)
    assert power.system is not None
    assert (power.system.family, power.system.serial, power.system.version) == ("PowerNV", "9006", "M")
    assert [(each.type, each.version) for each in power.processors] == [("POWER9", "2.3")]
    cpuinfo.write_text("processor : 0\nmodel name : A\n\nprocessor : 1\nmodel name : A\n")
    assert [(each.socket_destination, each.type) for each in arm_sysinfo(tree).processors] == [("0", "A"), ("1", "A")]
    cpuinfo.write_text("processor : 0\nprocessor : 1\n")
    assert not arm_sysinfo(tree).processors
    sysinfo.write_text("Manufacturer:         IBM\nType:                 2817\n")
    cpuinfo.write_text("vendor_id : IBM/S390\nprocessor 0: version = FF,  identification = 000123,  machine = 2817\n")
    (processor,) = s390_sysinfo(tree).processors
    assert (processor.family, processor.manufacturer, processor.version) == ("2817", "IBM/S390", "FF")
    assert (processor.serial_number, processor.max_speed) == ("000123", None)


def test_other_architectures() -> None:
    with pytest.raises(NoSupport, match="Host sysinfo extraction not supported on this platform"):
        asyncio.run(host_sysinfo(HostTree(), Arch.RISCV64))


@pytest.mark.skipif(shutil.which("dmidecode", path="/usr/sbin:/usr/bin") is not None, reason="dmidecode is here")
def test_without_dmidecode() -> None:
    with pytest.raises(InternalError, match="Failed to find path for dmidecode binary"):
        asyncio.run(host_sysinfo(HostTree(), Arch.X86_64))
