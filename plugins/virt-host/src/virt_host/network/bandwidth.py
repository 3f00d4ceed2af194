"""Limits of an interface's throughput, as commands of ``tc`` and, for ports of Open vSwitch, of ``ovs-vsctl``.

Rates of the model are KiB a second, sizes KiB.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from virtcore.model.network import Bandwidth, BandwidthRate

__all__ = ["class_commands", "class_rate", "class_removal", "ovs_commands", "tc_commands"]

Commands = list[list[str]]

#: Size of a packet that a class may send before another one has its turn, in bytes.
_MTU = 1500
#: tc keeps the size of a burst in 32 bits of bytes.
_LARGEST_BURST = ((1 << 32) - 1) // 1024


def _directions(bandwidth: Bandwidth, swapped: bool) -> tuple[BandwidthRate | None, BandwidthRate | None]:
    """What the interface may send, and what it may receive.

    :param swapped: the interface is the host's end of the guest's: what comes in for the guest goes out here.
    """
    if swapped:
        return bandwidth.inbound, bandwidth.outbound
    return bandwidth.outbound, bandwidth.inbound


# ------------------------------------------------------------------------------------------------------------------- tc


def tc_commands(
    interface: str, bandwidth: Bandwidth | None, *, swapped: bool = False, hierarchical: bool = False, tc: str = "tc"
) -> Commands:
    """The commands that limit an interface of the host, in order.

    Those that delete what was there may fail. The one that shows the root's queuing discipline asks whether there is
    one (it says so); only where there is none is the next one, which adds it, to be run.

    :param hierarchical: classes with guaranteed rates are to follow (``floor`` of guests on a network).
    """
    if bandwidth is None:
        return []
    sending, receiving = _directions(bandwidth, swapped)
    commands: Commands = [
        [tc, "qdisc", "del", "dev", interface, "root"],
        [tc, "qdisc", "del", "dev", interface, "ingress"],
    ]
    if sending is not None and sending.average:
        commands += _shaping(tc, interface, sending, hierarchical)
    if receiving is not None:
        commands += _policing(tc, interface, receiving)
    return commands


def _shaping(tc: str, interface: str, rate: BandwidthRate, hierarchical: bool) -> Commands:
    """What is sent waits in a token bucket."""
    average = f"{rate.average}kbps"
    ceiling = ["ceil", f"{rate.peak}kbps"] if rate.peak else []
    burst = ["burst", f"{rate.burst}kb"] if rate.burst else []
    quantum = _quantum(rate.average or 0)
    add_class = [tc, "class", "add", "dev", interface, "parent"]
    commands: Commands = [
        [tc, "qdisc", "show", "dev", interface, "handle", "1:"],
        [tc, "qdisc", "add", "dev", interface, "root", "handle", "1:", "htb", "default", "2" if hierarchical else "1"],
    ]
    parent, own = "1:", "1:1"
    if hierarchical:
        commands.append(
            [*add_class, "1:", "classid", "1:1", "htb", "rate", average, *(ceiling or ["ceil", average]), *quantum]
        )
        parent, own = "1:1", "1:2"
    return [
        *commands,
        [*add_class, parent, "classid", own, "htb", "rate", average, *ceiling, *burst, *quantum],
        [tc, "qdisc", "add", "dev", interface, "parent", own, "handle", "2:", "sfq", "perturb", "10"],
        [
            *(tc, "filter", "add", "dev", interface, "parent", "1:0", "protocol", "all", "prio", "1"),
            *("handle", "1", "fw", "flowid", "1"),
        ],
    ]


def _quantum(rate: int) -> list[str]:
    return ["quantum", str(rate * 1024 // 8 // _MTU or 1)]


# ---------------------------------------------------------------------------------------------------- guaranteed rates


def class_commands(bridge: str, network: Bandwidth, mac: str, floor: int, number: int, *, tc: str = "tc") -> Commands:
    """The commands that guarantee a rate to what goes to a MAC address, in a bridge that is limited hierarchically.

    :param network: limits of the bridge, with inbound ones.
    :param floor: KiB a second.
    :param number: of the traffic class, above 2: those are the bridge's own.
    """
    name, parts = f"1:{number:x}", mac.lower().split(":")
    return [
        [
            *(tc, "class", "add", "dev", bridge, "parent", "1:1", "classid", name, "htb", "rate", f"{floor}kbps"),
            *("ceil", f"{_most(network)}kbps", *_quantum(floor)),
        ],
        [tc, "qdisc", "add", "dev", bridge, "parent", name, "handle", f"{number:x}:", "sfq", "perturb", "10"],
        [
            *(tc, "filter", "add", "dev", bridge, "protocol", "ip", "prio", "2", "handle", f"800::{number}", "u32"),
            *("match", "u16", "0x0800", "0xffff", "at", "-2"),
            *("match", "u32", f"0x{''.join(parts[2:])}", "0xffffffff", "at", "-12"),
            *("match", "u16", f"0x{''.join(parts[:2])}", "0xffff", "at", "-14", "flowid", name),
        ],
    ]


def class_removal(bridge: str, number: int, *, tc: str = "tc") -> Commands:
    """The commands that take a guaranteed rate back; each may fail."""
    return [
        [tc, "qdisc", "del", "dev", bridge, "handle", f"{number:x}:"],
        [tc, "filter", "del", "dev", bridge, "prio", "2", "handle", f"800::{number}", "u32"],
        [tc, "class", "del", "dev", bridge, "classid", f"1:{number:x}"],
    ]


def class_rate(bridge: str, network: Bandwidth, number: int, rate: int, *, tc: str = "tc") -> Commands:
    """The command that changes the rate of a class.

    :param rate: KiB a second.
    """
    name = f"1:{number:x}"
    return [
        [
            *(tc, "class", "change", "dev", bridge, "classid", name, "htb", "rate", f"{rate}kbps"),
            *("ceil", f"{_most(network)}kbps", *_quantum(rate)),
        ]
    ]


def _most(network: Bandwidth) -> int:
    """KiB a second that a bridge takes at most."""
    inbound = network.inbound
    return (inbound.peak or inbound.average or 0) if inbound is not None else 0


def _policing(tc: str, interface: str, rate: BandwidthRate) -> Commands:
    """What is received beyond the rate is dropped."""
    burst = rate.burst or min(rate.average or 0, _LARGEST_BURST)
    return [
        [tc, "qdisc", "add", "dev", interface, "ingress"],
        [
            *(tc, "filter", "add", "dev", interface, "parent", "ffff:", "protocol", "all", "u32", "match", "u32"),
            *("0", "0", "police", "rate", f"{rate.average or 0}kbps", "burst", f"{burst}kb", "mtu", "64kb", "drop"),
            *("flowid", ":1"),
        ],
    ]


# --------------------------------------------------------------------------------------------------------- Open vSwitch


def ovs_commands(
    interface: str,
    bandwidth: Bandwidth | None,
    *,
    vm_uuid: str,
    swapped: bool = False,
    ovs_vsctl: str = "ovs-vsctl",
) -> Commands:
    """The commands that limit a port of Open vSwitch, in order.

    The first two find what was made for the port before, which is to be destroyed.

    :param vm_uuid: the domain the port belongs to.
    """
    if bandwidth is None:
        return []
    sending, receiving = _directions(bandwidth, swapped)
    run = [ovs_vsctl, "--timeout=5"]
    ours = [f'external-ids:vm-id="{vm_uuid}"', f'external-ids:ifname="{interface}"']
    commands = [[*run, "--no-heading", "--columns=_uuid", "find", table, *ours] for table in ("queue", "qos")]
    if sending is not None and sending.average:
        # Bits a second, and bits.
        limits = [f"other_config:min-rate={sending.average * 8000}"]
        if sending.burst:
            limits.append(f"other_config:burst={sending.burst * 8192}")
        if sending.peak:
            limits.append(f"other_config:max-rate={sending.peak * 8000}")
        commands.append(
            [
                *(*run, "set", "port", interface, "qos=@qos1", *ours),
                *("--", "--id=@qos1", "create", "qos", "type=linux-htb", *limits, "queues:0=@queue0", *ours),
                *("--", "--id=@queue0", "create", "queue", *limits, *ours),
            ]
        )
    police = [*run, "set", "Interface", interface]
    if receiving is None:
        police += ["ingress_policing_rate=0", "ingress_policing_burst=0"]
    else:
        police.append(f"ingress_policing_rate={(receiving.average or 0) * 8}")
        if receiving.burst:
            police.append(f"ingress_policing_burst={receiving.burst * 8}")
    commands.append(police)
    return commands
