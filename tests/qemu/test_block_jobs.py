"""Pull, commit and copy on real QEMUs: what the images hold afterwards, what the documents say, what is told."""

from __future__ import annotations

import json
import re
import subprocess
from functools import partial

import pytest
from block_guest import (
    KIB,
    MIB,
    chain,
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

from support import eventually
from virtcore.enums import (
    ConnectDomainEventBlockJobStatus as Status,
    DomainBlockCommitFlags as Commit,
    DomainBlockCopyFlags as Copy,
    DomainBlockJobAbortFlags as Abort,
    DomainBlockJobType as Kind,
    DomainBlockRebaseFlags as Rebase,
    DomainCreateFlags,
    DomainState,
    TypedParameterType,
)
from virtcore.errors import (
    BlockCopyActive,
    ConfigUnsupported,
    InvalidArg,
    OperationInvalid,
    OperationUnsupported,
    OverflowDetected,
)
from virtcore.operations.events import DomainBlockJob2Event, DomainBlockJobEvent
from virtcore.types import TypedParameters

SIZE = 4 * MIB
WRITES = ((1, 0, 64 * KIB), (2, 32 * KIB, 64 * KIB), (3, 2 * MIB, 64 * KIB))


pytestmark = pytest.mark.usefixtures("image_tools")


@pytest.fixture
def images(tmp_path):
    """Base, middle and top: each has what the others have not, and hides a part of what is below."""
    base = make_image(tmp_path / "base.qcow2", SIZE)
    write(base, *WRITES[0])
    middle = make_image(tmp_path / "middle.qcow2", base=base)
    write(middle, *WRITES[1])
    top = make_image(tmp_path / "top.qcow2", base=middle)
    write(top, *WRITES[2])
    return base, middle, top


class Watched:
    """A domain with what was told of its block jobs."""

    def __init__(self, domain, told) -> None:
        self.domain, self.told = domain, told

    def __getattr__(self, name):
        return getattr(self.domain, name)


@pytest.fixture
def guest(connection, images):
    """A guest on the chain, and what it was told of block jobs."""
    events = []
    connection.on_event(events.append, DomainBlockJob2Event)
    domain = connection.define_domain(idle_xml("jobs", disk_xml(images[2])))
    domain.create(DomainCreateFlags.START_PAUSED)
    return Watched(domain, events)


def told(domain):
    return [(event.disk, event.type, event.status) for event in domain.told]


def ended(domain):
    eventually(lambda: domain.block_job_info("vda") is None)


def backing(domain) -> list[str]:
    return re.findall(r"<backingStore type='file' index='\d+'>.*?<source file='([^']*)'", domain.xml(), re.DOTALL)


@pytest.mark.parametrize("kept", [0, 1], ids=["everything", "down-to-base"])
def test_pull(guest, images, kept):
    base, _middle, top = images
    guest.block_rebase("vda", str(base) if kept else None)
    ended(guest)
    assert backing(guest) == ([str(base)] if kept else [])
    nodes = {row["node-name"] for row in execute(guest, "query-named-block-nodes")}
    assert nodes == {f"libvirt-{number}-{kind}" for number in (1, 3)[: 1 + kept] for kind in ("format", "storage")}
    eventually(lambda: told(guest) == [("vda", Kind.PULL, Status.COMPLETED)])
    guest_writes(guest, 7, 3 * MIB, 64 * KIB)
    guest.destroy()
    assert content(top) == expected(SIZE, *WRITES, (7, 3 * MIB, 64 * KIB))
    assert chain(top) == [str(top), *([str(base)] if kept else [])]
    check(top)
    guest.create(DomainCreateFlags.START_PAUSED)
    assert backing(guest) == ([str(base)] if kept else [])


def test_commit_of_an_image_in_the_middle(guest, images):
    base, middle, top = images
    guest.block_commit("vda", None, "vda[2]", flags=Commit.DELETE)
    ended(guest)
    assert backing(guest) == [str(base)]
    eventually(lambda: told(guest) == [("vda", Kind.COMMIT, Status.COMPLETED)])
    assert not middle.exists()
    assert chain(top) == [str(top), str(base)]
    guest.destroy()
    assert content(base) == expected(SIZE, *WRITES[:2])
    assert content(top) == expected(SIZE, *WRITES)
    check(base)


def test_commit_of_the_active_image_and_pivot(guest, images):
    base, _middle, _top = images
    guest.block_commit("vda", str(base), flags=Commit.ACTIVE)
    eventually(lambda: "ready='yes'" in guest.xml())
    live = guest.xml()
    mirror = "<mirror type='file' job='active-commit' ready='yes'>\n        <format type='qcow2'/>"
    assert f"{mirror}\n        <source file='{base}' index='3'" in live
    assert "mirror" not in guest.xml(2)
    guest_writes(guest, 9, MIB, 64 * KIB)
    info = guest.block_job_info("vda")
    assert info.type == Kind.ACTIVE_COMMIT
    assert info.cur == info.end > 0
    with pytest.raises(BlockCopyActive, match="disk 'vda' already in active block job"):
        guest.block_rebase("vda")
    guest.block_job_abort("vda", Abort.PIVOT)
    assert guest.block_job_info("vda") is None
    assert f"<source file='{base}' index='3'/>\n      <backingStore/>" in guest.xml()
    assert f"<source file='{base}'/>" in guest.xml(2)  # the definition follows
    both = [("vda", Kind.ACTIVE_COMMIT, status) for status in (Status.READY, Status.COMPLETED)]
    eventually(lambda: told(guest) == both)
    guest_writes(guest, 10, 3 * MIB, 64 * KIB)
    guest.destroy()
    assert content(base) == expected(SIZE, *WRITES, (9, MIB, 64 * KIB), (10, 3 * MIB, 64 * KIB))
    check(base)


def test_commit_of_the_active_image_called_off(guest, images):
    base, middle, top = images
    guest.block_commit("vda", None, "vda", flags=Commit.ACTIVE | Commit.SHALLOW)
    eventually(lambda: "ready='yes'" in guest.xml())
    guest.block_job_abort("vda")
    assert "mirror" not in guest.xml()
    assert backing(guest) == [str(middle), str(base)]
    eventually(lambda: told(guest)[-1] == ("vda", Kind.ACTIVE_COMMIT, Status.CANCELED))
    guest_writes(guest, 9, MIB, 64 * KIB)
    guest.destroy()
    assert content(top) == expected(SIZE, *WRITES, (9, MIB, 64 * KIB))
    check(top)


@pytest.mark.parametrize("shallow", [False, True], ids=["full", "shallow"])
@pytest.mark.parametrize("reuse", [False, True], ids=["new", "reused"])
def test_copy_and_pivot(guest, images, tmp_path, shallow, reuse):
    base, middle, top = images
    copy = tmp_path / "copy.qcow2"
    if reuse:
        make_image(copy, SIZE, base=middle if shallow else None)
    flags = Copy.TRANSIENT_JOB | (Copy.SHALLOW if shallow else 0) | (Copy.REUSE_EXT if reuse else 0)
    xml = f"<disk type='file'><driver type='qcow2'/><source file='{copy}'/></disk>"
    guest.block_copy("vda", xml, TypedParameters(), flags)
    eventually(lambda: "ready='yes'" in guest.xml())
    assert f"<mirror type='file' file='{copy}' format='qcow2' job='copy' ready='yes'>" in guest.xml()
    guest_writes(guest, 9, MIB, 64 * KIB)
    guest.block_job_abort("vda", Abort.PIVOT)
    live = guest.xml()
    assert "mirror" not in live
    assert backing(guest) == ([str(middle), str(base)] if shallow else [])
    nodes = {row["node-name"] for row in execute(guest, "query-named-block-nodes")}
    assert len(nodes) == (6 if shallow else 2)
    assert f"<source file='{copy}'/>" in guest.xml(2)
    guest_writes(guest, 10, 3 * MIB, 64 * KIB)
    eventually(lambda: told(guest) == [("vda", Kind.COPY, status) for status in (Status.READY, Status.COMPLETED)])
    guest.destroy()
    assert content(copy) == expected(SIZE, *WRITES, (9, MIB, 64 * KIB), (10, 3 * MIB, 64 * KIB))
    assert content(top) == expected(SIZE, *WRITES, (9, MIB, 64 * KIB))
    assert chain(copy) == [str(copy), *([str(middle), str(base)] if shallow else [])]
    check(copy)
    guest.create(DomainCreateFlags.START_PAUSED)
    assert f"<source file='{copy}'" in guest.xml()


def test_copy_called_off_when_it_is_complete(guest, images, tmp_path):
    copy = tmp_path / "copy.raw"
    params = TypedParameters()
    params.add("granularity", TypedParameterType.UINT, 65536)
    params.add("buf-size", TypedParameterType.ULLONG, 1 << 20)
    xml = f"<disk type='file'><driver type='raw'/><source file='{copy}'/></disk>"
    guest.block_copy("vda", xml, params, Copy.TRANSIENT_JOB)
    eventually(lambda: "ready='yes'" in guest.xml())
    # A saved guest would not know of it.
    for save in (guest.managed_save, partial(guest.core_dump, str(tmp_path / "core"))):
        with pytest.raises(OperationInvalid, match="domain has active block job"):
            save()
    with pytest.raises(BlockCopyActive, match="disk 'vda' already in active block job"):
        guest.create_snapshot("<domainsnapshot/>")
    assert guest.state().state is DomainState.PAUSED
    guest.block_job_abort("vda")
    guest_writes(guest, 9, MIB, 64 * KIB)
    assert "mirror" not in guest.xml()
    assert f"<source file='{images[2]}' index='1'/>" in guest.xml()
    eventually(lambda: told(guest)[-1] == ("vda", Kind.COPY, Status.CANCELED))
    assert content(copy, "raw") == expected(SIZE, *WRITES)
    nodes = {row["node-name"] for row in execute(guest, "query-named-block-nodes")}
    assert len(nodes) == 6


def test_the_older_function_copies_too(guest, tmp_path):
    copy = tmp_path / "copy.raw"
    with pytest.raises(OperationInvalid, match="domain is not transient"):
        guest.block_rebase("vda", str(copy), 0, Rebase.COPY | Rebase.COPY_RAW)
    guest.undefine()
    guest.block_rebase("vda", str(copy), 0, Rebase.COPY | Rebase.COPY_RAW)
    eventually(lambda: "ready='yes'" in guest.xml())
    guest.block_job_abort("vda", Abort.PIVOT)
    assert "<driver name='qemu' type='raw'/>" in guest.xml()
    guest.destroy()
    assert content(copy, "raw") == expected(SIZE, *WRITES)


def test_speed_and_progress(guest, images):
    guest.block_rebase("vda", None, KIB, Rebase.BANDWIDTH_BYTES)  # a minute or two
    info = guest.block_job_info("vda", 1)
    assert info is not None
    assert (info.type, info.bandwidth) == (Kind.PULL, KIB)
    assert info.cur < info.end
    assert guest.block_job_info("vda").bandwidth == 1  # MiB, rounded up
    with pytest.raises(OperationUnsupported, match="disk 'vda' already in active block job"):
        guest.block_commit("vda", flags=Commit.ACTIVE)
    guest.block_job_set_speed("vda", 0)
    ended(guest)


def test_a_running_job_is_called_off(guest, images):
    guest.block_rebase("vda", None, KIB, Rebase.BANDWIDTH_BYTES)
    guest.block_job_abort("vda", Abort.ASYNC)
    ended(guest)
    assert backing(guest) == [str(images[1]), str(images[0])]
    eventually(lambda: told(guest) == [("vda", Kind.PULL, Status.CANCELED)])
    guest.destroy()
    assert content(images[2]) == expected(SIZE, *WRITES)
    check(images[2])


def test_events_by_path(connection, guest, images):
    events = []
    connection.on_event(events.append, DomainBlockJobEvent)
    guest.block_rebase("vda")
    eventually(lambda: [(event.disk, event.status) for event in events] == [(str(images[2]), Status.COMPLETED)])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda d, p: d.block_rebase("vdz"),
            InvalidArg,
            "disk 'vdz' not found in domain",
        ),
        (
            lambda d, p: d.block_rebase("vda", "/none"),
            InvalidArg,
            "could not find image '/none' beneath '{top}' in chain for 'vda'",
        ),
        (
            lambda d, p: d.block_rebase("vda", "vda[9]"),
            InvalidArg,
            "could not find backing store index '9' in chain for 'vda'",
        ),
        (
            lambda d, p: d.block_rebase("vda", None, 1 << 44),
            OverflowDetected,
            "bandwidth must be less than 8796093022207",
        ),
        (
            lambda d, p: d.block_rebase("vda", None, 0, Rebase.RELATIVE),
            InvalidArg,
            "flag VIR_DOMAIN_BLOCK_REBASE_RELATIVE is valid only with non-null base",
        ),
        (
            lambda d, p: d.block_rebase("vda", "vda[2]", 0, Rebase.RELATIVE),
            OperationInvalid,
            "can't keep relative backing relationship",
        ),
        (
            lambda d, p: d.block_commit("vda"),
            InvalidArg,
            "commit of 'vda' active layer requires active flag",
        ),
        (
            lambda d, p: d.block_commit("vda", top="vda[2]", flags=Commit.ACTIVE),
            InvalidArg,
            "active commit requested but '{middle}' is not active",
        ),
        (
            lambda d, p: d.block_commit("vda", top="vda[3]"),
            InvalidArg,
            "could not find base image in chain for 'vda'",
        ),
        (
            lambda d, p: d.block_commit("vda", top="vda[3]", flags=Commit.SHALLOW),
            InvalidArg,
            "top '{base}' in chain for '{top}' has no backing file",
        ),
        (
            lambda d, p: d.block_commit("vda", str(p[0]), "vda", flags=Commit.ACTIVE | Commit.SHALLOW),
            InvalidArg,
            "base '{base}' is not immediately below '{top}' in chain for 'vda'",
        ),
        (
            lambda d, p: d.block_job_abort("vda"),
            InvalidArg,
            "disk vda does not have an active block job",
        ),
        (
            lambda d, p: d.block_job_set_speed("vda", 1),
            InvalidArg,
            "disk vda does not have an active block job",
        ),
        (
            lambda d, p: d.block_copy("vda", f"<disk><source file='{p[0]}.x'/></disk>", TypedParameters()),
            OperationInvalid,
            "domain is not transient",
        ),
        (
            lambda d, p: d.block_copy("vda", f"<disk><source file='{p[0]}'/></disk>", TypedParameters(), 4),
            ConfigUnsupported,
            "external destination file for disk vda already exists and is not a block device: {base}",
        ),
        (
            lambda d, p: d.block_copy(
                "vda", f"<disk><driver type='raw'/><source file='{p[0]}.x'/></disk>", TypedParameters(), 5
            ),
            InvalidArg,
            "shallow copy of disk 'vda' into a raw file is not possible",
        ),
    ],
)
def test_refused(guest, images, call, error, message):
    before = guest.xml()
    names = dict(zip(("base", "middle", "top"), images, strict=True))
    with pytest.raises(error, match=re.escape(message.format(**names))):
        call(guest, images)
    assert guest.xml() == before
    assert guest.block_job_info("vda") is None
    guest.block_rebase("vda")  # nothing is in the way
    ended(guest)


def test_not_on_a_guest_that_is_off(connection, images):
    domain = connection.define_domain(idle_xml("off", disk_xml(images[2])))
    for call in (lambda: domain.block_rebase("vda"), lambda: domain.block_job_abort("vda")):
        with pytest.raises(OperationInvalid, match="domain is not running"):
            call()


@pytest.fixture
def relative(connection, tmp_path):
    """A guest on images that name each other relative to their folder."""
    base = make_image(tmp_path / "base.qcow2", SIZE)
    write(base, *WRITES[0])
    (tmp_path / "over").mkdir()
    middle = make_image(tmp_path / "over" / "middle.qcow2", base="../base.qcow2")
    write(middle, *WRITES[1])
    top = make_image(tmp_path / "top.qcow2", base="over/middle.qcow2")
    write(top, *WRITES[2])
    domain = connection.define_domain(idle_xml("relative", disk_xml(top)))
    domain.create(DomainCreateFlags.START_PAUSED)
    return domain, base, middle, top


def spelled(path) -> str:
    return json.loads(run("qemu-img", "info", "-U", "--output=json", path))["backing-filename"]


def test_relative_names_stay_relative_when_pulled(relative):
    domain, _base, _middle, top = relative
    domain.block_rebase("vda", "vda[3]", flags=Rebase.RELATIVE)
    ended(domain)
    assert spelled(top) == "over/../base.qcow2"
    domain.destroy()
    assert content(top) == expected(SIZE, *WRITES)


def test_relative_names_stay_relative_when_committed(relative):
    domain, base, _middle, top = relative
    domain.block_commit("vda", str(base), "over/middle.qcow2", flags=Commit.RELATIVE | Commit.SHALLOW)
    ended(domain)
    assert spelled(top) == "over/../base.qcow2"
    domain.destroy()
    assert content(top) == expected(SIZE, *WRITES)


def test_copy_to_a_device(guest, images, tmp_path):
    file = make_image(tmp_path / "device.raw", SIZE, format="raw")
    made = subprocess.run(["losetup", "--show", "-f", file], capture_output=True, text=True, check=False)
    device = made.stdout.strip()
    if not device:
        pytest.skip(f"there is no loop device to be had: {made.stderr.strip()}")
    try:
        xml = f"<disk type='block'><driver type='raw'/><source dev='{device}'/></disk>"
        guest.block_copy("vda", xml, TypedParameters(), Copy.TRANSIENT_JOB)
        eventually(lambda: "ready='yes'" in guest.xml())
        assert "<mirror type='block' job='copy' ready='yes'>" in guest.xml()
        guest.block_job_abort("vda", Abort.PIVOT)
        assert f"<source dev='{device}'" in guest.xml()
        kept = "<disk type='block' device='disk'>\n      <driver name='qemu' type='raw'/>\n"
        assert f"{kept}      <source dev='{device}'/>" in guest.xml(2)
        guest.destroy()
        assert file.read_bytes()[:SIZE] == data_of(*WRITES)
    finally:
        subprocess.run(["losetup", "-d", device], check=False)


def data_of(*writes) -> bytes:
    data = bytearray(SIZE)
    for pattern, offset, length in writes:
        data[offset : offset + length] = bytes([pattern]) * length
    return bytes(data)
