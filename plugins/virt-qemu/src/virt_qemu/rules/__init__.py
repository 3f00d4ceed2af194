"""What QEMU makes of a domain description: its defaults, implicit devices and addresses.

Usable without QEMU: everything about the emulator comes from its recorded capabilities.
"""

from __future__ import annotations

from virt_qemu.rules.domain import QemuRules

__all__ = ["QemuRules"]
