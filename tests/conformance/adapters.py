"""The conformance corpus' view of the project: suite name -> function from a case to what the project produces.

The corpus' runner loads this file (see its README for the contract). An adapter calls the public functions and nothing
between them; it lives in a module ``suites_AREA.py`` beside this one and is imported with its first case, so that a
suite costs only what it uses.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

Adapter = Callable[[Any], Any]


def lazy(module: str, function: str) -> Adapter:
    """Return an adapter that imports ``function`` of ``module`` when it is first called."""

    def adapt(case: Any) -> Any:
        return getattr(importlib.import_module(module), function)(case)

    adapt.__name__ = adapt.__qualname__ = f"{module}.{function}"
    return adapt


ADAPTERS: dict[str, Adapter] = {
    "cpu": lazy("suites_cpu", "cpu"),
    "sysinfo": lazy("suites_host", "sysinfo"),
    "host-cpuinfo": lazy("suites_host", "cpuinfo"),
    "host-capabilities": lazy("suites_host", "capabilities"),
    "generic-domain-xml": lazy("suites_domain", "generic"),
    "network-xml": lazy("suites_network", "network"),
    "networkport-xml": lazy("suites_network", "network_port"),
    "nwfilter-xml": lazy("suites_network", "nwfilter"),
    "nwfilterbinding-xml": lazy("suites_network", "nwfilter_binding"),
    "network-bandwidth": lazy("suites_network", "network_bandwidth"),
    "network-firewall": lazy("suites_network", "network_firewall"),
    "nwfilter-firewall": lazy("suites_network", "nwfilter_firewall"),
    "network-dnsmasq": lazy("suites_network", "network_dnsmasq"),
    "network-xml-update": lazy("suites_network", "network_update"),
    "schema": lazy("suites_schema", "valid"),
    "schema-invalid": lazy("suites_schema", "valid"),
    "schema-mutants": lazy("suites_schema", "valid"),
    "uri": lazy("suites_uri", "uri"),
    "virconf": lazy("suites_conf", "virconf"),
    "qemu-argv": lazy("suites_qemu_argv", "qemu_argv"),
    "qemu-hotplug": lazy("suites_qemu_hotplug", "qemu_hotplug"),
    "qemu-blockdev": lazy("suites_qemu_block", "blockdev"),
    "qemu-memlock": lazy("suites_qemu_memory", "qemu_memlock"),
    "qemu-migparams": lazy("suites_qemu_migration", "qemu_migparams"),
    "qemu-caps": lazy("suites_qemu_capabilities", "qemu_caps"),
    "qemu-caps-to-capabilities": lazy("suites_qemu_capabilities", "qemu_caps_to_capabilities"),
    "domain-capabilities": lazy("suites_qemu_capabilities", "domain_capabilities"),
    "qemu-migration-cookie": lazy("suites_qemu_domain", "qemu_migration_cookie"),
    "qemu-status-xml": lazy("suites_qemu_domain", "qemu_status_xml"),
    "qemu-active-xml": lazy("suites_qemu_domain", "qemu_active_xml"),
    "qemu-domain-xml": lazy("suites_qemu_domain", "qemu_domain_xml"),
    "storage-pool-xml": lazy("suites_storage", "storage_pool_xml"),
    "storage-vol-xml": lazy("suites_storage", "storage_vol_xml"),
    "storage-pool-caps": lazy("suites_storage", "storage_pool_caps"),
    "storage-pool-argv": lazy("suites_host_commands", "storage_pool_argv"),
    "storage-vol-argv": lazy("suites_host_commands", "storage_vol_argv"),
    "nodedev-xml": lazy("suites_nodedev", "nodedev_xml"),
    "nodedev-mdevctl": lazy("suites_host_commands", "nodedev_mdevctl"),
    "storage-backing-chain": lazy("suites_storage_chain", "backing_chain"),
    "secret-xml": lazy("suites_secret", "secret_xml"),
    "interface-xml": lazy("suites_interface", "interface_xml"),
    "bhyve-argv": lazy("suites_bhyve", "bhyve_argv"),
    "bhyve-argv2xml": lazy("suites_bhyve", "bhyve_argv2xml"),
    "bhyve-domain-xml": lazy("suites_bhyve", "bhyve_domain_xml"),
    "lxc-domain-xml": lazy("suites_lxc", "domain_xml"),
    "lxc-conf2xml": lazy("suites_lxc", "conf2xml"),
    "vbox-snapshot": lazy("suites_vbox", "snapshot"),
    "cloud-hypervisor-xml": lazy("suites_ch", "domain_xml"),
    "vmx2xml": lazy("suites_esx", "vmx2xml"),
    "xml2vmx": lazy("suites_esx", "xml2vmx"),
    "snapshot-xml": lazy("suites_snapshot", "snapshot"),
    "checkpoint-xml": lazy("suites_snapshot", "checkpoint"),
    "backup-xml": lazy("suites_snapshot", "backup"),
    "libxl-config": lazy("suites_xen", "libxl_config"),
    "xl-config": lazy("suites_xen", "xl_config"),
    "xm-config": lazy("suites_xen", "xm_config"),
    "qemu-firmware-descriptors": lazy("suites_qemu_descriptors", "firmware"),
    "qemu-vhost-user-descriptors": lazy("suites_qemu_descriptors", "vhost_user"),
    "virsh": lazy("suites_virsh", "virsh"),
}
