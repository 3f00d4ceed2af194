"""Snapshots: read, completed, refused with libvirt's words, laid beside their domain, printed again."""

from __future__ import annotations

import pytest

from virtcore.errors import ConfigUnsupported, ErrorDomain, InvalidArg, VirtError, XMLDetail
from virtcore.model.domain import Domain, DomainRules, SnapshotLocation, load_domain
from virtcore.model.snapshot import (
    Snapshot,
    SnapshotContext,
    SnapshotParse,
    SnapshotRules,
    SnapshotState,
    align_snapshot_disks,
    check_redefined_snapshot,
    format_snapshot,
    load_snapshot,
)
from virtcore.xml import parse

DOMAIN = """\
<domain type='test'>
  <name>guest</name>
  <uuid>11111111-2222-3333-4444-555555555555</uuid>
  <memory>4096</memory>
  <os><type arch='x86_64'>hvm</type></os>
  <devices>
    <disk type='file' device='disk'><source file='/images/one.qcow2'/><target dev='vda' bus='virtio'/></disk>
    <disk type='file' device='disk' snapshot='no'><source file='/images/two'/><target dev='vdb' bus='virtio'/></disk>
    <disk type='block' device='disk'><source dev='/dev/vg/three'/><target dev='vdc' bus='virtio'/></disk>
    <disk type='file' device='cdrom'><target dev='hda' bus='ide'/><readonly/></disk>
  </devices>
</domain>
"""
STATE = "<name>s</name><state>{state}</state><creationTime>7</creationTime>"


class Keeping(SnapshotRules):
    save_cookies = True


def domain() -> Domain:
    return load_domain(DOMAIN, DomainRules())


def redefined(content: str, flags: SnapshotParse = SnapshotParse.NONE, state: str = "running") -> Snapshot:
    text = f"<domainsnapshot>{STATE.format(state=state)}{content}</domainsnapshot>"
    return load_snapshot(text, Keeping(), SnapshotContext(flags=SnapshotParse.REDEFINE | flags))


def test_a_new_snapshot_is_dated_and_named_and_nothing_else_is_believed() -> None:
    text = (
        "<domainsnapshot><creationTime>nonsense</creationTime><state>nonsense</state><parent><name>p</name></parent>"
        "<active>x</active><domain type='nonsense'/><inactiveDomain/></domainsnapshot>"
    )
    found = load_snapshot(text, context=SnapshotContext(now=lambda: 1386166249))
    assert found == Snapshot(name="1386166249", creation_time=1386166249)
    assert format_snapshot(found, domain_uuid="11111111-2222-3333-4444-555555555555") == (
        "<domainsnapshot>\n  <name>1386166249</name>\n  <creationTime>1386166249</creationTime>\n  <domain>\n"
        "    <uuid>11111111-2222-3333-4444-555555555555</uuid>\n  </domain>\n</domainsnapshot>\n"
    )


def test_a_redefined_snapshot_keeps_everything() -> None:
    found = redefined(
        f"<parent><name>p</name></parent>{DOMAIN}"
        + DOMAIN.replace("domain type", "inactiveDomain type").replace("</domain>", "</inactiveDomain>")
        + "<disks><disk name='vda' snapshot='external' type='file'><snapshotDeleteInProgress/>"
        "<driver type='qcow2'/><source file='/a' index='3' startupPolicy='optional'/></disk></disks>"
        "<revertDisks><disk name='vda'><source file='/b'/></disk></revertDisks>"
        "<cookie><cpu><model>qemu64</model></cpu><slirpHelper/></cookie><active>3</active>",
        SnapshotParse.INTERNAL,
    )
    text = format_snapshot(found, current=True)
    assert "<memory snapshot='internal'/>" in text
    assert (
        "    <disk name='vda' snapshot='external' type='file'>\n      <snapshotDeleteInProgress/>\n"
        "      <driver type='qcow2'/>\n      <source file='/a'/>\n    </disk>\n  </disks>\n  <revertDisks>\n"
        "    <disk name='vda' snapshot='external' type='file'>\n      <source file='/b'/>\n    </disk>\n"
        "  </revertDisks>\n  <domain type='test'>\n"
    ) in text
    assert "  </domain>\n  <inactiveDomain type='test'>\n    <name>guest</name>\n" in text
    assert text.endswith(
        "  <cookie>\n    <cpu mode='custom' match='exact'>\n      <model fallback='allow'>qemu64</model>\n"
        "    </cpu>\n    <slirpHelper/>\n  </cookie>\n  <active>1</active>\n</domainsnapshot>\n"
    )
    again = load_snapshot(text, Keeping(), SnapshotContext(flags=SnapshotParse.REDEFINE | SnapshotParse.INTERNAL))
    assert format_snapshot(again, current=True) == text
    assert "<active>" not in format_snapshot(again)


def test_a_state_that_was_not_running_has_no_memory_and_no_cookie() -> None:
    found = redefined("<cookie><slirpHelper/></cookie>", state="shutoff")
    assert format_snapshot(found).endswith("<memory snapshot='no'/>\n</domainsnapshot>\n")
    other = load_snapshot(
        f"<domainsnapshot>{STATE.format(state='running')}<cookie/></domainsnapshot>",
        context=SnapshotContext(flags=SnapshotParse.REDEFINE),
    )
    assert other.cookie is None  # no driver in particular keeps any


@pytest.mark.parametrize(
    ("content", "flags", "message"),
    [
        ("<memory snapshot='manual'/>", 0, "XML error: 'manual' memory snapshot mode not supported"),
        ("<memory snapshot='internal' file='/m'/>", 0, "XML error: memory filename '/m' requires external snapshot"),
        ("<memory snapshot='external'/>", 0, "XML error: external memory snapshots require a filename"),
        ("<memory file='m'/>", 0, "XML error: memory snapshot file path (m) must be absolute"),
        (
            "<memory snapshot='internal'/>",
            SnapshotParse.OFFLINE,
            "XML error: memory state cannot be saved with offline or disk-only snapshot",
        ),
        (
            "<memory snapshot='none'/>",
            0,
            "XML error: Invalid value for attribute 'snapshot' in element 'memory': 'none'.",
        ),
        ("<disks><disk/></disks>", 0, "internal error: missing name from disk snapshot element"),
        ("<disks><disk name='a' type='dir'/></disks>", 0, "XML error: unsupported disk snapshot type 'dir'"),
        (
            "<disks><disk name='a'><source file='x'/></disk></disks>",
            0,
            "XML error: disk snapshot image path 'x' must be absolute",
        ),
        (
            "<disks><disk name='a'><driver type='none'/></disk></disks>",
            0,
            "unsupported configuration: unknown disk snapshot driver 'none'",
        ),
        ("<name/>", SnapshotParse.REDEFINE, "XML error: a redefined snapshot must have a name"),
        (
            "<name>n</name>",
            SnapshotParse.REDEFINE,
            "internal error: missing creationTime from existing snapshot",
        ),
        (
            "<name>n</name><creationTime>x</creationTime>",
            SnapshotParse.REDEFINE,
            "internal error: missing creationTime from existing snapshot",
        ),
        (
            "<name>n</name><creationTime>1</creationTime>",
            SnapshotParse.REDEFINE,
            "XML error: missing state from existing snapshot",
        ),
        (
            "<name>n</name><creationTime>1</creationTime><state>nostate</state>",
            SnapshotParse.REDEFINE,
            "unsupported configuration: Invalid state 'nostate' in domain snapshot XML",
        ),
        (
            STATE.format(state="running"),
            SnapshotParse.REDEFINE | SnapshotParse.INTERNAL,
            "internal error: Could not find 'active' element",
        ),
        (
            STATE.format(state="running") + "<domain type='bogus'/>",
            SnapshotParse.REDEFINE,
            "unsupported configuration: invalid domain type bogus",
        ),
    ],
)
def test_refusals(content: str, flags: int, message: str) -> None:
    context = SnapshotContext(flags=SnapshotParse(flags))
    with pytest.raises(VirtError) as caught:
        load_snapshot(f"<domainsnapshot>{content}</domainsnapshot>", context=context)
    assert str(caught.value) == message
    assert caught.value.path is not None
    assert caught.value.path.startswith("/domainsnapshot")
    # What cannot be read comes from the XML engine, what contradicts itself from here.
    assert caught.value.domain in (ErrorDomain.DOMAIN_SNAPSHOT, ErrorDomain.XML)


def test_errors_of_the_domain_inside_say_where_it_stands() -> None:
    broken = DOMAIN.replace("<os>", "<vcpu current='3'>2</vcpu><os>")
    with pytest.raises(VirtError, match="maximum vCPU count must not be less") as caught:
        redefined(broken)
    assert caught.value.path == "/domainsnapshot/domain/vcpu/@current"
    assert "at /domainsnapshot/domain/vcpu/@current" in caught.value.__notes__


def test_a_client_can_read_what_very_old_versions_wrote() -> None:
    text = "<domainsnapshot>\n  <domain>\n    <uuid>11111111-2222-3333-4444-555555555555</uuid>\n  </domain>\n"
    text += "</domainsnapshot>\n"
    from virtcore.xml import format

    assert format(parse(text, Snapshot)) == text


# ------------------------------------------------------------------------------------------------------------ alignment


def aligned(
    disks: str, default: SnapshotLocation = SnapshotLocation.EXTERNAL, *, uniform: bool = False, force: bool = False
) -> list[tuple[str, str]]:
    snapshot = load_snapshot(f"<domainsnapshot><name>s</name><disks>{disks}</disks></domainsnapshot>")
    snapshot.domain = domain()
    align_snapshot_disks(
        snapshot,
        default,
        uniform_internal=uniform,
        force_default=force,
        is_regular_file=lambda path: path.startswith("/images"),
    )
    return [(disk.name, f"{disk.snapshot} {getattr(disk.source, 'file', None)}") for disk in snapshot.disks]


def test_disks_follow_the_domain_and_get_files() -> None:
    assert aligned("<disk name='vdc' snapshot='no'/><disk name='/images/one.qcow2'/>") == [
        ("vda", "external /images/one.s"),
        ("vdb", "no None"),
        ("vdc", "no None"),
        ("hda", "no None"),
    ]
    with pytest.raises(ConfigUnsupported, match="source for disk 'vdc' is not a regular file; refusing to generate"):
        aligned("")
    forced = aligned("<disk name='vdc' snapshot='manual'/>", SnapshotLocation.INTERNAL, force=True)
    assert forced == [("vda", "internal None"), ("vdb", "internal None"), ("vdc", "manual None"), ("hda", "no None")]


@pytest.mark.parametrize(
    ("disks", "message"),
    [
        ("<disk name='vdz'/>", "no disk named 'vdz'"),
        ("<disk name='vda'/><disk name='/images/one.qcow2'/>", "disk '/images/one.qcow2' specified twice"),
        (
            "<disk name='vda' snapshot='no'><source file='/x'/></disk>",
            "file '/x' for disk 'vda' requires use of external snapshot mode",
        ),
        (
            "<disk name='vdc' type='block'/>",
            "cannot generate external snapshot name for disk 'vdc' on a 'block' device",
        ),
        (
            "<disk name='vdc' snapshot='no'/><disk name='hda' snapshot='external'/>",
            "cannot generate external snapshot name for disk 'hda' without source",
        ),
        (
            "<disk name='vda'><source file='/images/two.s'/></disk><disk name='vdb' snapshot='external'/>",
            "cannot generate external snapshot name for disk 'vdb': collision with disk 'vda'",
        ),
        ("<disk name='vda'/>" * 5, "too many disk snapshot requests for domain"),
    ],
)
def test_refused_alignments(disks: str, message: str) -> None:
    with pytest.raises(ConfigUnsupported) as caught:
        aligned(disks)
    assert str(caught.value) == f"unsupported configuration: {message}"


def test_names_of_files_stay_beside_the_image() -> None:
    snapshot = load_snapshot("<domainsnapshot><name>../../etc/x</name></domainsnapshot>")
    snapshot.domain = domain()
    with pytest.raises(XMLDetail, match=r"invalid snapshot name '../../etc/x': name can't contain '/'"):
        align_snapshot_disks(snapshot, SnapshotLocation.EXTERNAL, is_regular_file=lambda path: True)


def test_an_internal_snapshot_is_of_all_disks_or_none() -> None:
    with pytest.raises(ConfigUnsupported, match="disk 'vda' must use snapshot mode 'internal'"):
        aligned("<disk name='vda' snapshot='no'/>", SnapshotLocation.INTERNAL, uniform=True)
    assert aligned("<disk name='vdb' snapshot='no'/>", SnapshotLocation.INTERNAL, uniform=True)[1] == (
        "vdb",
        "no None",
    )


def test_what_a_redefinition_may_not_change() -> None:
    snapshot, other = redefined(DOMAIN), redefined("", state="shutoff")
    check_redefined_snapshot(snapshot, "11111111-2222-3333-4444-555555555555", redefined("", state="paused"))
    with pytest.raises(InvalidArg, match="definition for snapshot s must use uuid 2"):
        check_redefined_snapshot(snapshot, "2")
    with pytest.raises(InvalidArg, match="cannot change between online and offline snapshot state in snapshot s"):
        check_redefined_snapshot(snapshot, "11111111-2222-3333-4444-555555555555", other)
    with pytest.raises(InvalidArg, match="disk-only flag for snapshot s requires disk-snapshot state"):
        check_redefined_snapshot(other, "", disk_only=True)
    other.state = SnapshotState.DISK_SNAPSHOT
    with pytest.raises(InvalidArg, match="cannot change between disk only and full system in snapshot s"):
        check_redefined_snapshot(other, "", redefined("", state="shutoff"))
