"""``<sysinfo>`` of a host: firmware, machine, processors and memory, as the firmware or the kernel names them."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING, TypeAlias

from virt_host.description.dmi import DMIDECODE_TYPES, garbled_oem_strings, parse_dmidecode
from virt_host.description.program import run_program
from virtcore.errors import InternalError, NoSupport
from virtcore.model.domain.sysinfo import ProcessorInfo, SMBIOSInfo, SystemInfo

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from virt_host.description.tree import HostTree
    from virtcore.model.arch import Arch

__all__ = ["arm_sysinfo", "dmi_sysinfo", "format_sysinfo", "host_sysinfo", "ppc_sysinfo", "s390_sysinfo"]


#: A command line -> what the program writes to its standard output and standard error.
Run: TypeAlias = "Callable[[list[str]], Awaitable[tuple[str, str]]]"


def format_sysinfo(info: SMBIOSInfo) -> str:
    """The document, as ``virConnectGetSysinfo`` gives it."""
    from virtcore.model.domain import Domain
    from virtcore.xml import format_part

    return format_part(info, Domain)


async def host_sysinfo(tree: HostTree, arch: Arch) -> SMBIOSInfo:
    """What this host's firmware says (``virConnectGetSysinfo``).

    :raises NoSupport: there is nothing of the kind on this architecture.
    :raises InternalError: it cannot be read.
    """
    if arch.is_s390:
        return s390_sysinfo(tree)
    if arch.is_ppc64 or arch in ("ppc", "ppcle", "ppcemb"):
        return ppc_sysinfo(tree)
    program = shutil.which("dmidecode", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if arch.is_x86 or (arch.is_arm and program is not None):
        if program is None:
            raise InternalError("Failed to find path for dmidecode binary")
        try:
            return await dmi_sysinfo(program)
        except InternalError:
            # ARM machines need not have such tables.
            if not arch.is_arm:
                raise
    if arch.is_arm:
        return arm_sysinfo(tree)
    raise NoSupport("Host sysinfo extraction not supported on this platform")


async def dmi_sysinfo(program: str, run: Run = run_program) -> SMBIOSInfo:
    """What ``dmidecode`` tells of the firmware's tables.

    :param run: asks a program; gives what it writes to its standard output and standard error.
    :raises InternalError: it tells nothing.
    """
    text, errors = await run([program, "-q", "-t", DMIDECODE_TYPES])
    if not text.strip():
        raise InternalError(f"Failed to read the firmware's tables with {program}: {errors.strip() or 'no output'}")
    better = {}
    for number in garbled_oem_strings(text):
        value, errors = await run([program, "--oem-string", str(number)])
        # dmidecode succeeds even where there is no such string.
        if not errors:
            better[number] = value.removesuffix("\n")
    return parse_dmidecode(text, better)


def _lines(tree: HostTree) -> list[tuple[str, str]]:
    """``/proc/cpuinfo`` as names and values, in order."""
    text = tree.text(tree.cpuinfo)
    if text is None:
        raise InternalError(f"Failed to open {tree.cpuinfo}")
    pairs = (line.partition(":") for line in text.splitlines())
    return [(name.strip(), value.strip()) for name, colon, value in pairs if colon]


def _machine(lines: list[tuple[str, str]]) -> SystemInfo | None:
    """The machine, where the kernel names it beside the processors."""
    found = dict(lines)
    system = SystemInfo(family=found.get("platform"), serial=found.get("model"), version=found.get("machine"))
    return system if "platform" in found else None


def ppc_sysinfo(tree: HostTree) -> SMBIOSInfo:
    """Of POWER, from what the kernel says of each processor.

    :raises InternalError: it says nothing.
    """
    lines = _lines(tree)
    processors: list[ProcessorInfo] = []
    for name, value in lines:
        if name == "processor":
            processors.append(ProcessorInfo(socket_destination=value))
        elif name == "cpu" and processors:
            processors[-1].type = value
        elif name == "revision" and processors:
            processors[-1].version = value
    return SMBIOSInfo(system=_machine(lines), processors=processors)


def arm_sysinfo(tree: HostTree) -> SMBIOSInfo:
    """Of ARM without firmware tables, from what the kernel says of each processor.

    :raises InternalError: it says nothing.
    """
    lines = _lines(tree)
    kinds = [value for wanted in ("model name", "Processor") for name, value in lines if name == wanted]
    processors = [
        ProcessorInfo(socket_destination=value, type=kinds[0]) for name, value in lines if kinds and name == "processor"
    ]
    return SMBIOSInfo(system=_machine(lines), processors=processors)


def s390_sysinfo(tree: HostTree) -> SMBIOSInfo:
    """Of s390, from what the kernel says of the machine and of each processor.

    :raises InternalError: it says nothing.
    """
    text = tree.text(tree.sysinfo)
    if text is None:
        raise InternalError(f"Failed to open {tree.sysinfo}")

    def value(name: str) -> str | None:
        found = re.search(rf"^{name}:\s*(.*\S)", text, re.MULTILINE)
        return found[1] if found else None

    system = SystemInfo(manufacturer=value("Manufacturer"), family=value("Type"), serial=value("Sequence Code"))
    lines = _lines(tree)
    vendor = next((value for name, value in lines if name == "vendor_id"), None)
    speeds = [value for name, value in lines if name == "cpu MHz dynamic"]
    processors: list[ProcessorInfo] = []
    for name, said in lines:
        if not re.fullmatch(r"processor \d+", name):
            continue
        parts = dict(re.findall(r"(\w+) = (\w+)", said))
        place = len(processors)
        processors.append(
            ProcessorInfo(
                family=parts.get("machine"),
                manufacturer=vendor,
                version=parts.get("version"),
                serial_number=parts.get("identification"),
                max_speed=speeds[place] if place < len(speeds) else None,
            )
        )
    return SMBIOSInfo(system=system, processors=processors)
