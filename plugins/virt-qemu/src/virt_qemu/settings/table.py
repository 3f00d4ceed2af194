"""Every setting there is: name, kind, default, what it means."""

# ruff: noqa: RUF009  # _setting() makes dataclass fields

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from virtcore.errors import ConfigUnsupported, ConfSyntax, InvalidArg, VirtError

__all__ = ["CONTROLLERS", "DEVICES", "FIRMWARE_PAIRS", "QemuSettings"]

#: libvirt's pairs of an image and the template of its variables, for hosts without descriptors.
FIRMWARE_PAIRS = (
    "/usr/share/OVMF/OVMF_CODE.fd:/usr/share/OVMF/OVMF_VARS.fd",
    "/usr/share/OVMF/OVMF_CODE.secboot.fd:/usr/share/OVMF/OVMF_VARS.fd",
    "/usr/share/AAVMF/AAVMF_CODE.fd:/usr/share/AAVMF/AAVMF_VARS.fd",
    "/usr/share/AAVMF/AAVMF32_CODE.fd:/usr/share/AAVMF/AAVMF32_VARS.fd",
)

#: Devices of the host that every guest's emulator may open.
DEVICES = ("/dev/null", "/dev/full", "/dev/zero", "/dev/random", "/dev/urandom", "/dev/ptmx", "/dev/kvm",
           "/dev/userfaultfd")  # fmt: skip
#: Controllers of control groups, by libvirt's names.
CONTROLLERS = ("cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "net_cls", "perf_event",
               "name=systemd")  # fmt: skip
_UNSIGNED = (0, 0xFFFFFFFF)
_SIGNED = (-0x80000000, 0x7FFFFFFF)
_SHUTDOWN = ("none", "persistent", "transient", "all")
_FORMATS = ("raw", "gzip", "bzip2", "xz", "lzop", "zstd", "sparse")


def _setting(
    default: Any,
    doc: str,
    *,
    within: tuple[int, int] = _UNSIGNED,
    choices: tuple[str, ...] | None = None,
    refusal: str = "",
    error: type[VirtError] = ConfigUnsupported,
    secret: bool = False,
) -> Any:
    """A setting: its default, and what the documentation says of it.

    :param within: least and greatest of a number.
    :param choices: the strings it may be, or have as items.
    :param refusal: libvirt's message about another, with ``{value}``, which is raised as ``error``.
    """
    metadata = {"doc": doc, "within": within, "choices": choices, "refusal": refusal, "error": error}
    if isinstance(default, tuple):
        return field(default_factory=lambda: list(default), metadata=metadata, repr=not secret)
    return field(default=default, metadata=metadata, repr=not secret)


def _certificates(who: str) -> Any:
    return _setting(
        None, f"folder of certificates for {who}: `/etc/pki/libvirt-NAME` if it is there, else the default's"
    )


def _verify(who: str) -> Any:
    return _setting(None, f"whether {who} must have certificates; `default_tls_x509_verify` by default")


def _key_secret(who: str) -> Any:
    return _setting(None, f"UUID of the secret that opens the key for {who}; `default_tls_x509_secret_uuid` by default")


def _shutdown(name: str, what: str, default: str) -> Any:
    return _setting(
        None,
        f"which guests are {what}: `none`, `persistent`, `transient`, `all`; of a user's by default `{default}`, else "
        f"`none`",
        choices=_SHUTDOWN,
        refusal=f"unknown auto_shutdown_{name} '{{value}}'",
        error=InvalidArg,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class QemuSettings:
    """Every setting. What has no default of its own (None) depends on others, as its ``doc`` says."""

    default_tls_x509_cert_dir: str = _setting("/etc/pki/qemu", "folder of certificates where nothing else is said")
    default_tls_x509_verify: bool | None = _setting(
        None, "whether clients must have certificates where nothing else is said: not for VNC, else so, by default"
    )
    default_tls_x509_secret_uuid: str | None = _setting(None, "UUID of the secret that opens the certificates' key")
    vnc_listen: str = _setting("127.0.0.1", "address VNC listens on where a guest says none")
    vnc_auto_unix_socket: bool = _setting(False, "VNC listens on a socket where a guest says no address")
    vnc_tls: bool = _setting(False, "VNC is encrypted")
    vnc_tls_x509_cert_dir: str | None = _certificates("VNC")
    vnc_tls_x509_verify: bool | None = _verify("VNC's clients")
    vnc_tls_x509_secret_uuid: str | None = _key_secret("VNC")
    vnc_password: str | None = _setting(None, "password of VNC where a guest says none", secret=True)
    vnc_sasl: bool = _setting(False, "VNC's clients authenticate by SASL")
    vnc_sasl_dir: str | None = _setting(None, "folder of SASL's `qemu.conf` for VNC; `/etc/sasl2` by default")
    vnc_allow_host_audio: bool = _setting(
        False, "guests with VNC use the host's sound as `QEMU_AUDIO_DRV` in the driver's environment says"
    )
    spice_listen: str = _setting("127.0.0.1", "address SPICE listens on where a guest says none")
    spice_tls: bool = _setting(False, "SPICE is encrypted")
    spice_tls_x509_cert_dir: str | None = _certificates("SPICE")
    spice_auto_unix_socket: bool = _setting(False, "SPICE listens on a socket where a guest says no address")
    spice_password: str | None = _setting(None, "password of SPICE where a guest says none", secret=True)
    spice_sasl: bool = _setting(False, "SPICE's clients authenticate by SASL")
    spice_sasl_dir: str | None = _setting(None, "folder of SASL's `qemu.conf` for SPICE; `/etc/sasl2` by default")
    rdp_listen: str = _setting("127.0.0.1", "address RDP listens on where a guest says none")
    rdp_tls_x509_cert_dir: str | None = _certificates("RDP")
    rdp_username: str | None = _setting(None, "name to log in with by RDP where a guest says none")
    rdp_password: str | None = _setting(None, "password of RDP where a guest says none", secret=True)
    chardev_tls: bool = _setting(False, "character devices over TCP are encrypted")
    chardev_tls_x509_cert_dir: str | None = _certificates("character devices")
    chardev_tls_x509_verify: bool | None = _verify("clients of character devices")
    chardev_tls_x509_secret_uuid: str | None = _key_secret("character devices")
    vxhs_tls: bool = _setting(False, "images on VxHS are reached encrypted")
    vxhs_tls_x509_cert_dir: str | None = _certificates("VxHS")
    vxhs_tls_x509_secret_uuid: str | None = _key_secret("VxHS")
    nbd_tls: bool = _setting(False, "images on NBD are reached encrypted")
    nbd_tls_x509_cert_dir: str | None = _certificates("NBD")
    nbd_tls_x509_secret_uuid: str | None = _key_secret("NBD")
    migrate_tls_x509_cert_dir: str | None = _certificates("migration")
    migrate_tls_x509_verify: bool | None = _verify("hosts that migrate guests to this one")
    migrate_tls_x509_secret_uuid: str | None = _key_secret("migration")
    migrate_tls_force: bool = _setting(False, "migration that is not encrypted is refused")
    backup_tls_x509_cert_dir: str | None = _certificates("backups")
    backup_tls_x509_verify: bool | None = _verify("clients that fetch backups")
    backup_tls_x509_secret_uuid: str | None = _key_secret("backups")
    nographics_allow_host_audio: bool = _setting(False, "guests without display use the host's sound, likewise")
    remote_display_port_min: int = _setting(5900, "least port of displays; 5900 or more")
    remote_display_port_max: int = _setting(65535, "greatest port of displays")
    remote_websocket_port_min: int = _setting(5700, "least port of VNC for browsers; 5700 or more")
    remote_websocket_port_max: int = _setting(65535, "greatest port of VNC for browsers")
    security_driver: list[str] | None = _setting(
        None, "drivers that confine guests: `apparmor`, `selinux` or `none`; what the host has by default"
    )
    security_default_confined: bool = _setting(
        True, "guests that say nothing have a label; without one they still run as `user`"
    )
    security_require_confined: bool = _setting(
        False, "guests that are not confined are refused; so is this setting, since no driver here confines any"
    )
    user: str | None = _setting(
        None,
        "user that runs the host's guests, a name, or a number with `+` before it: `libvirt-qemu` or `qemu` for "
        "`qemu:///system`, the caller elsewhere",
    )
    group: str | None = _setting(None, "group that runs the host's guests, likewise")
    dynamic_ownership: bool | None = _setting(
        None, "files a guest uses are given to its user while it runs; so for the administrator's guests by default"
    )
    remember_owner: bool = _setting(True, "files get their owner back afterwards, as attributes `trusted.libvirt` say")
    cgroup_controllers: list[str] | None = _setting(
        None, "controllers of control groups in use; all that are mounted by default", choices=CONTROLLERS,
        refusal="Unknown cgroup controller '{value}'", error=ConfSyntax)  # fmt: skip
    cgroup_device_acl: list[str] = _setting(DEVICES, "device files that every guest's emulator may open")
    save_image_format: str = _setting(
        "raw", "format of saved guests: `raw`, `sparse`, or a program that compresses", choices=_FORMATS,
        refusal="Invalid save_image_format '{value}'",
    )  # fmt: skip
    dump_image_format: str = _setting(
        "raw", "the same for dumps; `raw` in place of what cannot be had", choices=_FORMATS,
        refusal="Invalid dump_image_format '{value}'",
    )  # fmt: skip
    snapshot_image_format: str = _setting(
        "raw", "the same for the memory of snapshots", choices=_FORMATS,
        refusal="Invalid snapshot_image_format '{value}'",
    )  # fmt: skip
    auto_dump_path: str | None = _setting(None, "folder of dumps that a watchdog or a panic asks for")
    auto_dump_bypass_cache: bool = _setting(False, "these dumps do not go through the host's cache")
    auto_start_bypass_cache: bool = _setting(False, "guests that start by themselves are restored beside the cache")
    auto_start_delay: int = _setting(0, "milliseconds between guests that start by themselves")
    auto_shutdown_try_save: str | None = _shutdown("try_save", "saved when the host goes down", "persistent")
    auto_shutdown_try_shutdown: str | None = _shutdown("try_shutdown", "shut down then, unless they were saved", "all")
    auto_shutdown_poweroff: str | None = _shutdown("poweroff", "powered off, unless one of these was done", "all")
    auto_shutdown_wait: int = _setting(30, "seconds guests have to shut down then; 0 is 30")
    auto_shutdown_restore: bool = _setting(True, "guests that run then, and are defined, start with the host again")
    auto_save_bypass_cache: bool = _setting(False, "these saved guests do not go through the host's cache")
    hugetlbfs_mount: list[str] | None = _setting(
        None, 'where file systems of huge pages are mounted; the host\'s by default, `""` for none'
    )
    bridge_helper: str = _setting(
        "qemu-bridge-helper", "program that makes tap devices on bridges for users that may not"
    )
    set_process_name: bool = _setting(False, "emulators are called `qemu:NAME` in lists of processes")
    max_processes: int = _setting(0, "processes that the guests' user may have; 0 for the host's limit")
    max_files: int = _setting(0, "files that an emulator may have open; 0 for the host's limit")
    max_threads_per_process: int = _setting(
        0, "threads that an emulator may have, where control groups have `pids`; 0 for the host's limit"
    )
    max_core: int | str = _setting(
        "unlimited", "bytes of an emulator's core dump, or `unlimited`; 0 for none", within=(0, 2**64 - 1)
    )
    dump_guest_core: bool = _setting(False, "core dumps have the guest's memory")
    mac_filter: bool = _setting(False, "bridges let only guests' own MAC addresses through (by ebtables)")
    relaxed_acs_check: bool = _setting(False, "PCI devices below switches without ACS may be handed over")
    lock_manager: str | None = _setting(
        None, "what keeps two guests from one image: `lockd`, or nothing but QEMU's own locks"
    )
    max_queued: int = _setting(0, "changes and questions of one guest that may go on or wait; 0 for no limit")
    keepalive_interval: int = _setting(5, "seconds of silence after which a migration's other host is asked",
                                       within=_SIGNED)  # fmt: skip
    keepalive_count: int = _setting(5, "questions it may leave unanswered")
    seccomp_sandbox: int = _setting(
        -1, "emulators may make no system call they do not need: 1, 0 not, -1 where QEMU can", within=_SIGNED
    )
    migration_address: str | None = _setting(None, "address that incoming migration listens on")
    migration_host: str | None = _setting(None, "how other hosts reach this one in migration; its name by default")
    migration_port_min: int = _setting(49152, "least port of incoming migration")
    migration_port_max: int = _setting(49215, "greatest port of incoming migration")
    log_timestamp: bool = _setting(True, "QEMU's messages have the time before them")
    nvram: list[str] = _setting(
        FIRMWARE_PAIRS,
        "firmware images with the templates of their variables, for hosts without descriptors",
    )
    stdio_handler: str = _setting(
        "logd", "`logd`: logs are cut at a size, `file`: QEMU writes into them itself", choices=("logd", "file"),
        refusal="Unknown stdio handler {value}",
    )  # fmt: skip
    gluster_debug_level: int = _setting(4, "how much clients of Gluster log, 0 to 9")
    virtiofsd_debug: bool = _setting(False, "virtiofsd logs all it does")
    namespaces: list[str] | None = _setting(
        None, "namespaces emulators have of their own: `mount`; so for the host's guests by default",
        choices=("mount",), refusal="Unknown namespace: {value}", error=ConfSyntax,
    )  # fmt: skip
    memory_backing_dir: str | None = _setting(None, "folder of guests' memory in files")
    pr_helper: str = _setting("qemu-pr-helper", "program for persistent reservations of SCSI disks")
    slirp_helper: str = _setting("slirp-helper", "program for networks in user space; without it QEMU has its own")
    qemu_rdp: str = _setting("qemu-rdp", "program for displays by RDP")
    dbus_daemon: str = _setting("dbus-daemon", "program for guests' own buses of D-Bus")
    swtpm_user: str | None = _setting(None, "user that runs emulated TPMs: `swtpm`, `tss` or root")
    swtpm_group: str | None = _setting(None, "group that runs emulated TPMs, likewise")
    capability_filters: list[str] = _setting((), "what emulators are taken to be unable to do, for tests")
    deprecation_behavior: str = _setting(
        "none", "what QEMU does about deprecated use: `none`, `omit`, `reject` or `crash`, for tests",
        choices=("none", "omit", "reject", "crash"), refusal="Unknown deprecation behavior '{value}'",
    )  # fmt: skip
    sched_core: str = _setting(
        "none", "what of a guest shares cores with nobody else: `none`, `vcpus`, `emulator`, `full` (with helpers)",
        choices=("none", "vcpus", "emulator", "full"), refusal="Unknown sched_core value {value}",
    )  # fmt: skip
    storage_use_nbdkit: bool = _setting(
        False, "images on HTTP, FTP and SSH are reached through nbdkit, where it is installed"
    )
    shared_filesystems: list[str] = _setting((), "folders that other hosts have, too, whatever their file system is")
