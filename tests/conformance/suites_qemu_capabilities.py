"""What QEMU can do: as a document, and as what it offers guests."""

from __future__ import annotations

from typing import Any

from virt_qemu.capabilities.derive import derive
from virt_qemu.capabilities.document import format_emulator_capabilities
from virt_qemu.capabilities.replies import Replies


def qemu_caps(case: Any) -> str:
    """Recorded traffic as the document of the cache."""
    params = case.params
    probes = Replies.recorded(case.text("replies"))
    return format_emulator_capabilities(
        derive(
            params["binary"],
            *probes,
            hvf=params["hvf"],
            microcode=params["microcode_version_when_tcg_and_accel"],
        )
    )
