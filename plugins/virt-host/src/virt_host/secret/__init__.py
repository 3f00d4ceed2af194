"""Secrets of the host."""
