"""TPMs that swtpm emulates: made once, started with the guest, ended with it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from guest_image import guest_xml

import virtcore
from support import eventually
from virtcore.driver import loader
from virtcore.driver.service import ServiceDriver
from virtcore.enums import DomainCreateFlags, DomainUndefineFlags
from virtcore.errors import InternalError, NoSecret
from virtcore.operations.declare import inline
from virtcore.operations.secret import SecretService
from virtcore.types import SecretRef

PAUSED = DomainCreateFlags.START_PAUSED
SECRET = "22222222-2222-2222-2222-222222222222"

pytestmark = pytest.mark.skipif(
    shutil.which("swtpm") is None or shutil.which("swtpm_setup") is None, reason="swtpm is not installed"
)


def tpm(rest: str = "", *, model: str = "tpm-crb", version: str = "2.0") -> str:
    return f"<tpm model='{model}'><backend type='emulator' version='{version}'>{rest}</backend></tpm>"


def swtpm_of(root: Path) -> int:
    [pid_file] = (root / "run" / "qemu").glob("domain-*/tpm0-swtpm.pid")
    return int(pid_file.read_text().split()[0])


@pytest.mark.parametrize("model", ["tpm-crb", "tpm-tis"])
def test_it_comes_and_goes_with_the_guest(connection, boot, root, model):
    domain = connection.define_domain(guest_xml("tpm", *boot, devices=tpm(model=model)))
    domain.create(PAUSED)
    state = root / "lib" / "qemu" / "swtpm" / domain.uuid / "tpm2" / "tpm2-00.permall"
    assert state.is_file()
    made = state.read_bytes()
    pid = swtpm_of(root)
    assert b"swtpm" in Path(f"/proc/{pid}/cmdline").read_bytes()
    domain.destroy()
    eventually(lambda: not Path(f"/proc/{pid}").exists())
    domain.create(PAUSED)
    assert len(state.read_bytes()) == len(made), "it is the same one"
    assert (root / "log" / "qemu" / "tpm-swtpm.log").read_text().count("Successfully authored TPM state") <= 1
    domain.destroy()
    domain.undefine()
    assert not state.exists()


def test_state_stays_where_asked(connection, boot, root):
    domain = connection.define_domain(guest_xml("tpm", *boot, devices=tpm()))
    domain.create(PAUSED)
    domain.destroy()
    folder = root / "lib" / "qemu" / "swtpm" / domain.uuid
    domain.undefine(DomainUndefineFlags.KEEP_TPM)
    assert folder.is_dir()
    transient = guest_xml("passing", *boot, devices=tpm())
    passing = connection.create_domain(transient, PAUSED)
    mine = root / "lib" / "qemu" / "swtpm" / passing.uuid
    assert mine.is_dir()
    passing.destroy()
    assert not mine.exists(), "of a transient domain nothing stays"


def test_a_failed_start_leaves_nothing(connection, boot, root, tmp_path, monkeypatch):
    fake = tmp_path / "swtpm_setup"
    fake.write_text("#!/bin/sh\necho it does not work >&2; exit 7\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    domain = connection.define_domain(guest_xml("tpm", *boot, devices=tpm()))
    with pytest.raises(InternalError, match=r"Could not run '.*swtpm_setup'. exitstatus: 7; Check error log"):
        domain.create(PAUSED)
    assert "it does not work" in (root / "log" / "qemu" / "tpm-swtpm.log").read_text()
    assert not (root / "lib" / "qemu" / "swtpm" / domain.uuid).exists()
    assert not list((root / "run" / "qemu").glob("domain-*"))


class FakeSecrets(ServiceDriver, SecretService):
    """One secret."""

    name = "secret"
    uuid = SECRET

    @inline
    def connection_lookup_secret(self, uuid=None, usage_type=None, usage_id=None) -> SecretRef:
        if uuid != self.uuid:
            raise NoSecret(f"no secret with matching uuid '{uuid}'")
        return SecretRef(SECRET, 0, "")

    async def secret_value(self, secret: SecretRef, flags: int = 0) -> bytes:
        return b"correct horse"


def test_state_is_encrypted(connection, boot, root, monkeypatch):
    monkeypatch.setitem(loader._registered_services, "secret", FakeSecrets)
    domain = connection.define_domain(guest_xml("tpm", *boot, devices=tpm(f"<encryption secret='{SECRET}'/>")))
    domain.create(PAUSED)
    words = Path(f"/proc/{swtpm_of(root)}/cmdline").read_bytes()
    assert b"pwdfd=4,mode=aes-256-cbc" in words
    assert b"horse" not in words
    domain.destroy()
    domain.create(PAUSED)  # with the same key
    domain.destroy()
    monkeypatch.setattr(FakeSecrets, "uuid", "none")
    with pytest.raises(NoSecret):
        domain.create(PAUSED)
    assert not list((root / "run" / "qemu").glob("domain-*"))


def test_it_outlives_us_with_the_guest(root, boot):
    uri = f"qemu:///embed?root={root}"
    with virtcore.connect(uri) as connection:
        connection.create_domain(guest_xml("stays", *boot, devices=tpm()), PAUSED)
    pid = swtpm_of(root)
    assert Path(f"/proc/{pid}").exists()
    with virtcore.connect(uri) as connection:
        connection.lookup_domain(name="stays").destroy()
    eventually(lambda: not Path(f"/proc/{pid}").exists())
