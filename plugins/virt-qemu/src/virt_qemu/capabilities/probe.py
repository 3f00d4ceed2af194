"""Asking a binary what it can do: one QEMU without a machine, every question at once."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Iterator

from virt_qemu.capabilities import flags as known
from virt_qemu.capabilities.derive import accelerated, expansion_question, hyperv_question, target_arch
from virt_qemu.capabilities.replies import Replies
from virt_qemu.monitor import JSON, CommandError, Monitor
from virtcore.errors import InternalError, VirtError
from virtcore.runtime.launcher import Command, Process, launcher

__all__ = ["PROBE_LIMIT", "probe"]

PROBE_LIMIT = 20.0
"""Seconds a probe may take."""

_Question = tuple[str, dict[str, JSON] | None]


def _questions() -> Iterator[_Question]:
    """Whatever is asked of every emulator; a type it does not know is a refusal, which is an answer too."""
    for command in (
        "query-version",
        "query-target",
        "query-qmp-schema",
        "query-kvm",
        "qom-list-types",
        "query-machines",
        "query-cpu-definitions",
        "query-tpm-models",
        "query-tpm-types",
        "query-command-line-options",
        "query-migrate-capabilities",
        "query-sev-capabilities",
        "query-sgx-capabilities",
        "query-gic-capabilities",
    ):
        yield command, None
    for device, _, properties in known.DEVICE_PROPERTIES:
        if properties:
            yield "device-list-properties", {"typename": device}
    for kind, _, properties in known.OBJECT_PROPERTIES:
        if properties:
            yield "qom-list-properties", {"typename": kind}
    for machine in ("none", "generic-pc"):
        yield "qom-list-properties", {"typename": f"{machine}-machine"}


def _later_questions(replies: Replies) -> Iterator[_Question]:
    """What can be asked only when the machines and the architecture are known."""
    for row in replies.rows("query-machines"):
        if row.get("alias", row["name"]) in ("pseries", "virt"):
            yield "qom-list-properties", {"typename": f"{row['name']}-machine"}
    arch = target_arch(replies)
    model = "host" if accelerated(replies) else "max"
    yield "query-cpu-model-expansion", expansion_question(arch, model)
    if arch.is_x86:
        yield "query-cpu-model-expansion", expansion_question(arch, model, False)
        if accelerated(replies):
            yield "query-cpu-model-expansion", hyperv_question(arch)
    elif arch.is_s390:
        yield "query-cpu-model-expansion", expansion_question(arch, model, full=True)


async def probe(binary: str, accelerator: str = "tcg") -> Replies:
    """Ask a binary everything.

    :param accelerator: ``tcg``, or ``kvm:tcg`` for KVM where the binary can use it; CPU models depend on it.
    :raises InternalError: it is no usable QEMU, with what it wrote to its standard error.
    """
    ours, theirs = socket.socketpair()
    errors = os.memfd_create("qemu-probe")
    process: Process | None = None
    monitor = Monitor(os.path.basename(binary))
    try:
        with theirs:
            process = await launcher().start(
                Command(
                    argv=[
                        binary,
                        "-S",
                        "-no-user-config",
                        "-nodefaults",
                        "-nographic",
                        "-machine",
                        f"none,accel={accelerator}",
                        "-chardev",
                        "socket,id=charmonitor,fd=3",
                        "-mon",
                        "chardev=charmonitor,id=monitor,mode=control",
                    ],
                    environment={"LC_ALL": "C", "PATH": os.environ.get("PATH", os.defpath)},
                    fds={2: errors, 3: theirs.fileno()},
                    outlives=False,
                )
            )
        async with asyncio.timeout(PROBE_LIMIT):
            await monitor.connect(ours, PROBE_LIMIT)
            replies = Replies()
            await _ask(monitor, replies, _questions())
            await _ask(monitor, replies, _later_questions(replies))
        return replies
    except TimeoutError:
        raise InternalError(
            f"Failed to probe QEMU binary with QMP: {binary} did not answer within {PROBE_LIMIT:g} s"
        ) from None
    except VirtError as error:
        said = os.pread(errors, 4096, 0).decode(errors="replace").strip()
        raise InternalError(f"Failed to probe QEMU binary with QMP: {said or error}") from error
    finally:
        os.close(errors)
        if process is not None:
            process.signal(signal.SIGKILL)  # it has no guest whose end could matter
            await process.wait()
        await monitor.close()
        ours.close()


async def _ask(monitor: Monitor, replies: Replies, questions: Iterator[_Question]) -> None:
    async def one(command: str, arguments: dict[str, JSON] | None) -> None:
        try:
            replies.keep(command, arguments, await monitor.execute(command, arguments))
        except CommandError:
            pass  # refused: there is no such command, device or feature

    await asyncio.gather(*(one(*question) for question in questions))
