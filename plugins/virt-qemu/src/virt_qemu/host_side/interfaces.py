"""Network interfaces: taps and macvtaps, ports of networks, passt."""

from __future__ import annotations

import logging
import os
import socket
from typing import TYPE_CHECKING

from virt_host.description.program import finish_program
from virt_host.links import devices as links, taps
from virt_host.tools import tool
from virt_qemu.command.line import unsupported
from virt_qemu.command.networks import actual_type, is_virtio_net
from virt_qemu.host_side.filters import check_filter, filter_traffic, unfilter_traffic
from virt_qemu.host_side.functions import function_driver, give_function, take_function
from virt_qemu.host_side.mac_filter import let_through, shut_out
from virt_qemu.host_side.networks import join_network, leave_network, mac_of, rejoin_network
from virt_qemu.host_side.passt import start_passt, stop_passt
from virt_qemu.host_side.slirp import start_slirp, stop_slirp
from virtcore.errors import (
    ConfigUnsupported,
    InternalError,
    OperationFailed,
    OperationInvalid,
    SystemError,
    VirtError,
)
from virtcore.model.domain.interface import (
    ActualBridgeSource,
    ActualNetworkSource,
    BridgeInterfaceSource,
    DirectInterfaceSource,
    InterfaceBackendType,
    InterfaceDriverName,
    InterfaceTarget,
    InterfaceType,
    MacvtapMode,
)
from virtcore.model.network.port import MACTableManager, VirtualPortType
from virtcore.runtime.threads import in_thread

if TYPE_CHECKING:
    from pathlib import Path

    from virt_qemu.host_side.host import HostSide
    from virt_qemu.host_side.owner import Owner
    from virt_qemu.resources import HostResources
    from virtcore.model.domain.interface import Interface
    from virtcore.model.network.port import VLAN, Bandwidth, VirtualPort

__all__ = [
    "bridge_of",
    "limit",
    "plug_in",
    "prepare",
    "rejoin",
    "release",
    "set_bridge_vlans",
    "virtualport_of",
    "vlan_of",
    "wants_isolation",
]

log = logging.getLogger(__name__)

_VHOST_NET = "/dev/vhost-net"
_SCRIPTED = (InterfaceType.ETHERNET,)
_BRIDGED = (InterfaceType.BRIDGE, InterfaceType.NETWORK)
_SWITCHES = (VirtualPortType.OPENVSWITCH, VirtualPortType.MIDONET)


async def prepare(side: HostSide, owner: Owner, interface: Interface, resources: HostResources) -> None:
    """Make what an interface is connected to, and hand its descriptors over.

    :raises VirtError: it cannot be made.
    """
    await join_network(side, owner, interface)
    kind = actual_type(interface)
    check_filter(side, interface)
    queues = _queues(interface)
    if kind is InterfaceType.ETHERNET:
        fds = await _ethernet(interface, queues, side.privileged)
    elif kind in _BRIDGED:
        fds = await _bridge(side, owner, interface, queues)
    elif kind is InterfaceType.DIRECT:
        fds = await in_thread(_direct, owner, interface, queues)
    elif kind is InterfaceType.HOSTDEV:
        await in_thread(take_function, side, owner, interface, await function_driver(side, interface))
        return
    elif kind is InterfaceType.VDPA:
        return  # opened with the command line
    elif _uses_passt(interface):
        await start_passt(side, owner, interface)
        return
    else:
        await start_slirp(side, owner, interface, resources)
        return
    resources.provide_taps(interface, fds)
    resources.provide_vhosts(interface, _vhosts(interface, queues))
    await filter_traffic(side, owner, interface)
    if side.settings.mac_filter:
        await let_through(interface)
    if _bandwidth(interface) is not None:
        await limit(owner.uuid, interface)
    if interface.coalesce and interface.target is not None and interface.target.dev is not None:
        links.set_coalesce(interface.target.dev, interface.coalesce)


async def rejoin(side: HostSide, owner: Owner, interface: Interface) -> None:
    """See to it that an interface of a guest that was found again is in its network, also where that was started anew.

    :raises VirtError: it is not, and cannot be.
    """
    bridge = await rejoin_network(side, owner, interface)
    name = interface.target.dev if interface.target is not None else None
    if bridge is None or name is None or virtualport_of(interface) is not None:
        return
    if links.exists(name) and links.bridge_of(name) != bridge:
        await plug_in(owner.uuid, interface, bridge)


async def release(side: HostSide, owner: Owner, interface: Interface) -> None:
    """Undo what was made for an interface; what is not there (any more) is no failure."""
    kind, name = actual_type(interface), interface.target.dev if interface.target is not None else None
    if kind is InterfaceType.HOSTDEV:
        await in_thread(give_function, side, owner, interface)
    if _uses_passt(interface):
        await stop_passt(side, owner, interface)
    await stop_slirp(side, owner, interface)
    await unfilter_traffic(side, interface)
    if side.settings.mac_filter:
        await shut_out(interface)
    if name is not None:
        try:
            if kind is InterfaceType.DIRECT:
                await in_thread(_delete_macvtap, owner, name)
            if interface.downscript is not None and kind in _SCRIPTED:
                await _run_script(interface.downscript, name)
            port = virtualport_of(interface)
            if kind in _BRIDGED and port is not None and port.type in _SWITCHES:
                from virt_host.links import switches

                await switches.unplug(name, port)
        except VirtError as error:
            log.warning("cannot remove network device '%s': %s", name, error)
    await leave_network(side, interface)


def _uses_passt(interface: Interface) -> bool:
    return interface.backend is not None and interface.backend.type is InterfaceBackendType.PASST


def _queues(interface: Interface) -> int:
    return max(1, interface.driver.queues or 0) if interface.driver is not None and is_virtio_net(interface) else 1


def _device(interface: Interface) -> str:
    backend = interface.backend
    return backend.tap if backend is not None and backend.tap is not None else "/dev/net/tun"


def _wanted(interface: Interface, beginning: str) -> str | None:
    """The name that the user wants for the host's device; those generated are given anew."""
    name = interface.target.dev if interface.target is not None else None
    if name is None or name.startswith(beginning) or "%" in name:
        return name if name is not None and "%" in name else None
    return name


def _name(interface: Interface, name: str) -> None:
    if interface.target is None:
        interface.target = InterfaceTarget()
    interface.target.dev = name


# ---------------------------------------------------------------------------------------------------- taps


async def _ethernet(interface: Interface, queues: int, privileged: bool) -> list[int]:
    """A tap that is connected to nothing: who wants it to be does that by a script."""
    target = interface.target
    if target is not None and target.managed is False:
        if target.dev is None:
            raise ConfigUnsupported("target dev must be supplied when managed='no'")
        if not links.exists(target.dev):
            raise ConfigUnsupported("target managed='no' but specified dev doesn't exist")
        if links.is_macvtap(target.dev):
            return await in_thread(taps.open_macvtap, target.dev, queues, header=is_virtio_net(interface))
        return taps.open_tap(target.dev, queues, header=is_virtio_net(interface), device=_device(interface))[1]
    wanted = _wanted(interface, taps.NEW_TAP)
    if wanted is not None and links.exists(wanted):
        raise OperationInvalid(f"The {wanted} interface already exists")
    name, fds = taps.open_tap(wanted, queues, header=is_virtio_net(interface), device=_device(interface))
    _name(interface, name)
    try:
        if privileged:
            links.set_mac(name, taps.tap_mac(mac_of(interface)))
            if interface.mtu:
                links.set_mtu(name, interface.mtu)
            links.set_up(name, True)
        if interface.script is not None:
            await _run_script(interface.script, name)
    except BaseException:
        _close(fds)
        raise
    return fds


async def _run_script(script: str, name: str) -> None:
    _, errors, status = await finish_program([script, name])
    if status:
        raise InternalError(f"Child process ({script} {name}) unexpected exit status {status}: {errors.strip()}")


def bridge_of(interface: Interface) -> str:
    """The bridge that an interface is in.

    :raises InternalError: none is named.
    """
    source = interface.actual.source if interface.actual is not None else interface.source
    if not isinstance(source, BridgeInterfaceSource | ActualNetworkSource | ActualBridgeSource) or not source.bridge:
        raise InternalError("Missing bridge name")
    return source.bridge


def wants_isolation(interface: Interface) -> bool:
    """Whether an interface talks to no other one of its bridge that is isolated."""
    port = interface.actual.port if interface.actual is not None and interface.actual.port else interface.port
    return port is not None and bool(port.isolated)


async def _bridge(side: HostSide, owner: Owner, interface: Interface, queues: int) -> list[int]:
    """A tap in a bridge."""
    bridge = bridge_of(interface)
    _check_port(interface)
    if not side.privileged:
        return [await _ask_helper(side.settings.bridge_helper, bridge, interface)]
    if not links.exists(bridge):
        raise SystemError(f"Cannot get interface MTU on '{bridge}': No such device")
    header = is_virtio_net(interface)
    name, fds = taps.open_tap(_wanted(interface, taps.NEW_TAP), queues, header=header, device=_device(interface))
    _name(interface, name)
    try:
        links.set_mac(name, taps.tap_mac(mac_of(interface)))
        mtu = interface.mtu or links.mtu_of(bridge)
        if mtu:
            links.set_mtu(name, mtu)
        await plug_in(owner.uuid, interface, bridge)
        links.set_up(name, True)
    except BaseException:
        _close(fds)
        raise
    return fds


def _bridge_helper(name: str) -> str:
    try:
        return tool(name)
    except OperationFailed:
        raise OperationFailed(f"'{name}' is not a suitable bridge helper") from None


def _check_port(interface: Interface) -> None:
    """Refuse VLANs where there are none, and kinds of ports that no bridge has.

    :raises ConfigUnsupported: the interface wants that.
    """
    if vlan_of(interface) is not None and actual_type(interface) is not InterfaceType.BRIDGE:
        raise ConfigUnsupported(f"interface {mac_of(interface)} - vlan tag not supported for this connection type")
    port = virtualport_of(interface)
    if port is not None and port.type not in _SWITCHES:
        raise unsupported(f"a virtual port of type '{port.type}'")


def vlan_of(interface: Interface) -> VLAN | None:
    """The VLANs that an interface has."""
    actual = interface.actual
    return actual.vlan if actual is not None and actual.vlan is not None else interface.vlan


def virtualport_of(interface: Interface) -> VirtualPort | None:
    """The port of a switch that an interface is plugged into."""
    actual = interface.actual
    found = actual.virtualport if actual is not None and actual.virtualport is not None else interface.virtualport
    return found if found is not None and found.type is not None else None


async def plug_in(vm_uuid: str, interface: Interface, bridge: str) -> None:
    """Make the device of an interface a port of a bridge, or of a switch that stands for one.

    :raises VirtError: it cannot be one.
    """
    assert interface.target is not None
    assert interface.target.dev is not None
    name, port, vlan = interface.target.dev, virtualport_of(interface), vlan_of(interface)
    if port is not None:
        from virt_host.links import switches

        await switches.plug_in(name, bridge, port, mac=mac_of(interface), vm_uuid=vm_uuid, vlan=vlan)
        return
    links.add_to_bridge(name, bridge)
    if wants_isolation(interface):
        links.set_isolated(name, True)
    if vlan is not None:
        await in_thread(set_bridge_vlans, name, vlan)
    if _manages_macs(interface):
        await in_thread(_learn_nothing, name, mac_of(interface))


def set_bridge_vlans(name: str, vlan: VLAN) -> None:
    """Say which VLANs a port of a bridge has. Blocks.

    :raises SystemError: the kernel refuses.
    """
    from virt_host.links.netlink import set_vlans

    numbers = [tag.id for tag in vlan.tags]
    if not vlan.trunk:
        set_vlans(name, numbers[0], [])
        return
    native = next((tag.id for tag in vlan.tags if tag.native_mode is not None), None)
    set_vlans(name, native, [number for number in numbers if number != native])


def _manages_macs(interface: Interface) -> bool:
    source = interface.actual.source if interface.actual is not None else None
    return isinstance(source, ActualNetworkSource) and source.mac_table_manager is MACTableManager.LIBVIRT


def _learn_nothing(name: str, mac: str) -> None:
    """Let a bridge know the guest's MAC address, and none that the guest only says is its own."""
    from virt_host.links.netlink import know_mac, set_port

    set_port(name, learning=False, flood=False)
    know_mac(name, mac)


async def _ask_helper(program: str, bridge: str, interface: Interface) -> int:
    """A tap in a bridge, from the program that may make one where its caller may not."""
    path = _bridge_helper(program)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        number = 3
        argv = [path, f"--br={bridge}", f"--fd={number}"]
        if is_virtio_net(interface):
            argv.insert(1, "--use-vnet")
        _, errors, _status = await finish_program(argv, fds={number: theirs.fileno()})
        theirs.close()
        ours.setblocking(False)
        try:
            descriptor = taps.receive_tap(ours)
        except BlockingIOError:
            descriptor = None
    if descriptor is None:
        detail = f": stderr={errors.strip()}" if errors.strip() else ""
        raise InternalError(f"{' '.join(argv)}: failed to communicate with bridge helper{detail}: End of file")
    _name(interface, taps.name_of(descriptor))
    return descriptor


def _close(fds: list[int]) -> None:
    for descriptor in fds:
        os.close(descriptor)


def _made(owner: Owner, name: str) -> Path:
    """What marks a macvtap as the guest's: another one of the name is not ours to remove."""
    return owner.folder / f"macvtap-{name}"


def _delete_macvtap(owner: Owner, name: str) -> None:
    mark = _made(owner, name)
    if mark.exists():
        taps.delete_macvtap(name)
        mark.unlink(missing_ok=True)


def _direct(owner: Owner, interface: Interface, queues: int) -> list[int]:
    """A macvtap on a device of the host."""
    source = interface.actual.source if interface.actual is not None else interface.source
    if not isinstance(source, DirectInterfaceSource):
        raise InternalError("Missing device name")
    mode = str(source.mode or MacvtapMode.VEPA)
    name = taps.create_macvtap(_wanted(interface, taps.NEW_MACVTAP), source.dev, mode, mac_of(interface))
    _made(owner, name).touch()
    _name(interface, name)
    if interface.mtu:
        links.set_mtu(name, interface.mtu)
    links.set_up(name, True)
    return taps.open_macvtap(name, queues, header=is_virtio_net(interface))


def _vhosts(interface: Interface, queues: int) -> list[int]:
    """The kernel's mover of packets, once a queue; none where the kernel has none and nobody insists."""
    wanted = interface.driver.name if interface.driver is not None else None
    if not is_virtio_net(interface) or wanted is InterfaceDriverName.QEMU:
        return []
    backend = interface.backend
    path = backend.vhost if backend is not None and backend.vhost is not None else _VHOST_NET
    found: list[int] = []
    try:
        for _ in range(queues):
            found.append(os.open(path, os.O_RDWR | os.O_CLOEXEC))
    except OSError:
        _close(found)
        if wanted is InterfaceDriverName.VHOST:
            raise ConfigUnsupported("vhost-net was requested for an interface, but is unavailable") from None
        return []
    return found


def _bandwidth(interface: Interface) -> Bandwidth | None:
    if interface.actual is not None and interface.actual.bandwidth is not None:
        return interface.actual.bandwidth
    return interface.bandwidth


async def limit(vm_uuid: str, interface: Interface) -> None:
    """Limit throughput as wanted, and not at all where nothing is.

    :raises InternalError: it cannot be limited.
    """
    from virt_host.network.traffic import limit_device, limit_switch_port
    from virtcore.model.network.port import Bandwidth

    assert interface.target is not None
    assert interface.target.dev is not None
    name, limits, kind = interface.target.dev, _bandwidth(interface) or Bandwidth(), actual_type(interface)
    port = virtualport_of(interface)
    # What the guest receives is what the host's end of a tap sends; a macvtap is the guest's own.
    swapped = kind is not InterfaceType.DIRECT
    if port is not None and port.type is VirtualPortType.OPENVSWITCH and kind in _BRIDGED:
        await limit_switch_port(name, limits, vm_uuid=vm_uuid, swapped=swapped)
    else:
        await limit_device(name, limits, swapped=swapped)
