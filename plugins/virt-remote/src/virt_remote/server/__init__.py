"""The serving end: ``virtcored``."""

from __future__ import annotations
