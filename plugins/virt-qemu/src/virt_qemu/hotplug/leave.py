"""What is behind a device goes when the guest has let go of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from virt_qemu.command import characters, devices as small, hostdevs, memory, networks, peripherals
from virt_qemu.command.disks import image_numbers
from virt_qemu.command.filesystems import add_filesystem
from virt_qemu.command.images import lent_nodes
from virt_qemu.hotplug import disks
from virt_qemu.hotplug.memory import grown, refresh_memory
from virt_qemu.hotplug.plan import undo
from virtcore.driver.toolkit.configuration.devices import LoadedDevice, remove
from virtcore.model.domain.chardev import Channel, Console, GuestForwardTarget, Parallel, Serial
from virtcore.model.domain.hostdev import SCSIHostdev
from virtcore.model.domain.interface import InterfaceType
from virtcore.model.storage.source import VhostUserSource

if TYPE_CHECKING:
    from virt_qemu.hotplug.builder import PlanBuilder
    from virt_qemu.hotplug.plan import Step
    from virt_qemu.hotplug.session import Session

__all__ = ["finish", "remove_fdsets", "steps_behind"]


class _Closed:
    """A host of which nothing is opened: a plan that is only undone needs none of it."""

    fds: Mapping[int, int] = {}

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return _CLOSED[name]


#: What each resource is to a plan that is only undone: of the type that the builder expects.
_CLOSED: dict[str, Callable[..., Any]] = {
    **dict.fromkeys(("listen", "output", "log", "vhost_scsi", "vdpa", "vhost_user_gpu"), lambda *_: 0),
    **dict.fromkeys(("taps", "vhost_net"), lambda interface, count: [0] * count),
    **dict.fromkeys(("scsi_generic", "tpm_socket", "render_node"), lambda *_: ""),
    "lent": lambda group: [0],
    "secret": lambda reference: b"",
    "is_cdrom": lambda path: False,
    "vsock": lambda cid, auto: (0, cid or 0),
}


async def finish(session: Session, found: LoadedDevice) -> None:
    """Take away what is behind a device that has gone, and note that it has (``qemuDomainRemoveDevice``).

    :raises VirtError: QEMU keeps what the device was connected to; it stays in the configuration.
    """
    from virtcore.operations.events import DomainDeviceRemovedEvent

    device, alias = found.device, found.alias
    assert alias is not None
    # A disk's images and a redirected device's stream may have gone by themselves.
    behind = steps_behind(session, found.kind, device)
    await undo(session.monitor, behind, strictly=found.kind not in ("disk", "redirdev"))
    if found.kind == "disk":
        for node in lent_nodes(device):
            await remove_fdsets(session, node)
    elif found.kind == "chr" and not _is_forward(device):
        await remove_fdsets(session, alias)
    elif found.kind == "interface" and networks.actual_type(device) is InterfaceType.VDPA:
        await remove_fdsets(session, alias, device.source.dev)
    remove(session.domain, found)
    if found.kind == "chr":
        _forget_console(session, device)
    if found.kind == "memory":
        grown(session.domain, -(device.target.size or 0))
        await refresh_memory(session)
    await session.host.release(session.guest, session.domain, device)
    session.obj.touch()
    session.tell(DomainDeviceRemovedEvent(session.obj.ref, alias))


def _is_forward(device: object) -> bool:
    return isinstance(device, Channel) and isinstance(device.target, GuestForwardTarget)


def steps_behind(session: Session, kind: str, device: Any) -> list[Step]:
    """What made a device, without what the guest saw of it."""
    add = _WAYS.get(kind)
    if add is None:
        return []
    builder = session.builder(session.domain, _Closed())
    builder.key = builder.key or bytes(32)
    add(session, builder, device)
    steps = [step for step in builder.plan.backend if step.command not in ("getfd", "add-fd")]
    # QEMU takes the stream away with the forwarded connection.
    return [step for step in steps if step.command == "netdev_add"] if _is_forward(device) else steps


def _disk(session: Session, builder: PlanBuilder, disk: Any) -> None:
    if image_numbers(disk) or isinstance(disk.source, VhostUserSource):
        disks.add_whole_disk(session.domain, builder, disk, {})


def _hostdev(session: Session, builder: PlanBuilder, device: Any) -> None:
    if isinstance(device, SCSIHostdev):
        builder.hostdev_nodes = {id(device): disks.hostdev_number(device)}
        hostdevs.add_hostdev(builder, device, {})


def _interface(session: Session, builder: PlanBuilder, device: Any) -> None:
    if networks.actual_type(device) is not InterfaceType.HOSTDEV:
        networks.add_interface(builder, device, {})


_PORTS: dict[type, Callable[[PlanBuilder, Any], None]] = {
    Serial: characters.add_serial,
    Parallel: characters.add_parallel,
    Console: characters.add_console,
    Channel: characters.add_channel,
}

#: What messages call a kind of device -> how such a device is described.
_WAYS: dict[str, Callable[[Session, PlanBuilder, Any], None]] = {
    "disk": _disk,
    "interface": _interface,
    "hostdev": _hostdev,
    "redirdev": lambda session, builder, device: peripherals.add_redirdev(builder, device, {}),
    "chr": lambda session, builder, device: _PORTS[type(device)](builder, device),
    "rng": lambda session, builder, device: small.add_rng(builder, device),
    "memory": lambda session, builder, device: memory.add_module(builder, device),
    "shmem": lambda session, builder, device: peripherals.add_shmem(builder, device),
    "input": lambda session, builder, device: small.add_input(builder, device),
    "filesystem": lambda session, builder, device: add_filesystem(builder, device, {}),
}


async def remove_fdsets(session: Session, alias: str, path: str | None = None) -> None:
    """Close the sets of descriptors that QEMU has of a device, or of an image.

    :param alias: the device's, or the name of the image's storage node.
    :param path: what older guests called them.
    """
    answer = await session.monitor.execute("query-fdsets")
    for row in answer if isinstance(answer, list) else ():
        members = row.get("fds", []) if isinstance(row, dict) else []
        names = [str(member.get("opaque")) for member in members if isinstance(member, dict)]  # type: ignore[union-attr]
        if any(name.startswith(f"{alias}-") or name == path for name in names):
            assert isinstance(row, dict)
            await session.monitor.execute("remove-fd", {"fdset-id": row["fdset-id"]})


def _forget_console(session: Session, device: object) -> None:
    """With the first serial port goes the console that stands for it."""
    consoles = session.devices.consoles
    if not isinstance(device, Serial) or not consoles or not characters.is_serial_console(consoles[0]):
        return
    if consoles[0].alias in (None, device.alias):
        del consoles[0]
