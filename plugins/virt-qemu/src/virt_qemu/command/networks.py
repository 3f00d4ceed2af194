"""Network interfaces: what they are connected to on the host, and the card the guest sees."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import TYPE_CHECKING

from virt_qemu.command.address import place, virtio
from virt_qemu.command.hostdevs import rom
from virt_qemu.command.line import Builder, unsupported
from virt_qemu.private_data import InterfacePrivate
from virtcore.errors import ConfigUnsupported, InternalError
from virtcore.model.arch import Arch
from virtcore.model.domain.address import PCIAddress, VirtioMMIOAddress
from virtcore.model.domain.addresses.pci import spell
from virtcore.model.domain.hostdev import TeamingType
from virtcore.model.domain.interface import (
    HostdevInterfaceSource,
    InterfaceBackendType,
    InterfaceDriverName,
    InterfacePCIAddress,
    InterfaceType,
    SocketInterfaceSource,
    TXMode,
    UDPInterfaceSource,
    VDPAInterfaceSource,
    VhostUserInterfaceSource,
    VhostUserMode,
)

if TYPE_CHECKING:
    from virtcore.model.domain.interface import Interface

__all__ = ["actual_type", "add_host_function", "add_host_functions", "add_interface", "add_interfaces", "is_virtio_net"]

_VIRTIO_NETS = ("virtio", "virtio-transitional", "virtio-non-transitional")
#: Types whose device of the host is a tap.
_TAPS = (InterfaceType.ETHERNET, InterfaceType.NETWORK, InterfaceType.BRIDGE, InterfaceType.DIRECT)
_PASST_RECONNECT = 5


def is_virtio_net(interface: Interface) -> bool:
    """Whether a guest sees a card of virtio."""
    return interface.model in _VIRTIO_NETS


def actual_type(interface: Interface) -> InterfaceType | None:
    """What an interface is connected to: of one in a network, what that gave it."""
    if interface.type is InterfaceType.NETWORK and interface.actual is not None:
        return interface.actual.type
    return interface.type


_ARM = (Arch.ARMV6L, Arch.ARMV7L, Arch.AARCH64)


def add_interfaces(builder: Builder, boot: Mapping[int, int]) -> None:
    """Network interfaces.

    :param boot: id of a device -> its place in the boot order.
    """
    devices = builder.domain.devices
    assert devices is not None
    for interface in devices.interfaces:
        if actual_type(interface) is InterfaceType.HOSTDEV:
            continue  # comes with the devices of the host
        add_interface(builder, interface, boot)


def add_interface(builder: Builder, interface: Interface, boot: Mapping[int, int]) -> None:
    """A network interface: its side of the host, and the card.

    :param boot: id of a device -> its place in the boot order.
    """
    _add_host_side(builder, interface, f"host{interface.alias}")
    if _is_on_board(builder, interface):
        _add_on_board(builder, interface)
    else:
        builder.device(_card(builder, interface, boot))


def _is_on_board(builder: Builder, interface: Interface) -> bool:
    """Whether a card is part of an ARM board, and not on a bus."""
    arch = builder.domain.arch
    return arch in _ARM and not isinstance(interface.address, PCIAddress | VirtioMMIOAddress)


def _add_on_board(builder: Builder, interface: Interface) -> None:
    """A card that the board has: there is no device to add."""
    words = {
        "macaddr": interface.mac.address if interface.mac is not None else None,
        "netdev": f"host{interface.alias}",
        "model": interface.model,
        "id": interface.alias,
    }
    builder.options("-net", "nic", words)


def add_host_functions(builder: Builder, boot: Mapping[int, int]) -> None:
    """Network interfaces that are devices of the host.

    :param boot: id of a device -> its place in the boot order.
    """
    devices = builder.domain.devices
    assert devices is not None
    for interface in devices.interfaces:
        if actual_type(interface) is InterfaceType.HOSTDEV:
            add_host_function(builder, interface, boot)


def add_host_function(builder: Builder, interface: Interface, boot: Mapping[int, int]) -> None:
    """A network interface that is a device of the host; see :func:`add_host_functions`."""
    source = interface.actual.source if interface.actual is not None else interface.source
    if not isinstance(source, HostdevInterfaceSource) or not isinstance(source.address, InterfacePCIAddress):
        raise unsupported("a network interface that is a USB device of the host")
    builder.device(
        {
            "driver": "vfio-pci",
            "host": spell(source.address),
            "id": interface.alias,
            "bootindex": boot.get(id(interface)),
            "failover_pair_id": interface.teaming.persistent if interface.teaming is not None else None,
        }
        | place(builder, interface)
        | rom(interface)
    )


def _add_host_side(builder: Builder, interface: Interface, name: str) -> None:
    kind, source = actual_type(interface), interface.source
    if kind not in _TAPS and interface.backend is not None and interface.backend.tap is not None:
        address = interface.mac.address if interface.mac is not None else ""
        raise ConfigUnsupported(
            f"interface {address} - custom tap device path is not supported for network interfaces of type {kind}"
        )
    if kind is InterfaceType.USER:
        if interface.backend is not None and interface.backend.type is InterfaceBackendType.PASST:
            path = f"{builder.host.passt_folder}/{builder.short_name}-{interface.alias}.socket"
            _netdev(builder, {"type": "stream", "server": False, "addr": {"type": "unix", "path": path}, "id": name})
            return
        if isinstance(interface.private_data, InterfacePrivate) and interface.private_data.slirp:
            _netdev(builder, {"type": "socket", "fd": str(builder.resources.slirp(interface)), "id": name})
            return
        _netdev(builder, _user(interface) | {"id": name})
    elif kind in _TAPS:
        _netdev(builder, _tap(builder, interface) | {"id": name})
    elif kind is InterfaceType.VHOSTUSER:
        _add_vhost_user(builder, interface, name)
    elif kind is InterfaceType.VDPA:
        assert isinstance(source, VDPAInterfaceSource)
        queues = _queues(interface)
        path = builder.fdset((builder.resources.vdpa(source.dev), f"{interface.alias}-vdpa"))
        _netdev(
            builder,
            {"type": "vhost-vdpa", "vhostdev": path, "queues": queues if queues > 1 else None, "id": name},
        )
    else:
        _netdev(builder, _socket(interface) | {"id": name})


def _netdev(builder: Builder, props: dict[str, object]) -> None:
    if builder.capabilities.has("netdev.json"):
        builder.json("-netdev", props)
    else:
        plain = {key: value for key, value in props.items() if key != "type"}
        builder.options("-netdev", str(props["type"]), plain)


def _user(interface: Interface) -> dict[str, object]:
    props: dict[str, object] = {"type": "user"}
    for address in interface.ips:
        found = ipaddress.ip_address(str(address.address))
        if found.version == 4:
            props["net"] = f"{found}/{address.prefix}" if address.prefix else str(found)
        else:
            props |= {"ipv6-prefix": str(found), "ipv6-prefixlen": address.prefix or None}
    return props


def _queues(interface: Interface) -> int:
    return max(1, interface.driver.queues or 0) if interface.driver is not None and is_virtio_net(interface) else 1


def _wants_vhost(interface: Interface) -> bool:
    """Whether the kernel moves the packets: with virtio, unless the user says otherwise."""
    name = interface.driver.name if interface.driver is not None else None
    return is_virtio_net(interface) and name is not InterfaceDriverName.QEMU


def _tap(builder: Builder, interface: Interface) -> dict[str, object]:
    if builder.standalone:
        return {"type": "tap", "sndbuf": interface.sndbuf}
    count = _queues(interface)
    taps = builder.resources.taps(interface, count)
    vhosts = builder.resources.vhost_net(interface, count) if _wants_vhost(interface) else []
    several = len(taps) > 1
    return {
        "type": "tap",
        "fds" if several else "fd": ":".join(map(str, taps)),
        "vhost": True if vhosts else None,
        "vhostfds" if several else "vhostfd": ":".join(map(str, vhosts)) or None,
        "sndbuf": interface.sndbuf,
    }


def _add_vhost_user(builder: Builder, interface: Interface, name: str) -> None:
    source = interface.source
    chardev = f"char{interface.alias}"
    props: dict[str, object] = {"id": chardev}
    if interface.backend is not None and interface.backend.type is InterfaceBackendType.PASST:
        props["path"] = f"{builder.host.passt_folder}/{builder.short_name}-{interface.alias}.socket"
        props |= builder.reconnect(_PASST_RECONNECT)
    else:
        assert isinstance(source, VhostUserInterfaceSource)
        props["path"] = source.path
        if source.mode is VhostUserMode.SERVER:
            props["server"] = True
        elif source.reconnect is not None and source.reconnect.enabled is not None:
            props |= builder.reconnect(source.reconnect.timeout or 0 if source.reconnect.enabled else 0)
    builder.options("-chardev", "socket", props)
    queues = _queues(interface)
    _netdev(
        builder,
        {"type": "vhost-user", "chardev": chardev, "queues": queues if queues > 1 else None, "id": name},
    )


def _socket(interface: Interface) -> dict[str, object]:
    source, kind = interface.source, interface.type
    if isinstance(source, UDPInterfaceSource):
        local = f"{source.local.address}:{source.local.port}" if source.local is not None else None
        return {"type": "socket", "udp": f"{source.address}:{source.port}", "localaddr": local}
    if isinstance(source, SocketInterfaceSource):
        names = {InterfaceType.SERVER: "listen", InterfaceType.CLIENT: "connect", InterfaceType.MCAST: "mcast"}
        if kind in names:
            return {"type": "socket", names[kind]: f"{source.address or ''}:{source.port}"}
    raise ConfigUnsupported(f"network device type '{kind}' is not supported by this hypervisor")


def _card(builder: Builder, interface: Interface, boot: Mapping[int, int]) -> dict[str, object]:
    props: dict[str, object]
    if is_virtio_net(interface):
        props = _virtio_card(interface)
    else:
        if interface.model is None:
            raise InternalError("a network interface was not completed")
        props = {"driver": interface.model}
    place_ = boot.get(id(interface))
    return (
        props
        | {
            "netdev": f"host{interface.alias}",
            "id": interface.alias,
            "mac": str(interface.mac.address) if interface.mac is not None else None,
            "bootindex": place_,
            "loadparm": builder.loadparm(interface.loadparm, place_),
        }
        | place(builder, interface)
        | rom(interface)
    )


def _virtio_card(interface: Interface) -> dict[str, object]:
    driver, teaming = interface.driver, interface.teaming
    props = virtio("virtio-net", interface, interface.model, driver)
    if driver is not None:
        queues = driver.queues or 0
        host, guest = driver.host, driver.guest
        props |= {
            "tx": {TXMode.IOTHREAD: "bh", TXMode.TIMER: "timer"}.get(driver.txmode) if driver.txmode else None,
            "ioeventfd": driver.ioeventfd,
            "event_idx": driver.event_idx,
        }
        if host is not None:
            props |= {
                "csum": host.csum,
                "gso": host.gso,
                "host_tso4": host.tso4,
                "host_tso6": host.tso6,
                "host_ecn": host.ecn,
                "host_ufo": host.ufo,
                "mrg_rxbuf": host.mrg_rxbuf,
            }
        if guest is not None:
            props |= {
                "guest_csum": guest.csum,
                "guest_tso4": guest.tso4,
                "guest_tso6": guest.tso6,
                "guest_ecn": guest.ecn,
                "guest_ufo": guest.ufo,
            }
        props |= {
            "mq": True if queues > 1 else None,
            "vectors": 2 * queues + 2 if queues > 1 else None,
            "rx_queue_size": driver.rx_queue_size or None,
            "tx_queue_size": driver.tx_queue_size or None,
            "rss": driver.rss,
            "hash": driver.rss_hash_report,
        }
    props["host_mtu"] = interface.mtu or None
    if teaming is not None and teaming.type is TeamingType.PERSISTENT:
        props["failover"] = True
    return props
