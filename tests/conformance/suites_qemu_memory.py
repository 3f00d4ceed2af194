"""Adapter of suite ``qemu-memlock``: how much memory a guest's process may lock."""

from __future__ import annotations

from typing import Any

from suites_qemu_domain import rules_of
from virt_qemu.memory_lock import locked_memory
from virtcore.model.arch import Arch
from virtcore.model.domain.document import load_domain
from virtcore.model.domain.rules import ParseFlag


def qemu_memlock(case: Any) -> int:
    """The limit in bytes."""
    rules = rules_of(case)
    context = rules.context(ParseFlag.INACTIVE, arch=Arch(case.params["host_arch"]), security_model="none")
    return locked_memory(load_domain(case.text("xml"), rules, context))
