"""Disks of guests: sizes, counters, contents, limits of their I/O, and what QEMU tells of them."""
