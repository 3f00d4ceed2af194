"""Waiting in tests of guests, with a limit."""

from __future__ import annotations

from support import eventually as eventually
