"""Steps of changing a firewall: commands of ebtables, iptables and ip6tables.

Interface ``vnet0`` has chains ``libvirt-I-vnet0`` (frames it sends) and ``libvirt-O-vnet0`` (frames it gets), from
where those of protocols hang (``I-vnet0-arp``), and ``FI-vnet0``, ``FO-vnet0``, ``HI-vnet0`` for packets. New rules are
put into temporary chains beside them, ``J`` for ``I`` and ``P`` for ``O``, which then take their places.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import TypeAlias

__all__ = [
    "PACKET_LAYERS",
    "Layer",
    "PacketChain",
    "Step",
    "base_chains",
    "frame_chain",
    "link_frames",
    "new_frame_chain",
    "new_packet_chains",
    "packets_go_on",
    "remove_frames",
    "remove_packets",
    "take_places_of_frames",
    "take_places_of_packets",
]


class Layer(StrEnum):
    """The program that a command is for."""

    FRAMES = "ebtables"
    IPV4 = "iptables"
    IPV6 = "ip6tables"


PACKET_LAYERS = (Layer.IPV4, Layer.IPV6)
#: What each program is told so that others may change the firewall at the same time.
_SHARED = {Layer.FRAMES: "--concurrent", Layer.IPV4: "-w", Layer.IPV6: "-w"}

#: What follows from what a command printed.
Then: TypeAlias = Callable[[str], Iterator["Step"]]


@dataclass(frozen=True, slots=True)
class Step:
    """One command.

    :ivar may_fail: it does nothing where there is nothing to be done.
    :ivar then: the steps that follow from what it prints, done after all others.
    """

    layer: Layer
    words: tuple[str, ...]
    may_fail: bool = False
    then: Then | None = None

    @property
    def command(self) -> list[str]:
        """Program and arguments."""
        return [self.layer, _SHARED[self.layer], *self.words]


def _step(layer: Layer, *words: str) -> Step:
    return Step(layer, words)


def _attempt(layer: Layer, *words: str) -> Step:
    return Step(layer, words, may_fail=True)


# -------------------------------------------------------------------------------------------------------------- frames

_SENT, _RECEIVED = "I", "O"
_TEMPORARY = {_SENT: "J", _RECEIVED: "P"}


def _letter(incoming: bool, temporary: bool) -> str:
    letter = _SENT if incoming else _RECEIVED
    return _TEMPORARY[letter] if temporary else letter


def frame_chain(interface: str, suffix: str | None, *, incoming: bool, temporary: bool) -> str:
    """Name of a chain.

    :param suffix: the filters' name for it; None: the root.
    :param incoming: for what the guest sends.
    """
    letter = _letter(incoming, temporary)
    return f"libvirt-{letter}-{interface}" if suffix is None else f"{letter}-{interface}-{suffix}"


def _frames(*words: str) -> Step:
    return Step(Layer.FRAMES, ("-t", "nat", *words))


def _frames_attempt(*words: str, then: Then | None = None) -> Step:
    return Step(Layer.FRAMES, ("-t", "nat", *words), may_fail=True, then=then)


def new_frame_chain(
    interface: str, suffix: str | None = None, *, incoming: bool, temporary: bool, jump: tuple[str, ...] = ()
) -> Iterator[Step]:
    """Make a chain.

    :param jump: which frames go to it from the root.
    """
    chain = frame_chain(interface, suffix, incoming=incoming, temporary=temporary)
    if suffix is None:
        yield _frames("-N", chain)
        return
    yield _frames_attempt("-F", chain)
    yield _frames_attempt("-X", chain)
    yield _frames("-N", chain)
    root = frame_chain(interface, None, incoming=incoming, temporary=temporary)
    yield _frames("-A", root, *jump, "-j", chain)


def _hook(interface: str, incoming: bool) -> tuple[str, ...]:
    return ("PREROUTING", "-i", interface) if incoming else ("POSTROUTING", "-o", interface)


def link_frames(interface: str, *, incoming: bool, temporary: bool) -> Step:
    """Let frames go through a root."""
    root = frame_chain(interface, None, incoming=incoming, temporary=temporary)
    return _frames("-A", *_hook(interface, incoming), "-j", root)


def remove_frames(interface: str, *, temporary: bool) -> Iterator[Step]:
    """Let frames go through the chains no more, and remove these."""
    roots = [frame_chain(interface, None, incoming=incoming, temporary=temporary) for incoming in (True, False)]
    for root, incoming in zip(roots, (True, False), strict=True):
        yield _frames_attempt("-D", *_hook(interface, incoming), "-j", root)
    letters = tuple(_letter(incoming, temporary) for incoming in (True, False))
    for root in roots:
        yield _frames_attempt("-L", root, then=lambda text: _remove_below(text, letters))
    for root in roots:
        yield _frames_attempt("-F", root)
        yield _frames_attempt("-X", root)


def _below(listing: str, letters: tuple[str, ...]) -> Iterator[str]:
    """The chains of an interface that a listed one jumps to."""
    for line in listing.splitlines():
        _, jump, chain = line.partition("-j ")
        chain = chain.strip()
        if jump and chain[:1] in letters and chain[1:2] == "-":
            yield chain


def _remove_below(listing: str, letters: tuple[str, ...]) -> Iterator[Step]:
    for chain in _below(listing, letters):
        yield _frames_attempt("-L", chain, then=lambda text: _remove_below(text, letters))
        yield _frames_attempt("-F", chain)
        yield _frames_attempt("-X", chain)


def take_places_of_frames(interface: str) -> Iterator[Step]:
    """Give the temporary chains the names of the lasting ones, which are gone."""
    roots = [frame_chain(interface, None, incoming=incoming, temporary=True) for incoming in (True, False)]
    for root in roots:
        yield _frames_attempt("-L", root, then=_rename_below)
    for root, incoming in zip(roots, (True, False), strict=True):
        yield _frames_attempt("-E", root, frame_chain(interface, None, incoming=incoming, temporary=False))


def _rename_below(listing: str) -> Iterator[Step]:
    lasting = {temporary: letter for letter, temporary in _TEMPORARY.items()}
    for chain in _below(listing, tuple(lasting)):
        name = lasting[chain[0]] + chain[1:]
        yield _frames_attempt("-L", chain, then=_rename_below)
        yield _frames_attempt("-F", name)
        yield _frames_attempt("-X", name)
        yield _frames_attempt("-E", chain, name)


# ------------------------------------------------------------------------------------------------------------- packets


class PacketChain(Enum):
    """A chain of an interface: beginning of its name but for the last letter, whether for what the guest sends, and
    the chain of all interfaces that it hangs from."""

    RECEIVED = ("F", False, "libvirt-out")
    SENT = ("F", True, "libvirt-in")
    SENT_TO_HOST = ("H", True, "libvirt-host-in")

    @property
    def incoming(self) -> bool:
        """Whether it is for what the guest sends."""
        return self.value[1]

    @property
    def base(self) -> str:
        """The chain of all interfaces that it hangs from."""
        return self.value[2]

    def of(self, interface: str, *, temporary: bool) -> str:
        """Name of an interface's."""
        return f"{self.value[0]}{_letter(self.incoming, temporary)}-{interface}"


_BASES = ("libvirt-in", "libvirt-out", "libvirt-in-post", "libvirt-host-in")
_HOOKS = (
    ("FORWARD", "1", "libvirt-in"),
    ("FORWARD", "2", "libvirt-out"),
    ("FORWARD", "3", "libvirt-in-post"),
    ("INPUT", "1", "libvirt-host-in"),
)


def _of_interface(interface: str, incoming: bool) -> tuple[str, ...]:
    if incoming:
        return "-m", "physdev", "--physdev-in", interface
    return "-m", "physdev", "--physdev-is-bridged", "--physdev-out", interface


def base_chains(layer: Layer) -> Iterator[Step]:
    """Make the chains of all interfaces, and let them come first."""
    for chain in _BASES:
        yield _attempt(layer, "-N", chain)
    for hook, _, chain in _HOOKS:
        yield _attempt(layer, "-D", hook, "-j", chain)
    for hook, place, chain in _HOOKS:
        yield _step(layer, "-I", hook, place, "-j", chain)


def new_packet_chains(layer: Layer, interface: str, *, temporary: bool) -> Iterator[Step]:
    """Make the chains of an interface, and let packets go through them."""
    for kind in PacketChain:
        yield _step(layer, "-N", kind.of(interface, temporary=temporary))
    for kind in PacketChain:
        jump = (*_of_interface(interface, kind.incoming), "-g", kind.of(interface, temporary=temporary))
        yield _step(layer, "-A", kind.base, *jump)


def packets_go_on(layer: Layer, interface: str) -> Iterator[Step]:
    """Accept what none of the guest's chains has dropped."""
    accept = ("libvirt-in-post", *_of_interface(interface, True), "-j", "ACCEPT")
    yield _attempt(layer, "-D", *accept)
    yield _step(layer, "-A", *accept)


def remove_packets(layer: Layer, interface: str, *, temporary: bool, post: bool = False) -> Iterator[Step]:
    """Let packets go through the chains no more, and remove these.

    :param post: with what :func:`packets_go_on` says.
    """
    for kind in PacketChain:
        chain = kind.of(interface, temporary=temporary)
        yield _attempt(layer, "-D", kind.base, *_of_interface(interface, kind.incoming), "-g", chain)
        if not kind.incoming:  # as libvirt once linked them
            yield _attempt(layer, "-D", kind.base, "-m", "physdev", "--physdev-out", interface, "-g", chain)
    if post:
        yield _attempt(layer, "-D", "libvirt-in-post", *_of_interface(interface, True), "-j", "ACCEPT")
    for kind in PacketChain:
        chain = kind.of(interface, temporary=temporary)
        yield _attempt(layer, "-F", chain)
        yield _attempt(layer, "-X", chain)


def take_places_of_packets(layer: Layer, interface: str) -> Iterator[Step]:
    """Give the temporary chains the names of the lasting ones, which are gone."""
    for kind in PacketChain:
        yield _attempt(layer, "-E", kind.of(interface, temporary=True), kind.of(interface, temporary=False))
