"""Guests' agents: the real one in a real guest, and ones that die, lie, never answer or answer too late."""

from __future__ import annotations

import asyncio
import json
import queue
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import agent_image
import guest_image
import pytest

import virtcore
from support import eventually
from virt_qemu.agent import commands
from virt_qemu.agent.channel import BLOCK, Agent
from virt_qemu.agent.protocol import AgentCommandError, AgentProtocol
from virt_qemu.agent.telling import disk_target, guest_info
from virtcore import errors
from virtcore.enums import DomainRebootFlags, DomainShutdownFlags, DomainState, DomainVcpuFlags, NodeSuspendTarget
from virtcore.enums.domain_events import (
    ConnectDomainEventAgentLifecycleReason as Reason,
    ConnectDomainEventAgentLifecycleState as State,
)
from virtcore.model.domain import Domain
from virtcore.operations.events import DomainAgentLifecycleEvent, DomainRebootEvent, Event
from virtcore.operations.parameters import GUEST_INFO
from virtcore.xml import parse

T = TypeVar("T")


# -- the protocol


def test_only_the_answer_to_what_was_asked_counts() -> None:
    protocol = AgentProtocol()
    assert protocol.receive(b'{"return": 1}\n') == []  # nobody has asked
    assert json.loads(protocol.synchronize(7)) == {"execute": "guest-sync", "arguments": {"id": 7}}
    # What came before is dropped: an old answer, half a one, another number.
    assert protocol.receive(b'{"return": {}}\nhalf"}\n{"return": 6}\n{"error": {"class": "GenericError"}}\n') == []
    assert not protocol.in_step
    assert protocol.receive(b"\xff") == []
    assert protocol.receive(b'{"return"') == []
    assert protocol.receive(b": 7}\n") == [{"return": 7}]
    assert vars(protocol)["in_step"]
    assert json.loads(protocol.ask("guest-ping")) == {"execute": "guest-ping"}
    assert protocol.receive(b'{"something": 1}\n{"return": {}}\n{"return": 2}\n') == [{"return": {}}]
    protocol.ask("guest-ping")
    protocol.give_up()
    assert not protocol.in_step
    protocol.synchronize(8)
    protocol.receive(b'{"return": 8}\n')
    protocol.ask("guest-ping")
    with pytest.raises(errors.InternalError, match="cannot parse json nonsense"):
        protocol.receive(b"nonsense\n")
    with pytest.raises(errors.AgentUnresponsive, match="too long"):
        protocol.receive(b"x" * (11 << 20))


# -- an agent that is told what to do


class _Fake:
    """Stands for QEMU's end of the channel, and the agent behind it."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self.answers = answers
        self.asked: list[str] = []
        self.writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        while line := await reader.readline():
            question = json.loads(line)
            name = question["execute"]
            self.asked.append(name)
            answer = self.answers.get(name)
            if name == "guest-sync" and answer is None:
                answer = {"return": question["arguments"]["id"]}
            if callable(answer):
                answer = answer(question)
            if answer == "die":
                break
            if isinstance(answer, bytes):
                writer.write(answer)
            elif answer is not None:
                writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
        writer.close()


def talk(tmp_path: Path, answers: dict[str, Any], work: Callable[[Agent, _Fake], Coroutine[Any, Any, T]]) -> T:
    """Let something be done with an agent that answers so."""

    async def run() -> T:
        fake = _Fake(answers)
        server = await asyncio.start_unix_server(fake.serve, tmp_path / "agent")
        agent = Agent("fake", BLOCK)
        await agent.connect(str(tmp_path / "agent"))
        try:
            return await work(agent, fake)
        finally:
            await agent.close()
            server.close()
            for writer in fake.writers:
                writer.close()

    return asyncio.run(run())


def test_who_answers_late_is_not_believed_later(tmp_path: Path) -> None:
    async def work(agent: Agent, fake: _Fake) -> None:
        with pytest.raises(errors.AgentCommandTimeout, match="didn't respond to command within '0' seconds"):
            await agent.execute("guest-get-time", timeout=0)
        fake.writers[0].write(b'{"return": 1}\n')  # now it comes
        fake.answers["guest-get-host-name"] = {"return": {"host-name": "right"}}
        assert await commands.host_name(agent) == "right"
        assert fake.asked == ["guest-sync", "guest-get-time", "guest-sync", "guest-get-host-name"]
        await commands.host_name(agent)
        assert fake.asked[-1:] == ["guest-get-host-name"]  # in step: nothing to synchronize

    talk(tmp_path, {}, work)


def test_who_never_answers_is_given_up(tmp_path: Path) -> None:
    async def work(agent: Agent, fake: _Fake) -> None:
        agent.timeout = 0
        with pytest.raises(errors.AgentUnresponsive, match="didn't respond to synchronization within '0' seconds"):
            await agent.execute("guest-ping")
        assert fake.asked in ([], ["guest-sync"])

    talk(tmp_path, {"guest-sync": lambda question: None}, work)


def test_who_dies_is_missed_at_once(tmp_path: Path) -> None:
    async def work(agent: Agent, fake: _Fake) -> None:
        with pytest.raises(errors.AgentUnresponsive, match="Guest agent disappeared while executing command"):
            await agent.execute("guest-get-time")
        with pytest.raises(errors.AgentUnresponsive, match="Guest agent disappeared while executing command"):
            await agent.execute("guest-get-time")

    talk(tmp_path, {"guest-get-time": "die"}, work)


@pytest.mark.parametrize("answer", [{"return": "soon"}, {"return": None}, {"return": {"ns": 1}}, b"[1]\n"])
def test_who_lies_is_not_believed(tmp_path: Path, answer: object) -> None:
    async def work(agent: Agent, fake: _Fake) -> None:
        with pytest.raises(errors.InternalError):
            await commands.get_time(agent)

    talk(tmp_path, {"guest-get-time": answer}, work)


def test_refusals_have_libvirts_words(tmp_path: Path) -> None:
    async def work(agent: Agent, fake: _Fake) -> None:
        for error, text in (
            ({"class": "GenericError", "desc": "it burns"}, "'guest-ping': it burns"),
            ({"class": "CommandDisabled"}, "'guest-ping': Command has been disabled"),
            ({"class": "NoSuch"}, "'guest-ping': NoSuch"),
            ({}, "'guest-ping': unknown QEMU command error"),
        ):
            fake.answers["guest-ping"] = {"error": error}
            with pytest.raises(AgentCommandError, match=text):
                await agent.execute("guest-ping")

    talk(tmp_path, {}, work)


def test_one_asks_after_the_other(tmp_path: Path) -> None:
    async def work(agent: Agent, fake: _Fake) -> None:
        names = await asyncio.gather(*(commands.host_name(agent) for _ in range(5)))
        assert names == ["n1", "n2", "n3", "n4", "n5"]

    count = iter(range(1, 10))
    answer = {"guest-get-host-name": lambda question: {"return": {"host-name": f"n{next(count)}"}}}
    talk(tmp_path, answer, work)


def test_a_shutdown_is_done_when_the_guest_goes(tmp_path: Path) -> None:
    async def work(agent: Agent, fake: _Fake) -> None:
        going = asyncio.ensure_future(commands.shut_down(agent, reboot=False))
        while "guest-shutdown" not in fake.asked:
            await asyncio.sleep(0.01)
        agent.notify("STOP")
        await asyncio.sleep(0.01)
        assert not going.done()
        agent.notify("SHUTDOWN")
        await going
        fake.answers["guest-shutdown"] = {"error": {"class": "GenericError", "desc": "never"}}
        with pytest.raises(AgentCommandError, match="never"):
            await commands.shut_down(agent, reboot=True)

    talk(tmp_path, {}, work)

    async def leave(agent: Agent, fake: _Fake) -> None:
        await commands.shut_down(agent, reboot=False)

    talk(tmp_path, {"guest-shutdown": "die"}, leave)


def test_virtual_cpus_are_taken_a_part_at_a_time(tmp_path: Path) -> None:
    told: list[list[int]] = []

    def take(question: dict[str, Any]) -> dict[str, int]:
        told.append([one["logical-id"] for one in question["arguments"]["vcpus"]])
        return {"return": min(2, len(told[-1]))}

    listed = [{"logical-id": number, "online": number < 4, "can-offline": number > 0} for number in range(6)]

    async def work(agent: Agent, fake: _Fake) -> None:
        await commands.set_vcpu_count(agent, 1)
        assert told == [[1, 2, 3], [3]]
        await commands.set_vcpu_count(agent, 5)
        assert told[2:] == [[4]]
        with pytest.raises(errors.InvalidArg, match="guest agent reports less cpu than requested"):
            await commands.set_vcpu_count(agent, 7)
        with pytest.raises(errors.InvalidArg, match="Cannot offline enough CPUs"):
            await commands.set_vcpu_count(agent, 0)

    talk(tmp_path, {"guest-get-vcpus": {"return": listed}, "guest-set-vcpus": take}, work)


_DOMAIN = """<domain type='qemu'><name>n</name><devices>
<controller type='scsi' index='0'><address type='pci' domain='0' bus='3' slot='1' function='0'/></controller>
<disk type='file'><target dev='vda' bus='virtio'/><address type='pci' domain='0' bus='4' slot='0' function='0'/></disk>
<disk type='file'><target dev='sdb' bus='scsi'/>
<address type='drive' controller='0' bus='0' target='0' unit='1'/></disk></devices></domain>"""


def _address(bus: int, slot: int, unit: int = 0) -> dict[str, object]:
    return {
        "pci-controller": {"domain": 0, "bus": bus, "slot": slot, "function": 0},
        "bus": 0, "target": 0, "unit": unit, "bus-type": "virtio", "dev": "/dev/x1", "serial": "S",
    }  # fmt: skip


def test_what_a_guest_tells_has_libvirts_names(tmp_path: Path) -> None:
    address = {"ip-address-type": "ipv4", "ip-address": "192.0.2.7", "prefix": 24}
    answers = {
        "guest-get-users": {"return": [{"user": "ann", "login-time": 1.5, "domain": "D"}]},
        "guest-get-osinfo": {"return": {"kernel-release": "6", "id": "debian", "version-id": "12"}},
        "guest-get-timezone": {"return": {"zone": "UTC", "offset": 0}},
        "guest-get-host-name": {"return": {"host-name": "h"}},
        "guest-get-load": {"return": {"load1m": 0.5, "load5m": 1, "load15m": 2.0}},
        "guest-get-fsinfo": {
            "return": [
                {"mountpoint": "/mnt", "name": "sdb", "type": "ext4", "disk": [_address(3, 1, 1), _address(9, 9)]},
                {"mountpoint": "/", "name": "vda1", "type": "xfs", "disk": [_address(4, 0)], "total-bytes": 9,
                 "used-bytes": 3},
            ]
        },
        "guest-get-disks": {
            "return": [
                {"name": "/dev/vda", "partition": False, "address": _address(4, 0), "alias": "A"},
                {"name": "/dev/vda1", "partition": True, "dependencies": ["/dev/vda"]},
            ]
        },
        "guest-network-get-interfaces": {
            "return": [
                {"name": "eth0", "hardware-address": "52:54:00:00:00:01", "ip-addresses": [address]},
                {"name": "eth0:1", "ip-addresses": [address | {"ip-address": "192.0.2.8"}]},
                {"name": "lo"},
            ]
        },
    }  # fmt: skip
    domain = parse(_DOMAIN, Domain)

    async def work(agent: Agent, fake: _Fake) -> None:
        rows = await guest_info(agent, domain, 0xFF, pass_over=False)
        GUEST_INFO.validate(rows)
        assert [(name, value) for name, _, value in rows.rows()] == [
            ("user.count", 1), ("user.0.name", "ann"), ("user.0.domain", "D"), ("user.0.login-time", 1500),
            ("os.id", "debian"), ("os.version-id", "12"), ("os.kernel-release", "6"),
            ("timezone.name", "UTC"), ("timezone.offset", 0), ("hostname", "h"),
            ("load.1m", 0.5), ("load.5m", 1.0), ("load.15m", 2.0),
            ("fs.count", 2),
            ("fs.0.mountpoint", "/"), ("fs.0.name", "vda1"), ("fs.0.fstype", "xfs"), ("fs.0.total-bytes", 9),
            ("fs.0.used-bytes", 3), ("fs.0.disk.count", 1), ("fs.0.disk.0.alias", "vda"),
            ("fs.0.disk.0.serial", "S"), ("fs.0.disk.0.device", "/dev/x1"),
            ("fs.1.mountpoint", "/mnt"), ("fs.1.name", "sdb"), ("fs.1.fstype", "ext4"), ("fs.1.disk.count", 2),
            ("fs.1.disk.0.alias", "sdb"), ("fs.1.disk.0.serial", "S"), ("fs.1.disk.0.device", "/dev/x1"),
            ("fs.1.disk.1.serial", "S"), ("fs.1.disk.1.device", "/dev/x1"),
            ("disk.count", 2), ("disk.0.name", "/dev/vda"), ("disk.0.partition", False), ("disk.0.serial", "S"),
            ("disk.0.alias", "vda"), ("disk.0.guest_bus", "virtio"), ("disk.0.guest_alias", "A"),
            ("disk.1.name", "/dev/vda1"), ("disk.1.partition", True), ("disk.1.dependency.count", 1),
            ("disk.1.dependency.0.name", "/dev/vda"),
            ("if.count", 2), ("if.0.name", "eth0"), ("if.0.hwaddr", "52:54:00:00:00:01"), ("if.0.addr.count", 2),
            ("if.0.addr.0.type", "ipv4"), ("if.0.addr.0.addr", "192.0.2.7"), ("if.0.addr.0.prefix", 24),
            ("if.0.addr.1.type", "ipv4"), ("if.0.addr.1.addr", "192.0.2.8"), ("if.0.addr.1.prefix", 24),
            ("if.1.name", "lo"), ("if.1.addr.count", 0),
        ]  # fmt: skip
        places = [place for system in await commands.file_systems(agent) for place in system.disks]
        assert [disk_target(domain, place) for place in places] == ["vda", "sdb", None]
        # What an agent has not got is passed over, unless it was asked for by name.
        fake.answers["guest-get-users"] = {"error": {"class": "CommandNotFound"}}
        assert "user.count" not in await guest_info(agent, domain, 0xFF, pass_over=True)
        with pytest.raises(AgentCommandError):
            await guest_info(agent, domain, 0xFF, pass_over=False)
        fake.answers["guest-get-users"] = {"error": {"class": "GenericError"}}
        with pytest.raises(AgentCommandError):
            await guest_info(agent, domain, 0xFF, pass_over=True)

    talk(tmp_path, answers, work)


# -- the real agent


@pytest.fixture
def events(connection: virtcore.Connection) -> queue.Queue[Event]:
    told: queue.Queue[Event] = queue.Queue()
    connection.on_event(told.put, DomainAgentLifecycleEvent, DomainRebootEvent)
    return told


@pytest.fixture
def guest(
    connection: virtcore.Connection, agent_boot: tuple[Path, Path], events: queue.Queue[Event], root: Path
) -> virtcore.Domain:
    """A running guest whose agent has come up."""
    image = root / "disk.raw"
    with image.open("wb") as file:
        file.truncate(8 << 20)
    disk = f"<disk type='file'><source file='{image}'/><target dev='vda' bus='virtio'/></disk>"
    xml = guest_image.guest_xml("talks", *agent_boot, devices=agent_image.CHANNEL + disk).replace(
        "<vcpu>1</vcpu>", "<vcpu>2</vcpu>"
    )
    domain = connection.define_domain(xml)
    domain.create()
    assert events.get(timeout=150) == DomainAgentLifecycleEvent(domain.ref, State.DISCONNECTED, Reason.DOMAIN_STARTED)
    with pytest.raises(errors.AgentUnresponsive, match="QEMU guest agent is not connected"):
        domain.hostname()
    assert events.get(timeout=150) == DomainAgentLifecycleEvent(domain.ref, State.CONNECTED, Reason.CHANNEL)
    return domain


def test_the_real_agent(connection: virtcore.Connection, guest: virtcore.Domain, events: queue.Queue[Event]) -> None:
    eventually(lambda: _asks(guest.hostname) == "inside")
    assert "state='connected'" in guest.xml()
    # The clock.
    guest.set_time(1_500_000_000)
    assert 0 <= guest.time().seconds - 1_500_000_000 < 250
    with pytest.raises(errors.InvalidArg, match="is too big for guest agent"):
        guest.set_time(1 << 60)
    # File systems.
    assert [found.mountpoint for found in guest.fs_info()] == ["/mnt"]
    assert guest.fs_freeze() == 1
    with pytest.raises(errors.AgentCommandFailed, match="the agent is in frozen state"):
        guest.fs_freeze(["/mnt"])
    with pytest.raises(errors.ArgumentUnsupported, match="specifying mountpoints is not supported"):
        guest.fs_thaw(["/mnt"])
    assert guest.fs_thaw() == 1
    assert guest.fs_freeze(["/nowhere"]) == 0
    assert guest.fs_thaw() == 0
    with pytest.raises(errors.ArgumentUnsupported, match="Specifying mount point is not supported for now"):
        guest.fs_trim("/mnt")
    # What it is.
    told = guest.guest_info()
    GUEST_INFO.validate(told)
    assert (told["hostname"], told["user.count"], told["fs.0.mountpoint"]) == ("inside", 0, "/mnt")
    assert "load.1m" not in told  # this agent is too old to tell
    assert told["if.0.name"] == "lo"
    with pytest.raises(errors.InvalidArg, match="unsupported guest information types '0x100000'"):
        guest.guest_info(1 << 20)
    with pytest.raises(errors.AgentCommandFailed, match="guest-get-load"):
        guest.guest_info(128)
    # Virtual CPUs.
    assert {name: value for name, _, value in guest.guest_vcpus().rows()} == {
        "vcpus": "0-1", "online": "0-1", "offlinable": "1",
    }  # fmt: skip
    guest.set_guest_vcpus("1", False)
    assert guest.guest_vcpus()["online"] == "0"
    assert guest.vcpus_count(DomainVcpuFlags.GUEST) == 1
    assert guest.vcpus_count(DomainVcpuFlags.GUEST | DomainVcpuFlags.MAXIMUM) == 2
    guest.set_vcpus(2, DomainVcpuFlags.GUEST)
    assert guest.guest_vcpus()["online"] == "0-1"
    with pytest.raises(errors.InvalidArg, match="enabled vcpus in the domain: 3 > 2"):
        guest.set_vcpus(3, DomainVcpuFlags.GUEST)
    with pytest.raises(errors.InvalidArg, match="guest is missing vCPUs '4-5'"):
        guest.set_guest_vcpus("1,4-5", False)
    # Keys.
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIG one"
    guest.set_authorized_ssh_keys("root", [key])
    guest.set_authorized_ssh_keys("root", [key.replace("one", "two")], 1)
    assert len(guest.authorized_ssh_keys("root")) == 2
    guest.set_authorized_ssh_keys("root", [key], 2)
    assert guest.authorized_ssh_keys("root") == [key.replace("one", "two")]
    # As it is.
    assert json.loads(guest.qemu_agent_command('{"execute": "guest-ping"}') or "") == {"return": {}}
    with pytest.raises(errors.AgentCommandFailed, match="unable to execute QEMU agent command 'nonsense'"):
        guest.qemu_agent_command('{"execute": "nonsense"}')
    assert "tainted: custom guest agent control commands issued" in guest.messages()
    # Another process finds it again, and its agent.
    guest.reboot(DomainRebootFlags.GUEST_AGENT)
    assert isinstance(events.get(timeout=150), DomainAgentLifecycleEvent | DomainRebootEvent)


def test_an_agent_shuts_its_guest_down(guest: virtcore.Domain) -> None:
    eventually(lambda: _asks(guest.hostname) == "inside")
    guest.shutdown(DomainShutdownFlags.GUEST_AGENT)
    eventually(lambda: not guest.is_active())
    assert guest.state().state is DomainState.SHUTOFF


def test_an_agent_is_found_again(
    connection: virtcore.Connection, guest: virtcore.Domain, root: Path, agent_boot: tuple[Path, Path]
) -> None:
    eventually(lambda: _asks(guest.hostname) == "inside")
    guest.set_agent_timeout(101)
    connection.close()
    with virtcore.connect(f"qemu:///embed?root={root}") as again:
        domain = again.lookup_domain("talks")
        eventually(lambda: _asks(domain.hostname) == "inside")
        domain.pm_suspend(NodeSuspendTarget.MEM)
        eventually(lambda: domain.state().state is DomainState.PMSUSPENDED)
        domain.pm_wakeup()
        eventually(lambda: domain.state().state is DomainState.RUNNING)


def _asks(ask: Callable[[], T]) -> T | None:
    try:
        return ask()
    except (errors.AgentUnresponsive, errors.NoHostname):
        return None


@pytest.mark.usefixtures("kernel")
def test_guests_without_an_agent_say_so(connection: virtcore.Connection) -> None:
    domain = connection.define_domain(guest_image.idle_xml("mute"))
    with pytest.raises(errors.OperationInvalid, match="domain is not running"):
        domain.time()
    domain.create()
    with pytest.raises(errors.ArgumentUnsupported, match="QEMU guest agent is not configured"):
        domain.time()
    with pytest.raises(errors.ArgumentUnsupported, match="QEMU guest agent is not configured"):
        domain.shutdown(DomainShutdownFlags.GUEST_AGENT)
    domain.shutdown(DomainShutdownFlags.GUEST_AGENT | DomainShutdownFlags.ACPI_POWER_BTN)
    domain.suspend()
    with pytest.raises(errors.OperationInvalid, match="domain is not running"):
        domain.time()
