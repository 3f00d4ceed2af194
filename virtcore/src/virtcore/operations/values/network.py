"""Results of operations on networks that are more than one value."""

from __future__ import annotations

from virtcore._tuples import NamedTuple
from virtcore.enums.network import IPAddrType

__all__ = ["DHCPLease"]


class DHCPLease(NamedTuple):
    """A lease that a network's DHCP server gave (``virNetworkDHCPLease``).

    ``expiry_time`` is in seconds since the epoch, ``prefix`` the length of the network's prefix in bits.
    """

    iface: str
    expiry_time: int
    type: IPAddrType
    mac: str | None
    iaid: str | None
    ip_addr: str
    prefix: int
    hostname: str | None
    client_id: str | None
