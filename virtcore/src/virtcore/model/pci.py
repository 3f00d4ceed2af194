"""What a PCI address may be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtcore.errors import XMLError

if TYPE_CHECKING:
    from virtcore.model.storage.source import SourcePCIAddress

__all__ = ["settle_pci", "verify_pci"]


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


def settle_pci(address: SourcePCIAddress) -> None:
    """Completes the address of a function of the host: what is absent is 0.

    :raises XMLError: it is none.
    """
    address.domain, address.bus = address.domain or 0, address.bus or 0
    address.slot, address.function = address.slot or 0, address.function or 0
    verify_pci(address.bus, address.slot, address.function)
