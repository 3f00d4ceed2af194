"""Spellings of operations on a domain's devices, screen, disks and block jobs."""

from __future__ import annotations

from virtcore.operations.spellings.declare import Row, spell

__all__ = ["SPELLINGS"]

# Values that spellings fix or ask for (a member of DomainModificationImpact, of DomainInterfaceAddressesSource; a test
# compares).
_LIVE = 1
_SOURCE_AGENT = 1

#: Operation -> its spellings; the first is the canonical one.
SPELLINGS: dict[str, list[Row]] = {
    # -- keys, signals, sleep, screen
    "domain_send_key": [spell("virDomainSendKey")],
    "domain_send_process_signal": [spell("virDomainSendProcessSignal")],
    "domain_inject_nmi": [spell("virDomainInjectNMI")],
    "domain_pm_suspend": [spell("virDomainPMSuspendForDuration")],
    "domain_pm_wakeup": [spell("virDomainPMWakeup")],
    "domain_screenshot": [spell("virDomainScreenshot")],
    "domain_open_channel": [spell("virDomainOpenChannel")],
    "domain_open_graphics": [spell("virDomainOpenGraphics", "domain idx flags fd", files="in")],
    "domain_open_graphics_fd": [spell("virDomainOpenGraphicsFD", form="descriptor", files="out")],
    "domain_graphics_reload": [spell("virDomainGraphicsReload")],
    # -- devices
    "domain_attach_device": [
        spell("virDomainAttachDeviceFlags"),
        spell("virDomainAttachDevice", "domain xml", flags=_LIVE),
    ],
    "domain_detach_device": [
        spell("virDomainDetachDeviceFlags"),
        spell("virDomainDetachDevice", "domain xml", flags=_LIVE),
    ],
    "domain_detach_device_alias": [spell("virDomainDetachDeviceAlias")],
    "domain_update_device": [spell("virDomainUpdateDeviceFlags")],
    # -- disks
    "domain_block_info": [spell("virDomainGetBlockInfo")],
    "domain_block_stats": [
        spell("virDomainBlockStatsFlags", "domain disk count flags", form="parameters"),
        spell(
            "virDomainBlockStats",
            "domain disk",
            form="fields",
            results="rd_operations rd_bytes wr_operations wr_bytes errs",
            missing=-1,
        ),
    ],
    "domain_block_peek": [spell("virDomainBlockPeek")],
    "domain_block_resize": [spell("virDomainBlockResize")],
    "domain_block_iotune": [spell("virDomainGetBlockIoTune", "domain disk count flags", form="parameters")],
    "domain_set_block_iotune": [spell("virDomainSetBlockIoTune")],
    "domain_set_throttle_group": [spell("virDomainSetThrottleGroup")],
    "domain_del_throttle_group": [spell("virDomainDelThrottleGroup")],
    "domain_set_block_threshold": [spell("virDomainSetBlockThreshold")],
    "domain_disk_errors": [spell("virDomainGetDiskErrors", "domain limit flags", form="limited")],
    # -- block jobs, backup
    "domain_block_rebase": [
        spell("virDomainBlockRebase"),
        spell("virDomainBlockPull", "domain disk bandwidth flags"),
    ],
    "domain_block_copy": [spell("virDomainBlockCopy")],
    "domain_block_commit": [spell("virDomainBlockCommit")],
    "domain_block_job_info": [spell("virDomainGetBlockJobInfo", form="found")],
    "domain_block_job_set_speed": [spell("virDomainBlockJobSetSpeed")],
    "domain_block_job_abort": [spell("virDomainBlockJobAbort")],
    "domain_backup_begin": [spell("virDomainBackupBegin")],
    "domain_backup_xml": [spell("virDomainBackupGetXMLDesc")],
    # -- network interfaces
    "domain_interface_stats": [spell("virDomainInterfaceStats")],
    "domain_interface_parameters": [
        spell("virDomainGetInterfaceParameters", "domain device count flags", form="parameters")
    ],
    "domain_set_interface_parameters": [spell("virDomainSetInterfaceParameters")],
    "domain_interface_addresses": [spell("virDomainInterfaceAddresses", write_on="source", write_flags=_SOURCE_AGENT)],
}
