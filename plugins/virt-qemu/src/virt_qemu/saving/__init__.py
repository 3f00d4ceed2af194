"""Guests in files: saved, restored, dumped."""
