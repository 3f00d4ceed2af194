"""UEFI: chosen from what packages describe, with variables of each guest's own, and a guest that boots by it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from guest_image import MARKER, guest_xml

from support import eventually
from virtcore.enums import DomainCreateFlags, DomainUndefineFlags
from virtcore.errors import OperationFailed, OperationInvalid

PAUSED = DomainCreateFlags.START_PAUSED
CODE, VARIABLES = Path("/usr/share/OVMF/OVMF_CODE_4M.fd"), Path("/usr/share/OVMF/OVMF_VARS_4M.fd")

pytestmark = pytest.mark.skipif(
    not CODE.exists() or not Path("/usr/share/qemu/firmware").is_dir(), reason="OVMF is not installed (Debian: ovmf)"
)


def efi(name: str, boot: tuple[Path, Path], devices: str = "", inside: str = "") -> str:
    xml = guest_xml(name, *boot, devices=devices)
    return xml.replace("<os>", "<os firmware='efi'>").replace("</type>", f"</type>{inside}", 1)


def test_variables_are_made_kept_reset_and_removed(connection, boot, root):
    domain = connection.define_domain(efi("efi", boot))
    variables = root / "lib" / "qemu" / "nvram" / "efi_VARS.fd"
    xml = domain.xml()
    assert "<loader readonly='yes' secure='" in xml
    assert f">{variables}</nvram>" in xml
    assert not variables.exists(), "not before it starts"
    domain.create(PAUSED)
    assert variables.stat().st_size == VARIABLES.stat().st_size
    domain.destroy()
    with variables.open("r+b") as file:
        file.seek(4096)
        file.write(b"mine")
    domain.create(PAUSED)
    domain.destroy()
    assert b"mine" in variables.read_bytes(), "a start keeps them"
    domain.create(PAUSED | DomainCreateFlags.START_RESET_NVRAM)
    domain.destroy()
    assert b"mine" not in variables.read_bytes()
    with pytest.raises(OperationInvalid, match="cannot undefine domain with nvram"):
        domain.undefine()
    with pytest.raises(OperationInvalid, match="cannot both keep and delete nvram"):
        domain.undefine(DomainUndefineFlags.NVRAM | DomainUndefineFlags.KEEP_NVRAM)
    domain.undefine(DomainUndefineFlags.KEEP_NVRAM)
    assert variables.exists()
    connection.define_domain(efi("efi", boot)).undefine(DomainUndefineFlags.NVRAM)
    assert not variables.exists()


def test_secure_boot(connection, boot, root):
    wanted = "<firmware><feature enabled='yes' name='secure-boot'/></firmware>"
    domain = connection.define_domain(efi("secure", boot, inside=wanted))
    assert "secure='yes'" in domain.xml()
    assert "<smm state='on'/>" in domain.xml()
    domain.create(PAUSED)
    log = (root / "log" / "qemu" / "secure.log").read_text()
    assert "driver=cfi.pflash01,property=secure,value=on" in log
    domain.destroy()


def test_what_nobody_has_is_refused(connection, boot):
    wanted = "<firmware><feature enabled='yes' name='enrolled-keys'/></firmware><loader secure='no'/>"
    with pytest.raises(OperationFailed, match="Unable to find 'efi' firmware that is compatible"):
        connection.define_domain(efi("none", boot, inside=wanted))


def test_variables_in_qcow2(connection, boot, root, tmp_path):
    if shutil.which("qemu-img") is None:
        pytest.skip("qemu-img is not installed")
    template, path = tmp_path / "template.qcow2", tmp_path / "mine.qcow2"
    subprocess.run(["qemu-img", "convert", "-O", "qcow2", VARIABLES, template], check=True)
    inside = f"<loader readonly='yes' type='pflash'>{CODE}</loader>"
    inside += f"<nvram template='{template}' templateFormat='qcow2' format='qcow2'>{path}</nvram>"
    xml = efi("copy", boot, inside=inside).replace(" firmware='efi'", "")
    domain = connection.create_domain(xml, PAUSED)
    assert path.read_bytes()[:4] == b"QFI\xfb"
    assert '"driver":"qcow2","file":"libvirt-pflash1-storage"' in (root / "log" / "qemu" / "copy.log").read_text()
    domain.destroy()


def test_a_guest_boots_by_it(connection, boot, tmp_path):
    log = tmp_path / "log"
    serial = f"<serial type='unix'><source mode='bind' path='{tmp_path}/sock'/><log file='{log}'/></serial>"
    xml = efi("boots", boot, devices=serial).replace("<memory unit='MiB'>128", "<memory unit='MiB'>256")
    domain = connection.create_domain(xml)
    eventually(lambda: MARKER in log.read_text(errors="replace"), 120)
    with domain.open_console() as stream:
        stream.write(b"run [ -d /sys/firmware/efi ] && echo booted by UE$((1-1))FI\n")
        eventually(lambda: log.read_text(errors="replace").count("booted by UE0FI") == 1)
    domain.destroy()
