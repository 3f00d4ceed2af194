"""Commands that move a domain to another host, and set how."""

from __future__ import annotations

from virt_shell.command import Arguments, CommandError, alias, command, data, flag, integer, string
from virt_shell.domains import ACTIVE, DOMAIN, disk_targets
from virt_shell.jobs import watched
from virt_shell.numbers import INT, UINT, ULONG
from virt_shell.shell import Shell
from virt_shell.text import read_file
from virtcore._typing import TYPE_CHECKING

if TYPE_CHECKING:
    from virtcore.api.events import EventSubscription
    from virtcore.api.sync import Domain
    from virtcore.operations.events import Event
    from virtcore.types import TypedParameters

#: option -> name of the DomainMigrateFlags member
_FLAGS = {
    "live": "LIVE",
    "offline": "OFFLINE",
    "p2p": "PEER2PEER",
    "tunnelled": "TUNNELLED",
    "persistent": "PERSIST_DEST",
    "undefinesource": "UNDEFINE_SOURCE",
    "suspend": "PAUSED",
    "copy-storage-all": "NON_SHARED_DISK",
    "copy-storage-inc": "NON_SHARED_INC",
    "copy-storage-synchronous-writes": "NON_SHARED_SYNCHRONOUS_WRITES",
    "change-protection": "CHANGE_PROTECTION",
    "unsafe": "UNSAFE",
    "compressed": "COMPRESSED",
    "auto-converge": "AUTO_CONVERGE",
    "rdma-pin-all": "RDMA_PIN_ALL",
    "abort-on-error": "ABORT_ON_ERROR",
    "postcopy": "POSTCOPY",
    "postcopy-resume": "POSTCOPY_RESUME",
    "zerocopy": "ZEROCOPY",
    "tls": "TLS",
    "parallel": "PARALLEL",
}
#: option -> name of the parameter and its type; a list is as many of them, FILE the content of one.
_PARAMETERS = {
    "migrateuri": ("migrate_uri", "STRING"),
    "graphicsuri": ("graphics_uri", "STRING"),
    "listen-address": ("listen_address", "STRING"),
    "disks-port": ("disks_port", "INT"),
    "disks-uri": ("disks_uri", "STRING"),
    "dname": ("destination_name", "STRING"),
    "migrate-disks": ("migrate_disks", "LIST"),
    "migrate-disks-detect-zeroes": ("migrate_disks_detect_zeroes", "LIST"),
    "comp-methods": ("compression", "LIST"),
    "comp-mt-level": ("compression.mt.level", "INT"),
    "comp-mt-threads": ("compression.mt.threads", "INT"),
    "comp-mt-dthreads": ("compression.mt.dthreads", "INT"),
    "comp-xbzrle-cache": ("compression.xbzrle.cache", "ULLONG"),
    "xml": ("destination_xml", "FILE"),
    "persistent-xml": ("persistent_xml", "FILE"),
    "auto-converge-initial": ("auto_converge.initial", "INT"),
    "auto-converge-increment": ("auto_converge.increment", "INT"),
    "postcopy-bandwidth": ("bandwidth.postcopy", "ULLONG"),
    "parallel-connections": ("parallel.connections", "INT"),
    "comp-zlib-level": ("compression.zlib.level", "INT"),
    "comp-zstd-level": ("compression.zstd.level", "INT"),
    "bandwidth": ("bandwidth", "ULLONG"),
    "available-switchover-bandwidth": ("bandwidth.avail.switchover", "ULLONG"),
    "tls-destination": ("tls.destination", "STRING"),
}
_REQUIRED = (
    ("postcopy-after-precopy", "postcopy"),
    ("postcopy-resume", "postcopy"),
    ("timeout-postcopy", "postcopy"),
    ("persistent-xml", "persistent"),
    ("tls-destination", "tls"),
)


def _parameters(args: Arguments) -> TypedParameters:
    """The parameters that the options give."""
    from virtcore.enums import TypedParameterType
    from virtcore.types import TypedParameters

    params = TypedParameters()
    for option, (name, kind) in _PARAMETERS.items():
        if kind in ("INT", "ULLONG"):
            number = args.number(option, *(INT if kind == "INT" else ULONG))
            # No port is 0: that is what stands for none.
            if number is not None and (number or option != "disks-port"):
                params.add(name, TypedParameterType[kind], number)
            continue
        text = args.get(option)
        if text is None:
            continue
        if option.startswith("migrate-disks") and "copy-storage-all" not in args and "copy-storage-inc" not in args:
            raise CommandError(f"'--{option}' requires one of '--copy-storage-all', '--copy-storage-inc'")
        if kind == "FILE":
            params.add(name, TypedParameterType.STRING, _document(text))
        else:
            for part in text.split(",") if kind == "LIST" else [text]:
                params.add(name, TypedParameterType.STRING, part)
    return params


def _document(path: str) -> str:
    from virtcore.errors import OpenFailed

    try:
        return read_file(path)
    except CommandError as problem:
        raise CommandError(f"cannot read file '{path}'") from OpenFailed(str(problem))


@command(
    "migrate",
    group="domain",
    help="migrate domain to another host",
    description="Move a domain to another host; with --live while it runs.",
    options=[
        DOMAIN,
        data(
            "desturi",
            "connection URI of the destination host as seen from the client(normal migration) or source(p2p migration)",
        ),
        flag("live", "live migration"),
        flag("offline", "offline migration"),
        flag("p2p", "peer-2-peer migration"),
        flag("direct", "direct migration"),
        alias("tunneled", "tunnelled"),
        flag("tunnelled", "tunnelled migration"),
        flag("persistent", "persist VM on destination"),
        flag("undefinesource", "undefine VM on source"),
        flag("suspend", "do not restart the domain on the destination host"),
        flag("copy-storage-all", "migration with non-shared storage with full disk copy"),
        flag(
            "copy-storage-inc",
            "migration with non-shared storage with incremental copy"
            " (same base image shared between source and destination)",
        ),
        flag(
            "copy-storage-synchronous-writes",
            "force guest disk writes to be synchronously written to the destination"
            " to improve storage migration convergence",
        ),
        flag("change-protection", "prevent any configuration changes to domain until migration ends"),
        flag("unsafe", "force migration even if it may be unsafe"),
        flag("verbose", "display the progress of migration"),
        flag("compressed", "compress repeated pages during live migration"),
        flag("auto-converge", "force convergence during live migration"),
        flag("rdma-pin-all", "pin all memory before starting RDMA live migration"),
        flag("abort-on-error", "abort on soft errors during migration"),
        flag("postcopy", "enable post-copy migration; switch to it using migrate-postcopy command"),
        flag("postcopy-after-precopy", "automatically switch to post-copy migration after one pass of pre-copy"),
        flag("postcopy-resume", "resume failed post-copy migration"),
        flag("zerocopy", "use zero-copy mechanism for migrating memory pages"),
        string("migrateuri", "migration URI, usually can be omitted", unwanted_positional=True),
        string("graphicsuri", "graphics URI to be used for seamless graphics migration", unwanted_positional=True),
        string(
            "listen-address",
            "listen address that destination should bind to for incoming migration",
            unwanted_positional=True,
        ),
        string("dname", "rename to new name during migration (if supported)", unwanted_positional=True),
        integer(
            "timeout",
            "run action specified by --timeout-* option (suspend by default) if live migration exceeds timeout"
            " (in seconds)",
            unwanted_positional=True,
        ),
        flag("timeout-suspend", "suspend the guest after timeout"),
        flag("timeout-postcopy", "switch to post-copy after timeout"),
        string("xml", "filename containing updated XML for the target", unwanted_positional=True),
        string(
            "migrate-disks",
            "comma separated list of disks to be migrated",
            unwanted_positional=True,
            completer=disk_targets,
        ),
        string(
            "migrate-disks-detect-zeroes",
            "comma separated list of disks to be migrated with zero detection enabled",
            completer=disk_targets,
        ),
        integer("disks-port", "port to use by target server for incoming disks migration", unwanted_positional=True),
        string("disks-uri", "URI to use for disks migration (overrides --disks-port)"),
        string("comp-methods", "comma separated list of compression methods to be used"),
        integer("comp-mt-level", "compress level for multithread compression"),
        integer("comp-mt-threads", "number of compression threads for multithread compression"),
        integer("comp-mt-dthreads", "number of decompression threads for multithread compression"),
        integer("comp-xbzrle-cache", "page cache size for xbzrle compression"),
        integer("auto-converge-initial", "initial CPU throttling rate for auto-convergence"),
        integer("auto-converge-increment", "CPU throttling rate increment for auto-convergence"),
        string("persistent-xml", "filename containing updated persistent XML for the target"),
        flag("tls", "use TLS for migration"),
        integer("postcopy-bandwidth", "post-copy migration bandwidth limit in MiB/s"),
        flag("parallel", "enable parallel migration"),
        integer("parallel-connections", "number of connections for parallel migration"),
        integer("bandwidth", "migration bandwidth limit in MiB/s"),
        string("tls-destination", "override the destination host name used for TLS verification"),
        integer("comp-zlib-level", "compress level for zlib compression"),
        integer("comp-zstd-level", "compress level for zstd compression"),
        integer(
            "available-switchover-bandwidth",
            "bandwidth (in MiB/s) available for the final phase of migration",
        ),
    ],
)
def migrate(shell: Shell, args: Arguments) -> bool:
    from virtcore.enums import DomainMigrateFlags

    args.exclusive("live", "offline")
    args.exclusive("timeout-suspend", "timeout-postcopy")
    for option, required in _REQUIRED:
        args.needs(option, required)
    domain = shell.domain(args)
    timeout = args.number("timeout", *UINT)
    if timeout and "live" not in args:
        raise CommandError("migrate: Unexpected timeout for offline migration")
    if not timeout and ("timeout-suspend" in args or "timeout-postcopy" in args):
        raise CommandError("migrate: Unexpected --timeout-* option without --timeout")
    flags = args.flags(DomainMigrateFlags, _FLAGS)
    subscription = None
    if "postcopy-after-precopy" in args:
        subscription = _post_copy_after_first_pass(shell, domain)
    try:
        _migrate(shell, args, domain, int(flags), timeout or None)
    finally:
        if subscription is not None:
            subscription.cancel()
    return True


def _post_copy_after_first_pass(shell: Shell, domain: Domain) -> EventSubscription:
    from virtcore.errors import VirtError
    from virtcore.operations.events import DomainMigrationIterationEvent

    def passed(event: Event) -> None:
        if isinstance(event, DomainMigrationIterationEvent) and event.iteration == 2:
            try:
                domain.migrate_start_post_copy()
            except VirtError as problem:
                shell.note(problem)  # the migration goes on as it began

    return shell.connection.on_event(passed, DomainMigrationIterationEvent, of=domain)


def _migrate(shell: Shell, args: Arguments, domain: Domain, flags: int, timeout: int | None) -> None:
    import virtcore

    params = _parameters(args)
    target = args.require("desturi")
    verbose = "verbose" in args

    def on_timeout() -> None:
        if "timeout-postcopy" in args:
            domain.migrate_start_post_copy()
        else:
            domain.suspend()

    if "p2p" in args or "direct" in args:
        watched(
            shell,
            domain,
            "Migration",
            lambda: domain.migrate_to_uri(target, params, flags),
            verbose=verbose,
            timeout=timeout,
            on_timeout=on_timeout,
        )
        return
    with virtcore.connect(target) as destination:
        watched(
            shell,
            domain,
            "Migration",
            lambda: domain.migrate(destination, params, flags),
            verbose=verbose,
            timeout=timeout,
            on_timeout=on_timeout,
        )


# -- settings of a migration


@command(
    "migrate-setmaxdowntime",
    group="domain",
    help="set maximum tolerable downtime",
    description="Set for how long a guest may stand still at the end of its migration.",
    options=[
        ACTIVE,
        integer(
            "downtime", "maximum tolerable downtime (in milliseconds) for migration", required=True, positional=True
        ),
    ],
)
def migrate_setmaxdowntime(shell: Shell, args: Arguments) -> bool:
    domain = shell.domain(args)
    downtime = args.number("downtime", *ULONG) or 0
    if downtime < 1:
        raise CommandError("migrate: Invalid downtime")
    domain.migrate_set_max_downtime(downtime)
    return True


@command(
    "migrate-getmaxdowntime",
    group="domain",
    help="get maximum tolerable downtime",
    description="Print for how long a guest may stand still at the end of its migration.",
    options=[ACTIVE],
)
def migrate_getmaxdowntime(shell: Shell, args: Arguments) -> bool:
    shell.out(f"{shell.domain(args).migrate_max_downtime()}\n")
    return True


@command(
    "migrate-compcache",
    group="domain",
    help="get/set compression cache size",
    description="Print or set how much memory finds out what of a page has changed while a guest migrates.",
    options=[ACTIVE, integer("size", "requested size of the cache (in bytes) used for compression")],
)
def migrate_compcache(shell: Shell, args: Arguments) -> bool:
    from virt_shell.numbers import pretty_capacity

    domain = shell.domain(args)
    size = args.number("size", *ULONG)
    if size is not None:
        domain.migrate_set_compression_cache(size)
    shell.out(f"Compression cache: {pretty_capacity(domain.migrate_compression_cache())}")
    return True


def _speed_flags(args: Arguments) -> int:
    from virtcore.enums import DomainMigrateMaxSpeedFlags

    return args.flags(DomainMigrateMaxSpeedFlags, {"postcopy": "POSTCOPY"})


@command(
    "migrate-setspeed",
    group="domain",
    help="Set the maximum migration bandwidth",
    description="Set how fast a guest migrates at most, in MiB/s.",
    options=[
        ACTIVE,
        integer("bandwidth", "migration bandwidth limit in MiB/s", required=True, positional=True),
        flag("postcopy", "set post-copy migration bandwidth"),
    ],
)
def migrate_setspeed(shell: Shell, args: Arguments) -> bool:
    domain = shell.domain(args)
    domain.migrate_set_max_speed(args.number("bandwidth", *ULONG) or 0, _speed_flags(args))
    return True


@command(
    "migrate-getspeed",
    group="domain",
    help="Get the maximum migration bandwidth",
    description="Print how fast a guest migrates at most, in MiB/s.",
    options=[DOMAIN, flag("postcopy", "get post-copy migration bandwidth")],
)
def migrate_getspeed(shell: Shell, args: Arguments) -> bool:
    shell.out(f"{shell.domain(args).migrate_max_speed(_speed_flags(args))}\n")
    return True


@command(
    "migrate-postcopy",
    group="domain",
    help="Switch running migration from pre-copy to post-copy",
    description="Have a migrating guest run on the other host at once, and its memory follow.",
    options=[ACTIVE],
)
def migrate_postcopy(shell: Shell, args: Arguments) -> bool:
    shell.domain(args).migrate_start_post_copy()
    return True
