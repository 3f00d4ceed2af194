"""What a driver's author imports: ``from virtcore.driver import Driver, OpenRequest, inline``."""

from __future__ import annotations

from virtcore._lazy import lazy
from virtcore._typing import TYPE_CHECKING

if TYPE_CHECKING:
    from virtcore.driver.base import AuthCallback, Credential, Driver, OpenRequest, Place, Subscription
    from virtcore.driver.hooks import hookimpl
    from virtcore.driver.native import NativeFormat
    from virtcore.driver.service import ServiceDriver
    from virtcore.operations.declare import inline

__all__ = [
    "AuthCallback",
    "Credential",
    "Driver",
    "NativeFormat",
    "OpenRequest",
    "Place",
    "ServiceDriver",
    "Subscription",
    "hookimpl",
    "inline",
]

# The loader is imported on paths that must not pay for the operations or for pluggy.
_MODULES = {
    "base": ("AuthCallback", "Credential", "Driver", "OpenRequest", "Place", "Subscription", "inline"),
    "hooks": ("hookimpl",),
    "native": ("NativeFormat",),
    "service": ("ServiceDriver",),
}

__getattr__, __dir__ = lazy(__name__, _MODULES)
