"""Adapter of suite ``interface-xml``."""

from __future__ import annotations

from typing import Any

from virtcore.model.interface import format_interface, load_interface


def interface_xml(case: Any) -> str:
    return format_interface(load_interface(case.text("xml")))
