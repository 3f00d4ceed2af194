"""IBM POWER Hypervisor driver for virtcore."""
