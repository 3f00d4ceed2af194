"""Before there is a core loop the calling thread answers what a driver is asked first; with the loop all move to it."""

from __future__ import annotations

import subprocess
import sys

import pytest

_PROLOGUE = """
import os, sys, threading
import virtcore

def quiet():
    return not {"asyncio", "threading", "virtcore.runtime.loop"} & (set(sys.modules) - before)

def names(connection):
    return [domain.name for domain in connection.list_domains()]

before = set(sys.modules)
"""


def run(program: str) -> None:
    done = subprocess.run([sys.executable, "-c", _PROLOGUE + program], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_listing_needs_no_loop() -> None:
    program = """
with virtcore.connect("test:///default") as connection:
    (domain,) = connection.list_domains()
    assert domain.name == "test" and domain.state().state == 1 and domain.is_active()
    assert connection.supports("domain_state") and not connection.closed
    assert "asyncio" not in sys.modules and "virtcore.runtime.loop" not in sys.modules
assert connection.closed and "asyncio" not in sys.modules
try:
    connection.list_domains()
except virtcore.VirtError as error:
    assert "invalid connection pointer in" in str(error), error
else:
    raise AssertionError
"""
    run(program)


def test_all_connections_see_one_host_however_they_were_opened() -> None:
    program = """
first = virtcore.connect("test:///default")
second = virtcore.connect("test:///default")
(domain,) = first.list_domains()
assert "asyncio" not in sys.modules
second.lookup_domain(name="test").destroy()  # the loop starts
third = virtcore.connect("test:///default")
assert [one.lookup_domain(name="test").state().state for one in (first, second, third)] == [5, 5, 5]
assert domain.state().state == 5
second.close()
third.close()
assert domain.state().state == 5  # the first still keeps the host
first.close()
with virtcore.connect("test:///default") as again:
    assert again.lookup_domain(name="test").state().state == 1
"""
    run(program)


def test_one_that_was_closed_before_the_loop_had_it_keeps_no_host() -> None:
    program = """
first = virtcore.connect("test:///default")
with virtcore.connect("test:///default") as second:
    second.lookup_domain(name="test").destroy()
    first.close()
    assert second.lookup_domain(name="test").state().state == 5
with virtcore.connect("test:///default") as again:
    assert again.lookup_domain(name="test").state().state == 1
"""
    run(program)


def test_threads_events_and_services_move_it_to_the_loop() -> None:
    program = """
for use in (
    lambda connection: connection.on_event(lambda event: None).cancel(),
    lambda connection: [net.name for net in connection.list_networks()],
    lambda connection: connection.supports("network_create"),
    lambda connection: connection.session,
):
    with virtcore.connect("test:///default") as connection:
        assert names(connection) == ["test"]
        use(connection)
        assert names(connection) == ["test"]
found = []
connection = virtcore.connect("test:///default")
thread = threading.Thread(target=lambda: found.extend(names(connection)))
thread.start()
thread.join()
assert found == ["test"] == names(connection)
connection.close()
"""
    run(program)


def test_a_connection_nobody_holds_is_closed() -> None:
    program = """
from virtcore.driver.toolkit import shared
connection = virtcore.connect("test:///default")
assert shared._slots
del connection
assert not shared._slots and "asyncio" not in sys.modules
"""
    run(program)


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="there is no fork here")
def test_a_forked_child_opens_one_of_its_own() -> None:
    program = """
connection = virtcore.connect("test:///default")
names(connection)
child = os.fork()
if child == 0:
    status = 1
    try:
        connection.list_domains()
    except virtcore.VirtError as error:
        assert "before fork" in str(error)
        with virtcore.connect("test:///default") as own:
            status = 0 if names(own) == ["test"] and "asyncio" not in sys.modules else 2
    os._exit(status)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
connection.close()
"""
    run(program)


def test_read_only_connections_change_nothing() -> None:
    program = """
with virtcore.connect("test:///default", readonly=True) as connection:
    (domain,) = connection.list_domains()
    try:
        domain.destroy()
    except virtcore.VirtError as error:
        assert "read only access prevents virDomainDestroy" in str(error), error
    else:
        raise AssertionError
"""
    run(program)


def test_an_answer_that_takes_long_is_waited_for_in_the_loop() -> None:
    program = """
from virtcore.builtin.test.opening import OpeningDriver
from virtcore.driver import inline

class Slow(OpeningDriver):
    @classmethod
    def whole(cls):
        return cls
    @inline
    def connection_hostname(self):
        async def answer():
            return "slow"
        return answer()

from virtcore.driver import loader
with loader.registered("test", Slow), virtcore.connect("test:///default") as connection:
    assert names(connection) == ["test"] and "asyncio" not in sys.modules
    assert connection.hostname() == "slow" and "asyncio" in sys.modules
"""
    run(program)
