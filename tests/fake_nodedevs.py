"""The service of node devices on a host that is a folder."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
from pathlib import Path
from typing import Any

from fake_sysfs import FakeHost
from virt_host.nodedev.devices import UeventSource
from virt_host.nodedev.kernel_device import HostFiles
from virt_host.nodedev.kinds import Host
from virt_host.nodedev.mdevctl import Command
from virt_host.nodedev.mediated import Mdevctl, Said
from virt_host.nodedev.service import HostNodeDevices
from virt_host.nodedev.uevents import Uevent
from virtcore.driver.base import Place
from virtcore.operations.events import NodeDeviceLifecycleEvent, NodeDeviceUpdateEvent

__all__ = ["Events", "FakeMdevctl", "FakeNodeDevices"]


class Events:
    """Where events come from: what a test says happens."""

    def __init__(self) -> None:
        self._ours, self._theirs = socket.socketpair()
        self._waiting: list[Uevent] | None = []

    def fileno(self) -> int:
        return self._ours.fileno()

    def receive(self) -> list[Uevent] | None:
        self._ours.recv(64)
        found, self._waiting = self._waiting, []
        return found

    def happens(self, *events: Uevent) -> None:
        assert self._waiting is not None
        self._waiting += events
        self._theirs.send(b"x")

    def overflows(self) -> None:
        self._waiting = None
        self._theirs.send(b"x")

    def close(self) -> None:
        self._ours.close()
        self._theirs.close()


class FakeNodeDevices(HostNodeDevices):
    """The service on a folder."""

    def __init__(self, root: Path, run: Mdevctl | None = None, *, privileged: bool = True) -> None:
        self.root, self.source, self.run = root, Events(), run
        super().__init__(Place(privileged, str(root / "state")))
        host = self.devices.host
        self.devices.host = Host(
            host.files, privileged, lambda name: [], lambda: "64ad4f80-5dbc-4a2c-8ea9-3ad6f1a7c9be"
        )
        self.told: list[tuple[str, str]] = []

    def files(self) -> HostFiles:
        return HostFiles(str(self.root))

    def mdevctl(self) -> Mdevctl | None:
        return self.run

    def listen(self) -> UeventSource:
        return self.source

    async def open(self) -> None:
        await super().open()
        self.subscribe(self._tell)

    def _tell(self, event: object) -> None:
        if isinstance(event, NodeDeviceLifecycleEvent):
            self.told.append((event.type.name, event.device.name))
        elif isinstance(event, NodeDeviceUpdateEvent):
            self.told.append(("UPDATED", event.device.name))

    def names(self, flags: int = 0, capability: str | None = None) -> list[str]:
        return sorted(ref.name for ref in self.connection_list_node_devices(capability, flags))

    async def settled(self) -> None:
        """Wait until what happened has been looked at."""
        for _ in range(12000):
            await asyncio.sleep(0.005)
            if self.source._waiting == [] and (self.devices._applying is None or self.devices._applying.done()):
                return
        raise AssertionError("it is still being looked at")


class FakeMdevctl:
    """What mdevctl does on a host that is a folder: definitions in its own folder, devices as the kernel makes them."""

    def __init__(self, host: FakeHost) -> None:
        self.host = host
        self.folder = host.path("etc/mdevctl.d")
        self.folder.mkdir(parents=True)
        #: Settings of devices that run, by UUID.
        self.settings: dict[str, list[dict[str, str]]] = {}
        self.commands: list[str] = []

    async def __call__(self, command: Command) -> Said:
        words = command.arguments
        options = dict(word.lstrip("-").partition("=")[::2] for word in words[2:])
        if "uuid" in options and not options["uuid"]:  # the next word is it
            options["uuid"] = words[words.index("--uuid") + 1]
        self.commands.append(" ".join(words))
        try:
            return Said(self._do(words[1], options, command.stdin), "", 0)
        except ValueError as error:
            return Said("", f"Error: {error}\n", 1)

    def _do(self, word: str, options: dict[str, str], stdin: str | None) -> str:
        if word == "list":
            found = self._defined() if "defined" in options else self._running()
            return json.dumps([found] if found else [])
        uuid, parent = options["uuid"], options.get("parent")
        known = next(iter(self.folder.glob(f"*/{uuid}")), None)
        given = json.loads(stdin or "{}")
        if word == "define":
            assert parent is not None
            if (self.folder / parent / uuid).exists():
                raise ValueError(f"Cowardly refusing to overwrite existing config {parent}/{uuid}")
            (self.folder / parent).mkdir(exist_ok=True)
            (self.folder / parent / uuid).write_text(json.dumps(given))
        elif word == "start":
            if not given:
                if known is None:
                    raise ValueError(f"Config for {uuid} does not exist")
                parent, given = known.parent.name, json.loads(known.read_text())
            assert parent is not None
            self._start(parent, uuid, given)
        elif word == "stop":
            self._stop(uuid)
        elif word == "undefine":
            if known is None:
                raise ValueError(f"No match found for uuid '{uuid}'")
            known.unlink()
        elif word == "modify":
            self._modify(uuid, known, options, given)
        return ""

    def _modify(self, uuid: str, known: Path | None, options: dict[str, str], given: dict[str, Any]) -> None:
        if "live" in options:
            self.settings[uuid] = given.get("attrs", [])
            return
        if known is None:
            raise ValueError(f"No match found for uuid '{uuid}'")
        config = given or json.loads(known.read_text())
        if "auto" in options or "manual" in options:
            config["start"] = "auto" if "auto" in options else "manual"
        known.write_text(json.dumps(config))

    def _defined(self) -> dict[str, list[dict[str, Any]]]:
        found: dict[str, list[dict[str, Any]]] = {}
        for file in sorted(self.folder.glob("*/*")):
            found.setdefault(file.parent.name, []).append({file.name: json.loads(file.read_text())})
        return found

    def _running(self) -> dict[str, list[dict[str, Any]]]:
        found: dict[str, list[dict[str, Any]]] = {}
        for link in sorted(self.host.path("sys/bus/mdev/devices").iterdir()):
            config = {"mdev_type": (link / "mdev_type").resolve().name, "start": "manual"}
            settings = self.settings.get(link.name)
            whole = {**config, **({"attrs": settings} if settings else {})}
            found.setdefault(link.resolve().parent.name, []).append({link.name: whole})
        return found

    def _instances(self, folder: Path, step: int) -> None:
        file = folder / "available_instances"
        left = int(file.read_text()) + step
        if left < 0:
            raise ValueError(f"No available instances of {folder.name}")
        file.write_text(f"{left}\n")

    def _start(self, parent: str, uuid: str, config: dict[str, Any]) -> None:
        folder = self.host.path(f"sys/class/mdev_bus/{parent}").resolve()
        kind = folder / "mdev_supported_types" / config["mdev_type"]
        if self.host.path(f"sys/bus/mdev/devices/{uuid}").exists():
            raise ValueError(f"Device {uuid} already exists under parent {parent}")
        if not kind.is_dir():
            raise ValueError(f"Parent {parent} does not support mdev type {kind.name}")
        self._instances(kind, -1)
        self.host.mdev(str(folder.relative_to(self.host.root.resolve())), kind.name, uuid, 40 + len(self.commands))
        self.settings[uuid] = config.get("attrs", [])

    def _stop(self, uuid: str) -> None:
        link = self.host.path(f"sys/bus/mdev/devices/{uuid}")
        if not link.exists():
            raise ValueError(f"Device {uuid} does not exist")
        folder = link.resolve()
        self._instances((folder / "mdev_type").resolve(), 1)
        link.unlink()
        shutil.rmtree(folder)
        self.settings.pop(uuid, None)
