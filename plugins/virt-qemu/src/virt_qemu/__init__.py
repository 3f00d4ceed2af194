"""QEMU and KVM driver for virtcore."""
