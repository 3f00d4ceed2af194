"""Every object family's declarations; importing this registers them all."""

from __future__ import annotations

from virtcore.operations.connection import ConnectionOperations
from virtcore.operations.domain import DomainOperations

__all__ = ["ConnectionOperations", "DomainOperations"]
