"""What a PCI address may be."""

from __future__ import annotations

from virtcore.errors import XMLError

__all__ = ["verify_pci"]


def verify_pci(bus: int, slot: int, function: int) -> None:
    """Refuses numbers no PCI function has.

    :raises XMLError: names the part and its limit.
    """
    if bus > 0xFF:
        raise XMLError(f"Invalid PCI address bus='0x{bus:x}', must be <= 0xFF")
    if slot > 0x1F:
        raise XMLError(f"Invalid PCI address slot='0x{slot:x}', must be <= 0x1F")
    if function > 7:
        raise XMLError(f"Invalid PCI address function=0x{function:x}, must be <= 7")
