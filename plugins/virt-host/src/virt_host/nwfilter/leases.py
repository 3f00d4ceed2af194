"""Leases of DHCP that guests have: addresses, and until when. A file has them over a restart."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from virtcore.driver.toolkit.disk import write_file

if TYPE_CHECKING:
    from virtcore.driver.toolkit.disk import DiskWorker
    from virtcore.model.nwfilter import FilterBinding

__all__ = ["FOREVER", "Lease", "Leases", "guest_key"]

log = logging.getLogger(__name__)

#: When a lease ends that does not.
FOREVER = 0xFFFFFFFF
_FILE = "leases"


class Lease(NamedTuple):
    """An address that a server gave a guest.

    :ivar end: seconds since 1970.
    :ivar server: the server's address.
    """

    address: str
    end: int
    server: str

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self.end != FOREVER and self.end <= time.time()


def guest_key(binding: FilterBinding) -> str:
    """Names the guest's end of a port, whatever the host's is called next time."""
    return f"{binding.owner_uuid}-{binding.mac}"


class Leases:
    """Leases of all guests. Lives in the core loop.

    :param folder: where the file is, a line for each: end, guest, address, server.
    """

    def __init__(self, folder: Path, disk: DiskWorker) -> None:
        self._folder = folder
        self._disk = disk
        self._known: dict[str, dict[str, Lease]] = {}

    async def open(self) -> None:
        """Read the file; what has ended, or cannot be read, is left out."""
        try:
            text = await self._disk.run((self._folder / _FILE).read_text)
        except FileNotFoundError:
            return
        for number, line in enumerate(text.splitlines(), 1):
            try:
                end, key, address, server = line.split()
                lease = Lease(address, int(end), server)
            except ValueError:
                log.error("%s/%s: line %d is damaged", self._folder, _FILE, number)
                continue
            if not lease.over:
                self._known.setdefault(key, {})[address] = lease

    def of(self, key: str) -> list[Lease]:
        """Those of a guest that have not ended, in the order they end."""
        return sorted((each for each in self._known.get(key, {}).values() if not each.over), key=lambda each: each.end)

    async def add(self, key: str, lease: Lease) -> bool:
        """A guest has an address, or has it longer; an end that is earlier than the known one does not count.

        :returns: whether the address is new.
        """
        known = self._known.setdefault(key, {}).get(lease.address)
        if known is None or lease.end > known.end:
            self._known[key][lease.address] = lease
            await self._write()
        return known is None or known.over

    async def remove(self, key: str, address: str) -> bool:
        """A guest has given an address back.

        :returns: whether it had it.
        """
        found = self._known.get(key, {}).pop(address, None)
        if found is not None:
            await self._write()
        return found is not None

    async def _write(self) -> None:
        lines = [
            f"{lease.end} {key} {lease.address} {lease.server}\n"
            for key, leases in self._known.items()
            for lease in leases.values()
            if not lease.over
        ]
        data = "".join(lines).encode()
        work = lambda: write_file(self._folder, _FILE, data, sync=False)  # noqa: E731
        await self._disk.change(work, None, f"cannot write data to file '{self._folder / _FILE}'")
