"""Backups of disks of running guests: pushed into images, or pulled from an NBD server of QEMU's."""
