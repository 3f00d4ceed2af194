"""Places that tests share (``from support import ROOT, SHARED``)."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""The top folder of the repository."""

SHARED = Path(os.environ.get("VIRTCORE_SHARED") or ROOT.parent / "shared").resolve()
"""Facts, corpus and measuring kit beside the repository; may be absent (see the fixture ``shared``)."""
