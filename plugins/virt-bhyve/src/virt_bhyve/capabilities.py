"""What the installed bhyve and grub-bhyve can do, found out as libvirt does: from their help and their complaints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["ALL", "BhyveCapabilities", "BhyveCapability", "GrubCapability", "probe", "probe_grub"]


class BhyveCapability(StrEnum):
    """Something not every bhyve can do."""

    RTC_UTC = "rtc-utc"
    AHCI32SLOT = "ahci32slot"
    NET_E1000 = "net-e1000"
    LPC_BOOTROM = "lpc-bootrom"
    FBUF = "fbuf"
    XHCI = "xhci"
    CPUTOPOLOGY = "cputopology"
    SOUND_HDA = "sound-hda"
    VNC_PASSWORD = "vnc-password"
    VIRTIO_9P = "virtio-9p"
    VIRTIO_RND = "virtio-rnd"


class GrubCapability(StrEnum):
    """Something not every grub-bhyve can do."""

    CONSDEV = "consdev"


@dataclass(frozen=True, slots=True)
class BhyveCapabilities:
    """What the programs of a host can do."""

    bhyve: frozenset[BhyveCapability] = frozenset()
    grub: frozenset[GrubCapability] = frozenset()


#: A host with the newest of everything, for whoever has no host at hand.
ALL = BhyveCapabilities(frozenset(BhyveCapability), frozenset(GrubCapability))

#: Runs a program with these arguments and returns what it wrote to standard output and error.
Run = Callable[[list[str]], str]

# Arguments that only a bhyve with the capability does not complain about, and how the others do.
_TRIED: tuple[tuple[BhyveCapability, tuple[str, str], str], ...] = (
    (BhyveCapability.AHCI32SLOT, ("-s", "0,ahci"), 'pci slot 0:0: unknown device "ahci"'),
    (BhyveCapability.NET_E1000, ("-s", "0,e1000"), 'pci slot 0:0: unknown device "e1000"'),
    (BhyveCapability.LPC_BOOTROM, ("-l", "bootrom"), "bhyve: invalid lpc device configuration 'bootrom'"),
    (BhyveCapability.FBUF, ("-s", "0,fbuf"), 'pci slot 0:0: unknown device "fbuf"'),
    (BhyveCapability.XHCI, ("-s", "0,xhci"), 'pci slot 0:0: unknown device "xhci"'),
    (BhyveCapability.SOUND_HDA, ("-s", "0,hda"), 'pci slot 0:0: unknown device "hda"'),
    (BhyveCapability.VNC_PASSWORD, ("-s", "0,fbuf,password="), 'Invalid fbuf emulation "password"'),
    (BhyveCapability.VIRTIO_9P, ("-s", "0,virtio-9p"), 'pci slot 0:0: unknown device "virtio-9p"'),
    (BhyveCapability.VIRTIO_RND, ("-s", "0,virtio-rnd"), 'pci slot 0:0: unknown device "virtio-rnd"'),
)


def probe(run: Run, program: str = "bhyve") -> frozenset[BhyveCapability]:
    """Find out what a bhyve can do.

    :param run: how programs are run.
    :raises VirtError: whatever ``run`` raises.
    """
    usage = run([program, "-h"])
    found = {capability for capability, words, complaint in _TRIED if complaint not in run([program, *words])}
    if "-u:" in usage:
        found.add(BhyveCapability.RTC_UTC)
    if "-c vcpus" not in usage:
        # Before topologies could be given, this was all that -c took.
        found.add(BhyveCapability.CPUTOPOLOGY)
    return frozenset(found)


def probe_grub(run: Run, program: str = "grub-bhyve") -> frozenset[GrubCapability]:
    """Find out what a grub-bhyve can do.

    :param run: how programs are run.
    :raises VirtError: whatever ``run`` raises.
    """
    return frozenset({GrubCapability.CONSDEV} if "--cons-dev" in run([program, "--help"]) else ())
