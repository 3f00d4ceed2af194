"""Limits of throughput on devices of the host: running ``tc``, and rates that networks guarantee to their ports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virt_host.description.program import finish_program, must_finish
from virt_host.network.bandwidth import class_commands, class_rate, class_removal, ovs_commands, tc_commands
from virt_host.tools import tool
from virtcore.errors import InternalError

if TYPE_CHECKING:
    from virtcore.model.network import Bandwidth

__all__ = ["add_class", "limit_device", "limit_switch_port", "remove_class", "run_tc", "set_class_rate"]


async def limit_device(name: str, bandwidth: Bandwidth | None, *, swapped: bool, hierarchical: bool = False) -> None:
    """Limit what goes through a device, and not at all where nothing is limited; see :func:`tc_commands`.

    :raises InternalError: it cannot be limited.
    """
    await run_tc(tc_commands(name, bandwidth, swapped=swapped, hierarchical=hierarchical))


async def limit_switch_port(name: str, bandwidth: Bandwidth, *, vm_uuid: str, swapped: bool) -> None:
    """Limit what goes through a port of Open vSwitch; see :func:`ovs_commands`. What limited it before is removed.

    :raises InternalError: it cannot be limited.
    """
    ovs, left = tool("ovs-vsctl"), {}
    for argv in ovs_commands(name, bandwidth, vm_uuid=vm_uuid, swapped=swapped, ovs_vsctl=ovs):
        output = await must_finish(argv)
        if "find" in argv:
            left[argv[argv.index("find") + 1]] = output.split()
        if "--no-heading" not in argv:
            continue
        if "qos" in left:
            for identifier in left.pop("qos"):
                await must_finish([ovs, "--timeout=5", "set", "port", name, "qos=[]"])
                await must_finish([ovs, "--timeout=5", "destroy", "qos", identifier])
            for identifier in left.pop("queue", ()):
                await must_finish([ovs, "--timeout=5", "destroy", "queue", identifier])


async def run_tc(commands: list[list[str]]) -> None:
    """Run commands of ``tc``: those that remove what was there may fail.

    :raises InternalError: another one does.
    """
    there = False
    for argv in commands:
        if "add" in argv and "root" in argv and there:
            continue
        output, errors, status = await finish_program([tool(argv[0]), *argv[1:]])
        if "show" in argv:
            there = bool(output.strip())
        elif status and "del" not in argv:
            raise InternalError(
                f"Child process ({' '.join(argv)}) unexpected exit status {status}{': ' if errors else ''}{errors}"
            )


async def add_class(bridge: str, network: Bandwidth, mac: str, floor: int, number: int) -> None:
    """Guarantee a rate to what goes to a MAC address.

    :param network: limits of the bridge.
    :param floor: KiB a second.
    :param number: of the traffic class.
    :raises InternalError: tc refuses; nothing is left.
    """
    try:
        await run_tc(class_commands(bridge, network, mac, floor, number))
    except BaseException:
        await remove_class(bridge, number)
        raise


async def remove_class(bridge: str, number: int) -> None:
    """Guarantee nothing any more by a class."""
    await run_tc(class_removal(bridge, number))


async def set_class_rate(bridge: str, network: Bandwidth, number: int, rate: int) -> None:
    """Change what a class guarantees.

    :param rate: KiB a second.
    :raises InternalError: tc refuses.
    """
    await run_tc(class_rate(bridge, network, number, rate))
