"""Commands that watch domains."""

from __future__ import annotations

from virt_shell.command import Arguments, argv, command, flag
from virt_shell.completion import domains
from virt_shell.domains import ACTIVE, DOMAIN
from virt_shell.shell import Shell
from virt_shell.table import Table
from virt_shell.text import control_state, state_name, state_reason, typed_value
from virtcore._typing import TYPE_CHECKING, Sequence

if TYPE_CHECKING:
    from virtcore.api.sync import Domain

#: What ``list`` asks for (ConnectListAllDomainsFlags) where no option says otherwise.
_LIST_ACTIVE, _LIST_INACTIVE = 1, 2
#: option of ``list`` -> bit of ConnectListAllDomainsFlags. Numbers: the enumerations take longer to load than the list.
_FILTERS = {
    "persistent": 1 << 2,
    "transient": 1 << 3,
    "state-running": 1 << 4,
    "state-paused": 1 << 5,
    "state-shutoff": 1 << 6,
    "state-other": 1 << 7,
    "with-managed-save": 1 << 8,
    "without-managed-save": 1 << 9,
    "autostart": 1 << 10,
    "no-autostart": 1 << 11,
    "with-snapshot": 1 << 12,
    "without-snapshot": 1 << 13,
    "with-checkpoint": 1 << 14,
    "without-checkpoint": 1 << 15,
}
#: Statistics of state (DomainStatsTypes), and what the state is called there.
_STATE_STATS, _STATE = 1, "state.state"
#: Bits of filters that ConnectGetAllDomainStatsFlags has as well.
_SHARED_FILTERS = 0xFF


@command(
    "domstate",
    group="monitor",
    help="domain state",
    description="Print the state of a domain.",
    options=[DOMAIN, flag("reason", "also print reason for the state")],
)
def domstate(shell: Shell, args: Arguments) -> bool:
    state, reason = shell.domain(args).state()
    name = state_name(state)
    shell.out(f"{name} ({state_reason(state, reason)})\n" if "reason" in args else f"{name}\n")
    return True


@command(
    "domcontrol",
    group="monitor",
    help="domain control interface state",
    description="Print the state of the control channel to a domain's hypervisor.",
    options=[ACTIVE],
)
def domcontrol(shell: Shell, args: Arguments) -> bool:
    info = shell.domain(args).control_info()
    name = control_state(info.state, info.details)
    shell.out(f"{name} ({info.state_time / 1000:.3f}s)\n" if info.state not in (0, 3) else f"{name}\n")
    return True


@command(
    "dominfo",
    group="monitor",
    help="domain information",
    description="Print the basic facts of a domain.",
    options=[DOMAIN],
)
def dominfo(shell: Shell, args: Arguments) -> bool:
    from virtcore.errors import NoSupport, VirtError

    def row(label: str, value: object) -> None:
        shell.out(f"{label:<15} {value}\n")

    domain = shell.domain(args)
    row("Id:", domain.id if domain.id >= 0 else "-")
    row("Name:", domain.name)
    row("UUID:", domain.uuid)
    row("OS Type:", domain.os_type())
    info = domain.info()
    row("State:", state_name(info.state))
    row("CPU(s):", info.vcpus)
    if info.cpu_time:
        row("CPU time:", f"{info.cpu_time / 1e9:.1f}s")
    row("Max memory:", f"{info.max_memory} KiB" if info.max_memory != 2**32 - 1 else "no limit")
    row("Used memory:", f"{info.memory} KiB")
    row("Persistent:", "yes" if domain.is_persistent() else "no")
    try:
        row("Autostart:", "enable" if domain.autostart() else "disable")
    except VirtError as problem:
        shell.note(problem)
    try:
        row("Autostart Once:", "enable" if domain.autostart_once() else "disable")
    except VirtError as problem:
        shell.note(problem)
    try:
        row("Managed save:", "yes" if domain.has_managed_save() else "no")
    except VirtError as problem:
        shell.note(problem)
        row("Managed save:", "unknown")
    try:
        model = shell.connection.security_model()
    except NoSupport:
        model = None
    if model is not None and model.model:
        row("Security model:", model.model)
        row("Security DOI:", model.doi)
        for label in domain.security_labels()[:1]:
            if label.label:
                row("Security label:", f"{label.label} ({'enforcing' if label.enforcing else 'permissive'})")
    try:
        messages = domain.messages()
    except VirtError as problem:
        shell.note(problem)
        messages = []
    for index, message in enumerate(messages):
        row("Messages:" if index == 0 else "", message)
    return True


def _title(shell: Shell, domain: Domain) -> str:
    from virtcore.enums import DomainMetadataType
    from virtcore.errors import NoDomainMetadata

    try:
        return domain.metadata(DomainMetadataType.TITLE)
    except NoDomainMetadata:
        return ""


def _states(shell: Shell, domains: Sequence[Domain], flags: int) -> dict[str, str]:
    """UUID -> name of the state, in one call where the hypervisor has statistics. What went meanwhile has none.

    :param flags: what the domains were listed by.
    """
    from virtcore.errors import VirtError

    found: dict[str, str] = {}
    if len(domains) > 1:
        try:
            # Statistics know most of the list's filters: then nobody has to be told again which domains there were.
            known = flags & ~_SHARED_FILTERS == 0
            for record in shell.connection.domain_stats(None if known else domains, _STATE_STATS, flags * known):
                state = record.params.get(_STATE)
                if isinstance(state, int):
                    found[record.domain.uuid] = state_name(state)
        except VirtError as problem:  # each is asked for its own
            shell.note(problem)
    for domain in domains:
        if domain.uuid not in found:
            try:
                found[domain.uuid] = state_name(domain.state().state)
            except VirtError as problem:
                shell.note(problem)
                found[domain.uuid] = state_name(0)
    return found


@command(
    "list",
    group="monitor",
    help="list domains",
    description="Print domains.",
    options=[
        flag("inactive", "list inactive domains"),
        flag("all", "list inactive & active domains"),
        flag("transient", "list transient domains"),
        flag("persistent", "list persistent domains"),
        flag("with-snapshot", "list domains with existing snapshot"),
        flag("without-snapshot", "list domains without a snapshot"),
        flag("with-checkpoint", "list domains with existing checkpoint"),
        flag("without-checkpoint", "list domains without a checkpoint"),
        flag("state-running", "list domains in running state"),
        flag("state-paused", "list domains in paused state"),
        flag("state-shutoff", "list domains in shutoff state"),
        flag("state-other", "list domains in other states"),
        flag("autostart", "list domains with autostart enabled"),
        flag("no-autostart", "list domains with autostart disabled"),
        flag("with-managed-save", "list domains with managed save state"),
        flag("without-managed-save", "list domains without managed save"),
        flag("uuid", "list uuid's only"),
        flag("name", "list domain names only"),
        flag("id", "list domain IDs only"),
        flag("table", "list table (default)"),
        flag("managed-save", "mark inactive domains with managed save state"),
        flag("title", "show domain title"),
    ],
)
def list_domains(shell: Shell, args: Arguments) -> bool:
    flags = _LIST_ACTIVE
    if "inactive" in args or "state-shutoff" in args:
        flags = _LIST_INACTIVE
    if "all" in args:
        flags = _LIST_ACTIVE | _LIST_INACTIVE
    flags |= sum(bit for option, bit in _FILTERS.items() if option in args)
    args.exclusive("table", "name")
    args.exclusive("table", "id")
    columns = [name for name in ("uuid", "name", "id") if name in args]
    as_table = "table" in args or not columns
    with shell.failing("Failed to list domains"):
        found = shell.connection.list_domains(flags)
    # Active ones first, by id; then the others by name.
    found = sorted(found, key=lambda domain: (domain.id < 0, domain.id, domain.name.casefold(), domain.name))
    if not as_table:
        for domain in found:
            words = []
            if "uuid" in args:
                words.append(domain.uuid)
            if "id" in args:
                if domain.id < 0 and columns == ["id"]:
                    continue
                words.append(str(domain.id) if domain.id >= 0 else "-")
            if "name" in args:
                words.append(domain.name)
            shell.out(" ".join(words) + "\n")
        return True
    table = Table("Id", "Name", "State", *(["Title"] if "title" in args else []), *(["UUID"] if "uuid" in args else []))
    states = _states(shell, found, flags)
    for domain in found:
        state = states[domain.uuid]
        saved = "managed-save" in args and state == "shut off" and domain.has_managed_save()
        cells = [str(domain.id) if domain.id >= 0 else "-", domain.name, "saved" if saved else state]
        if "title" in args:
            cells.append(_title(shell, domain))
        if "uuid" in args:
            cells.append(domain.uuid)
        table.add(*cells)
    shell.out(table.render(header=not shell.quiet))
    return True


#: option of ``domstats`` -> name of the DomainStatsTypes member
_STATS = {
    "state": "STATE",
    "cpu-total": "CPU_TOTAL",
    "balloon": "BALLOON",
    "vcpu": "VCPU",
    "interface": "INTERFACE",
    "block": "BLOCK",
    "perf": "PERF",
    "iothread": "IOTHREAD",
    "memory": "MEMORY",
    "dirtyrate": "DIRTYRATE",
    "vm": "VM",
}
#: option of ``domstats`` -> name of the ConnectGetAllDomainStatsFlags member
_STATS_FILTERS = {
    "list-active": "ACTIVE",
    "list-inactive": "INACTIVE",
    "list-persistent": "PERSISTENT",
    "list-transient": "TRANSIENT",
    "list-running": "RUNNING",
    "list-paused": "PAUSED",
    "list-shutoff": "SHUTOFF",
    "list-other": "OTHER",
    "enforce": "ENFORCE_STATS",
    "backing": "BACKING",
    "nowait": "NOWAIT",
}


@command(
    "domstats",
    group="monitor",
    help="get statistics about one or multiple domains",
    description="Print statistics of the domains given, or of all.",
    options=[
        flag("state", "report domain state"),
        flag("cpu-total", "report domain physical cpu usage"),
        flag("balloon", "report domain balloon statistics"),
        flag("vcpu", "report domain virtual cpu information"),
        flag("interface", "report domain network interface information"),
        flag("block", "report domain block device statistics"),
        flag("perf", "report domain perf event statistics"),
        flag("iothread", "report domain IOThread information"),
        flag("memory", "report domain memory usage"),
        flag("dirtyrate", "report domain dirty rate information"),
        flag("vm", "report hypervisor-specific statistics"),
        flag("list-active", "list only active domains"),
        flag("list-inactive", "list only inactive domains"),
        flag("list-persistent", "list only persistent domains"),
        flag("list-transient", "list only transient domains"),
        flag("list-running", "list only running domains"),
        flag("list-paused", "list only paused domains"),
        flag("list-shutoff", "list only shutoff domains"),
        flag("list-other", "list only domains in other states"),
        flag("raw", "do not pretty-print the fields"),
        flag("enforce", "enforce requested stats parameters"),
        flag("backing", "add backing chain information to block stats"),
        flag("nowait", "report only stats that are accessible instantly"),
        argv("domain", "list of domains to get stats for", completer=domains),
    ],
)
def domstats(shell: Shell, args: Arguments) -> bool:
    from virtcore.enums import ConnectGetAllDomainStatsFlags, DomainStatsTypes

    stats = args.flags(DomainStatsTypes, _STATS)
    flags = args.flags(ConnectGetAllDomainStatsFlags, _STATS_FILTERS)
    chosen = [shell.find_domain(name) for name in args.words("domain")] or None
    records = shell.connection.domain_stats(chosen, stats, flags)
    blocks = []
    for record in records:
        lines = [f"  {name}={typed_value(kind, value)}\n" for name, kind, value in record.params.rows()]
        blocks.append(f"Domain: '{record.domain.name}'\n" + "".join(lines))
    shell.out("\n".join(blocks))
    return True
