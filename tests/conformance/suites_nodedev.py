"""Adapter of suite ``nodedev-xml``."""

from __future__ import annotations

from typing import Any

from virtcore.model.nodedev import format_node_device, load_node_device


def nodedev_xml(case: Any) -> str:
    return format_node_device(load_node_device(case.text("xml")), inactive="inactive" in case.params["flags"])
