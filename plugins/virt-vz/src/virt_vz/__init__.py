"""Virtuozzo and OpenVZ driver for virtcore."""
