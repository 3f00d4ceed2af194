"""Cloud Hypervisor driver for virtcore."""
