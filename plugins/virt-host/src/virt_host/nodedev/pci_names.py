"""What vendors call their PCI devices: the database that every distribution has (``pci.ids``)."""

from __future__ import annotations

from functools import lru_cache

__all__ = ["names_of"]

_FILES = ("/usr/share/misc/pci.ids", "/usr/share/hwdata/pci.ids")


@lru_cache(maxsize=256)
def names_of(vendor: int, product: int, root: str = "") -> tuple[str | None, str | None]:
    """Names of a vendor and of one of its products; None where they are not known.

    :param root: of the host's file system.
    """
    block = _vendor(vendor, root)
    if block is None:
        return None, None
    title, _, products = block.partition(b"\n")
    at = (b"\n" + products).find(b"\n\t%04x  " % product)
    found = products[at:].partition(b"\n")[0] if at >= 0 else None
    return _name(title), _name(found) if found is not None else None


def _name(line: bytes) -> str:
    return line.partition(b"  ")[2].decode(errors="replace").strip()


@lru_cache(maxsize=64)
def _vendor(vendor: int, root: str) -> bytes | None:
    """The lines about a vendor."""
    import mmap

    for path in _FILES:
        try:
            with open(root + path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
                start = text.find(b"\n%04x  " % vendor) + 1
                if not start:
                    return None
                end = start
                while True:  # up to the next line that is no product's, nor blank
                    end = text.find(b"\n", end) + 1
                    if not end:
                        return text[start:]
                    if text[end : end + 1] not in (b"\t", b"#", b"\n"):
                        return text[start:end]
        except (OSError, ValueError):  # an empty file cannot be mapped
            continue
    return None
