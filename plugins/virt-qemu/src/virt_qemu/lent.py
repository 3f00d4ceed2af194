"""Descriptors that clients lend domains, in groups that images of their disks name (``<source fdgroup=...>``)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

from virtcore.driver.toolkit import DriverState
from virtcore.errors import InvalidArg, SystemError
from virtcore.model.storage.source import FileSource

if TYPE_CHECKING:
    from virtcore.driver.toolkit import DomainObject
    from virtcore.model.storage.source import Source

__all__ = ["NO_GROUPS", "Groups", "LendingState", "group_of", "lent"]

Groups: TypeAlias = Mapping[str, Sequence[int]]
"""The descriptors that a domain has been lent, by the name of their group."""
NO_GROUPS: Groups = {}


def group_of(source: Source | None) -> str | None:
    """The group of descriptors by which an image is reached; None where it is opened by its path."""
    return source.fdgroup if isinstance(source, FileSource) else None


def lent(groups: Groups, name: str) -> Sequence[int]:
    """The descriptors of a group.

    :raises InvalidArg: nobody has lent it.
    """
    if name not in groups:
        raise InvalidArg(f"file descriptor group '{name}' was not associated with the domain", value=name)
    return groups[name]


@dataclass(frozen=True, slots=True)
class _Loan:
    """A group, and the connection that it ends with."""

    files: tuple[int, ...]
    lender: object

    def close(self) -> None:
        for file in self.files:
            os.close(file)


class LendingState(DriverState):
    """The part of the driver's state that keeps what domains have been lent, running or not."""

    @cached_property
    def _loans(self) -> dict[DomainObject, dict[str, _Loan]]:
        return {}

    def lend(self, obj: DomainObject, name: str, files: Iterable[int], lender: object) -> None:
        """Keep copies of descriptors for a domain, in place of those that it had by that name.

        :param lender: the connection that they go with.
        :raises SystemError: they cannot be copied.
        """
        copies: list[int] = []
        try:
            for file in files:
                copies.append(os.dup(file))
        except OSError as error:
            _Loan(tuple(copies), lender).close()
            raise SystemError(f"failed to duplicate passed fd: {error.strerror}") from None
        loans = self._loans.setdefault(obj, {})
        if name in loans:
            loans[name].close()
        loans[name] = _Loan(tuple(copies), lender)

    def lent_to(self, obj: DomainObject) -> Groups:
        """What a domain has been lent."""
        return {name: loan.files for name, loan in self._loans.get(obj, {}).items()}

    def take_back(self, lender: object) -> None:
        """A connection ends: what it has lent is closed; guests that have opened it keep it."""
        for obj, loans in list(self._loans.items()):
            for name in [name for name, loan in loans.items() if loan.lender is lender]:
                loans.pop(name).close()
            if not loans:
                del self._loans[obj]
