"""``qemu.conf``: every setting libvirt's own file has, and what is refused."""

from __future__ import annotations

import dataclasses
import logging
import re
from pathlib import Path

import pytest

import virt_qemu
import virtcore
from virt_qemu.settings import QemuSettings, example, load, parse
from virtcore.errors import ConfigUnsupported, ConfSyntax, InternalError, InvalidArg, VirtError

SOURCES = Path(virt_qemu.__file__).parent
ELSEWHERE = ("security_driver", "security_require_confined", "cgroup_controllers")
"""Settings that are heeded where they are read, and by control groups."""


def read(text: str, *, privileged: bool = True) -> QemuSettings:
    return parse(text, "qemu.conf", privileged=privileged)


def test_what_libvirts_own_file_names_is_known():
    path = Path("/etc/libvirt/qemu.conf")
    if not path.exists():
        pytest.skip("libvirt's qemu.conf is not installed (Debian: libvirt-daemon-system)")
    named = set(re.findall(r"^#([a-z][a-z0-9_]*) =", path.read_text(), re.M))
    assert named <= {one.name for one in dataclasses.fields(QemuSettings)}


def test_every_default_may_be_written_out():
    given = re.sub(r"^#(\w+ = .)", r"\1", example(), flags=re.M)
    given = re.sub(r"^namespaces.*$|^default_tls_x509_cert_dir.*$", "", given, flags=re.M)
    assert read(given) == QemuSettings()


def test_values_of_every_kind():
    settings = read(
        'user = "+107"\nvnc_tls = 1\nmax_files = 4096\nkeepalive_interval = -1\nmax_core = 1024\n'
        'cgroup_controllers = [ "cpu", "memory" ]\nhugetlbfs_mount = "/dev/hugepages"\n'
    )
    assert (settings.user, settings.vnc_tls, settings.max_files) == ("+107", True, 4096)
    assert (settings.keepalive_interval, settings.max_core) == (-1, 1024)
    assert settings.cgroup_controllers == ["cpu", "memory"]
    assert settings.hugetlbfs_mount == ["/dev/hugepages"]
    assert "hunter2" not in repr(read('vnc_password = "hunter2"'))


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("vnc_listen = 1", InternalError, "qemu.conf: expected a string for 'vnc_listen' parameter"),
        ('vnc_tls = "yes"', InternalError, "qemu.conf: expected a bool for 'vnc_tls' parameter"),
        ("vnc_tls = 2", InternalError, "qemu.conf: value for 'vnc_tls' parameter must be 0 or 1"),
        ("max_files = -1", InternalError, "qemu.conf: expected an unsigned integer for 'max_files' parameter"),
        ("nvram = 1", InternalError, "qemu.conf: expected a string list for 'nvram' parameter"),
        ("max_files = 4294967296", InternalError,
         "qemu.conf: value for 'max_files' parameter must be in range 0:4294967295"),
        ("security_driver = 1", InternalError,
         "qemu.conf: expected a string or string list for 'security_driver' parameter"),
        ('security_driver = "selinux"', ConfigUnsupported, "Security driver selinux not enabled"),
        ('security_driver = "smack"', InternalError, "Security driver smack not found"),
        ('security_driver = ["none", "none"]', ConfSyntax, "Duplicate security driver none"),
        ('cgroup_controllers = [ "air" ]', ConfSyntax, "Unknown cgroup controller 'air'"),
        ('namespaces = [ "pid" ]', ConfSyntax, "Unknown namespace: pid"),
        ('stdio_handler = "x"', ConfigUnsupported, "Unknown stdio handler x"),
        ('save_image_format = "x"', ConfigUnsupported, "Invalid save_image_format 'x'"),
        ('dump_image_format = "x"', ConfigUnsupported, "Invalid dump_image_format 'x'"),
        ('sched_core = "x"', ConfigUnsupported, "Unknown sched_core value x"),
        ('auto_shutdown_try_save = "x"', InvalidArg, "unknown auto_shutdown_try_save 'x'"),
        ('auto_shutdown_poweroff = "x"', InvalidArg, "unknown auto_shutdown_poweroff 'x'"),
        ('auto_shutdown_try_save = "all"', InvalidArg, "managed save cannot be requested for transient domains"),
        ('max_core = "lots"', ConfigUnsupported, "Unknown core size 'lots'"),
        ("remote_display_port_min = 5", InternalError,
         "qemu.conf: remote_display_port_min: port must be greater than or equal to 5900"),
        ("migration_port_min = 0", InternalError, "qemu.conf: migration_port_min: port must be greater than 0"),
        ('migration_host = "localhost"', ConfSyntax,
         "migration_host must not be the address of the local machine: localhost"),
        ('vnc_tls_x509_cert_dir = "/none"', ConfSyntax, "vnc_tls_x509_cert_dir directory '/none' does not exist"),
        ("allow_disk_format_probing = 1", ConfigUnsupported, "allow_disk_format_probing is no longer supported"),
        ('user = "root', ConfSyntax, "qemu.conf:1: unterminated string"),
    ],
)  # fmt: skip
def test_nonsense_is_refused(text, kind, message):
    with pytest.raises(kind) as caught:
        read(text)
    assert str(caught.value).endswith(message)


def test_a_users_guests_have_no_namespaces():
    with pytest.raises(ConfigUnsupported, match="cannot use namespaces in session mode"):
        read('namespaces = [ "mount" ]', privileged=False)


def test_unknown_names_are_told(caplog):
    with caplog.at_level(logging.WARNING):
        read("vnc_tlls = 1")
    assert "setting 'vnc_tlls' is not one of the QEMU driver's; is 'vnc_tls' meant?" in caplog.text


def test_every_setting_is_heeded():
    used = "".join(path.read_text() for path in SOURCES.rglob("*.py") if path.parent.name != "settings")
    used += (SOURCES / "settings" / "host.py").read_text()
    for one in dataclasses.fields(QemuSettings):
        if "_tls_x509_" not in one.name and one.name not in ELSEWHERE:
            assert re.search(rf"settings\.{one.name}\b", used), one.name


def test_a_missing_file_changes_nothing(tmp_path):
    assert load(tmp_path / "qemu.conf", privileged=True) == QemuSettings()


def test_the_driver_reads_its_file(tmp_path):
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "qemu.conf").write_text("max_files = many\n")
    with pytest.raises(VirtError, match=r"qemu\.conf:1: expecting a value"):
        virtcore.connect(f"qemu:///embed?root={tmp_path}")
