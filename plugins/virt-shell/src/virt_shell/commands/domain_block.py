"""Commands on the images of disks: block jobs, sizes, thresholds."""

from __future__ import annotations

import time

from virt_shell.command import Arguments, CommandError, alias, command, data, flag, integer, string
from virt_shell.domains import ACTIVE, disk_targets
from virt_shell.jobs import print_progress
from virt_shell.numbers import UINT, ULONG, pretty_capacity
from virt_shell.shell import Shell
from virt_shell.text import block_job, escape_xml, read_file
from virtcore._tuples import NamedTuple
from virtcore._typing import TYPE_CHECKING

if TYPE_CHECKING:
    from virtcore.api.events import EventSubscription
    from virtcore.api.sync import Domain
    from virtcore.operations.events import Event

_PATH = data("path", "fully-qualified path of disk", completer=disk_targets)
_BANDWIDTH = integer("bandwidth", "bandwidth limit in MiB/s", unwanted_positional=True)
_BYTES = flag("bytes", "the bandwidth limit is in bytes/s rather than MiB/s")
_VERBOSE = flag("verbose", "with --wait, display the progress")
_ASYNC = flag("async", "with --wait, don't wait for cancel to finish")
_RELATIVE = flag("keep-relative", "keep the backing chain relatively referenced")
#: DomainBlockJobAbortFlags
_ABORT_ASYNC, _ABORT_PIVOT = 1, 2
#: ConnectDomainEventBlockJobStatus
_COMPLETED, _FAILED, _CANCELED, _READY = 0, 1, 2, 3
_INTERVAL = 0.5


def _bandwidth(args: Arguments) -> int:
    """The limit asked for: MiB/s, or bytes/s with ``--bytes``; 0 for none."""
    if "bytes" in args:
        return args.scaled("bandwidth", 1) or 0
    return args.number("bandwidth", *ULONG) or 0


class _Waiting(NamedTuple):
    """A block job that is waited for."""

    shell: Shell
    domain: Domain
    path: str
    label: str
    verbose: bool
    timeout: int | None
    abort: int
    statuses: list[int]
    subscription: EventSubscription | None

    def finish(self) -> int:
        """Wait until it is over or ready; gives how it went."""
        try:
            status = self._watch()
        finally:
            if self.subscription is not None:
                self.subscription.cancel()
        if self.verbose and status in (_COMPLETED, _READY):
            print_progress(self.label, 0, 1)
        return status

    def _watch(self) -> int:
        deadline = None if self.timeout is None else time.monotonic() + self.timeout
        last = (0, 0)
        while True:
            try:
                with self.shell.failing(f"failed to query job for disk {self.path}"):
                    info = self.domain.block_job_info(self.path)
                if self.statuses:
                    return self.statuses[-1]
                if self.subscription is None:
                    # Nobody will tell: a job that is gone is complete, one that has copied everything is ready.
                    if info is None:
                        return _COMPLETED
                    if info.end == info.cur:
                        return _READY
                if info is not None and self.verbose and (info.cur, info.end) != last:
                    last = (info.cur, info.end)
                    print_progress(self.label, info.end - info.cur, info.end)
                if deadline is None or time.monotonic() <= deadline:
                    time.sleep(_INTERVAL)
                    continue
            except KeyboardInterrupt:
                pass  # the user has enough
            with self.shell.failing(f"failed to abort job for disk '{self.path}'"):
                self.domain.block_job_abort(self.path, self.abort)
            return _CANCELED


def _waiting(shell: Shell, args: Arguments, domain: Domain, path: str, label: str) -> _Waiting:
    """Get ready to wait for a block job, before it begins."""
    from virtcore.errors import VirtError
    from virtcore.operations.events import DomainBlockJob2Event, DomainBlockJobEvent

    statuses: list[int] = []

    def heard(event: Event) -> None:
        if isinstance(event, DomainBlockJobEvent | DomainBlockJob2Event) and event.disk == path:
            statuses.append(int(event.status))

    subscription = None
    try:
        subscription = shell.connection.on_event(heard, DomainBlockJobEvent, DomainBlockJob2Event, of=domain)
    except VirtError as problem:
        shell.note(problem)
    abort = _ABORT_ASYNC if "async" in args else 0
    return _Waiting(shell, domain, path, label, "verbose" in args, args.timeout(), abort, statuses, subscription)


def _conclude(shell: Shell, domain: Domain, path: str, flags: int, what: str, message: str) -> None:
    """End a job that is ready."""
    with shell.failing(f"failed to {what} job for disk {path}"):
        domain.block_job_abort(path, flags)
    shell.out(f"\n{message}")


def _needs_waiting(args: Arguments, finishing: str) -> bool:
    """Whether the command waits.

    :raises CommandError: an option makes sense only then.
    """
    if args.timeout() is not None or any(option in args for option in ("wait", "pivot", finishing)):
        return True
    for option in ("verbose", "async"):
        if option in args:
            raise CommandError(f"--{option} requires at least one of --timeout, --wait, --pivot, or --{finishing}")
    return False


# -- commit


@command(
    "blockcommit",
    group="domain",
    help="Start a block commit operation.",
    description="Merge images of a disk's backing chain downwards.",
    options=[
        ACTIVE,
        _PATH,
        _BANDWIDTH,
        string("base", "path of base file to commit into (default bottom of chain)", unwanted_positional=True),
        flag("shallow", "use backing file of top as base"),
        string("top", "path of top file to commit from (default top of chain)", unwanted_positional=True),
        flag("active", "trigger two-stage active commit of top file"),
        flag("delete", "delete files that were successfully committed"),
        flag("wait", "wait for job to complete (with --active, wait for job to sync)"),
        _VERBOSE,
        integer("timeout", "implies --wait, abort if copy exceeds timeout (in seconds)", unwanted_positional=True),
        flag("pivot", "implies --active --wait, pivot when commit is synced"),
        flag("keep-overlay", "implies --active --wait, quit when commit is synced"),
        _ASYNC,
        _RELATIVE,
        _BYTES,
    ],
)
def blockcommit(shell: Shell, args: Arguments) -> bool:
    from virtcore.enums import DomainBlockCommitFlags

    args.exclusive("pivot", "keep-overlay")
    path, base, top = args.require("path"), args.get("base"), args.get("top")
    bandwidth = _bandwidth(args)
    table = {"bytes": "BANDWIDTH_BYTES", "shallow": "SHALLOW", "delete": "DELETE", "keep-relative": "RELATIVE"}
    flags = args.flags(DomainBlockCommitFlags, table)
    active = any(option in args for option in ("active", "pivot", "keep-overlay"))
    if active:
        flags |= DomainBlockCommitFlags.ACTIVE
    waits = _needs_waiting(args, "keep-overlay")
    domain = shell.domain(args)
    waiting = _waiting(shell, args, domain, path, "Block commit") if waits else None
    domain.block_commit(path, base, top, bandwidth, flags)
    if waiting is None:
        shell.out("Active Block Commit started" if active else "Block Commit started")
        return True
    status = waiting.finish()
    if status in (_CANCELED, _FAILED):
        shell.out("\nCommit aborted" if status == _CANCELED else "\nCommit failed")
        return False
    if not active:
        shell.out("\nCommit complete")
    elif "pivot" in args:
        _conclude(shell, domain, path, waiting.abort | _ABORT_PIVOT, "pivot", "Successfully pivoted")
    elif "keep-overlay" in args:
        _conclude(shell, domain, path, waiting.abort, "finish", "Commit complete, overlay image kept")
    else:
        shell.out("\nNow in synchronized phase")
    return True


# -- copy


@command(
    "blockcopy",
    group="domain",
    help="Start a block copy operation.",
    description="Mirror a disk to another place.",
    options=[
        ACTIVE,
        data("path", "fully-qualified path of source disk", completer=disk_targets),
        string("dest", "path of the copy to create", unwanted_positional=True),
        _BANDWIDTH,
        flag("shallow", "make the copy share a backing chain"),
        flag("reuse-external", "reuse existing destination"),
        alias("raw", "format=raw"),
        flag("blockdev", "copy destination is block device instead of regular file"),
        flag("wait", "wait for job to reach mirroring phase"),
        _VERBOSE,
        integer("timeout", "implies --wait, abort if copy exceeds timeout (in seconds)", unwanted_positional=True),
        flag("pivot", "implies --wait, pivot when mirroring starts"),
        flag("finish", "implies --wait, quit when mirroring starts"),
        _ASYNC,
        string("xml", "filename containing XML description of the copy destination", unwanted_positional=True),
        string("format", "format of the destination file", unwanted_positional=True),
        integer("granularity", "power-of-two granularity to use during the copy", unwanted_positional=True),
        integer("buf-size", "maximum amount of in-flight data during the copy", unwanted_positional=True),
        _BYTES,
        flag("transient-job", "the copy job is not persisted if VM is turned off"),
        flag(
            "synchronous-writes",
            "the copy job forces guest writes to be synchronously written to the destination",
        ),
        flag("print-xml", "print the XML used to start the copy job instead of starting the job"),
    ],
)
def blockcopy(shell: Shell, args: Arguments) -> bool:
    bandwidth = _bandwidth(args)
    granularity, buffer = args.number("granularity", *UINT) or 0, args.number("buf-size", *ULONG) or 0
    for first, second in (("dest", "xml"), ("format", "xml"), ("blockdev", "xml"), ("pivot", "finish")):
        args.exclusive(first, second)
    path, dest, file, image = args.require("path"), args.get("dest"), args.get("xml"), args.get("format")
    if dest is None and file is None:
        raise CommandError("need either --dest or --xml")
    waits = _needs_waiting(args, "finish")
    domain = shell.domain(args)
    waiting = _waiting(shell, args, domain, path, "Block Copy") if waits and "print-xml" not in args else None
    new_ones = any(option in args for option in ("transient-job", "synchronous-writes", "print-xml"))
    if granularity or buffer or (image is not None and image != "raw") or file is not None or new_ones:
        xml = read_file(file) if file is not None else _destination(args, dest or "", image)
        if "print-xml" in args:
            shell.out(xml)
            return True
        _copy(args, domain, path, xml, (bandwidth, granularity, buffer))
    else:
        _copy_to(args, domain, path, dest, bandwidth)
    if waiting is None:
        shell.out("Block Copy started")
        return True
    status = waiting.finish()
    if status in (_CANCELED, _FAILED):
        shell.out("\nCopy aborted" if status == _CANCELED else "\nCopy failed")
        return False
    if "pivot" in args:
        _conclude(shell, domain, path, waiting.abort | _ABORT_PIVOT, "pivot", "Successfully pivoted")
    elif "finish" in args:
        _conclude(shell, domain, path, waiting.abort, "finish", "Successfully copied")
    else:
        shell.out("\nNow in mirroring phase")
    return True


def _destination(args: Arguments, dest: str, image: str | None) -> str:
    """The ``<disk>`` of the place that is copied to."""
    kind, attribute = ("block", "dev") if "blockdev" in args else ("file", "file")
    driver = f"  <driver type='{escape_xml(image)}'/>\n" if image is not None else ""
    return f"<disk type='{kind}'>\n  <source {attribute}='{escape_xml(dest)}'/>\n{driver}</disk>\n"


def _copy(args: Arguments, domain: Domain, path: str, xml: str, limits: tuple[int, int, int]) -> None:
    """Mirror to what a document describes."""
    from virtcore.enums import DomainBlockCopyFlags, TypedParameterType
    from virtcore.types import TypedParameters

    bandwidth, granularity, buffer = limits
    if "bytes" not in args and bandwidth:
        limit = ULONG[1] >> 20
        if bandwidth > limit:
            raise CommandError(f"bandwidth must be less than {limit}")
        bandwidth <<= 20
    params = TypedParameters()
    for name, kind, value in (
        ("bandwidth", TypedParameterType.ULLONG, bandwidth),
        ("granularity", TypedParameterType.UINT, granularity),
        ("buf-size", TypedParameterType.ULLONG, buffer),
    ):
        if value:
            params.add(name, kind, value)
    table = {
        "shallow": "SHALLOW",
        "reuse-external": "REUSE_EXT",
        "transient-job": "TRANSIENT_JOB",
        "synchronous-writes": "SYNCHRONOUS_WRITES",
    }
    domain.block_copy(path, xml, params, args.flags(DomainBlockCopyFlags, table))


def _copy_to(args: Arguments, domain: Domain, path: str, dest: str | None, bandwidth: int) -> None:
    """Mirror to a path, as every version can."""
    from virtcore.enums import DomainBlockRebaseFlags

    table = {
        "shallow": "SHALLOW",
        "reuse-external": "REUSE_EXT",
        "blockdev": "COPY_DEV",
        "bytes": "BANDWIDTH_BYTES",
    }
    flags = args.flags(DomainBlockRebaseFlags, table) | DomainBlockRebaseFlags.COPY
    if args.get("format") == "raw":
        flags |= DomainBlockRebaseFlags.COPY_RAW
    domain.block_rebase(path, dest, bandwidth, flags)


# -- pull


@command(
    "blockpull",
    group="domain",
    help="Populate a disk from its backing image.",
    description="Copy what is in a disk's backing images into the disk itself.",
    options=[
        ACTIVE,
        _PATH,
        _BANDWIDTH,
        string("base", "path of backing file in chain for a partial pull", unwanted_positional=True),
        flag("wait", "wait for job to finish"),
        _VERBOSE,
        integer("timeout", "with --wait, abort if pull exceeds timeout (in seconds)", unwanted_positional=True),
        _ASYNC,
        _RELATIVE,
        _BYTES,
    ],
)
def blockpull(shell: Shell, args: Arguments) -> bool:
    from virtcore.enums import DomainBlockRebaseFlags

    args.needs("verbose", "wait")
    args.needs("async", "wait")
    path, base = args.require("path"), args.get("base")
    bandwidth = _bandwidth(args)
    args.timeout()
    flags = args.flags(DomainBlockRebaseFlags, {"keep-relative": "RELATIVE", "bytes": "BANDWIDTH_BYTES"})
    domain = shell.domain(args)
    waiting = _waiting(shell, args, domain, path, "Block Pull") if "wait" in args else None
    domain.block_rebase(path, base, bandwidth, flags)
    if waiting is None:
        shell.out("Block Pull started")
        return True
    status = waiting.finish()
    ends = {_CANCELED: "Pull aborted", _FAILED: "Pull failed"}
    shell.out(f"\n{ends.get(status, 'Pull complete')}")
    return status not in ends


# -- jobs that go on


@command(
    "blockjob",
    group="domain",
    help="Manage active block operations",
    description="Print how far a disk's block job is, limit its speed, or end it.",
    options=[
        ACTIVE,
        _PATH,
        flag("abort", "abort the active job on the specified disk"),
        flag("async", "implies --abort; request but don't wait for job end"),
        flag("pivot", "implies --abort; conclude and pivot a copy or commit job"),
        flag("info", "get active job information for the specified disk"),
        flag("bytes", "get/set bandwidth in bytes rather than MiB/s"),
        flag("raw", "implies --info; output details rather than human summary"),
        integer("bandwidth", "set the bandwidth limit in MiB/s", unwanted_positional=True),
    ],
)
def blockjob(shell: Shell, args: Arguments) -> bool:
    for first in ("raw", "info"):
        for second in ("abort", "pivot", "async", "bandwidth"):
            args.exclusive(first, second)
    for second in ("abort", "pivot", "async"):
        args.exclusive("bytes", second)
    domain, path = shell.domain(args), args.require("path")
    if "bandwidth" in args:
        from virtcore.enums import DomainBlockJobSetSpeedFlags

        flags = args.flags(DomainBlockJobSetSpeedFlags, {"bytes": "BANDWIDTH_BYTES"})
        domain.block_job_set_speed(path, _bandwidth(args), flags)
    elif any(option in args for option in ("abort", "pivot", "async")):
        aborting = (_ABORT_ASYNC if "async" in args else 0) | (_ABORT_PIVOT if "pivot" in args else 0)
        domain.block_job_abort(path, aborting)
    else:
        _show_job(shell, domain, path, raw="raw" in args, in_bytes="bytes" in args)
    return True


def _show_job(shell: Shell, domain: Domain, path: str, *, raw: bool, in_bytes: bool) -> None:
    from virtcore.enums import DomainBlockJobInfoFlags
    from virtcore.errors import InvalidArg, OverflowDetected

    flags = DomainBlockJobInfoFlags.BANDWIDTH_BYTES if in_bytes or not raw else 0
    scale = 1
    try:
        info = domain.block_job_info(path, flags)
    except (InvalidArg, OverflowDetected):
        if in_bytes or raw:
            raise
        info, scale = domain.block_job_info(path), 1 << 20  # a server that knows MiB/s alone
    if info is None:
        if not raw:
            shell.out(f"No current block job for {path}")
        return
    if raw:
        shell.out(f" type={block_job(info.type)}\n bandwidth={info.bandwidth}\n cur={info.cur}\n end={info.end}\n")
        return
    print_progress(block_job(info.type), info.end - info.cur, info.end)
    speed = info.bandwidth * scale
    if speed:
        shell.out(f"    Bandwidth limit: {speed} bytes/s ({pretty_capacity(speed)}/s)")
    shell.out("\n")


# -- size


@command(
    "blockresize",
    group="domain",
    help="Resize block device of domain.",
    description="Change the size of a running guest's disk.",
    options=[
        ACTIVE,
        data("path", "Fully-qualified path of block device", completer=disk_targets),
        integer("size", "New size of the block device, as scaled integer (default KiB)", positional=True),
        flag("capacity", "resize to capacity of source (block device)"),
    ],
)
def blockresize(shell: Shell, args: Arguments) -> bool:
    from virtcore.enums import DomainBlockResizeFlags

    path = args.require("path")
    args.exclusive("capacity", "size")
    size = args.scaled("size", 1024)
    flags = args.flags(DomainBlockResizeFlags, {"capacity": "CAPACITY"})
    if size is None and not flags:
        raise CommandError("either --size or --capacity is required")
    size = size or 0
    if size % 1024:
        flags |= DomainBlockResizeFlags.BYTES
    else:
        size //= 1024  # what every version understands
    domain = shell.domain(args)
    with shell.failing(f"Failed to resize block device '{path}'"):
        domain.block_resize(path, size, flags)
    shell.extra(f"Block device '{path}' is resized")
    return True


@command(
    "domblkthreshold",
    group="domain",
    help="set the threshold for block-threshold event for a given block device or it's backing chain element",
    description="Have an event come once a disk's host storage grows past a size.",
    options=[
        ACTIVE,
        data("dev", "device to set threshold for", completer=disk_targets),
        integer("threshold", "threshold as a scaled number (by default bytes)", required=True, positional=True),
    ],
)
def domblkthreshold(shell: Shell, args: Arguments) -> bool:
    dev = args.require("dev")
    threshold = args.scaled("threshold", 1) or 0
    shell.domain(args).set_block_threshold(dev, threshold)
    return True
