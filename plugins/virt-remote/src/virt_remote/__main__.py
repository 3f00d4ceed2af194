"""``python -m virt_remote``: the daemon ``virtcored``."""

from __future__ import annotations

import sys

from virt_remote.program import main

sys.exit(main())
