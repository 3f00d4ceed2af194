"""What the settings mean for guests' command lines."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from virt_host.description.cpuinfo import node_cpus
from virt_host.description.tree import HostTree
from virt_qemu.block.tls import ImageTLS
from virt_qemu.command.line import HostSettings
from virtcore.errors import SystemError
from virtcore.model.storage.source import NetProtocol

if TYPE_CHECKING:
    from virt_qemu.settings.table import QemuSettings
    from virtcore.driver.toolkit import StateFolders

__all__ = ["certificates", "host_settings", "huge_pages", "key_secret", "memory_folder", "verifies"]

_PKI = "/etc/pki"


def certificates(settings: QemuSettings, service: str) -> str:
    """Folder of the certificates of a service: ``vnc``, ``spice``, ``chardev``, ``migrate``, ``backup``, ..."""
    folder: str | None = getattr(settings, f"{service}_tls_x509_cert_dir")
    if folder is not None:
        return folder
    own = f"{_PKI}/libvirt-{service}"
    return own if os.path.exists(own) else settings.default_tls_x509_cert_dir


def verifies(settings: QemuSettings, service: str) -> bool:
    """Whether a service's clients must have certificates."""
    wanted: bool | None = getattr(settings, f"{service}_tls_x509_verify")
    if wanted is None:
        wanted = settings.default_tls_x509_verify
    # Displays are looked at by people, the others by hosts that have certificates anyway.
    return service != "vnc" if wanted is None else wanted


def key_secret(settings: QemuSettings, service: str) -> str | None:
    """UUID of the secret that opens a service's key. One with a folder of its own has not got the default's."""
    secret: str | None = getattr(settings, f"{service}_tls_x509_secret_uuid")
    if secret is None and getattr(settings, f"{service}_tls_x509_cert_dir") is None:
        return settings.default_tls_x509_secret_uuid
    return secret


def _image_tls(settings: QemuSettings, service: str, wanted: bool) -> ImageTLS:
    return ImageTLS(wanted, certificates(settings, service), key_secret(settings, service))


def memory_folder(settings: QemuSettings, folders: StateFolders) -> str:
    """Where memory in files is, a folder a guest."""
    return settings.memory_backing_dir or str(folders.lib / "ram")


def huge_pages(settings: QemuSettings, privileged: bool) -> dict[int, str]:
    """Mounted file systems of huge pages by size in KiB, the default size first.

    :raises SystemError: a folder that is named is not there.
    """
    named = settings.hugetlbfs_mount
    if named is not None:
        return {_page_size(path): path for path in named if path}
    if not privileged:
        return {}
    found: dict[int, str] = {}
    with open("/proc/mounts", encoding="utf-8", errors="surrogateescape") as mounts:
        for line in mounts:
            words = line.split()
            if len(words) > 2 and words[2] == "hugetlbfs":
                found.setdefault(_page_size(words[1]), words[1])
    default = _default_page_size()
    return dict(sorted(found.items(), key=lambda pair: pair[0] != default))


def _page_size(path: str) -> int:
    try:
        return os.statvfs(path).f_bsize // 1024
    except OSError as error:
        raise SystemError(f"cannot determine filesystem for '{path}': {error.strerror}") from None


def _default_page_size() -> int:
    with open("/proc/meminfo", encoding="ascii") as file:
        for line in file:
            if line.startswith("Hugepagesize:"):
                return int(line.split()[1])
    return 0


def host_settings(settings: QemuSettings, folders: StateFolders, privileged: bool) -> HostSettings:
    """How the host is arranged for guests.

    :raises SystemError: a folder that the settings name is not there.
    """
    return HostSettings(
        memory_folder=memory_folder(settings, folders),
        hugepages=huge_pages(settings, privileged),
        hugepage_place="virtcore/qemu",
        vnc_tls=certificates(settings, "vnc") if settings.vnc_tls else None,
        vnc_tls_verify=verifies(settings, "vnc"),
        vnc_tls_secret=key_secret(settings, "vnc") if settings.vnc_tls else None,
        vnc_sasl=(settings.vnc_sasl_dir or "/etc/sasl2") if settings.vnc_sasl else None,
        vnc_password=settings.vnc_password is not None,
        spice_tls=certificates(settings, "spice") if settings.spice_tls else None,
        spice_sasl=(settings.spice_sasl_dir or "/etc/sasl2") if settings.spice_sasl else None,
        spice_password=settings.spice_password is not None,
        passt_folder=str(folders.run / "passt"),
        chardev_tls=certificates(settings, "chardev") if settings.chardev_tls else None,
        chardev_tls_verify=verifies(settings, "chardev"),
        chardev_tls_secret=key_secret(settings, "chardev") if settings.chardev_tls else None,
        image_tls={
            NetProtocol.NBD: _image_tls(settings, "nbd", settings.nbd_tls),
            NetProtocol.VXHS: _image_tls(settings, "vxhs", settings.vxhs_tls),
        },
        gluster_debug=settings.gluster_debug_level,
        log_timestamp=settings.log_timestamp,
        seccomp=settings.seccomp_sandbox,
        process_name=settings.set_process_name,
        dump_guest_core=settings.dump_guest_core,
        deprecation=settings.deprecation_behavior,
        cells=node_cpus(HostTree()),
    )
