"""What a guest needs of the host beside its QEMU, and what is undone when it has gone.

:class:`~virt_qemu.host_side.host.HostSide` prepares and releases devices one by one, alike for a start and for devices
that come and go later. A module per kind of device says how. What was made is found again in the live configuration
and in the guest's folder, so releasing works after a crash of ours, too, and twice does no harm.
"""

from __future__ import annotations

from virt_qemu.host_side.host import HostSide

__all__ = ["HostSide"]
