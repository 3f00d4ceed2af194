"""Operations on disks whose every command to QEMU fails once: what was begun is undone, and the next one works."""

from __future__ import annotations

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
    write,
)
from guest_image import idle_xml

from support import eventually
from virt_qemu.monitor import CommandError, Monitor
from virtcore.enums import (
    DomainBlockCommitFlags as Commit,
    DomainBlockCopyFlags as Copy,
    DomainBlockJobAbortFlags as Abort,
    DomainCreateFlags,
)
from virtcore.errors import NoDomainBackup, VirtError
from virtcore.types import TypedParameters

SIZE = 2 * MIB
WRITES = ((1, 0, 64 * KIB), (2, MIB, 64 * KIB))


pytestmark = pytest.mark.usefixtures("image_tools")


class Faults:
    """Lets the n-th command that QEMU is sent while it is armed fail, and counts them."""

    def __init__(self, monkeypatch) -> None:
        self.fail: int | None = None
        self.seen: list[str] = []
        self.armed = False
        real = Monitor.execute

        async def execute(monitor, command, arguments=None, **options):
            if self.armed:
                self.seen.append(command)
                if len(self.seen) - 1 == self.fail:
                    self.armed = False
                    raise CommandError(command, "GenericError", "injected")
            return await real(monitor, command, arguments, **options)

        execute.__wrapped__ = real  # type: ignore[attr-defined]  # what the tests themselves ask does not count
        monkeypatch.setattr(Monitor, "execute", execute)

    def arm(self, fail: int | None) -> None:
        self.seen, self.fail, self.armed = [], fail, True


@pytest.fixture
def faults(monkeypatch):
    return Faults(monkeypatch)


@pytest.fixture
def images(tmp_path):
    base = make_image(tmp_path / "base.qcow2", SIZE)
    write(base, *WRITES[0])
    top = make_image(tmp_path / "top.qcow2", base=base)
    write(top, *WRITES[1])
    return base, top


@pytest.fixture
def guest(connection, images):
    domain = connection.define_domain(idle_xml("faulty", disk_xml(images[1])))
    domain.create(DomainCreateFlags.START_PAUSED)
    return domain


def nodes(domain) -> set[str]:
    return {row["node-name"] for row in execute(domain, "query-named-block-nodes")}


def bitmaps(domain) -> list[str]:
    rows = execute(domain, "query-named-block-nodes")
    return sorted(each["name"] for row in rows for each in row.get("dirty-bitmaps", ()) if "name" in each)


def idle(domain) -> bool:
    try:
        domain.backup_xml()
    except NoDomainBackup:
        return domain.block_job_info("vda") is None and execute(domain, "query-jobs") == []
    return False


def settle(domain) -> None:
    """Let what goes on come to its end, mirrors called off."""
    if "<mirror" in domain.xml():
        eventually(lambda: "ready='yes'" in domain.xml() or "<mirror" not in domain.xml())
        if "<mirror" in domain.xml():
            domain.block_job_abort("vda")
    if not idle(domain):
        try:
            domain.abort_job()
        except VirtError:
            pass  # no backup, or one that has just ended
    eventually(lambda: idle(domain))


def forget_checkpoints(domain) -> None:
    for each in domain.list_checkpoints():
        each.delete()


def backup(kind: str, tmp_path) -> str:
    if kind == "pull":
        return f"<domainbackup mode='pull'><server transport='unix' socket='{tmp_path}/nbd'/></domainbackup>"
    target = f"<disk name='vda' type='file'><target file='{tmp_path}/pushed.qcow2'/></disk>"
    return f"<domainbackup><disks>{target}</disks></domainbackup>"


def point(name: str) -> str:
    return f"<domaincheckpoint><name>{name}</name></domaincheckpoint>"


BEGINNINGS = {
    "pull": lambda d, t: d.block_rebase("vda"),
    "commit": lambda d, t: d.block_commit("vda", flags=Commit.ACTIVE),
    "copy": lambda d, t: d.block_copy(
        "vda", f"<disk><source file='{t}/copy.qcow2'/></disk>", TypedParameters(), Copy.TRANSIENT_JOB
    ),
    "shallow copy": lambda d, t: d.block_copy(
        "vda", f"<disk><source file='{t}/copy.qcow2'/></disk>", TypedParameters(), Copy.TRANSIENT_JOB | Copy.SHALLOW
    ),
    "checkpoint": lambda d, t: d.create_checkpoint(point("new")),
    "push": lambda d, t: d.backup_begin(backup("push", t), point("new")),
    "pulled backup": lambda d, t: d.backup_begin(backup("pull", t), point("new")),
}


@pytest.mark.parametrize("name", BEGINNINGS)
def test_every_command_of_a_beginning_fails_once(guest, faults, images, tmp_path, name):
    begin = BEGINNINGS[name]
    before, known = guest.xml(), nodes(guest)
    failed = []
    for number in range(60):
        folder = tmp_path / str(number)
        folder.mkdir()
        faults.arm(number)
        try:
            begin(guest, folder)
        except VirtError as error:
            faults.armed = False
            failed.append(f"{faults.seen[-1]}: {error}")
        else:
            ended = len(faults.seen) <= number
            faults.armed = False
            settle(guest)
            forget_checkpoints(guest)
            if ended:
                break
            continue  # what failed was something that is not needed, or came after the beginning
        settle(guest)
        assert guest.xml() == before, failed[-1]
        assert nodes(guest) == known, failed[-1]
        # A checkpoint made with a backup stays when exporting fails afterwards, as in libvirt.
        assert bitmaps(guest) == [each.name for each in guest.list_checkpoints()], failed[-1]
        forget_checkpoints(guest)
        assert not list(folder.iterdir()), failed[-1]
        folder.rmdir()
    else:
        pytest.fail("it did not come to an end")
    assert failed
    guest_writes(guest, 3, 0, 64 * KIB)
    guest.destroy()
    top = images[0] if name == "commit" and f"file='{images[0]}'" in guest.xml() else images[1]
    assert content(top) == expected(SIZE, *WRITES, (3, 0, 64 * KIB))
    for image in images:
        check(image)


ENDINGS = {
    "pull": (BEGINNINGS["pull"], None),
    "commit pivoted": (BEGINNINGS["commit"], Abort.PIVOT),
    "commit called off": (BEGINNINGS["commit"], 0),
    "copy pivoted": (BEGINNINGS["copy"], Abort.PIVOT),
    "copy called off": (BEGINNINGS["copy"], 0),
}


@pytest.mark.parametrize("name", ENDINGS)
def test_every_command_of_an_ending_fails_once(connection, faults, tmp_path, name):
    """Whatever fails when a job ends, the guest goes on with all that it wrote, and starts again with it."""
    begin, how = ENDINGS[name]
    for number in range(1 if how is None else 0, 40):  # a pull's first command begins it
        folder = tmp_path / str(number)
        folder.mkdir()
        base = make_image(folder / "base.qcow2", SIZE)
        write(base, *WRITES[0])
        top = make_image(folder / "top.qcow2", base=base)
        write(top, *WRITES[1])
        domain = connection.define_domain(idle_xml(f"ending{number}", disk_xml(top)))
        domain.create(DomainCreateFlags.START_PAUSED)
        domain.create_checkpoint(point("first"))
        if how is None:
            faults.arm(number)
        begin(domain, folder)
        if how is not None:
            eventually(lambda domain=domain: "ready='yes'" in domain.xml())
            faults.arm(number)
            try:
                domain.block_job_abort("vda", how)
            except VirtError:
                assert not faults.armed
        eventually(lambda domain=domain: not faults.armed or not execute(domain, "query-jobs"))
        reached = len(faults.seen) > number
        faults.armed = False
        guest_writes(domain, 3, 0, 64 * KIB)
        source = execute(domain, "query-block")[0]["inserted"]["file"]
        domain.destroy()
        assert content(source) == expected(SIZE, *WRITES, (3, 0, 64 * KIB)), faults.seen
        check(source)
        domain.undefine(16)
        if not reached:
            break
    else:
        pytest.fail("it did not come to an end")
    assert number > 2
