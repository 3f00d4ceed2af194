"""Snapshots of QEMU's guests: taken, returned to, removed."""
