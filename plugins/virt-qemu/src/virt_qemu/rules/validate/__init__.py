"""What QEMU cannot run, with libvirt's messages."""

from __future__ import annotations

from virt_qemu.rules.validate.devices import validate_device
from virt_qemu.rules.validate.displays import refuse_spice_tls
from virt_qemu.rules.validate.domain import validate_domain

__all__ = ["refuse_spice_tls", "validate_device", "validate_domain"]
