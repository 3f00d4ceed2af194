"""Validation of character devices that is the same for every driver: their host side.

Errors name places below the device; who iterates completes them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from virtcore.errors import ConfigUnsupported, InternalError, InvalidArg
from virtcore.model.domain import chardev
from virtcore.model.domain.address import CCIDAddress
from virtcore.model.domain.rules.device_list import has_usb
from virtcore.model.domain.rules.disk_validate import validate_label_overrides

if TYPE_CHECKING:
    from virtcore.model.domain.chardev import Channel, ChardevSource, Console, Parallel, Serial
    from virtcore.model.domain.domain import Domain
    from virtcore.model.domain.redirdev import Redirdev
    from virtcore.model.domain.rng import RNG
    from virtcore.model.domain.smartcard import Smartcard

__all__ = ["validate_channel", "validate_port", "validate_redirdev", "validate_rng", "validate_smartcard"]

_CHANNEL_NAME = re.compile(r"[A-Za-z0-9_.-]*")


def _validate_chardev(source: ChardevSource | None, domain: Domain, *, may_lack_path: bool = False) -> None:
    """The host side of a character device (``virDomainChrSourceDefValidate``)."""
    if isinstance(source, (chardev.FileChardev, chardev.DevChardev, chardev.PipeChardev)):
        if source.source is None or source.source.path is None:
            raise InternalError("Missing source path attribute for char device", path="source/@path")
    elif isinstance(source, chardev.NMDMChardev):
        ends = source.source
        if ends is not None and (ends.master is None) != (ends.slave is None):
            raise InternalError(
                "Should define both master and slave path attributes for nmdm device", path="source/@master"
            )
    elif isinstance(source, chardev.TCPChardev):
        tcp = source.source
        for name in ("host", "service"):
            if tcp is None or getattr(tcp, name) is None:
                raise InternalError(f"Missing source {name} attribute for char device", path=f"source/@{name}")
        assert tcp is not None
        _refuse_reconnect(tcp.mode, tcp.reconnect is not None and tcp.reconnect.enabled is True)
    elif isinstance(source, chardev.UDPChardev):
        if all(end.mode is chardev.SocketMode.BIND or end.service is None for end in source.sources):
            raise InternalError("Missing source service attribute for char device", path="source/@service")
    elif isinstance(source, chardev.UnixChardev):
        unix = source.source
        if (unix is None or unix.path is None) and not may_lack_path:
            raise InternalError("Missing source path attribute for char device", path="source/@path")
        if unix is not None:
            _refuse_reconnect(unix.mode, unix.reconnect is not None and unix.reconnect.enabled is True)
    elif isinstance(source, (chardev.SpicePortChardev, chardev.DBusChardev)):
        if source.channel is None:
            raise ConfigUnsupported("Missing source channel attribute for char device", path="source/@channel")
        if _CHANNEL_NAME.fullmatch(source.channel) is None:
            raise InvalidArg("Invalid character in source channel for char device", path="source/@channel")
    validate_label_overrides(getattr(getattr(source, "source", None), "seclabels", ()), domain)


def _refuse_reconnect(mode: object, enabled: bool) -> None:
    if mode == "bind" and enabled:
        raise InternalError("chardev reconnect is possible only for connect mode", path="source/reconnect")


def validate_port(device: Serial | Parallel | Console, domain: Domain) -> None:
    _validate_chardev(device.source, domain)


def validate_channel(device: Channel, domain: Domain) -> None:
    # The socket of a channel that the guest opens by name can be chosen later.
    _validate_chardev(device.source, domain, may_lack_path=not isinstance(device.target, chardev.GuestForwardTarget))


def validate_redirdev(device: Redirdev, domain: Domain) -> None:
    if not has_usb(domain):
        raise ConfigUnsupported("cannot add redirected USB device: USB is disabled for this domain", path="@bus")
    _validate_chardev(device.source, domain)


def validate_rng(device: RNG, domain: Domain) -> None:
    from virtcore.model.domain.rng import EGDBackend

    if isinstance(device.backend, EGDBackend):
        _validate_chardev(device.backend.source, domain)


def validate_smartcard(device: Smartcard, domain: Domain) -> None:
    from virtcore.model.domain.smartcard import PassthroughSmartcard

    if device.address is not None and not isinstance(device.address, CCIDAddress):
        raise ConfigUnsupported("Controllers must use the 'ccid' address type", path="address/@type")
    if isinstance(device, PassthroughSmartcard):
        _validate_chardev(device.source, domain)
