"""Asking a binary what it can do: one QEMU without a machine, every question at once; where it can use KVM a second one
beside, of which only what depends on that is asked."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager

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


#: What further questions depend on.
_FIRST: tuple[_Question, ...] = (("query-target", None), ("query-kvm", None))
#: What depends on the accelerator, beside :func:`_models`.
_ACCELERATOR: tuple[_Question, ...] = (("query-machines", None), ("query-cpu-definitions", None))


def _questions() -> Iterator[_Question]:
    """Whatever is asked of every emulator; that it does not know a command is an answer, too."""
    for command in (
        "query-version",
        "query-qmp-schema",
        "qom-list-types",
        "query-tpm-models",
        "query-tpm-types",
        "query-command-line-options",
        "query-migrate-capabilities",
        "query-sev-capabilities",
        "query-sgx-capabilities",
        "query-gic-capabilities",
    ):
        yield command, None


def _property_questions(replies: Replies) -> Iterator[_Question]:
    """Properties of the types and machines that it knows: those of others would be refused, and cost reading."""
    types = {row.get("name") for row in replies.rows("qom-list-types")}
    for device, _, properties in known.DEVICE_PROPERTIES:
        if properties and device in types:
            yield "device-list-properties", {"typename": device}
    for kind, _, properties in known.OBJECT_PROPERTIES:
        if properties and kind in types:
            yield "qom-list-properties", {"typename": kind}
    machines = ["none", "generic-pc"]
    for row in replies.rows("query-machines"):
        if row.get("alias", row["name"]) in ("pseries", "virt"):
            machines.append(str(row["name"]))
    for machine in machines:
        if f"{machine}-machine" in types:
            yield "qom-list-properties", {"typename": f"{machine}-machine"}


def _models(replies: Replies) -> Iterator[_Question]:
    """The processors that guests can have at most."""
    arch = target_arch(replies)
    model = "host" if accelerated(replies) else "max"
    yield "query-cpu-model-expansion", expansion_question(arch, model)
    if arch.is_x86:
        yield "query-cpu-model-expansion", expansion_question(arch, model, False)
        if accelerated(replies):
            yield "query-cpu-model-expansion", hyperv_question(arch)
    elif arch.is_s390:
        yield "query-cpu-model-expansion", expansion_question(arch, model, full=True)


async def probe(binary: str, *, kvm: bool = False) -> tuple[Replies, Replies | None]:
    """Ask a binary everything; and what is different without accelerator, where it can use one.

    :param kvm: guests may have KVM here.
    :raises InternalError: it is no usable QEMU, with what it wrote to its standard error.
    """
    plain: asyncio.Task[Replies] | None = None
    replies = Replies()
    try:
        async with _running(binary, "kvm:tcg" if kvm else "tcg") as monitor:
            await _ask(monitor, replies, _FIRST)
            if accelerated(replies):
                plain = asyncio.create_task(_probe_plain(binary))
            await _ask(monitor, replies, (*_questions(), *_ACCELERATOR, *_models(replies)))
            await _ask(monitor, replies, _property_questions(replies))
        return replies, await plain if plain is not None else None
    except BaseException:
        if plain is not None:
            plain.cancel()
            await asyncio.wait((plain,))
        raise


async def _probe_plain(binary: str) -> Replies:
    """Ask a binary what depends on the accelerator when it has none."""
    async with _running(binary, "tcg") as monitor:
        replies = Replies()
        await _ask(monitor, replies, _FIRST)
        await _ask(monitor, replies, (*_ACCELERATOR, *_models(replies)))
    return replies


@asynccontextmanager
async def _running(binary: str, accelerator: str) -> AsyncIterator[Monitor]:
    """A QEMU that has no guest, and its monitor.

    :param accelerator: ``tcg``, or ``kvm:tcg`` for KVM where the binary can use it.
    :raises InternalError: it is no usable QEMU, or did not answer all that was asked meanwhile.
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
            yield monitor
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


async def _ask(monitor: Monitor, replies: Replies, questions: Iterable[_Question]) -> None:
    """Ask all at once."""
    for command, arguments, answer in [(*question, monitor.ask(*question)) for question in questions]:
        try:
            replies.keep(command, arguments, await answer)
        except CommandError:
            pass  # refused: there is no such command, or it makes no sense here
