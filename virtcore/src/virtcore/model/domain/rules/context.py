"""What completion and validation of a domain need to know about the place they happen in."""

from __future__ import annotations

import random
import uuid
from dataclasses import dataclass, field
from enum import IntFlag
from typing import TYPE_CHECKING

from virtcore.model.arch import Arch, host_arch

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["DomainContext", "DomainFeature", "ParseFlag"]


class ParseFlag(IntFlag):
    """How a domain document is to be read (libvirt's ``VIR_DOMAIN_DEF_PARSE_*``, same bits)."""

    NONE = 0
    #: The document is a status file of a running domain.
    STATUS = 1 << 0
    #: A definition, not the state of a running domain: runtime content is dropped.
    INACTIVE = 1 << 1
    #: ``<actual>`` of interfaces is read.
    ACTUAL_NET = 1 << 2
    #: ``<origstates>`` of host devices is read.
    PCI_ORIG_STATES = 1 << 3
    #: Validate against the schema first.
    VALIDATE_SCHEMA = 1 << 6
    #: A newly defined domain: defaults that change the guest's ABI may be filled in.
    ABI_UPDATE = 1 << 7
    #: Complete only.
    SKIP_VALIDATE = 1 << 8
    #: Security labels are not read.
    SKIP_SECLABEL = 1 << 9
    #: An incoming migration: a few defaults that are safe then may be filled in.
    ABI_UPDATE_MIGRATION = 1 << 10
    #: ``volume`` sources carry what they were translated to.
    VOLUME_TRANSLATED = 1 << 12


_STATUS, _INACTIVE = int(ParseFlag.STATUS), int(ParseFlag.INACTIVE)


class DomainFeature(IntFlag):
    """What a driver can deal with (libvirt's ``VIR_DOMAIN_DEF_FEATURE_*``, same bits)."""

    NONE = 0
    #: SCSI buses have 16 units rather than 7.
    WIDE_SCSI = 1 << 0
    #: ``<maxMemory>`` and memory devices.
    MEMORY_HOTPLUG = 1 << 1
    #: Pinning of offline vCPUs.
    OFFLINE_VCPUPIN = 1 << 2
    #: ``/`` in a domain's name.
    NAME_SLASH = 1 << 3
    #: ``<vcpus>``.
    INDIVIDUAL_VCPUS = 1 << 4
    #: Aliases chosen by the user (``ua-…``).
    USER_ALIAS = 1 << 5
    #: Boot order is not completed.
    NO_BOOT_ORDER = 1 << 6
    #: ``<os firmware=…>``.
    FW_AUTOSELECT = 1 << 7
    #: Any string as an interface's model.
    NET_MODEL_STRING = 1 << 8
    #: Disks on passed file descriptors.
    DISK_FD = 1 << 9
    #: No console is added for the first serial port.
    NO_STUB_CONSOLE = 1 << 10


@dataclass(slots=True, kw_only=True)
class DomainContext:
    """Everything but the document that completion and validation may look at.

    :param flags: how the document is read.
    :param features: what the driver can deal with.
    :param arch: architecture of a domain that names none.
    :param security_model: model of a lone ``<seclabel>`` without one.
    :param mac_prefix: first three bytes of generated MAC addresses.
    :param capabilities: the driver's description of its emulators; only the driver's own stages look into it.
    :param new_uuid: where generated UUIDs come from.
    :param random_bits: where other generated numbers come from, as parts of MAC addresses.
    :param parsed: whether the domain was read from XML. What another reader made (of a hypervisor's own format) is
        completed without what libvirt's XML parser fills in.
    :ivar inactive: whether runtime content is dropped (follows from ``flags``, which do not change any more).
    :ivar status: whether a status document is read.
    """

    flags: ParseFlag = ParseFlag.INACTIVE
    features: DomainFeature = DomainFeature.NONE
    arch: Arch = field(default_factory=host_arch)
    security_model: str | None = None
    mac_prefix: bytes = b"\x52\x54\x00"
    capabilities: object | None = None
    new_uuid: Callable[[], uuid.UUID] = uuid.uuid4
    random_bits: Callable[[int], int] = random.getrandbits
    parsed: bool = True

    inactive: bool = field(init=False)
    status: bool = field(init=False)
    _features: int = field(init=False, repr=False)
    _flags: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        # Asked for every device: flags of enum types would be slow.
        self._features = int(self.features)
        flags = self._flags = int(self.flags)
        self.inactive = bool(flags & _INACTIVE)
        self.status = bool(flags & _STATUS)

    def new_mac(self) -> str:
        """A generated MAC address."""
        rest = (self.random_bits(8) for _ in range(3))
        return ":".join(f"{byte:02x}" for byte in (*self.mac_prefix, *rest))

    def supports(self, feature: DomainFeature) -> bool:
        """Whether the driver can deal with something."""
        return bool(self._features & int(feature))

    def has(self, flag: ParseFlag) -> bool:
        """Whether the document is read with one of these flags."""
        return bool(self._flags & int(flag))
