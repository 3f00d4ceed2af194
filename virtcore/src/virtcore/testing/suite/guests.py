"""Running guests: their agent, what reaches them from outside, what they have used."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import pytest

from virtcore import errors
from virtcore.enums import (
    DomainMemoryFlags,
    DomainProcessSignal,
    DomainState,
    KeycodeSet,
    NodeSuspendTarget,
)
from virtcore.testing.suite.target import Target, asks, covers, needs

if TYPE_CHECKING:
    from virtcore.api.sync import Connection, Domain

__all__ = ["TestAgent", "TestReach", "TestStatistics"]

T = TypeVar("T")
_LIFE = ("connection_define_domain", "domain_create", "domain_destroy", "domain_undefine")


@pytest.fixture
def running(defined: Domain) -> Domain:
    """A running domain."""
    defined.create()
    return defined


@pytest.fixture
def responsive(connection: Connection, target: Target) -> Domain:
    """A running domain with an agent."""
    domain = connection.define_domain(target.responsive_domain("compliance"))
    domain.create()
    return domain


def answered(target: Target, ask: Callable[[], T]) -> T:
    """What an agent answers, once it does."""
    end = time.monotonic() + target.event_wait
    while True:
        try:
            return ask()
        except errors.AgentUnresponsive:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


class TestAgent:
    """The agent inside a guest."""

    @covers("domain_fs_freeze", "domain_fs_thaw")
    @needs(*_LIFE)
    @asks("responsive_domain")
    def test_file_systems_are_frozen_once(self, target: Target, responsive: Domain) -> None:
        frozen = answered(target, responsive.fs_freeze)
        try:
            assert frozen > 0
        finally:
            assert responsive.fs_thaw() == frozen
        assert responsive.fs_thaw() == 0

    @covers("domain_fs_info", "domain_fs_trim")
    @needs(*_LIFE)
    @asks("responsive_domain")
    def test_file_systems_are_mounted_somewhere(self, target: Target, responsive: Domain) -> None:
        for found in answered(target, responsive.fs_info):
            assert found.mountpoint.startswith("/") or ":" in found.mountpoint
        responsive.fs_trim()

    @covers("domain_time", "domain_set_time")
    @needs(*_LIFE)
    @asks("responsive_domain")
    def test_the_clock_is_set(self, target: Target, responsive: Domain) -> None:
        answered(target, responsive.time)
        responsive.set_time(1_500_000_000)
        assert 0 <= responsive.time().seconds - 1_500_000_000 < target.event_wait

    @covers("domain_hostname")
    @needs(*_LIFE)
    @asks("responsive_domain")
    def test_the_guest_has_a_name(self, target: Target, responsive: Domain) -> None:
        assert answered(target, responsive.hostname)

    @covers("domain_guest_info")
    @needs(*_LIFE)
    @asks("responsive_domain")
    def test_the_guest_tells_of_itself(self, target: Target, responsive: Domain) -> None:
        found = answered(target, responsive.guest_info)
        assert found.rows()
        assert {name.partition(".")[0] for name, _, _ in found.rows()} <= {
            "user", "os", "timezone", "hostname", "fs", "disk", "if", "load",
        }  # fmt: skip

    @covers("domain_guest_vcpus", "domain_set_guest_vcpus")
    @needs(*_LIFE)
    @asks("responsive_domain")
    def test_processors_that_the_guest_uses(self, target: Target, responsive: Domain) -> None:
        found = answered(target, responsive.guest_vcpus)
        assert {"vcpus", "online"} <= {name for name, _, _ in found.rows()}
        with pytest.raises(errors.VirtError):
            responsive.set_guest_vcpus("4095", False)
        responsive.set_guest_vcpus("0", True)
        assert responsive.guest_vcpus()["online"] == found["online"]

    @covers("domain_set_user_password")
    @needs(*_LIFE)
    @asks("responsive_domain")
    def test_passwords_are_set(self, target: Target, responsive: Domain) -> None:
        answered(target, lambda: responsive.set_user_password("root", "hunter2"))

    @covers("domain_authorized_ssh_keys", "domain_set_authorized_ssh_keys")
    @needs(*_LIFE)
    @asks("responsive_domain")
    def test_keys_of_users(self, target: Target, responsive: Domain) -> None:
        key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIG compliance"
        answered(target, lambda: responsive.set_authorized_ssh_keys("root", [key]))
        assert list(responsive.authorized_ssh_keys("root")) == [key]

    @covers("domain_set_agent_timeout")
    @needs("domain_undefine", "connection_define_domain")
    def test_how_long_an_agent_may_take(self, defined: Domain) -> None:
        defined.set_agent_timeout(5)
        with pytest.raises(errors.InvalidArg):
            defined.set_agent_timeout(-3)

    @needs(*_LIFE, "domain_fs_freeze")
    def test_who_does_not_run_has_no_agent(self, defined: Domain) -> None:
        with pytest.raises(errors.OperationInvalid, match="domain is not running"):
            defined.fs_freeze()


class TestReach:
    """Keys, signals, pictures: what reaches a guest, and what is seen of it."""

    @covers("domain_send_key")
    @needs(*_LIFE)
    def test_keys(self, running: Domain) -> None:
        running.send_key(KeycodeSet.LINUX, 50, [28])
        for codeset, codes in ((99, [28]), (KeycodeSet.LINUX, []), (KeycodeSet.LINUX, [28] * 17)):
            with pytest.raises(errors.VirtError):
                running.send_key(codeset, 50, codes)
        running.destroy()
        with pytest.raises(errors.OperationInvalid):
            running.send_key(KeycodeSet.LINUX, 50, [28])

    @covers("domain_send_process_signal")
    @needs(*_LIFE)
    def test_signals(self, running: Domain) -> None:
        running.send_process_signal(1, DomainProcessSignal.NOP)
        with pytest.raises(errors.InvalidArg):
            running.send_process_signal(0, DomainProcessSignal.NOP)

    @covers("domain_inject_nmi")
    @needs(*_LIFE)
    def test_interrupts_need_a_running_guest(self, running: Domain) -> None:
        running.inject_nmi()
        assert running.is_active()
        running.destroy()
        with pytest.raises(errors.OperationInvalid):
            running.inject_nmi()

    @covers("domain_screenshot")
    @needs(*_LIFE)
    def test_pictures(self, connection: Connection, target: Target) -> None:
        screen = "<graphics type='vnc'/><video><model type='vga'/></video>"
        domain = connection.define_domain(target.domain_with("compliance", screen))
        domain.create()
        found = domain.screenshot()
        with found.stream as stream:
            content = b"".join(stream)
        assert content
        assert (found.mime or "").startswith("image/")

    @covers("domain_open_channel")
    @needs(*_LIFE)
    def test_channels_have_names(self, connection: Connection, target: Target) -> None:
        channel = "<channel type='unix'><target type='virtio' name='org.compliance.0'/></channel>"
        domain = connection.define_domain(target.domain_with("compliance", channel))
        with pytest.raises(errors.OperationInvalid):
            domain.open_channel("org.compliance.0")
        domain.create()
        domain.open_channel("org.compliance.0").abort()
        with pytest.raises(errors.VirtError):
            domain.open_channel("org.compliance.1")

    @covers("domain_open_graphics", "domain_open_graphics_fd")
    @needs(*_LIFE)
    def test_a_screen_is_handed_over(self, connection: Connection, target: Target) -> None:
        import socket

        screen = "<graphics type='vnc'/><video><model type='vga'/></video>"
        domain = connection.define_domain(target.domain_with("compliance", screen))
        domain.create()
        ours, theirs = socket.socketpair()
        with ours, theirs:
            domain.open_graphics(0, theirs.fileno())
            ours.settimeout(target.answer_wait)
            assert ours.recv(4) == b"RFB "
        with socket.socket(fileno=domain.open_graphics_fd(0)) as opened:
            opened.settimeout(target.answer_wait)
            assert opened.recv(4) == b"RFB "
        with pytest.raises(errors.VirtError):
            domain.open_graphics_fd(7)

    @covers("domain_pm_suspend")
    @needs(*_LIFE, "domain_state")
    @asks("responsive_domain")
    def test_a_guest_that_sleeps(self, target: Target, responsive: Domain) -> None:
        answered(target, lambda: responsive.pm_suspend(NodeSuspendTarget.MEM))
        assert responsive.state().state in (DomainState.PMSUSPENDED, DomainState.SHUTOFF)

    @covers("domain_pm_wakeup")
    @needs(*_LIFE, "domain_pm_suspend", "domain_state")
    @asks("responsive_domain")
    def test_a_guest_that_wakes_up(self, target: Target, responsive: Domain) -> None:
        answered(target, lambda: responsive.pm_suspend(NodeSuspendTarget.MEM))
        responsive.pm_wakeup()
        assert responsive.state().state is DomainState.RUNNING

    @covers("domain_qemu_monitor_command")
    @needs(*_LIFE)
    def test_the_monitor_answers(self, running: Domain) -> None:
        import json

        answer = json.loads(running.qemu_monitor_command('{"execute": "query-status"}'))
        assert "status" in answer["return"]
        running.destroy()
        with pytest.raises(errors.OperationInvalid):
            running.qemu_monitor_command('{"execute": "query-status"}')

    @covers("domain_qemu_monitor_command_with_files")
    @needs(*_LIFE)
    def test_the_monitor_is_given_files(self, running: Domain) -> None:
        import json
        import os

        with open(os.devnull, "rb") as file:
            command = '{"execute": "getfd", "arguments": {"fdname": "compliance"}}'
            answer = running.qemu_monitor_command_with_files(command, [file.fileno()])
        assert json.loads(answer.result)["return"] == {}

    @covers("domain_qemu_agent_command")
    @needs(*_LIFE)
    @asks("responsive_domain")
    def test_the_agent_answers(self, target: Target, responsive: Domain) -> None:
        import json

        answer = answered(target, lambda: responsive.qemu_agent_command('{"execute": "guest-ping"}'))
        assert json.loads(answer or "") == {"return": {}}

    @covers("domain_lxc_open_namespace")
    @needs(*_LIFE)
    def test_name_spaces(self, running: Domain) -> None:
        import os

        found = running.lxc_open_namespace()
        try:
            assert len(found) == len(set(found)) > 0
        finally:
            for number in found:
                os.close(number)


class TestStatistics:
    """What a running guest has used."""

    @covers("domain_cpu_stats")
    @needs(*_LIFE)
    def test_cpu_time(self, running: Domain) -> None:
        [total] = running.cpu_stats()
        assert int(total["cpu_time"]) >= 0
        assert len(running.cpu_stats(0, 0)) >= 1
        with pytest.raises(errors.VirtError):
            running.cpu_stats(1 << 20)
        running.destroy()
        with pytest.raises(errors.OperationInvalid):
            running.cpu_stats()

    @covers("domain_memory_stats")
    @needs(*_LIFE)
    def test_memory(self, running: Domain) -> None:
        assert all(value >= 0 for value in running.memory_stats().values())
        running.destroy()
        with pytest.raises(errors.OperationInvalid):
            running.memory_stats()

    @covers("domain_memory_peek")
    @needs(*_LIFE)
    def test_content_of_memory(self, running: Domain) -> None:
        assert len(running.memory_peek(0, 16, DomainMemoryFlags.PHYSICAL)) == 16
        with pytest.raises(errors.InvalidArg):
            running.memory_peek(0, 16)
        running.destroy()
        with pytest.raises(errors.OperationInvalid):
            running.memory_peek(0, 16, DomainMemoryFlags.PHYSICAL)

    @covers("domain_start_dirty_rate_calc")
    @needs(*_LIFE, "connection_domain_stats")
    def test_how_much_memory_changes(self, connection: Connection, running: Domain) -> None:
        running.start_dirty_rate_calc(1)
        [row] = connection.domain_stats([running])
        assert row.params["dirtyrate.calc_status"] in (1, 2)
        with pytest.raises(errors.VirtError):
            running.start_dirty_rate_calc(0)
