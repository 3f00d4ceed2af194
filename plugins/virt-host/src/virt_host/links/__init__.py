"""Network devices of a Linux host: what they are, taps, macvtaps, ports of bridges.

Functions block for microseconds, those of macvtaps for milliseconds.
"""

from __future__ import annotations
