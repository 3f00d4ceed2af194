"""Output and input modes: which parts of an element are printed or read."""

from __future__ import annotations

from enum import IntFlag

__all__ = ["Mode"]


class Mode(IntFlag):
    """What an XML text is for.

    The bits below 1 << 16 are libvirt's public ``virDomainXMLFlags``, so that a caller's flags can be taken as they
    are; the others are the purposes libvirt has inside (``virDomainDefFormatFlags``). ``LIVE`` exists here only;
    libvirt says it by leaving out ``INACTIVE``. Giving it is optional: see :attr:`bits`.
    """

    NONE = 0
    SECURE = 1 << 0  #: secrets are printed (``VIR_DOMAIN_XML_SECURE``)
    INACTIVE = 1 << 1  #: the definition of the next boot, without what only a running object has
    UPDATE_CPU = 1 << 2
    MIGRATABLE = 1 << 3  #: suitable for an older peer
    STATUS = 1 << 16  #: the driver's own status file
    ACTUAL_NET = 1 << 17  #: what an interface of type network was resolved to
    PCI_ORIG_STATES = 1 << 18
    ALLOW_ROM = 1 << 19
    ALLOW_BOOT = 1 << 20
    CLOCK_ADJUST = 1 << 21
    VOLUME_TRANSLATED = 1 << 22  #: what a volume source was resolved to
    REDEFINE = 1 << 23  #: a snapshot or checkpoint that exists is described, not one that is asked for
    METADATA = 1 << 24  #: the driver's own file about a snapshot
    LIVE = 1 << 32  #: a running object: no INACTIVE

    @property
    def bits(self) -> int:
        """The mode as a number, with ``LIVE`` set exactly when ``INACTIVE`` is not."""
        # Plain numbers: flag arithmetic costs a microsecond an operation.
        value = int(self)
        return value & ~(1 << 32) if value & 2 else value | 1 << 32
