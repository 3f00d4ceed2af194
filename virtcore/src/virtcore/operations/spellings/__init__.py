"""Spellings: libvirt's functions and the operations they stand for.

libvirt has several functions for most behaviours: older ones without flags, counts beside lists, look-ups by each key.
A spelling says which operation such a function is, with which arguments fixed, and how its arguments and results differ
from the operation's where they are not the same, in the same order. Since-version, procedure and whether it needs a
read-write connection are facts of the function (:mod:`virtcore.operations.functions`); a spelling without them fails
closed: it needs a read-write connection.

The tables are modules of this package, one per part of the API. Of an operation's spellings the first is the canonical
one: it names the operation in errors. A client sends the first one that has an argument for each that was given, and
that its peer has.

This package is cheap to import: no codecs, no enumerations, no procedures; a table is read at the first look-up in it.
"""

from __future__ import annotations

from virtcore._functions import cache
from virtcore._lazy import imported
from virtcore._typing import Final, Mapping, Sequence
from virtcore.operations._index import HOMES
from virtcore.operations.functions import FUNCTIONS
from virtcore.operations.spellings.declare import VIRTUAL_ARGUMENTS, Form, Row, Spelling

__all__ = [
    "VIRTUAL_ARGUMENTS",
    "Form",
    "Spelling",
    "all_spellings",
    "by_procedure",
    "canonical",
    "canonical_function",
    "needs_write",
    "of_function",
    "spellings_of",
]

#: The modules with the tables.
TABLES: Final = (
    "connection",
    "domain",
    "domain_devices",
    "domain_tuning",
    "domain_jobs",
    "domain_inside",
    "snapshot",
    "network",
    "storage",
    "secret",
    "nodedev",
    "interface",
    "nwfilter",
)


def _rows_of(table: str) -> Mapping[str, Sequence[Row]]:
    """Operation -> its spellings, of one table."""
    rows: Mapping[str, Sequence[Row]] = imported(f"{__name__}.{table}").SPELLINGS
    return rows


@cache
def spellings_of(operation: str) -> tuple[Spelling, ...]:
    """Every spelling of an operation, the canonical one first; none for an operation that libvirt does not know."""
    _, home = HOMES.get(operation, ("", None))
    # One that is not in the index is new, perhaps, and that is not written anew yet.
    tables = TABLES if operation not in HOMES else () if home is None else (home,)
    return tuple(_complete(operation, row) for table in tables for row in _rows_of(table).get(operation, ()))


def _complete(operation: str, row: Row) -> Spelling:
    since, write, carried_by = FUNCTIONS.get(row.function, ("", True, None))
    if write == -1:  # it depends, and only the table can say on what
        write = True if row.write_flags is None else row.write_flags
    return Spelling(
        row.function,
        operation,
        row.arguments,
        row.fixed,
        row.form,
        row.procedure or carried_by,
        since,
        write,
        row.write_on,
        row.results,
        row.missing,
        row.files,
        row.stream,
        row.internal,
    )


def canonical(operation: str) -> Spelling | None:
    """The first spelling of an operation, which names it in errors."""
    found = spellings_of(operation)
    return found[0] if found else None


def canonical_function(operation: str) -> str:
    """libvirt's name for an operation, as errors give it; the operation's own where libvirt has none."""
    found = canonical(operation)
    return operation if found is None else found.function


def needs_write(operation: str, arguments: Mapping[str, object]) -> bool:
    """Whether an operation with these arguments needs a read-write connection."""
    found = canonical(operation)
    if found is None:
        return True
    if isinstance(found.write, bool):
        return found.write
    bits = arguments.get(found.write_on, 0)
    return not isinstance(bits, int) or found.forbidden_readonly(bits)


def all_spellings() -> list[Spelling]:
    """Every spelling of every operation."""
    return [spelling for table in TABLES for operation in _rows_of(table) for spelling in spellings_of(operation)]


@cache
def _functions() -> dict[str, Spelling]:
    return {spelling.function: spelling for spelling in all_spellings()}


def of_function(function: str) -> Spelling | None:
    """The spelling of a libvirt function."""
    return _functions().get(function)


def by_procedure(procedure: str) -> Spelling | None:
    """The spelling that a procedure (``remote.DOMAIN_CREATE``) stands for."""
    from virtcore.operations._carried import CARRIED  # what a daemon asks, not its client

    operation = CARRIED.get(procedure)
    spellings = () if operation is None else spellings_of(operation)
    return next((spelling for spelling in spellings if spelling.procedure == procedure), None)
