from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from virtcore.driver.toolkit import StateLock
from virtcore.errors import ResourceBusy

HOLDER = """
import sys
from pathlib import Path
from virtcore.driver.toolkit import StateLock
StateLock.acquire(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_another_process_is_told_who_holds_it(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(ResourceBusy) as caught:
            StateLock.acquire(tmp_path)
        assert f"process {holder.pid} (" in str(caught.value)
        assert "root of your own" in "".join(caught.value.__notes__)
        holder.kill()
    StateLock.acquire(tmp_path).release()


def test_release_lets_the_next_in(tmp_path: Path) -> None:
    first = StateLock.acquire(tmp_path / "new")
    with pytest.raises(ResourceBusy, match=f"process {os.getpid()}"):
        StateLock.acquire(tmp_path / "new")
    first.release()
    first.release()
    StateLock.acquire(tmp_path / "new").release()


def test_a_full_disk_neither_prevents_nor_keeps_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        StateLock.acquire(tmp_path).release()
    assert "cannot note the holder of a state lock: No space left on device" in caplog.text
    StateLock.acquire(tmp_path).release()


def test_a_forked_child_does_not_keep_it(tmp_path: Path) -> None:
    lock = StateLock.acquire(tmp_path)
    start, child_waits = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(child_waits)
        os.read(start, 1)  # returns when the parent closes its end
        os._exit(0)
    os.close(start)
    lock.release()
    try:
        StateLock.acquire(tmp_path).release()
    finally:
        os.close(child_waits)
        os.waitpid(pid, 0)
