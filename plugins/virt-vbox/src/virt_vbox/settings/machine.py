"""The elements of a settings file. What libvirt does not look into is kept as it is."""

from __future__ import annotations

import re
from collections.abc import Iterator

from virtcore.errors import InternalError, NoDomainSnapshot, XMLError
from virtcore.xml import Codec, Extras, attribute, child, children, element, extras, leaf, verbatim

__all__ = ["HardDisk", "HardDisks", "Machine", "MediaRegistry", "Snapshot", "VirtualBox"]

_UUID = re.compile("[a-fA-F0-9]{8}-[a-fA-F0-9]{4}-[a-fA-F0-9]{4}-[a-fA-F0-9]{4}-[a-fA-F0-9]{12}")
_DATE = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_TIME = re.compile("[0-9]{2}:[0-9]{2}:[0-9]{2}", re.ASCII)


def _read_uuid(text: str) -> str:
    found = _UUID.search(text)
    if found is None:
        raise ValueError(text)
    return found[0]


def _read_time(text: str) -> str:
    """A time as VirtualBox and libvirt write it, whatever part of a second and zone is behind it."""
    date, time = _DATE.search(text), _TIME.search(text)
    if date is None or time is None:
        raise ValueError(text)
    return f"{date[0]}T{time[0]}Z"


_BRACED = Codec(_read_uuid, "{{{}}}".format, safe=True)
_TIMESTAMP = Codec(_read_time, str, safe=True)
# Whatever is not true is false.
_TRUE = Codec(lambda text: text == "true", lambda value: "true" if value else "false", safe=True)

_BAD = "Cannot parse <{element}> '{name}' attribute"


@element("HardDisk")
class HardDisk:
    """An image of a hard disk, and the images of differences from it."""

    uuid: str = attribute(codec=_BRACED, required=True, missing=_BAD, invalid=_BAD, doc="without the braces")
    location: str = attribute(required=True, missing=_BAD, doc="absolute path")
    format: str = attribute(required=True, missing=_BAD, doc="as VDI")
    type: str | None = attribute(doc="as Normal; images of differences have none")
    differences: list[HardDisk] = children("HardDisk")
    extra: Extras = extras()

    def walk(self) -> Iterator[tuple[HardDisk, ...]]:
        """The image and all below it, each with its ancestors: itself first, the farthest last."""
        pending: list[tuple[HardDisk, ...]] = [(self,)]
        while pending:
            line = pending.pop()
            yield line
            pending += [(below, *line) for below in reversed(line[0].differences)]


@element("HardDisks", empty="keep")
class HardDisks:
    """The hard disks a machine knows."""

    disks: list[HardDisk] = children("HardDisk")
    extra: Extras = extras()


@element("MediaRegistry", empty="keep")
class MediaRegistry:
    """The media a machine knows."""

    dvd_images: str | None = verbatim("DVDImages")
    floppy_images: str | None = verbatim("FloppyImages")
    hard_disks: HardDisks = child(required=True, missing="Cannot parse <MediaRegistry> <HardDisks> node")
    extra: Extras = extras()

    def _lines(self) -> Iterator[tuple[HardDisk, ...]]:
        for disk in self.hard_disks.disks:
            yield from disk.walk()

    def disk_by_uuid(self, uuid: str) -> HardDisk | None:
        """The image with a UUID (without braces); None when there is none."""
        return next((line[0] for line in self._lines() if line[0].uuid == uuid), None)

    def disk_at(self, location: str) -> HardDisk | None:
        """The image at a path; None when there is none."""
        return next((line[0] for line in self._lines() if line[0].location == location), None)

    def disks_to_open(self, location: str) -> list[HardDisk]:
        """The image at a path and what it is a difference from, the base last; empty when there is none."""
        return next((list(line) for line in self._lines() if line[0].location == location), [])

    def add_disk(self, disk: HardDisk, parent: str) -> None:
        """Add an image of differences.

        :param parent: UUID of the image it is a difference from.
        :raises InternalError: there is none.
        """
        found = self.disk_by_uuid(parent)
        if found is None:
            raise InternalError("Unable to get the parent disk", value=parent)
        found.differences.append(disk)

    def remove_disk(self, uuid: str) -> None:
        """Remove an image with all that are differences from it.

        :raises InternalError: there is none.
        """
        for line in self._lines():
            if line[0].uuid == uuid:
                siblings = line[1].differences if len(line) > 1 else self.hard_disks.disks
                siblings[:] = [disk for disk in siblings if disk is not line[0]]
                return
        raise InternalError(f"Unable to find the hard disk with uuid {uuid}", value=uuid)

    def remove_fake_disks(self) -> None:
        """Remove the images libvirt made up to have something to attach: those with ``fake`` in their path."""
        for line in list(self._lines()):
            if "fake" in line[0].location and self.disk_by_uuid(line[0].uuid) is not None:
                self.remove_disk(line[0].uuid)


def _has_hardware(obj: Snapshot | Machine) -> None:
    name = "Snapshot" if isinstance(obj, Snapshot) else "Machine"
    for held, part in ((obj.hardware, "Hardware"), (obj.storage_controllers, "StorageControllers")):
        if held is None:
            raise XMLError(f"Cannot parse <{name}> <{part}> node")


@element("Snapshot", after_parse=_has_hardware)
class Snapshot:
    """A machine as it was once, and the snapshots taken of it since."""

    uuid: str = attribute(codec=_BRACED, required=True, missing=_BAD, invalid=_BAD, doc="without the braces")
    name: str = attribute(required=True, missing=_BAD)
    time_stamp: str = attribute(
        "timeStamp", codec=_TIMESTAMP, required=True, missing=_BAD, invalid=_BAD, doc="in UTC: YYYY-MM-DDThh:mm:ssZ"
    )
    description: str | None = leaf("Description")
    hardware: str | None = verbatim("Hardware")
    storage_controllers: str | None = verbatim("StorageControllers")
    snapshots: list[Snapshot] = children("Snapshot", within="Snapshots")
    extra: Extras = extras()

    def walk(self) -> Iterator[tuple[Snapshot, ...]]:
        """The snapshot and all below it, each with its ancestors: itself first, the farthest last."""
        pending: list[tuple[Snapshot, ...]] = [(self,)]
        while pending:
            line = pending.pop()
            yield line
            pending += [(below, *line) for below in reversed(line[0].snapshots)]


def _settle_machine(machine: Machine) -> None:
    _has_hardware(machine)
    machine.current_state_modified = bool(machine.current_state_modified)


@element("Machine", after_parse=_settle_machine)
class Machine:
    """A virtual machine."""

    uuid: str = attribute(required=True, missing=_BAD, doc="as it is written, with braces")
    name: str = attribute(required=True, missing=_BAD)
    current_snapshot: str | None = attribute(
        "currentSnapshot", codec=_BRACED, invalid=_BAD, doc="UUID of the snapshot it goes on from, without the braces"
    )
    snapshot_folder: str = attribute("snapshotFolder", required=True, missing=_BAD, doc="path")
    current_state_modified: bool | None = attribute("currentStateModified", codec=_TRUE, doc="since the snapshot")
    os_type: str | None = attribute("OSType", doc="VirtualBox's name of the guest's operating system")
    last_state_change: str = attribute(
        "lastStateChange",
        codec=_TIMESTAMP,
        required=True,
        missing=_BAD,
        invalid=_BAD,
        doc="in UTC: YYYY-MM-DDThh:mm:ssZ",
    )
    media: MediaRegistry = child(required=True, missing="Cannot parse <Machine> <MediaRegistry> node")
    hardware: str | None = verbatim("Hardware")
    extra_data: str | None = verbatim("ExtraData")
    storage_controllers: str | None = verbatim("StorageControllers")
    snapshot: Snapshot | None = child()
    extra: Extras = extras()

    def _line_of(self, name: str) -> tuple[Snapshot, ...] | None:
        lines = self.snapshot.walk() if self.snapshot is not None else ()
        return next((line for line in lines if line[0].name == name), None)

    def find_snapshot(self, name: str) -> Snapshot | None:
        """The snapshot with a name; None when there is none."""
        line = self._line_of(name)
        return line[0] if line is not None else None

    def add_snapshot(self, snapshot: Snapshot, parent: str | None = None) -> None:
        """Add a snapshot.

        :param parent: name of the snapshot it was taken after; None: it is the first.
        :raises InternalError: there is no such parent, or already a first one.
        """
        if parent is None:
            if self.snapshot is not None:
                raise InternalError("Unable to add this snapshot, there is already a snapshot linked to the machine")
            self.snapshot = snapshot
            return
        if self.snapshot is None:
            raise InternalError("The machine has no snapshot and it should have it")
        found = self.find_snapshot(parent)
        if found is None:
            raise InternalError(f"Unable to find the snapshot {parent}", value=parent)
        found.snapshots.append(snapshot)

    def remove_snapshot(self, name: str) -> None:
        """Remove a snapshot that has none below it.

        :raises InternalError: there is no such snapshot, or it has some.
        """
        if self.snapshot is None:
            raise InternalError("the machine has no snapshot")
        line = self._line_of(name)
        if line is None:
            raise InternalError(f"Unable to find the snapshot with name {name}", value=name)
        if line[0].snapshots:
            raise InternalError("This snapshot has children, please delete these snapshots before", value=name)
        if len(line) == 1:
            self.snapshot = None
        else:
            line[1].snapshots[:] = [other for other in line[1].snapshots if other is not line[0]]

    def is_current_snapshot(self, name: str) -> bool:
        """Whether the machine goes on from the snapshot with a name.

        :raises NoDomainSnapshot: there is none.
        """
        found = self.find_snapshot(name)
        if found is None:
            raise NoDomainSnapshot(f"Unable to find the snapshot {name}", value=name)
        return found.uuid == self.current_snapshot


@element("VirtualBox", root=True)
class VirtualBox:
    """A settings file."""

    version: str | None = attribute(doc="of the format, and what it was written on")
    machine: Machine = child(required=True, missing="Cannot parse <VirtualBox> <Machine> node")
    extra: Extras = extras()
