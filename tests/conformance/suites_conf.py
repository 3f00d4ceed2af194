"""Adapter of suite ``virconf``."""

from __future__ import annotations

from typing import Any

from virtcore.runtime.conf import ConfFile


def virconf(case: Any) -> str:
    return ConfFile.parse(case.text("conf")).format()
