"""The tree that a domain's snapshots form, or its checkpoints: who follows whom, which is the current one.

A node knows name and facts; its document is text that is read when somebody wants it. Nothing here waits or writes:
see :mod:`virtcore.driver.toolkit.snapshots`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from virtcore.enums.checkpoint import DomainCheckpointListFlags
from virtcore.enums.snapshot import DomainSnapshotListFlags
from virtcore.errors import (
    ErrorDomain,
    InvalidArg,
    NoDomainCheckpoint,
    NoDomainSnapshot,
    NotFoundError,
    OperationFailed,
)

__all__ = ["CHECKPOINTS", "SNAPSHOTS", "MomentKind", "MomentNode", "MomentTree", "Selection"]

log = logging.getLogger(__name__)

_Facts = dict[str, int | str | bool | None]


class MomentNode:
    """A snapshot or checkpoint in its tree.

    :ivar name: unique within its domain.
    :ivar facts: what lists need of it: ``parent``, ``created``; of a snapshot also ``state``, ``external``.
    :ivar text: its document as it is stored, secrets included; None until it is read.
    :ivar children: those whose parent it is, by name.
    """

    __slots__ = ("children", "facts", "name", "text")

    def __init__(self, name: str, facts: _Facts, text: str | None = None) -> None:
        self.name = name
        self.facts = facts
        self.text = text
        self.children: dict[str, MomentNode] = {}

    @property
    def parent(self) -> str | None:
        """Name of the one before it."""
        parent = self.facts.get("parent")
        return parent if isinstance(parent, str) else None

    def __repr__(self) -> str:
        return f"<MomentNode {self.name!r} after {self.parent!r}>"


class Selection(NamedTuple):
    """What a list is to hold.

    :ivar deep: of all moments, or of one's descendants; else of the roots, or of one's children.
    :ivar leaves: only those without (true) or with (false) children; None for both.
    :ivar nothing: the filters exclude each other.
    :ivar accepts: a further filter.
    """

    deep: bool
    leaves: bool | None = None
    nothing: bool = False
    accepts: Callable[[MomentNode], bool] | None = None


def _either(flags: int, yes: int, no: int) -> bool | None:
    """What a pair of filters asks for; both or none is no filter."""
    return None if bool(flags & yes) == bool(flags & no) else bool(flags & yes)


def _snapshot_selection(flags: int, below: bool) -> Selection:
    known = DomainSnapshotListFlags
    states = int(known.INACTIVE | known.ACTIVE | known.DISK_ONLY)
    wanted_states = flags & states
    external = _either(flags, known.EXTERNAL, known.INTERNAL)

    def accepts(node: MomentNode) -> bool:
        if wanted_states not in (0, states):
            state = node.facts.get("state")
            if state == "shutoff":
                group = known.INACTIVE
            else:
                group = known.DISK_ONLY if state == "disk-snapshot" else known.ACTIVE
            if not wanted_states & group:
                return False
        return external is None or bool(node.facts.get("external")) is external

    return Selection(
        deep=bool(flags & known.ROOTS) is below,
        leaves=_either(flags, known.LEAVES, known.NO_LEAVES),
        # All that are known have metadata.
        nothing=_either(flags, known.METADATA, known.NO_METADATA) is False,
        accepts=accepts,
    )


def _checkpoint_selection(flags: int, below: bool) -> Selection:
    known = DomainCheckpointListFlags
    return Selection(
        deep=bool(flags & known.ROOTS) is below,
        leaves=_either(flags, known.LEAVES, known.NO_LEAVES),
    )


class MomentKind(NamedTuple):
    """Snapshots or checkpoints.

    :ivar noun: what messages call one.
    :ivar missing: the error where there is none of a name.
    :ivar domain: where errors come from.
    :ivar list_flags: every flag that lists know.
    :ivar selection: ``selection(flags, below)``: what list flags ask for; ``below`` one moment rather than of a domain.
    """

    noun: str
    missing: type[NotFoundError]
    domain: ErrorDomain
    list_flags: int
    selection: Callable[[int, bool], Selection]


SNAPSHOTS = MomentKind(
    "snapshot",
    NoDomainSnapshot,
    ErrorDomain.DOMAIN_SNAPSHOT,
    sum(DomainSnapshotListFlags),
    _snapshot_selection,
)
CHECKPOINTS = MomentKind(
    "checkpoint",
    NoDomainCheckpoint,
    ErrorDomain.DOMAIN_CHECKPOINT,
    sum(DomainCheckpointListFlags),
    _checkpoint_selection,
)


class MomentTree:
    """The snapshots, or checkpoints, of one domain."""

    def __init__(self, kind: MomentKind) -> None:
        self.kind = kind
        self._nodes: dict[str, MomentNode] = {}
        self._roots: dict[str, MomentNode] = {}
        #: The one that the domain's present state follows; None where that is none of them.
        self.current: MomentNode | None = None

    def __len__(self) -> int:
        return len(self._nodes)

    def __iter__(self) -> Iterator[MomentNode]:
        return iter(self._nodes.values())

    # -- looking

    def get(self, name: str | None) -> MomentNode | None:
        """The one of a name, if there is one."""
        return None if name is None else self._nodes.get(name)

    def lookup(self, name: str) -> MomentNode:
        """The one of a name.

        :raises NotFoundError: ``NoDomainSnapshot`` or ``NoDomainCheckpoint``: there is none.
        """
        node = self._nodes.get(name)
        if node is None:
            raise self._missing(f"no domain {self.kind.noun} with matching name '{name}'")
        return node

    def parent(self, node: MomentNode) -> MomentNode:
        """The one before.

        :raises NotFoundError: it is a root.
        """
        found = self.get(node.parent)
        if found is None:
            raise self._missing(f"{self.kind.noun} '{node.name}' does not have a parent")
        return found

    def require_current(self) -> MomentNode:
        """The current one.

        :raises NotFoundError: there is none.
        """
        if self.current is None:
            raise self._missing(f"the domain does not have a current {self.kind.noun}")
        return self.current

    def descendants(self, node: MomentNode | None = None) -> Iterator[MomentNode]:
        """Everything after a node, or everything; parents before their children."""
        # No recursion: a chain may be as long as it likes.
        waiting = list((self._roots if node is None else node.children).values())[::-1]
        while waiting:
            found = waiting.pop()
            yield found
            waiting.extend(reversed(found.children.values()))

    def select(self, flags: int = 0, start: MomentNode | None = None) -> list[MomentNode]:
        """What list flags ask for, in topological order.

        :param flags: ``DomainSnapshotListFlags`` or ``DomainCheckpointListFlags``.
        :param start: of this one's children (descendants) rather than of all (roots).
        """
        selection = self.kind.selection(flags, start is not None)
        if selection.nothing:
            return []
        nodes: Iterable[MomentNode]
        if selection.deep:
            nodes = self.descendants(start)
        else:
            nodes = (self._roots if start is None else start.children).values()
        return [
            node
            for node in nodes
            if selection.leaves in (None, not node.children) and (selection.accepts is None or selection.accepts(node))
        ]

    def leaf(self) -> MomentNode | None:
        """The only one without children, where there is only one."""
        leaves = [node for node in self._nodes.values() if not node.children]
        return leaves[0] if len(leaves) == 1 else None

    # -- changing

    def check_parent(self, name: str, parent: str | None) -> None:
        """Refuse a parent that makes no tree.

        :raises InvalidArg: it is unknown, or a descendant.
        """
        if parent is None:
            return
        if parent == name:
            raise InvalidArg(f"cannot set moment {name} as its own parent", domain=ErrorDomain.DOMAIN)
        other = self.get(parent)
        if other is None:
            raise InvalidArg(f"parent {parent} for moment {name} not found", domain=ErrorDomain.DOMAIN)
        while (above := self.get(other.parent)) is not None:
            if above.name == name:
                raise InvalidArg(f"parent {other.name} would create cycle to {name}", domain=ErrorDomain.DOMAIN)
            other = above

    def check_new(self, name: str) -> None:
        """Refuse a name that is taken.

        :raises OperationFailed: it is.
        """
        if name in self._nodes:
            raise OperationFailed(f"domain moment {name} already exists", domain=ErrorDomain.DOMAIN)

    def put(self, name: str, facts: _Facts, text: str | None = None) -> MomentNode:
        """Add one, or redefine the one of that name; its children stay with it.

        :raises InvalidArg: its parent makes no tree.
        """
        parent = facts.get("parent")
        self.check_parent(name, parent if isinstance(parent, str) else None)
        node = self._nodes.get(name)
        if node is None:
            node = self._nodes[name] = MomentNode(name, facts, text)
        else:
            self._siblings(node).pop(name)
            node.facts, node.text = facts, text
        self._siblings(node)[name] = node
        return node

    def fill(self, nodes: Iterable[MomentNode]) -> bool:
        """Take over what was found stored, in any order.

        Those whose parent is missing, or that follow themselves, become roots.

        :returns: whether everything had its place.
        """
        self._nodes = {node.name: node for node in nodes}
        self._roots = {}
        well = True
        rooted: set[str] = set()
        for node in self._nodes.values():
            trail: set[str] = set()
            at = node
            while at.name not in rooted:
                trail.add(at.name)
                parent = self.get(at.parent)
                if at.parent is not None and (parent is None or parent.name in trail):
                    reason = "lacks parent %s" if parent is None else "in circular chain after %s"
                    log.warning("moment %s " + reason, at.name, at.parent)
                    at.facts = {**at.facts, "parent": None}
                    parent, well = None, False
                if parent is None:
                    break
                at = parent
            rooted |= trail
        for node in self._nodes.values():
            self._siblings(node)[node.name] = node
        return well

    def remove(self, node: MomentNode) -> None:
        """Forget a leaf that is not the current one."""
        assert not node.children, "children are removed or reparented first"
        assert self.current is not node, "another one is made current first"
        del self._siblings(node)[node.name]
        del self._nodes[node.name]

    def _siblings(self, node: MomentNode) -> dict[str, MomentNode]:
        parent = self.get(node.parent)
        return self._roots if parent is None else parent.children

    def _missing(self, message: str) -> NotFoundError:
        return self.kind.missing(message, domain=self.kind.domain)
