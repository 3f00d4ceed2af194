"""``<sources>``: what pools could be made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtcore.xml import format

if TYPE_CHECKING:
    from collections.abc import Iterable

    from virtcore.model.storage.pool_source import PoolSource

__all__ = ["sources_xml"]


def sources_xml(sources: Iterable[PoolSource]) -> str:
    """The answer of ``virConnectFindStoragePoolSources``."""
    inner = "".join(f"  {line}\n" for source in sources for line in format(source).splitlines())
    return f"<sources>\n{inner}</sources>\n"
