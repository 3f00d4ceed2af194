"""What happens at the interpreter's exit and after fork, each in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

from support import ROOT

PRELUDE = """
import os, sys, threading, time
sys.path.insert(0, {tests!r})
from toydriver import ONLY, expired, toy, world
import virtcore
from virtcore.driver.loader import register
from toydriver import ToyDriver
register("toy", ToyDriver)
"""


def run(code: str, *args: str, timeout: float = 100) -> tuple[subprocess.CompletedProcess[str], float]:
    """Run a script with the toy driver registered; also returns how long it took, less what start-up takes."""
    script = PRELUDE.format(tests=str(ROOT / "tests")) + textwrap.dedent(code)
    began = time.monotonic()
    done = subprocess.run(
        # From Python 3.12 on, fork() beside threads is deprecated; that it is survivable is what is tested here.
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", script, *args],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    return done, time.monotonic() - began


def test_a_stuck_plain_query_does_not_keep_the_interpreter() -> None:
    done, seconds = run("""
        connection = virtcore.connect("toy:///x")
        try:
            connection.capabilities(deadline=0.1)
        except virtcore.DeadlineExpired:
            print("expired")
        """)
    assert (done.stdout, done.stderr, done.returncode) == ("expired\n", "", 0)
    assert seconds < 40  # the call blocks for 60


def test_a_query_that_another_thread_waits_for_does_not_keep_it() -> None:
    done, seconds = run("""
        connection = virtcore.connect("toy:///x")
        for query in (connection.capabilities, connection.sysinfo):
            threading.Thread(target=query, daemon=True).start()
        time.sleep(0.2)
        """)
    assert (done.stderr, done.returncode) == ("", 0)
    assert seconds < 40


def test_exit_waits_for_running_changes(tmp_path: Path) -> None:
    done, _ = run(
        """
        import asyncio
        class Writing(ToyDriver):
            async def domain_create(self, domain, flags=0):
                await asyncio.sleep(0.7)
                open(sys.argv[1] + "/async", "w").close()
                return domain
            def domain_set_autostart(self, domain, autostart):
                time.sleep(0.7)
                open(sys.argv[1] + "/plain", "w").close()
        register("writing", Writing)
        domain = virtcore.connect("writing:///x").domain(ONLY)
        expired(lambda deadline: domain.create(deadline=deadline))
        expired(lambda deadline: domain.set_autostart(True, deadline=deadline))
        """,
        str(tmp_path),
    )
    assert (done.stderr, done.returncode) == ("", 0)
    assert sorted(os.listdir(tmp_path)) == ["async", "plain"]


def test_exit_does_not_wait_for_ever_and_says_what_it_leaves() -> None:
    done, seconds = run("""
        import virtcore.runtime.calls as calls
        calls.EXIT_WAIT = 0.5
        world.holding = True
        domain = virtcore.connect("toy:///x").domain(ONLY)
        expired(lambda deadline: domain.create(deadline=deadline))
        expired(lambda deadline: domain.set_autostart(True, deadline=deadline))
        """)
    assert done.returncode == 0
    assert "exit leaves job" in done.stderr
    assert "domain_create of 'only', unfinished" in done.stderr
    assert "domain_set_autostart of 'only', unfinished" in done.stderr
    assert seconds < 40


def test_calls_after_fork_raise_in_the_child() -> None:
    done, _ = run("""
        connection = virtcore.connect("toy:///x")
        events = connection.events()
        assert connection.hostname() == "toy"
        pid = os.fork()
        if not pid:
            tried = 0
            for call in (
                connection.hostname, connection.version, connection.lib_version, connection.domain(ONLY).create,
                lambda: connection.on_event(print),
            ):
                try:
                    call()
                except virtcore.VirtError as error:
                    assert "before fork()" in str(error), error
                    assert error.__notes__ == ["open a connection in the child"]
                    tried += 1
            import asyncio
            async def other():
                await virtcore.AsyncConnection(connection.session).hostname()
            try:
                asyncio.run(other())
            except virtcore.VirtError as error:
                assert "before fork()" in str(error), error
                tried += 1
            connection.close()  # nothing to do, and no error: leaving a with block in the child is fine
            with virtcore.connect("toy:///x") as own:
                assert own.hostname() == "toy"
                assert own.version() == 7
                own.domain(ONLY).create()
            sys.exit(tried)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status))
        assert connection.hostname() == "toy"
        connection.close()
        """)
    assert (done.stdout, done.stderr, done.returncode) == ("6\n", "", 0)


def test_fork_while_calls_are_running() -> None:
    done, _ = run("""
        connection = virtcore.connect("toy:///x")
        stop = threading.Event()
        def busy():
            while not stop.is_set():
                connection.hostname(); connection.version()
        threads = [threading.Thread(target=busy) for _ in range(3)]
        for thread in threads: thread.start()
        for _ in range(20):
            pid = os.fork()
            if not pid:
                with virtcore.connect("toy:///x") as own:
                    os._exit(0 if (own.hostname(), own.version()) == ("toy", 7) else 1)
            assert os.waitpid(pid, 0)[1] == 0
        stop.set()
        for thread in threads: thread.join()
        print("done")
        """)
    assert (done.stdout, done.stderr, done.returncode) == ("done\n", "", 0)


def test_ctrl_c_in_a_script_lets_a_change_end(tmp_path: Path) -> None:
    done, _ = run(
        """
        import asyncio, signal
        interrupted = threading.Event()
        class Writing(ToyDriver):
            async def domain_create(self, domain, flags=0):
                os.kill(os.getpid(), signal.SIGINT)
                while not interrupted.is_set():
                    await asyncio.sleep(0.01)
                await asyncio.sleep(0.5)
                open(sys.argv[1] + "/second-step", "x").close()
                return domain
        register("writing", Writing)
        with virtcore.connect("writing:///x") as connection:
            try:
                connection.domain(ONLY).create()
            except KeyboardInterrupt:
                interrupted.set()
                raise
        """,
        str(tmp_path),
    )
    assert "KeyboardInterrupt" in done.stderr
    assert "domain_create of 'only' goes on as job" in done.stderr
    assert os.listdir(tmp_path) == ["second-step"]


def test_a_daemon_runs_the_core_loop_in_its_main_thread() -> None:
    done, _ = run("""
        import asyncio
        from virtcore.driver.opening import open_session
        from virtcore.runtime.methods import Style
        from virtcore.runtime.loop import adopt, core_loop

        async def main():
            core = adopt()
            assert core_loop() is core and core.is_current()
            session = await open_session("toy:///x", deadline=None)
            assert session.method("connection_hostname").style is Style.INLINE
            assert session.call_inline("connection_hostname") == "toy"
            assert await session.call("connection_version") == 7
            got = []
            subscription = session.subscribe(got.append)
            assert (await session.call("domain_create", ONLY)).id == 7
            assert len(got) == 1
            subscription.cancel()
            def elsewhere():
                with virtcore.connect("toy:///x") as connection:
                    return connection.hostname(), connection.version(), connection.lib_version()
            assert await asyncio.to_thread(elsewhere) == ("toy", 7, 11003000)
            await session.close()
            try:
                virtcore.connect("toy:///x")
            except virtcore.VirtError as error:
                print(error)

        asyncio.run(main())
        """)
    assert done.stderr == ""
    assert "connection_open was called synchronously on the core loop" in done.stdout


def test_a_core_loop_that_ended_is_an_error() -> None:
    done, _ = run("""
        import asyncio
        from virtcore.driver.opening import open_session
        from virtcore.runtime.loop import adopt

        async def main():
            adopt()
            return await open_session("toy:///x")

        connection = virtcore.Connection(asyncio.run(main()))
        def use():
            for call in (connection.hostname, connection.version):
                try:
                    print(call())
                except virtcore.VirtError as error:
                    print(error)
        thread = threading.Thread(target=use)
        thread.start()
        thread.join()
        with virtcore.connect("toy:///x") as other:  # gets a loop of its own thread
            print(other.hostname())
        """)
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "Requested operation is not valid: the core loop, in which the connection lived, has ended",
        "7",
        "toy",
    ]
