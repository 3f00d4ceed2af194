"""Sets of CPUs or nodes that must not be empty."""

from __future__ import annotations

from virtcore.errors import ConfigUnsupported
from virtcore.xml import CPU_SET, Codec, CpuSet

__all__ = ["cpu_selection"]


def cpu_selection(refusal: str) -> Codec[CpuSet]:
    """A set that has a member left when all exclusions are done (``0,^0`` has none).

    :param refusal: message for one that has none; ``{value}`` is what was written.
    """

    def read(text: str) -> CpuSet:
        found = CPU_SET.read(text)
        if not found:
            raise ConfigUnsupported(refusal.format(value=text), value=text)
        return found

    return Codec(
        read,
        CPU_SET.write,
        datatype=CPU_SET.datatype,
        safe=True,
        message=CPU_SET.message,
        error=CPU_SET.error,
    )
