"""Migration of QEMU's guests: what either side does in each phase, and what goes wrong between them."""
