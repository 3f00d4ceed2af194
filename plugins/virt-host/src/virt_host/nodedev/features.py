"""What network interfaces do by themselves, as ethtool tells it."""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct

from virt_host.nodedev.kernel_device import HostFiles
from virtcore.model.nodedev import NetFeatureName as Feature

__all__ = ["interface_features"]

_SIOCETHTOOL = 0x8946
#: Questions that are answered by yes or no.
_ASKED = {
    0x14: Feature.RX,
    0x16: Feature.TX,
    0x18: Feature.SG,
    0x1E: Feature.TSO,
    0x23: Feature.GSO,
    0x2B: Feature.GRO,
}
#: The question that is answered by flags, and these.
_GET_FLAGS = 0x25
_FLAGS = {
    1 << 15: Feature.LRO,
    1 << 7: Feature.TXVLAN,
    1 << 8: Feature.RXVLAN,
    1 << 27: Feature.NTUPLE,
    1 << 28: Feature.RXHASH,
}
#: The question for every feature, how many blocks of 32 fit, and the number of one of them.
_GET_FEATURES, _BLOCKS, _UDP_TUNNELS = 0x3A, 2, 25
_BLOCK_SIZE = 16
_INFINIBAND = "/sys/class/infiniband"


def interface_features(name: str, files: HostFiles) -> list[Feature]:
    """What an interface does by itself, in libvirt's order; nothing where the kernel does not tell."""
    found = set[Feature]()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        for question, feature in _ASKED.items():
            answer = _ask(asking, name, struct.pack("=II", question, 0))
            if answer is not None and struct.unpack_from("=I", answer, 4)[0]:
                found.add(feature)
        answer = _ask(asking, name, struct.pack("=II", _GET_FLAGS, 0))
        if answer is not None:
            flags = struct.unpack_from("=I", answer, 4)[0]
            found |= {feature for bit, feature in _FLAGS.items() if flags & bit}
        answer = _ask(asking, name, struct.pack("=II", _GET_FEATURES, _BLOCKS) + bytes(_BLOCKS * _BLOCK_SIZE))
        if answer is not None:
            block, bit = divmod(_UDP_TUNNELS, 32)
            active = struct.unpack_from("=I", answer, 8 + block * _BLOCK_SIZE + 8)[0]  # behind available, requested
            found |= {Feature.TXUDPTNL} if active & 1 << bit else set()
    if _shared_with_infiniband(name, files):
        found.add(Feature.RDMA)
    if _offloads_switch(name, files):
        found.add(Feature.SWITCHDEV)
    return [feature for feature in Feature if feature in found]


def _offloads_switch(name: str, files: HostFiles) -> bool:
    """Whether the card, or the one that this is a function of, has a switch that the host tells what to do."""
    device = files.resolved(f"/sys/class/net/{name}/device")
    card = None if device is None else files.resolved(f"{device}/physfn") or device
    if card is None or not files.exists(f"{card}/sriov_totalvfs"):
        return False  # only between functions there is one
    from virt_host.links import devlink

    return devlink.offloads_switch(card.rpartition("/")[2])


def _ask(asking: socket.socket, name: str, question: bytes) -> bytes | None:
    data = ctypes.create_string_buffer(question, len(question))
    request = os.fsencode(name).ljust(16, b"\0") + struct.pack("@P", ctypes.addressof(data)).ljust(24, b"\0")
    try:
        fcntl.ioctl(asking, _SIOCETHTOOL, request)
    except OSError:
        return None
    return data.raw


def _shared_with_infiniband(name: str, files: HostFiles) -> bool:
    """Whether the card also is an InfiniBand one: both have the same resources."""
    cards = files.entries(_INFINIBAND)
    resources = files.text(f"/sys/class/net/{name}/device/resource") if cards else None
    return resources is not None and any(
        files.text(f"{_INFINIBAND}/{card}/device/resource") == resources for card in cards
    )
