"""The kernel's files about a host."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from virtcore.errors import InternalError, InvalidArg
from virtcore.xml import CpuSet

__all__ = ["HostTree"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HostTree:
    """Where the files are.

    :ivar system: CPUs and NUMA nodes.
    :ivar resctrl: the resource control file system.
    :ivar hugepages: pools of huge pages of the whole host.
    :ivar ksm: how equal pages are shared.
    :ivar cpuinfo: what the kernel says of each CPU.
    :ivar meminfo: what it says of memory.
    :ivar stat: what CPUs spent their time on.
    :ivar sysinfo: the machine (s390).
    :ivar iommu_groups: groups of devices an IOMMU tells apart.
    :ivar vfio: the device for giving devices to guests.
    """

    system: Path = Path("/sys/devices/system")
    resctrl: Path = Path("/sys/fs/resctrl")
    hugepages: Path = Path("/sys/kernel/mm/hugepages")
    ksm: Path = Path("/sys/kernel/mm/ksm")
    cpuinfo: Path = Path("/proc/cpuinfo")
    meminfo: Path = Path("/proc/meminfo")
    stat: Path = Path("/proc/stat")
    sysinfo: Path = Path("/proc/sysinfo")
    iommu_groups: Path = Path("/sys/kernel/iommu_groups")
    vfio: Path = Path("/dev/vfio/vfio")

    @property
    def cpus(self) -> Path:
        """The CPUs."""
        return self.system / "cpu"

    @property
    def nodes(self) -> Path:
        """The NUMA nodes."""
        return self.system / "node"

    def has_iommu(self) -> bool:
        """Whether there is an IOMMU: then devices are in groups."""
        try:
            return any(self.iommu_groups.iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return False

    @staticmethod
    def text(path: Path) -> str | None:
        """Content of a file without blanks at its end; None where there is no such file.

        :raises InternalError: it cannot be read.
        """
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)  # quicker than a file object, and there are many
            try:
                data = b""
                while part := os.read(descriptor, 1 << 16):
                    data += part
            finally:
                os.close(descriptor)
            return data.decode(errors="replace").rstrip()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            # The kernel answers so for what a CPU that is off cannot say.
            raise InternalError(f"Failed to read file '{path}': {error.strerror}") from None

    def number(self, path: Path) -> int | None:
        """A file's number; None where there is no such file.

        :raises InternalError: it holds something else.
        """
        text = self.text(path)
        if text is None:
            return None
        try:
            return int(text)
        except ValueError:
            raise InternalError(f"Invalid integer value '{text}' in file '{path}'") from None

    def require_number(self, path: Path) -> int:
        """A file's number.

        :raises InternalError: there is no such file, or it holds something else.
        """
        found = self.number(path)
        if found is None:
            raise InternalError(f"File '{path}' does not exist")
        return found

    def numbers(self, path: Path) -> CpuSet | None:
        """A file's list such as ``0-3,8``; None where there is no such file.

        :raises InvalidArg: it holds something else.
        """
        text = self.text(path)
        if text is None:
            return None
        if not text:
            return CpuSet()
        try:
            return CpuSet.parse(text, limit=1 << 20)
        except ValueError:
            raise InvalidArg(f"Failed to parse bitmap '{text}'") from None

    @staticmethod
    def numbered(folder: Path, prefix: str) -> list[int]:
        """Numbers of the entries ``PREFIXn`` of a folder, in order; none where there is no such folder."""
        try:
            names = [entry.name for entry in folder.iterdir()]
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(int(found[1]) for name in names if (found := re.fullmatch(rf"{prefix}(\d+)", name)))
