"""Whether a driver runs guests of a kind at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtcore.errors import InvalidArg
from virtcore.model.domain.os import OSType

if TYPE_CHECKING:
    from collections.abc import Collection

    from virtcore.model.arch import Arch
    from virtcore.model.domain.domain import Domain, VirtType

__all__ = ["require_support"]


def require_support(
    domain: Domain, *, types: Collection[VirtType], os_types: Collection[OSType], archs: Collection[Arch]
) -> None:
    """Refuses a guest that the driver's capabilities do not have (``virCapabilitiesDomainSupported``). What the domain
    does not say fits. The error reads to the letter as libvirt's, which ends with a blank and does not mention hvm.

    :raises InvalidArg: it is of another type, kind or architecture.
    """
    arch, os_type = domain.arch, domain.os_type
    if domain.type in types and (os_type is None or os_type in os_types) and (arch is None or arch in archs):
        return
    asked = (("ostype", os_type if os_type is not OSType.HVM else None), ("arch", arch), ("domaintype", domain.type))
    wanted = "".join(f"{name}={value} " for name, value in asked if value is not None)
    raise InvalidArg(f"could not find capabilities for {wanted}", path="/domain/os/type")
