"""Spellings of operations on a domain's job: saving, dumping, migrating."""

from __future__ import annotations

from virtcore.operations.spellings.declare import Row, spell

__all__ = ["SPELLINGS"]


def _phase(name: str, procedure: str, arguments: str | None = None, stream: str | None = None) -> Row:
    return spell(
        f"virDomainMigrate{name}",
        arguments,
        procedure=f"remote.DOMAIN_MIGRATE_{procedure}",
        stream=stream,
        internal=True,
    )


#: Operation -> its spellings; the first is the canonical one.
SPELLINGS: dict[str, list[Row]] = {
    # -- saving
    "domain_save": [
        spell("virDomainSaveParams", "domain *SAVE flags"),
        spell("virDomainSaveFlags", "domain file dxml flags"),
        spell("virDomainSave", "domain file"),
    ],
    "connection_restore": [
        spell("virDomainRestoreParams", "*SAVE flags"),
        spell("virDomainRestoreFlags", "file dxml flags"),
        spell("virDomainRestore", "file"),
    ],
    "connection_save_image_xml": [spell("virDomainSaveImageGetXMLDesc")],
    "connection_save_image_define_xml": [spell("virDomainSaveImageDefineXML")],
    "domain_managed_save": [spell("virDomainManagedSave")],
    "domain_managed_save_remove": [spell("virDomainManagedSaveRemove")],
    "domain_managed_save_xml": [spell("virDomainManagedSaveGetXMLDesc")],
    "domain_managed_save_define_xml": [spell("virDomainManagedSaveDefineXML")],
    "domain_core_dump": [
        spell("virDomainCoreDumpWithFormat"),
        spell("virDomainCoreDump", "domain to flags"),
    ],
    # -- the job
    "domain_job_stats": [
        spell("virDomainGetJobStats"),
        spell(
            "virDomainGetJobInfo",
            "domain",
            form="fields",
            results="type time_elapsed time_remaining data_total data_processed data_remaining memory_total "
            "memory_processed memory_remaining disk_total disk_processed disk_remaining",
        ),
    ],
    "domain_abort_job": [spell("virDomainAbortJobFlags"), spell("virDomainAbortJob")],
    # -- settings of migration
    "domain_migrate_set_max_downtime": [spell("virDomainMigrateSetMaxDowntime")],
    "domain_migrate_max_downtime": [spell("virDomainMigrateGetMaxDowntime")],
    "domain_migrate_set_compression_cache": [spell("virDomainMigrateSetCompressionCache")],
    "domain_migrate_compression_cache": [spell("virDomainMigrateGetCompressionCache")],
    "domain_migrate_set_max_speed": [spell("virDomainMigrateSetMaxSpeed")],
    "domain_migrate_max_speed": [spell("virDomainMigrateGetMaxSpeed")],
    "domain_migrate_start_post_copy": [spell("virDomainMigrateStartPostCopy")],
    # -- phases of migration: functions that libvirt's library and daemons have between them
    "domain_migrate_begin": [
        _phase("Begin3Params", "BEGIN3_PARAMS"),
        _phase(
            "Begin3",
            "BEGIN3",
            "domain params:destination_xml flags params:destination_name params:bandwidth",
        ),
    ],
    "connection_migrate_prepare": [
        _phase("Prepare3Params", "PREPARE3_PARAMS"),
        _phase(
            "Prepare3",
            "PREPARE3",
            "cookie params:migrate_uri flags params:destination_name params:bandwidth params:destination_xml",
        ),
    ],
    "connection_migrate_prepare_tunnel": [
        _phase("PrepareTunnel3Params", "PREPARE_TUNNEL3_PARAMS", stream="write"),
        _phase(
            "PrepareTunnel3",
            "PREPARE_TUNNEL3",
            "cookie flags params:destination_name params:bandwidth params:destination_xml",
        ),
    ],
    "domain_migrate_perform": [
        _phase("Perform3Params", "PERFORM3_PARAMS", "domain dconnuri params cookie flags"),
        _phase(
            "Perform3",
            "PERFORM3",
            "domain params:destination_xml cookie dconnuri params:migrate_uri flags params:destination_name "
            "params:bandwidth",
        ),
    ],
    "connection_migrate_finish": [
        _phase("Finish3Params", "FINISH3_PARAMS"),
        _phase("Finish3", "FINISH3", "params:destination_name cookie ignored params:migrate_uri flags cancelled"),
    ],
    "domain_migrate_confirm": [
        _phase("Confirm3Params", "CONFIRM3_PARAMS"),
        _phase("Confirm3", "CONFIRM3", "domain cookie flags cancelled"),
    ],
}
