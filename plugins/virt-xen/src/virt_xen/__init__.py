"""Xen driver for virtcore."""
