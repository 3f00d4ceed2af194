"""Block jobs and backups when our process, or QEMU, is killed while they go on."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys

import pytest
from block_guest import (
    KIB,
    MIB,
    check,
    content,
    disk_xml,
    execute,
    expected,
    guest_writes,
    make_image,
    run,
    write,
)
from guest_image import idle_xml

import virtcore
from support import eventually
from virtcore.enums import DomainBlockJobAbortFlags as Abort, DomainJobOperation, DomainJobType
from virtcore.errors import NoDomainBackup
from virtcore.operations.events import DomainBlockJob2Event

#: A minute of kills; test_block_faults is the sample that every change runs.
pytestmark = [pytest.mark.deep, pytest.mark.usefixtures("image_tools")]

SIZE = 4 * MIB
WRITES = ((1, 0, 64 * KIB), (2, MIB, 2 * MIB))

_BEGIN = """
import os, sys, time, virtcore
from virtcore.types import TypedParameters
connection = virtcore.connect(sys.argv[1])
domain = connection.define_domain(open(sys.argv[2]).read())
domain.create(1)
{begin}
print("begun", flush=True)
os.kill(os.getpid(), 9)
"""
_READY = "\nwhile \"ready='yes'\" not in domain.xml(): time.sleep(0.01)"


@pytest.fixture
def images(tmp_path):
    base = make_image(tmp_path / "base.qcow2", SIZE)
    write(base, *WRITES[0])
    write(base, *WRITES[1])
    return base, make_image(tmp_path / "top.qcow2", base=base)


def begin(root, tmp_path, images, code: str) -> None:
    """Start a guest and begin something with it in a process that is killed then."""
    xml = tmp_path / "guest.xml"
    xml.write_text(idle_xml("kept", disk_xml(images[1])))
    argv = [sys.executable, "-c", _BEGIN.format(begin=code), f"qemu:///embed?root={root}", str(xml)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout.strip() == "begun", done.stderr


def slow_pull() -> str:
    return "domain.block_rebase('vda', None, 4096, 64)"  # it would take minutes


def copy(tmp_path) -> str:
    xml = f"<disk><source file='{tmp_path}/copy.qcow2'/></disk>"
    return f'domain.block_copy("vda", "{xml}", TypedParameters(), 4)'


@pytest.fixture
def again(root):
    """Find the guest again."""
    opened = []

    def find():
        connection = virtcore.connect(f"qemu:///embed?root={root}")
        opened.append(connection)
        return connection, connection.lookup_domain(name="kept")

    yield find
    for connection in opened:
        connection.close()


def test_a_pull_goes_on(root, tmp_path, images, again):
    begin(root, tmp_path, images, slow_pull())
    connection, domain = again()
    told = []
    connection.on_event(told.append, DomainBlockJob2Event)
    info = domain.block_job_info("vda")
    assert info is not None
    domain.block_job_set_speed("vda", 0)
    eventually(lambda: domain.block_job_info("vda") is None)
    assert re.search(r"<source file='[^']*top.qcow2' index='1'/>\s*<backingStore/>", domain.xml())
    eventually(lambda: len(told) == 1)
    domain.destroy()
    assert content(images[1]) == expected(SIZE, *WRITES)
    assert "backing-filename" not in run("qemu-img", "info", "--output=json", images[1])
    check(images[1])


def test_a_pull_that_ended_while_nobody_looked(root, tmp_path, images, again):
    begin(root, tmp_path, images, "domain.block_rebase('vda', None, 4)")
    eventually(lambda: "backing-filename" not in run("qemu-img", "info", "-U", "--output=json", images[1]))
    _, domain = again()
    eventually(lambda: domain.block_job_info("vda") is None)
    assert re.search(r"<source file='[^']*top.qcow2' index='1'/>\s*<backingStore/>", domain.xml())
    assert {row["node-name"] for row in execute(domain, "query-named-block-nodes")} == {
        "libvirt-1-format",
        "libvirt-1-storage",
    }
    assert execute(domain, "query-jobs") == []


@pytest.mark.parametrize("how", [Abort.PIVOT, 0], ids=["pivot", "called-off"])
def test_a_copy_is_there_to_be_ended(root, tmp_path, images, again, how):
    begin(root, tmp_path, images, copy(tmp_path) + _READY)
    _, domain = again()
    assert "<mirror type='file' file='" in domain.xml()
    guest_writes(domain, 3, 3 * MIB, 64 * KIB)
    domain.block_job_abort("vda", how)
    assert "<mirror" not in domain.xml()
    source = tmp_path / "copy.qcow2" if how else images[1]
    assert f"<source file='{source}'" in domain.xml()
    assert f"<source file='{source}'/>" in domain.xml(2)
    domain.destroy()
    assert content(source) == expected(SIZE, *WRITES, (3, 3 * MIB, 64 * KIB))
    for image in (source, *images):
        check(image)


def test_a_copy_that_became_ready_while_nobody_looked(root, tmp_path, images, again):
    begin(root, tmp_path, images, copy(tmp_path))
    _, domain = again()
    eventually(lambda: "ready='yes'" in domain.xml())
    domain.block_job_abort("vda", Abort.PIVOT)
    domain.destroy()
    assert content(tmp_path / "copy.qcow2") == expected(SIZE, *WRITES)


def test_a_commit_is_there_to_be_ended(root, tmp_path, images, again):
    begin(root, tmp_path, images, "domain.block_commit('vda', flags=4)" + _READY)
    _, domain = again()
    guest_writes(domain, 3, 3 * MIB, 64 * KIB)
    domain.block_job_abort("vda", Abort.PIVOT)
    assert f"<source file='{images[0]}'/>" in domain.xml(2)
    domain.destroy()
    assert content(images[0]) == expected(SIZE, *WRITES, (3, 3 * MIB, 64 * KIB))
    check(images[0])


def test_a_job_nobody_knows_is_ended(root, tmp_path, images, again):
    code = f"""
import sys
sys.path.insert(0, {os.path.dirname(__file__)!r})
from block_guest import execute
execute(domain, "block-stream", {{"job-id": "strange", "device": "libvirt-1-format", "speed": 4096,
                                  "auto-finalize": True, "auto-dismiss": False}})
"""
    begin(root, tmp_path, images, code)
    _, domain = again()
    eventually(lambda: execute(domain, "query-jobs") == [])
    domain.block_rebase("vda")
    eventually(lambda: domain.block_job_info("vda") is None)


def test_a_pulled_backup_goes_on(root, tmp_path, images, again):
    server = f"<server transport='unix' socket='{tmp_path}/nbd'/>"
    xml = f"<domainbackup mode='pull'>{server}<disks><disk name='vda'/></disks></domainbackup>"
    begin(root, tmp_path, images, f'domain.backup_begin("{xml}")')
    _, domain = again()
    guest_writes(domain, 3, 0, 64 * KIB)
    assert "<domainbackup mode='pull'>" in domain.backup_xml()
    assert domain.job_stats().params["operation"] == DomainJobOperation.BACKUP
    saved = tmp_path / "saved.raw"
    run("qemu-img", "convert", "-f", "raw", "-O", "raw", f"nbd+unix:///vda?socket={tmp_path}/nbd", saved)
    assert content(saved, "raw") == expected(SIZE, *WRITES)
    domain.abort_job()
    eventually(lambda: not has_backup(domain))
    eventually(lambda: not list(tmp_path.glob("top.qcow2.*")))
    assert domain.job_stats(1).type == DomainJobType.COMPLETED


def test_a_pushed_backup_that_ended_while_nobody_looked(root, tmp_path, images, again):
    target = f"<target file='{tmp_path}/saved.qcow2'/>"
    xml = f"<domainbackup><disks><disk name='vda' type='file'>{target}</disk></disks></domainbackup>"
    point = "<domaincheckpoint><name>c0</name></domaincheckpoint>"
    begin(root, tmp_path, images, f'domain.backup_begin("{xml}", "{point}")')
    _, domain = again()
    eventually(lambda: not has_backup(domain))
    assert domain.job_stats(1).type == DomainJobType.COMPLETED
    assert content(tmp_path / "saved.qcow2") == expected(SIZE, *WRITES)
    assert [each.name for each in domain.list_checkpoints()] == ["c0"]
    assert execute(domain, "query-jobs") == []


def has_backup(domain) -> bool:
    try:
        domain.backup_xml()
    except NoDomainBackup:
        return False
    return True


# -- QEMU is killed


def _committed(domain) -> None:
    domain.block_commit("vda", flags=4)
    eventually(lambda: "ready='yes'" in domain.xml())


def _copied(domain, folder) -> None:
    exec(copy(folder), {"domain": domain, **_types()})
    eventually(lambda: "ready='yes'" in domain.xml())


KILLED = {
    "pull": lambda d, t: d.block_rebase("vda", None, 4096, 64),
    "commit": lambda d, t: d.block_commit("vda", None, None, 4096, 4 | 16),
    "commit that is ready": lambda d, t: _committed(d),
    "copy": lambda d, t: _copied(d, t),
    "backup": lambda d, t: d.backup_begin(
        f"<domainbackup mode='pull'><server transport='unix' socket='{t}/nbd'/></domainbackup>"
    ),
}


def _types():
    from virtcore.types import TypedParameters

    return {"TypedParameters": TypedParameters}


@pytest.mark.parametrize("name", KILLED)
def test_images_are_whole_when_qemu_is_killed(connection, tmp_path, images, guests_of, name):
    domain = connection.define_domain(idle_xml("mortal", disk_xml(images[1])))
    domain.create(1)
    KILLED[name](domain, tmp_path)
    guest_writes(domain, 3, 0, 64 * KIB)
    line = 'qemu-io -d /machine/peripheral/virtio-disk0/virtio-backend "flush"'
    execute(domain, "human-monitor-command", {"command-line": line})
    [pid] = guests_of()
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not domain.is_active())
    assert content(images[1]) == expected(SIZE, *WRITES, (3, 0, 64 * KIB))
    for image in images:
        run("qemu-img", "check", "-r", "leaks", image)  # what was being allocated may be lost room, no more
        check(image)
    eventually(lambda: not list(tmp_path.glob("top.qcow2.*")))
    domain.create(1)
    assert "<mirror" not in domain.xml()
    assert domain.block_job_info("vda") is None
    assert not has_backup(domain)
    domain.block_rebase("vda")
    eventually(lambda: domain.block_job_info("vda") is None)
    domain.destroy()
    assert content(images[1]) == expected(SIZE, *WRITES, (3, 0, 64 * KIB))
