"""What the test driver's domains may have, and the defaults they get."""

from __future__ import annotations

from virtcore.errors import InternalError
from virtcore.model.arch import Arch
from virtcore.model.domain.domain import Domain
from virtcore.model.domain.interface import InterfaceTarget
from virtcore.model.domain.os import OSType
from virtcore.model.domain.rules import DomainContext, DomainFeature, DomainRules, ParseFlag
from virtcore.model.domain.video import Video, VideoModel, VideoType

__all__ = ["TestRules", "name_interfaces"]

_MOST_INTERFACES = 1024


class TestRules(DomainRules):
    """Completion and validation of the test driver's domains."""

    __test__ = False  # no test case, whatever its name

    features = (
        DomainFeature.MEMORY_HOTPLUG
        | DomainFeature.OFFLINE_VCPUPIN
        | DomainFeature.INDIVIDUAL_VCPUS
        | DomainFeature.USER_ALIAS
        | DomainFeature.FW_AUTOSELECT
        | DomainFeature.NET_MODEL_STRING
    )

    def context(
        self, flags: ParseFlag = ParseFlag.INACTIVE, *, arch: Arch | None = None, security_model: str | None = None
    ) -> DomainContext:
        return super().context(flags, arch=arch or Arch.I686, security_model=security_model or "testSecurity")

    def device(self, device: object, domain: Domain, context: DomainContext) -> None:
        if isinstance(device, Video) and (device.model is None or device.model.type in (None, VideoType.DEFAULT)):
            device.model = device.model or VideoModel()
            device.model.type = _default_video(domain)


def _default_video(domain: Domain) -> VideoType:
    if domain.os_type in (OSType.XEN, OSType.LINUX):
        return VideoType.XEN
    return VideoType.VGA if domain.arch is not None and domain.arch.is_ppc64 else VideoType.CIRRUS


def name_interfaces(domain: Domain) -> None:
    """Give every network interface without a name on the host the first free ``testnetN``."""
    if domain.devices is None:
        return
    used = {interface.target.dev for interface in domain.devices.interfaces if interface.target is not None}
    free = (name for number in range(_MOST_INTERFACES) if (name := f"testnet{number}") not in used)
    for interface in domain.devices.interfaces:
        if interface.target is None or interface.target.dev is None:
            interface.target = interface.target or InterfaceTarget()
            interface.target.dev = next(free, None)
            if interface.target.dev is None:
                raise InternalError(f"Exceeded max iface limit {_MOST_INTERFACES}")
