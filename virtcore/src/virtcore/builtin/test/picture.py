"""The screen of a guest that does not exist."""

from __future__ import annotations

import struct
import zlib

__all__ = ["screen"]

_WIDTH, _HEIGHT = 640, 480
#: Colours of the bars, as red, green, blue.
_BARS = ("ffffff", "ffff00", "00ffff", "00ff00", "ff00ff", "ff0000", "0000ff", "000000")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def screen() -> bytes:
    """A test card of 640 by 480 as PNG."""
    row = b"".join(bytes.fromhex(bar) * (_WIDTH // len(_BARS)) for bar in _BARS)
    header = struct.pack(">IIBBBBB", _WIDTH, _HEIGHT, 8, 2, 0, 0, 0)  # 8 bits, red green blue
    rows = zlib.compress((b"\0" + row) * _HEIGHT, 9)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", rows) + _chunk(b"IEND", b"")
