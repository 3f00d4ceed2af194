"""Adapter of suite ``qemu-hotplug``: devices and virtual CPUs of a running guest whose monitor has a script."""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from suites_qemu_argv import _facts, _Host, _settings
from suites_qemu_domain import capabilities_of, rules_of
from virt_qemu.guest import Guest
from virt_qemu.hotplug import vcpu_definitions
from virt_qemu.hotplug.attach import plug
from virt_qemu.hotplug.detach import unplug
from virt_qemu.hotplug.disks import number_disk
from virt_qemu.hotplug.session import Session
from virt_qemu.hotplug.update import exchange
from virt_qemu.hotplug.vcpus import ask, check_states, set_count, set_state
from virt_qemu.live_status import new_status
from virt_qemu.log import GuestLog
from virt_qemu.monitor import CommandError, Event, EventQueue
from virt_qemu.rules.aliases import assign_aliases
from virtcore.driver.toolkit import DomainObject
from virtcore.driver.toolkit.configuration.devices import load_device
from virtcore.errors import VirtError
from virtcore.model.arch import Arch
from virtcore.model.domain.disk import BackingStore, Disk
from virtcore.model.domain.document import format_domain, load_domain
from virtcore.model.domain.rules import ParseFlag
from virtcore.xml import CpuSet, Mode

_STEP_LIMIT = 0.05
"""Seconds that the guest of a script has to let go of a device."""


def _asks(command: str) -> bool:
    """Whether a command changes nothing: the driver may ask in another order than libvirt's, or not at all."""
    return command.startswith(("query-", "qom-list", "qom-get"))


class _Script:
    """A monitor that gives the answers of a script, each to its command.

    What changes something has to be executed in the script's order, and all of it; questions may be left out or come
    later than there, never before a change that the script has before them.
    """

    name = "hotplug"
    connected = True

    def __init__(self, guest: Guest) -> None:
        self._guest = guest
        self._queues: list[EventQueue] = []
        self.left: list[tuple[str, Any, list[Any]]] = []

    def put(self, command: str, answers: list[Any], arguments: Any = None) -> None:
        self.left.append((command, arguments, answers))

    async def execute(self, command: str, arguments: Any = None, **_: object) -> Any:
        place = 0
        while place < len(self.left) and self.left[place][0] != command and _asks(self.left[place][0]):
            place += 1
        expected = self.left[place] if place < len(self.left) else ("nothing more", None, [])
        if expected[0] != command:
            raise AssertionError(f"'{command}' is executed where the script has '{expected[0]}'")
        del self.left[place]
        if expected[1] is not None and expected[1] != arguments:
            raise AssertionError(f"'{command}' is told {arguments}, not {expected[1]}")
        for answer in expected[2]:
            if "event" in answer:
                self._tell(Event(answer["event"], answer.get("data", {}), 0.0))
            elif "error" in answer:
                raise CommandError(command, answer["error"]["class"], answer["error"]["desc"])
            else:
                return answer["return"]
        raise AssertionError(f"the script has no answer to '{command}'")

    ask = execute

    def check_done(self) -> None:
        """Whether all that changes something has been executed."""
        missing = [command for command, *_ in self.left if not _asks(command)]
        if missing:
            raise AssertionError(f"'{missing[0]}' was not executed")

    def _tell(self, event: Event) -> None:
        for queue in self._queues:
            queue.put(event)
        waiting = self._guest.unplugging.get(str(event.data.get("device")))
        if event.name == "DEVICE_DELETED" and waiting is not None:
            waiting.set_result(True)

    @contextmanager
    def events(self, *names: str) -> Iterator[EventQueue]:
        queue = EventQueue(frozenset(names))
        self._queues.append(queue)
        yield queue
        self._queues.remove(queue)


class _Opened(_Host):
    fds: Mapping[int, int] = {}


class _MadeUp:
    """A host that has whatever a guest wants of it."""

    privileged = True

    def __init__(self, case: Any) -> None:
        self.settings = _settings(case)
        self._secret = _facts(case)["secret_value"]

    @contextmanager
    def open(self) -> Iterator[Any]:
        yield _Opened(self._secret)

    def key(self, guest: Guest) -> bytes:
        return bytes(32)

    async def tell_credentials(self, guest: Any, graphics: Any) -> None:
        raise NotImplementedError

    def display_password(self, protocol: str) -> str | None:
        return None

    async def prepare(self, guest: Guest, domain: Any, device: Any, opened: Any) -> None:
        if isinstance(device, Disk):
            if device.source is not None and device.backing_store is None:
                device.backing_store = BackingStore()
            number_disk(guest, domain, device, self.settings.image_tls)

    async def release(self, guest: Guest, domain: Any, device: Any) -> None:
        pass

    async def join_network(self, *_: Any) -> None:
        pass

    async def leave_network(self, *_: Any) -> None:
        pass

    async def change_interface(self, *_: Any) -> None:
        pass

    async def place_threads(self, guest: Guest, domain: Any, vcpus: list[int]) -> None:
        pass


def _session(case: Any, inactive: bool = False) -> tuple[Session, _Script]:
    rules = rules_of(case)
    arch = Arch(case.params["host_arch"])

    def context(flags: ParseFlag) -> Any:
        return rules.context(flags, arch=arch, security_model="none")

    domain = load_domain(case.text("domain"), rules, context(ParseFlag.INACTIVE if inactive else ParseFlag.NONE))
    domain.id = case.params["domain_id"]
    obj = DomainObject(domain.name, domain.uuid or "")
    obj.live = domain
    folder = Path(f"/var/lib/libvirt/qemu/domain-{domain.id}-{domain.name[:20]}")
    guest = Guest(
        folder=folder,
        log=GuestLog(folder, domain.name),
        status=new_status(domain, folder, None),
        capabilities=capabilities_of(case),
    )
    script = _Script(guest)
    guest.monitor = script  # type: ignore[assignment]
    session = Session(
        obj=obj,
        guest=guest,
        host=_MadeUp(case),
        rules=rules,
        context=context,
        tell=lambda event: None,
        unplug_limit=_STEP_LIMIT,
    )
    return session, script


def _documents(text: str) -> list[Any]:
    """The JSON documents that stand one after the other in a text."""
    decoder, found, place = json.JSONDecoder(), [], 0
    text = text.strip()
    while place < len(text):
        document, place = decoder.raw_decode(text, place)
        found.append(document)
        while place < len(text) and text[place].isspace():
            place += 1
    return found


def qemu_hotplug(case: Any) -> Any:
    """What a guest is after each step, or after its virtual CPUs have changed."""
    if case.params.get("action") in ("set-vcpus", "set-vcpu"):
        return asyncio.run(_vcpus(case))
    return asyncio.run(_steps(case))


async def _steps(case: Any) -> dict[str, str]:
    session, script = _session(case)
    results = {}
    for number, step in enumerate(case.params["steps"], 1):
        script.left.clear()
        for command, reply in step["monitor"]:
            script.put(command, _documents(reply))
        try:
            done = await _ACTIONS[step["action"]](session, case.text(step["device"]))
        except VirtError:
            done = False
        script.check_done()
        results[f"step{number}"] = format_domain(session.domain, Mode.SECURE) if done else "failed"
    return results


async def _attach(session: Session, xml: str) -> bool:
    flags = ParseFlag.INACTIVE | ParseFlag.ABI_UPDATE
    await plug(session, load_device(xml, session.domain, session.rules, session.context(flags)))
    return True


async def _detach(session: Session, xml: str) -> bool:
    flags = ParseFlag.SKIP_VALIDATE
    return await unplug(session, load_device(xml, session.domain, session.rules, session.context(flags)))


async def _update(session: Session, xml: str) -> bool:
    await exchange(session, load_device(xml, session.domain, session.rules, session.context(ParseFlag.NONE)))
    return True


_ACTIONS = {"attach": _attach, "detach": _detach, "update": _update}


async def _vcpus(case: Any) -> dict[str, str]:
    session, script = _session(case, inactive=True)
    documents = _documents(case.text("monitor"))
    for command, reply in zip(documents[::2], documents[1::2], strict=True):
        script.put(command["execute"], [reply], command.get("arguments"))
    definition = copy.deepcopy(session.domain)
    assign_aliases(session.domain)
    cpus = await ask(session.monitor, session.domain.vcpu_maximum)
    if case.params["action"] == "set-vcpus":
        count = case.params["vcpus"]
        await set_count(session, cpus, count)
        vcpu_definitions.set_count(definition, count, hotpluggable=True)
    else:
        numbers, state = frozenset(CpuSet.parse(case.params["vcpumap"])), case.params["state"]
        entity = check_states(cpus, numbers, state)
        vcpu_definitions.check_states(definition, numbers)
        await set_state(session, cpus, entity, state)
        vcpu_definitions.set_states(definition, numbers, state)
    script.check_done()
    definition.id = None
    return {
        "live": format_domain(session.domain, Mode.SECURE),
        "config": format_domain(definition, Mode.SECURE | Mode.INACTIVE),
    }
