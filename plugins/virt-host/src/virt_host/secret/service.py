"""The secrets of a host: kept in its folders, their values readable by their owner only."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from virtcore.driver.toolkit.hosted import HostedService
from virtcore.driver.toolkit.secrets import Secrets, StatefulSecrets

if TYPE_CHECKING:
    from virtcore.driver.base import Place

__all__ = ["HostSecrets"]


class HostSecrets(HostedService, StatefulSecrets):
    """The service ``secret``."""

    name: ClassVar[str] = "secret"
    error_domain: ClassVar[str] = "SECRET"
    secret_prefix = "secret"

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.secrets = Secrets(self.folders.config, self.disk)

    async def restore(self) -> None:
        await self.secrets.open()

    @property
    def in_use(self) -> bool:
        return any(obj.ephemeral for obj in self.secrets.by_uuid.values())
