"""What a driver's author imports: ``from virtcore.driver import Driver, OpenRequest, inline``."""

from __future__ import annotations

from typing import TYPE_CHECKING

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

_HOMES = {"hookimpl": "hooks", "NativeFormat": "native", "ServiceDriver": "service"}


def __getattr__(name: str) -> object:
    # The loader is imported on paths that must not pay for the operations or for pluggy.
    from importlib import import_module

    if name in __all__:
        return getattr(import_module(f"virtcore.driver.{_HOMES.get(name, 'base')}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
