"""Devices of a Linux host."""
