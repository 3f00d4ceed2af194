"""Adapter of suite ``vbox-snapshot``: VirtualBox's settings files, read and written."""

from __future__ import annotations

from typing import Any

from virt_vbox.settings import read_settings, write_settings


def snapshot(case: Any) -> str:
    return write_settings(read_settings(case.data("vbox"), "/")).decode("iso-8859-1")
