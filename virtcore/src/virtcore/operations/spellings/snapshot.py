"""Spellings of operations on snapshots and checkpoints of domains."""

from __future__ import annotations

from virtcore.operations.spellings.declare import Row, spell

__all__ = ["SPELLINGS"]

#: Operation -> its spellings; the first is the canonical one.
SPELLINGS: dict[str, list[Row]] = {
    # -- snapshots
    "domain_create_snapshot": [spell("virDomainSnapshotCreateXML")],
    "domain_list_snapshots": [
        spell("virDomainListAllSnapshots", "domain need flags", form="list"),
        spell("virDomainSnapshotListNames", "domain limit flags", form="names"),
        spell("virDomainSnapshotNum", "domain flags", form="length"),
    ],
    "domain_lookup_snapshot": [spell("virDomainSnapshotLookupByName")],
    "domain_has_current_snapshot": [spell("virDomainHasCurrentSnapshot")],
    "domain_current_snapshot": [spell("virDomainSnapshotCurrent")],
    "domain_snapshot_xml": [spell("virDomainSnapshotGetXMLDesc")],
    "domain_snapshot_parent": [spell("virDomainSnapshotGetParent")],
    "domain_snapshot_list_children": [
        spell("virDomainSnapshotListAllChildren", "snapshot need flags", form="list"),
        spell("virDomainSnapshotListChildrenNames", "snapshot limit flags", form="names"),
        spell("virDomainSnapshotNumChildren", "snapshot flags", form="length"),
    ],
    "domain_snapshot_is_current": [spell("virDomainSnapshotIsCurrent")],
    "domain_snapshot_has_metadata": [spell("virDomainSnapshotHasMetadata")],
    "domain_snapshot_revert": [spell("virDomainRevertToSnapshot")],
    "domain_snapshot_delete": [spell("virDomainSnapshotDelete")],
    # -- checkpoints
    "domain_create_checkpoint": [spell("virDomainCheckpointCreateXML")],
    "domain_list_checkpoints": [spell("virDomainListAllCheckpoints", "domain need flags", form="list")],
    "domain_lookup_checkpoint": [spell("virDomainCheckpointLookupByName")],
    "domain_checkpoint_xml": [spell("virDomainCheckpointGetXMLDesc")],
    "domain_checkpoint_parent": [spell("virDomainCheckpointGetParent")],
    "domain_checkpoint_list_children": [
        spell("virDomainCheckpointListAllChildren", "checkpoint need flags", form="list")
    ],
    "domain_checkpoint_delete": [spell("virDomainCheckpointDelete")],
}
