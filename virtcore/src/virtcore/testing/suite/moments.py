"""Snapshots and checkpoints: taken, found, listed as a tree, redefined, returned to, removed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from virtcore import errors
from virtcore.enums import (
    DomainCheckpointCreateFlags,
    DomainCheckpointDeleteFlags,
    DomainCheckpointListFlags,
    DomainSnapshotCreateFlags,
    DomainSnapshotDeleteFlags,
    DomainSnapshotListFlags,
    DomainSnapshotXMLFlags,
)
from virtcore.testing.suite.target import asks, covers, given, needs

if TYPE_CHECKING:
    from virtcore.api.sync import Connection
    from virtcore.testing.suite.target import Target

__all__ = ["TestCheckpoints", "TestSnapshots"]


class TestSnapshots:
    """Snapshots of a domain that does not run."""

    @covers(
        "domain_create_snapshot",
        "domain_list_snapshots",
        "domain_lookup_snapshot",
        "domain_has_current_snapshot",
        "domain_current_snapshot",
        "domain_snapshot_xml",
        "domain_snapshot_parent",
        "domain_snapshot_list_children",
        "domain_snapshot_is_current",
        "domain_snapshot_has_metadata",
        "domain_snapshot_revert",
        "domain_snapshot_delete",
    )
    @needs("connection_define_domain")
    def test_snapshots_form_a_tree(self, connection: Connection, target: Target) -> None:
        # Where a guest has nothing to be saved, some drivers have nothing to do.
        device = target.disk("vda") if given(target, "disk") else ""
        defined = connection.define_domain(target.domain_with("compliance", device))

        def take(name: str) -> None:
            made = defined.create_snapshot(f"<domainsnapshot><name>{name}</name></domainsnapshot>")
            assert made.name == name

        assert not defined.has_current_snapshot()
        with pytest.raises(errors.NoDomainSnapshot):
            defined.current_snapshot()
        try:
            take("first")
            take("second")
            with pytest.raises(errors.VirtError):
                take("second")
            first, second = (defined.lookup_snapshot(name) for name in ("first", "second"))
            assert {found.name for found in defined.list_snapshots()} == {"first", "second"}
            assert [found.name for found in defined.list_snapshots(DomainSnapshotListFlags.ROOTS)] == ["first"]
            assert [found.name for found in first.list_children()] == ["second"]
            assert second.parent().name == "first"
            with pytest.raises(errors.NoDomainSnapshot):
                first.parent()
            assert second.is_current()
            assert second.has_metadata()
            first.revert()
            assert defined.current_snapshot().name == "first"
            take("third")
            assert {found.name for found in first.list_children()} == {"second", "third"}
            text = first.xml(DomainSnapshotXMLFlags.SECURE)
            assert text.startswith("<domainsnapshot>\n  <name>first</name>\n")
            first.delete(DomainSnapshotDeleteFlags.CHILDREN_ONLY)
            assert [found.name for found in defined.list_snapshots()] == ["first"]
            first.delete()
            with pytest.raises(errors.NoDomainSnapshot):
                first.xml()
            again = defined.create_snapshot(
                text, DomainSnapshotCreateFlags.REDEFINE | DomainSnapshotCreateFlags.CURRENT
            )
            assert again.xml(DomainSnapshotXMLFlags.SECURE) == text
            assert again.is_current()
        finally:
            for root in defined.list_snapshots(DomainSnapshotListFlags.ROOTS):
                root.delete(DomainSnapshotDeleteFlags.CHILDREN)


class TestCheckpoints:
    """Checkpoints of a running domain."""

    @covers(
        "domain_create_checkpoint",
        "domain_list_checkpoints",
        "domain_lookup_checkpoint",
        "domain_checkpoint_xml",
        "domain_checkpoint_parent",
        "domain_checkpoint_list_children",
        "domain_checkpoint_delete",
    )
    @asks("disk")
    def test_checkpoints_form_a_chain(self, connection: Connection, target: Target) -> None:
        domain = connection.create_domain(target.domain_with("compliance", target.disk("vda")))
        for name in ("first", "second", "third"):
            domain.create_checkpoint(f"<domaincheckpoint><name>{name}</name></domaincheckpoint>")
        first = domain.lookup_checkpoint("first")
        flags = DomainCheckpointListFlags
        assert [found.name for found in domain.list_checkpoints(flags.TOPOLOGICAL)] == ["first", "second", "third"]
        assert [found.name for found in domain.list_checkpoints(flags.LEAVES)] == ["third"]
        assert [found.name for found in first.list_children(flags.DESCENDANTS | flags.TOPOLOGICAL)] == [
            "second",
            "third",
        ]
        domain.lookup_checkpoint("second").delete()
        third = domain.lookup_checkpoint("third")
        assert third.parent().name == "first"
        with pytest.raises(errors.NoDomainCheckpoint):
            first.parent()
        text = third.xml()
        assert text.startswith("<domaincheckpoint>\n  <name>third</name>\n  <parent>\n    <name>first</name>\n")
        third.delete(DomainCheckpointDeleteFlags.METADATA_ONLY)
        with pytest.raises(errors.NoDomainCheckpoint):
            domain.lookup_checkpoint("third")
        domain.create_checkpoint(text, DomainCheckpointCreateFlags.REDEFINE)
        assert third.xml() == text
        first.delete(DomainCheckpointDeleteFlags.CHILDREN)
        assert not domain.list_checkpoints()
