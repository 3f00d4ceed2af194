"""Jobs of QEMU's block layer on disks of running guests: pull, commit, copy; what they do to chains and definitions."""
