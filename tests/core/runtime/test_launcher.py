"""Programs are started by the helper: what they get, what their end tells, and who survives whom."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support import comes
from virtcore.errors import SystemError
from virtcore.runtime.launcher import Command, Launcher, attach, launcher
from virtcore.runtime.process_times import start_time


def run(test):
    """Run a coroutine function with a launcher that is closed behind it."""

    async def main():
        try:
            return await asyncio.wait_for(test(launcher()), 100)
        finally:
            launcher().close()
            await asyncio.sleep(0.02)  # its end is reaped by the loop

    return asyncio.run(main())


def drain(fd: int) -> bytes:
    with open(fd, "rb") as file:
        return file.read()


async def output_of(started: Launcher, *argv: str, **options) -> tuple[str, int | None]:
    told, tell = os.pipe()
    process = await started.start(Command(argv=argv, fds={1: tell, **options.pop("fds", {})}, **options))
    os.close(tell)
    text = await asyncio.get_running_loop().run_in_executor(None, drain, told)
    await process.wait()
    await comes(lambda: process.status is not None)
    return text.decode(errors="surrogateescape"), process.status


def test_environment_folder_umask_and_session(tmp_path):
    async def test(started):
        text, status = await output_of(
            started,
            "/bin/sh",
            "-c",
            'echo "$A|$PATH_OF|$(pwd)|$(umask)|$1"; exit 3',
            "sh",
            "a b,c=d;$(x)",
            environment={"A": "ä"},
            cwd=str(tmp_path),
            umask=0o077,
        )
        assert text == f"ä||{tmp_path}|0077|a b,c=d;$(x)\n"
        assert status == 3

    run(test)


def test_only_the_descriptors_it_was_given(tmp_path):
    held = os.open(tmp_path, os.O_RDONLY)
    os.set_inheritable(held, True)
    data = os.open(tmp_path / "data", os.O_RDWR | os.O_CREAT)
    os.write(data, b"content")
    os.lseek(data, 0, os.SEEK_SET)

    async def test(started):
        listing, _ = await output_of(started, "/bin/sh", "-c", "cat <&7; exec /bin/ls /proc/self/fd", fds={7: data})
        assert listing.split("\n") == ["content0", "1", "2", "3", "7", ""]  # 3 is the folder that ls reads

    try:
        run(test)
    finally:
        os.close(held)
        os.close(data)


def test_a_missing_program_is_told_with_the_reason(tmp_path):
    async def test(started):
        missing = str(tmp_path / "x")
        with pytest.raises(SystemError, match=f"Unable to run {missing}: No such file or directory"):
            await started.start(Command(argv=[missing]))
        with pytest.raises(SystemError, match="change to folder"):
            await started.start(Command(argv=["/bin/true"], cwd=str(tmp_path / "none")))
        assert (await output_of(started, "/bin/echo", "on"))[0] == "on\n"

    run(test)


def test_signals_reach_only_the_process_and_the_end_is_seen():
    async def test(started):
        process = await started.start(Command(argv=["/bin/sleep", "60"]))
        assert process.running
        again = attach(process.pid, process.start_time)
        assert again is not None
        assert attach(process.pid, process.start_time + 1) is None
        assert process.signal(signal.SIGKILL)
        await asyncio.gather(process.wait(), again.wait())
        assert not process.running
        await comes(lambda: process.status is not None)
        assert process.status == -signal.SIGKILL
        assert not process.signal(signal.SIGKILL)
        assert start_time(process.pid) is None

    run(test)


def test_pid_file_is_written_before_the_program_runs(tmp_path):
    pid_file = tmp_path / "pid"
    pid_file.touch()

    async def test(started):
        text, _ = await output_of(started, "/bin/cat", str(pid_file), pid_file=str(pid_file))
        pid, started_at = text.split()
        assert int(pid) > 1
        assert int(started_at) > 0

    run(test)


def test_a_pid_file_taken_away_prevents_the_start(tmp_path):
    pid_file, ran = tmp_path / "pid", tmp_path / "ran"
    pid_file.touch()

    async def test(started):
        with open(pid_file, "r+b") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            starting = asyncio.ensure_future(
                started.start(Command(argv=["/bin/touch", str(ran)], pid_file=str(pid_file)))
            )
            await asyncio.sleep(0.2)
            assert not starting.done()
            pid_file.unlink()
        with pytest.raises(SystemError, match="write pid file"):
            await starting
        assert not ran.exists()

    run(test)


def test_a_lost_helper_is_replaced_and_its_programs_go_on():
    async def test(started):
        process = await started.start(Command(argv=["/bin/sleep", "60"]))
        os.kill(started._helper, signal.SIGKILL)
        await comes(lambda: started._socket is None)
        assert process.running
        assert (await output_of(started, "/bin/echo", "on"))[0] == "on\n"
        process.signal(signal.SIGKILL)
        await process.wait()

    run(test)


def test_programs_outlive_the_process_that_started_them(tmp_path):
    script = """
import asyncio, os, sys
from virtcore.runtime.launcher import Command, launcher
async def main():
    process = await launcher().start(Command(argv=["/bin/sleep", "60"]))
    print(process.pid, process.start_time, launcher()._helper, flush=True)
    os.kill(os.getpid(), 9)
asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, check=False)
    pid, started_at, helper = map(int, done.stdout.split())

    async def test(_):
        process = attach(pid, started_at)
        assert process is not None
        await comes(lambda: start_time(helper) is None)  # the helper ends with its core
        process.signal(signal.SIGKILL)
        await process.wait()

    run(test)


def test_programs_that_are_not_to_outlive_their_core_are_killed_with_it(tmp_path):
    script = """
import asyncio, os, sys
from virtcore.runtime.launcher import Command, launcher
async def main():
    process = await launcher().start(Command(argv=["/bin/sleep", "60"], outlives=False))
    print(process.pid, process.start_time, flush=True)
    os.kill(os.getpid(), 9)
asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, check=False)
    pid, started_at = map(int, done.stdout.split())

    async def test(_):
        process = attach(pid, started_at)
        if process is not None:
            async with asyncio.timeout(60):
                await process.wait()

    run(test)


def test_a_large_command_line_and_many_at_once():
    async def test(started):
        big = "x" * 100_000
        results = await asyncio.gather(*(output_of(started, "/bin/echo", big, big) for _ in range(10)))
        assert all(text == f"{big} {big}\n" and status == 0 for text, status in results)

    run(test)


def test_the_helper_is_beside_the_launcher():
    import virtcore.runtime.launcher as module

    assert (Path(module.__file__).parent / "launcher_helper.py").is_file()
