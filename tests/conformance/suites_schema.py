"""Adapter of the suites ``schema``, ``schema-invalid`` and ``schema-mutants``: does the schema accept the document?"""

from __future__ import annotations

from functools import cache
from typing import Any

from lxml import etree

from virtcore.driver.hooks import manager
from virtcore.model.cpu import CPUData, GuestCPU, HostCPU
from virtcore.model.domain import Devices
from virtcore.model.schemas import document_schema
from virtcore.xml import children, element, schema

# The plugins' namespaces are part of the schemas.
manager()


@element("cpuTest", root=True)
class CPUTest:
    """Processors beside each other, as a list of what baselines are computed from is written down."""

    cpus: list[GuestCPU | HostCPU] = children()


def _text(name: str) -> str:
    if name == "cpu-baseline":
        return schema(CPUTest, GuestCPU, HostCPU, CPUData)
    return schema(parts_of=Devices, status=True) if name == "device" else document_schema(name)


@cache
def _compiled(name: str) -> etree.RelaxNG:
    return etree.RelaxNG(etree.fromstring(_text(name).encode()))


def valid(case: Any) -> dict[str, bool]:
    """Whether the schema that the case names accepts its document."""
    return {"valid": _compiled(case.params["schema"]).validate(etree.fromstring(case.data("xml")))}
