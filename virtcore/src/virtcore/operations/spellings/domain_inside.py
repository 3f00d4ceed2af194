"""Spellings of operations that a guest's agent, QEMU's monitor or a container answers."""

from __future__ import annotations

from virtcore.operations.spellings.declare import Row, spell

__all__ = ["SPELLINGS"]

#: Operation -> its spellings; the first is the canonical one.
SPELLINGS: dict[str, list[Row]] = {
    # -- the agent
    "domain_fs_freeze": [spell("virDomainFSFreeze")],
    "domain_fs_thaw": [spell("virDomainFSThaw")],
    "domain_fs_trim": [spell("virDomainFSTrim")],
    "domain_fs_info": [spell("virDomainGetFSInfo", form="counted")],
    "domain_guest_info": [spell("virDomainGetGuestInfo")],
    "domain_hostname": [spell("virDomainGetHostname")],
    "domain_time": [spell("virDomainGetTime")],
    "domain_set_time": [spell("virDomainSetTime")],
    "domain_guest_vcpus": [spell("virDomainGetGuestVcpus")],
    "domain_set_guest_vcpus": [spell("virDomainSetGuestVcpus")],
    "domain_set_user_password": [spell("virDomainSetUserPassword")],
    "domain_authorized_ssh_keys": [spell("virDomainAuthorizedSSHKeysGet")],
    "domain_set_authorized_ssh_keys": [spell("virDomainAuthorizedSSHKeysSet")],
    "domain_set_agent_timeout": [spell("virDomainAgentSetResponseTimeout")],
    # -- QEMU
    "domain_qemu_monitor_command": [spell("virDomainQemuMonitorCommand")],
    "domain_qemu_monitor_command_with_files": [
        spell("virDomainQemuMonitorCommandWithFiles", "domain cmd flags files", form="with-descriptors", files="both")
    ],
    "domain_qemu_agent_command": [spell("virDomainQemuAgentCommand")],
    "connection_qemu_attach": [spell("virDomainQemuAttach")],
    # -- containers
    "domain_lxc_open_namespace": [spell("virDomainLxcOpenNamespace", form="descriptors", files="out")],
}
