"""What dnsmasq runs when it gives, renews or takes back a lease: keeps a network's leases in libvirt's file of them.

A program of its own, run as ``lease_helper.py FOLDER add|old|del|init [MAC-or-client-id IP [HOSTNAME]]`` with what
else is known in the environment (``dnsmasq --dhcp-script``). It needs nothing but Python.
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
import time
from collections.abc import Mapping

__all__ = ["changed", "main", "printed"]

Lease = dict[str, str | int]


def main(argv: list[str], environment: Mapping[str, str]) -> int:
    """Do it; returns the exit status."""
    if len(argv) < 2 or argv[1] not in ("add", "old", "del", "init") or (argv[1] != "init" and len(argv) not in (4, 5)):
        # dnsmasq may tell of other things (arp-add, tftp, ...), which are none of ours.
        return 0 if len(argv) >= 2 else 1
    folder, action = argv[0], argv[1]
    bridge = environment.get("VIR_BRIDGE_NAME") or environment.get("DNSMASQ_INTERFACE")
    if not bridge or "/" in bridge:
        return 0  # not known when leases expire as dnsmasq starts: they go with the next change
    path = os.path.join(folder, f"{bridge}.status")
    with open(os.path.join(folder, ".lease-helper.lock"), "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        leases = _read(path)
        if action == "init":
            sys.stdout.write(printed(leases, time.time()))
            return 0
        hostname = argv[4] if len(argv) == 5 else None
        _write(path, changed(leases, action, argv[2], argv[3], hostname, environment, time.time()))
    return 0


def changed(
    leases: list[Lease],
    action: str,
    client: str,
    address: str,
    hostname: str | None,
    environment: Mapping[str, str],
    now: float,
) -> list[Lease]:
    """The leases after one was given (``add``), renewed (``old``) or taken back (``del``).

    :param client: the MAC address, or for IPv6 the client's identifier.
    """
    mac: str | None = client
    identifier = environment.get("DNSMASQ_CLIENT_ID")
    if "DNSMASQ_IAID" in environment:
        mac, identifier = environment.get("DNSMASQ_MAC"), client
    if mac is None and action != "del":
        return leases  # nobody could ask for it
    kept = [lease for lease in leases if not _expired(lease, now) and lease.get("ip-address") != address]
    if action != "del":
        names = ("DNSMASQ_SUPPLIED_HOSTNAME", "DNSMASQ_OLD_HOSTNAME")
        known = hostname or next(filter(None, map(environment.get, names)), None)
        lease: Lease = {}
        for key, value in (
            ("iaid", environment.get("DNSMASQ_IAID")),
            ("ip-address", address),
            ("mac-address", mac),
            ("hostname", known),
            ("client-id", identifier),
            ("server-duid", environment.get("DNSMASQ_SERVER_DUID")),
        ):
            if value is not None:
                lease[key] = value
        lease["expiry-time"] = int(environment.get("DNSMASQ_LEASE_EXPIRES", "0").strip() or 0)
        kept.append(lease)
    return kept


def printed(leases: list[Lease], now: float) -> str:
    """The leases as dnsmasq reads them when it starts."""
    valid = [lease for lease in leases if not _expired(lease, now)]
    lines = []
    duid = None
    for version in (4, 6):
        for lease in valid:
            if (":" in str(lease["ip-address"])) != (version == 6):
                continue
            if version == 6 and duid is None and "server-duid" in lease:
                duid = lease["server-duid"]
                lines.append(f"duid {duid}")
            who = lease["mac-address"] if version == 4 else lease.get("iaid", "*")
            words = (lease["expiry-time"], who, lease["ip-address"], lease.get("hostname", "*"))
            lines.append(" ".join(map(str, (*words, lease.get("client-id", "*")))))
    return "".join(f"{line}\n" for line in lines)


def _expired(lease: Lease, now: float) -> bool:
    return 0 < int(lease["expiry-time"]) < now


def _read(path: str) -> list[Lease]:
    """What the file has; nothing where it is missing, or damaged: then it is written anew."""
    try:
        with open(path, encoding="utf-8") as file:
            found = json.loads(file.read() or "[]")
        return [lease for lease in found if "ip-address" in lease and "expiry-time" in lease]
    except (OSError, ValueError, TypeError):
        return []


def _write(path: str, leases: list[Lease]) -> None:
    temporary = f"{path}.new"
    with open(temporary, "w", encoding="utf-8") as file:
        json.dump(leases, file, indent=2)
        file.write("\n")
    os.chmod(temporary, 0o644)
    os.rename(temporary, path)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
