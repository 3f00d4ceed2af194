"""``<cpudata>``: what a processor says of itself, register by register."""

from __future__ import annotations

from virtcore.errors import ErrorDomain, InternalError
from virtcore.xml import HEX, attribute, children, element

__all__ = ["CPUData", "CPUDataCPUID", "CPUDataMSR", "load_cpu_data"]

_WORD = HEX("0x%08x")


@element("cpuid", doc="What the CPUID instruction answers.")
class CPUDataCPUID:
    eax_in: int = attribute(codec=_WORD, required=True, doc="The leaf.")
    ecx_in: int | None = attribute(codec=_WORD, doc="The subleaf; 0 by default.")
    eax: int | None = attribute(codec=_WORD)
    ebx: int | None = attribute(codec=_WORD)
    ecx: int | None = attribute(codec=_WORD)
    edx: int | None = attribute(codec=_WORD)


@element("msr", doc="What a model specific register holds.")
class CPUDataMSR:
    index: int = attribute(codec=HEX("0x%x"), required=True)
    eax: int = attribute(codec=_WORD, required=True, doc="The lower half.")
    edx: int = attribute(codec=_WORD, required=True, doc="The upper half.")


@element("cpudata", root=True, doc="Raw data of a processor, as libvirt writes it for its own use.")
class CPUData:
    arch: str | None = attribute(doc="``x86``.")
    items: list[CPUDataCPUID | CPUDataMSR] = children()


def load_cpu_data(source: str | bytes) -> CPUData:
    """Reads a ``<cpudata>`` document.

    :raises VirtError: it is malformed, says nothing, or is of another architecture than x86.
    """
    from virtcore.xml import load

    data = load(source, CPUData)
    if data.arch is None:
        raise InternalError("missing CPU data architecture", domain=ErrorDomain.CPU, path="/cpudata/@arch")
    if data.arch != "x86":
        raise InternalError(f"CPU driver '{data.arch}' does not exist", domain=ErrorDomain.CPU, path="/cpudata/@arch")
    if not data.items:
        raise InternalError("no x86 CPU data found", domain=ErrorDomain.CPU, path="/cpudata")
    return data
