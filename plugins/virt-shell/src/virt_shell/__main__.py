"""Run virtsh as ``python -m virt_shell``."""

from __future__ import annotations

from virt_shell.main import main

raise SystemExit(main())
