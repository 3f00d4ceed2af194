"""What every test may rely on: the shared corpus, one hypothesis profile, the deep marker, no processes left behind."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("VIRTCORE_SHARED") or ROOT.parent / "shared").resolve()
