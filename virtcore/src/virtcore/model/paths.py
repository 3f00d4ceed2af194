"""File names as libvirt keeps them."""

from __future__ import annotations

import re

__all__ = ["sanitize_path"]

_SLASHES = re.compile("/+")


def sanitize_path(path: str) -> str:
    """A path with each run of slashes made one and none at the end.

    URIs stay as they are, and so do exactly two slashes at the beginning, which POSIX lets mean something else.
    """
    scheme = path.find("://")
    if scheme >= 0 and path.find("/") > scheme:
        return path
    lead = "/" if path.startswith("//") and not path.startswith("///") else ""
    clean = _SLASHES.sub("/", path)
    if len(clean) > 1 or lead:
        clean = clean.rstrip("/") or "/"
    return lead + clean
