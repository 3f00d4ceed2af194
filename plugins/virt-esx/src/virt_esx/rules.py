"""What VMware's machines may have, and the defaults they get."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtcore.model.arch import Arch
from virtcore.model.domain.domain import VirtType
from virtcore.model.domain.os import OSType
from virtcore.model.domain.rules import DomainContext, DomainFeature, DomainRules, ParseFlag
from virtcore.model.domain.rules.support import require_support
from virtcore.model.domain.video import Video, VideoModel, VideoType

if TYPE_CHECKING:
    from virtcore.model.domain.domain import Domain

__all__ = ["VMwareRules"]

_MAC_PREFIX = b"\x00\x0c\x29"


class VMwareRules(DomainRules):
    """Completion and validation of the domains of ESX, vCenter and Desktop."""

    features = (
        DomainFeature.WIDE_SCSI | DomainFeature.NAME_SLASH | DomainFeature.FW_AUTOSELECT | DomainFeature.NO_BOOT_ORDER
    )

    def context(
        self, flags: ParseFlag = ParseFlag.INACTIVE, *, arch: Arch | None = None, security_model: str | None = None
    ) -> DomainContext:
        context = super().context(flags, arch=arch or Arch.I686, security_model=security_model)
        context.mac_prefix = _MAC_PREFIX
        return context

    def domain(self, domain: Domain, context: DomainContext) -> None:
        require_support(domain, types=[VirtType.VMWARE], os_types=[OSType.HVM], archs=[Arch.I686, Arch.X86_64])

    def device(self, device: object, domain: Domain, context: DomainContext) -> None:
        if isinstance(device, Video):
            device.model = device.model or VideoModel()
            if device.model.type in (None, VideoType.DEFAULT):
                device.model.type = VideoType.VMVGA
