"""A command line in the making, and what the modules that add to it share."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from virtcore.errors import ConfigUnsupported

if TYPE_CHECKING:
    from virt_qemu.capabilities.model import EmulatorCapabilities
    from virtcore.model.domain import Domain

__all__ = ["Builder", "Props", "Resources", "escape", "on_off", "present", "unsupported"]

#: Value of a device or object property; None leaves the property out.
Props = Mapping[str, object]


class Resources(Protocol):
    """The host: what is opened there for the guest and handed over, by number in the guest's process."""

    def listen(self, path: str) -> int:
        """Listen on a Unix socket; returns the descriptor's number."""

    def output(self, path: str, append: bool) -> int:
        """Open a file for what the guest writes; returns the descriptor's number."""

    def log(self, path: str, append: bool) -> int:
        """Open a file for a copy of what the guest writes; returns the descriptor's number."""

    def is_cdrom(self, path: str) -> bool:
        """Whether a device of the host is a CD-ROM drive."""


@dataclass(slots=True, kw_only=True)
class Builder:
    """The command line of one guest.

    :ivar domain: the guest, complete, with addresses and aliases.
    :ivar capabilities: the emulator's.
    :ivar state_folder: the guest's own folder on the host (sockets, keys).
    :ivar monitor: number of the descriptor the monitor listens on.
    :ivar privileged: whether the host's administrator runs it.
    :ivar master_key: whether the state folder holds a key for secrets.
    """

    domain: Domain
    capabilities: EmulatorCapabilities
    resources: Resources
    state_folder: str
    monitor: int
    privileged: bool = False
    master_key: bool = True
    argv: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    _sets: int = 0

    def add(self, *words: str) -> None:
        """Add words as they are."""
        self.argv += words

    def json(self, option: str, props: Props) -> None:
        """Add an option whose value is JSON; properties that are None are left out."""
        self.add(option, _json(present(props)))

    def device(self, props: Props) -> None:
        """Add a device."""
        if self.capabilities.has("device.json+hotplug"):
            self.json("-device", props)
        else:
            self.options("-device", str(props["driver"]), {k: v for k, v in props.items() if k != "driver"})

    def object(self, props: Props) -> None:
        """Add an object."""
        self.json("-object", props)

    def options(self, option: str, first: str, props: Props) -> None:
        """Add an option in QEMU's ``first,name=value`` syntax."""
        parts = [escape(first)]
        for name, value in present(props).items():
            text = on_off(value) if isinstance(value, bool) else str(value)
            parts.append(f"{name}={escape(text)}")
        self.add(option, ",".join(parts))

    def fdset(self, number: int, opaque: str) -> str:
        """Put a descriptor into a set of its own and return the path it is opened by."""
        index = self._sets
        self._sets += 1
        self.add("-add-fd", f"set={index},fd={number},opaque={escape(opaque)}")
        return f"/dev/fdset/{index}"


def present(props: Props) -> dict[str, object]:
    """The properties that have a value."""
    return {name: value for name, value in props.items() if value is not None}


class _Null:
    """JSON's null, which a property that is left out is not."""


NULL = _Null()


def _json(props: Props) -> str:
    plain = {name: None if value is NULL else value for name, value in props.items()}
    return json.dumps(plain, separators=(",", ":"), ensure_ascii=False)


def escape(text: str) -> str:
    """A value for an option that is no JSON: commas doubled, so that it stays one value."""
    return text.replace(",", ",,")


def on_off(value: bool) -> str:
    """A switch as options spell it."""
    return "on" if value else "off"


def unsupported(what: str) -> ConfigUnsupported:
    """Something libvirt can give a guest and this driver cannot yet."""
    return ConfigUnsupported(f"{what} is not supported by virtcore's QEMU driver yet")
