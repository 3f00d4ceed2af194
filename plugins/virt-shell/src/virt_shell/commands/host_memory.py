"""Commands about the host's memory: free memory and pages, page merging."""

from __future__ import annotations

from collections.abc import Sequence

from virt_shell.command import Arguments, CommandError, command, flag, integer
from virt_shell.numbers import INT, UINT, ULONG
from virt_shell.shell import Shell
from virt_shell.text import typed_value
from virtcore._typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lxml import etree

_CELL = integer("cellno", "NUMA cell number", unwanted_positional=True)


def _capabilities(shell: Shell) -> etree._Element:
    from lxml import etree

    with shell.failing("unable to get node capabilities"):
        return etree.fromstring(shell.connection.capabilities().encode())


def _cells(capabilities: etree._Element) -> list[int]:
    """Numbers of the host's NUMA cells."""
    return [int(cell.get("id", "0")) for cell in capabilities.iterfind("host/topology/cells/cell")]


@command(
    "freecell",
    group="host",
    help="NUMA free memory",
    description="Print how much memory is free, of the host, of a NUMA cell or of all cells.",
    options=[_CELL, flag("all", "show free memory for all NUMA cells")],
)
def freecell(shell: Shell, args: Arguments) -> bool:
    args.exclusive("all", "cellno")
    cell = args.number("cellno", *INT)
    if "all" not in args:
        if cell is None:
            shell.out(f"Total: {shell.connection.node_free_memory() // 1024} KiB\n")
        else:
            shell.out(f"{cell}: {shell.connection.node_cells_free_memory(cell, 1)[0] // 1024} KiB\n")
        return True
    total, lines = 0, []
    for number in _cells(_capabilities(shell)):
        with shell.failing(f"failed to get free memory for NUMA node number: {number}"):
            free = shell.connection.node_cells_free_memory(number, 1)[0]
        lines.append(f"{number:>5}: {free // 1024:>10} KiB\n")
        total += free
    shell.out("".join(lines))
    shell.extra(f"{'-' * 20}\n{'Total':>5}: {total // 1024:>10} KiB\n")
    return True


def _page_size(args: Arguments) -> int | None:
    """The page size asked for in KiB."""
    size = args.scaled("pagesize", 1024, UINT[1])
    return None if size is None else -(-size // 1024)


def _page_sizes(capabilities: etree._Element) -> Sequence[int]:
    found = capabilities.findall("host/cpu/pages") or capabilities.findall("host/topology/cells/cell/pages")
    if not found:
        raise CommandError("could not get information about supported page sizes")
    return sorted({int(pages.get("size", "0")) for pages in found})


@command(
    "freepages",
    group="host",
    help="NUMA free pages",
    description="Print how many pages of which size are free in a NUMA cell or in all cells.",
    options=[
        _CELL,
        integer("pagesize", "page size (in kibibytes)", unwanted_positional=True),
        flag("all", "show free pages for all NUMA cells"),
    ],
)
def freepages(shell: Shell, args: Arguments) -> bool:
    args.exclusive("all", "cellno")
    size = _page_size(args)
    if "all" in args:
        capabilities = _capabilities(shell)
        sizes = _page_sizes(capabilities) if size is None else [size]
        for number in _cells(capabilities):
            counts = shell.connection.node_free_pages(sizes, number, 1)
            rows = "".join(f"{pages}KiB: {count}\n" for pages, count in zip(sizes, counts, strict=True))
            shell.out(f"Node {number}:\n{rows}\n")
        return True
    cell = args.number("cellno", *INT)
    if cell is None:
        raise CommandError("missing cellno argument")
    if cell < -1:
        raise CommandError("cell number must be non-negative integer or -1")
    if size is None:
        raise CommandError("missing pagesize argument")
    shell.out(f"{size}KiB: {shell.connection.node_free_pages([size], cell, 1)[0]}\n")
    return True


@command(
    "allocpages",
    group="host",
    help="Manipulate pages pool size",
    description="Set how many pages of a size the host keeps for guests.",
    options=[
        integer("pagesize", "page size (in kibibytes)", required=True, positional=True),
        integer("pagecount", "page count", required=True, positional=True),
        _CELL,
        flag("add", "instead of setting new pool size add pages to it"),
        flag("all", "set on all NUMA cells"),
    ],
)
def allocpages(shell: Shell, args: Arguments) -> bool:
    from virtcore.enums import NodeAllocPagesFlags

    args.exclusive("all", "cellno")
    cell = args.number("cellno", *INT)
    size = _page_size(args) or 0
    count = args.number("pagecount", *ULONG) or 0
    flags = args.flags(NodeAllocPagesFlags, {"add": "ADD"})
    cells = _cells(_capabilities(shell)) if "all" in args else [-1 if cell is None else cell]
    for number in cells:
        shell.connection.node_alloc_pages([size], [count], number, 1, flags)
    return True


@command(
    "nodememstats",
    group="host",
    help="Prints memory stats of the node.",
    description="Print the memory of the host or of a NUMA cell.",
    options=[integer("cell", "prints specified cell statistics only.", unwanted_positional=True)],
)
def nodememstats(shell: Shell, args: Arguments) -> bool:
    cell = args.number("cell", *INT)
    with shell.failing("Unable to get number of memory stats"):
        values = shell.connection.node_memory_stats(-1 if cell is None else cell)
    shell.out("".join(f"{name:<7}: {value:>20} KiB\n" for name, value in values.items()))
    return True


#: option -> name of the parameter
_MERGING = {
    "shm-pages-to-scan": "shm_pages_to_scan",
    "shm-sleep-millisecs": "shm_sleep_millisecs",
    "shm-merge-across-nodes": "shm_merge_across_nodes",
}


@command(
    "node-memory-tune",
    group="host",
    help="Get or set node memory parameters",
    description="Print or set how the host merges equal pages of memory.",
    options=[
        integer(
            "shm-pages-to-scan",
            "number of pages to scan before the shared memory service goes to sleep",
            unwanted_positional=True,
        ),
        integer(
            "shm-sleep-millisecs",
            "number of millisecs the shared memory service should sleep before next scan",
            unwanted_positional=True,
        ),
        integer(
            "shm-merge-across-nodes",
            "Specifies if pages from different numa nodes can be merged",
            unwanted_positional=True,
        ),
    ],
)
def node_memory_tune(shell: Shell, args: Arguments) -> bool:
    from virtcore.enums import TypedParameterType
    from virtcore.types import TypedParameters

    params = TypedParameters()
    for option, name in _MERGING.items():
        value = args.number(option, *UINT)
        if value is not None:
            params.add(name, TypedParameterType.UINT, value)
    if params:
        with shell.failing("Unable to change memory parameters"):
            shell.connection.node_set_memory_parameters(params)
        return True
    with shell.failing("Unable to get number of memory parameters"):
        found = shell.connection.node_memory_parameters()
    if found:
        rows = "".join(f"\t{name:<15} {typed_value(kind, value)}\n" for name, kind, value in found.rows())
        shell.out(f"Shared memory:\n{rows}")
    return True
