"""Adapter of suite ``secret-xml``."""

from __future__ import annotations

from typing import Any

from virtcore.model.secret import format_secret, load_secret


def secret_xml(case: Any) -> str:
    return format_secret(load_secret(case.text("xml")))
