"""Leases that a network's dnsmasq has given, as the helper of it notes them."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from virtcore.enums.network import IPAddrType
from virtcore.errors import InternalError, InvalidMAC, SystemError
from virtcore.operations.values import DHCPLease
from virtcore.xml.scalars import MAC, Unreadable

if TYPE_CHECKING:
    from virtcore.model.network import Network

__all__ = ["canonical_mac", "read_leases"]


def canonical_mac(text: str) -> str:
    """A MAC address in its canonical spelling.

    :raises InvalidMAC: it is none.
    """
    try:
        return MAC.read(text)
    except (Unreadable, ValueError):
        raise InvalidMAC(f"invalid MAC address: {text}") from None


def read_leases(network: Network, path: Path, mac: str | None) -> list[DHCPLease]:
    """The leases that have not expired. Blocks as long as reading a file takes.

    :param path: where they are noted.
    :param mac: only those of this MAC address, in canonical spelling.
    :raises VirtError: the file cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []  # nothing was leased yet, or nothing is
    except OSError as error:
        raise SystemError(f"Unable to read leases file: {path}: {error.strerror}") from None
    if not text:
        return []
    try:
        entries = json.loads(text)
    except ValueError:
        raise InternalError(f"invalid json in file: {path}") from None
    if not isinstance(entries, list):
        raise InternalError("Malformed lease_entries array")
    prefixes: dict[int, int] = {ip.parsed.version: ip.prefix_length or 0 for ip in reversed(network.ips)}
    bridge = (network.bridge.name if network.bridge is not None else None) or ""
    found, now = [], time.time()
    for entry in entries:
        address, known, expiry = (_value(entry, name) for name in ("ip-address", "mac-address", "expiry-time"))
        if mac is not None and canonical_mac(known) != mac:
            continue
        if 0 < expiry < now:
            continue
        version = 6 if ":" in address else 4
        found.append(
            DHCPLease(
                iface=bridge,
                expiry_time=expiry,
                type=IPAddrType.IPV6 if version == 6 else IPAddrType.IPV4,
                mac=known,
                iaid=entry.get("iaid"),
                ip_addr=address,
                prefix=prefixes.get(version, 0),
                hostname=entry.get("hostname"),
                client_id=entry.get("client-id"),
            )
        )
    return found


def _value(entry: Any, name: str) -> Any:
    value = entry.get(name) if isinstance(entry, dict) else None
    if not isinstance(value, int if name == "expiry-time" else str):
        raise InternalError(f"found lease without {name}")
    return value
