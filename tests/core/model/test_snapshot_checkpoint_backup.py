"""Checkpoints and backups: read, refused with libvirt's words, laid beside their domain, printed again."""

from __future__ import annotations

import pytest

from virtcore.errors import ErrorDomain, InvalidArg, VirtError
from virtcore.model.backup import align_backup_disks, format_backup, load_backup
from virtcore.model.checkpoint import (
    Checkpoint,
    CheckpointContext,
    align_checkpoint_disks,
    check_redefined_checkpoint,
    format_checkpoint,
    load_checkpoint,
)
from virtcore.model.domain import Domain, DomainRules, load_domain

DOMAIN = """\
<domain type='test'>
  <name>guest</name>
  <uuid>11111111-2222-3333-4444-555555555555</uuid>
  <memory>4096</memory>
  <os><type arch='x86_64'>hvm</type></os>
  <devices>
    <disk type='file' device='disk'><source file='/images/one'/><target dev='vda' bus='virtio'/></disk>
    <disk type='block' device='disk'><source dev='/dev/vg/two'/><target dev='vdb' bus='virtio'/></disk>
    <disk type='file' device='cdrom'><source file='/iso'/><target dev='hda' bus='ide'/><readonly/></disk>
  </devices>
</domain>
"""
UUID = "11111111-2222-3333-4444-555555555555"


def domain() -> Domain:
    return load_domain(DOMAIN, DomainRules())


# ---------------------------------------------------------------------------------------------------------- checkpoints


def checkpoint(content: str, *, redefine: bool = False) -> Checkpoint:
    context = CheckpointContext(redefine=redefine, now=lambda: 5)
    return load_checkpoint(f"<domaincheckpoint>{content}</domaincheckpoint>", context=context)


def test_all_writable_disks_or_those_listed() -> None:
    found = checkpoint("")
    found.domain = domain()
    align_checkpoint_disks(found)
    assert [(disk.name, disk.type, disk.bitmap) for disk in found.disks] == [
        ("vda", "bitmap", "5"),
        ("vdb", "bitmap", "5"),
        ("hda", "no", None),
    ]
    found = checkpoint("<disks><disk name='/dev/vg/two' bitmap='b'/></disks>")
    found.domain = domain()
    align_checkpoint_disks(found)
    found.disks[1].size = 4096
    assert format_checkpoint(found, domain=False, size=True) == (
        "<domaincheckpoint>\n  <name>5</name>\n  <creationTime>5</creationTime>\n  <disks>\n"
        "    <disk name='vda' checkpoint='no'/>\n    <disk name='vdb' checkpoint='bitmap' bitmap='b' size='4096'/>\n"
        "    <disk name='hda' checkpoint='no'/>\n  </disks>\n</domaincheckpoint>\n"
    )
    text = format_checkpoint(found)
    assert "size=" not in text
    assert "<name>guest</name>" in text
    assert found.disks[1].size == 4096  # printing changes nothing


@pytest.mark.parametrize(
    ("disks", "message"),
    [
        ("<disk name='vdz'/>", "unsupported configuration: no disk named 'vdz'"),
        (
            "<disk name='vda'/><disk name='/images/one'/>",
            "unsupported configuration: disk '/images/one' specified twice",
        ),
        ("<disk name='hda'/>", "unsupported configuration: disk 'hda' is empty or readonly"),
        ("<disk name='vda'/>" * 4, "unsupported configuration: too many disk checkpoint requests for domain"),
    ],
)
def test_refused_checkpoint_disks(disks: str, message: str) -> None:
    found = checkpoint(f"<disks>{disks}</disks>")
    found.domain = domain()
    with pytest.raises(VirtError) as caught:
        align_checkpoint_disks(found)
    assert str(caught.value) == message
    assert caught.value.domain is ErrorDomain.DOMAIN_CHECKPOINT


def test_a_domain_without_disks_has_no_checkpoints() -> None:
    found = checkpoint("")
    with pytest.raises(VirtError, match="internal error: missing domain in checkpoint"):
        align_checkpoint_disks(found)
    found.domain = Domain(type="test", name="guest")  # type: ignore[arg-type]
    with pytest.raises(VirtError, match="domain must have at least one disk to perform checkpoints"):
        align_checkpoint_disks(found)


def test_redefined_checkpoints() -> None:
    with pytest.raises(VirtError, match="XML error: a redefined checkpoint must have a name"):
        checkpoint("", redefine=True)
    with pytest.raises(VirtError, match="internal error: missing creationTime from existing checkpoint"):
        checkpoint("<name>c</name>", redefine=True)
    found = checkpoint(
        "<name>c</name><creationTime>7</creationTime><parent><name>p</name></parent><disks><disk name='vda'/></disks>"
        + DOMAIN,
        redefine=True,
    )
    with pytest.raises(InvalidArg, match="definition for checkpoint c must use uuid 2"):
        check_redefined_checkpoint(found, "2")
    check_redefined_checkpoint(found, UUID)
    assert (found.parent, found.creation_time, [disk.bitmap for disk in found.disks]) == ("p", 7, ["c", None, None])


@pytest.mark.parametrize(
    "content",
    ["<name>../escape</name>", "<disks><disk/></disks>", "<disks><disk name='vda' checkpoint='maybe'/></disks>"],
)
def test_the_schema_decides_about_checkpoints(content: str) -> None:
    with pytest.raises(VirtError, match="Unable to validate doc against") as caught:
        checkpoint(content)
    assert caught.value.code.name == "XML_INVALID_SCHEMA"


# -------------------------------------------------------------------------------------------------------------- backups


def test_push_generates_files_where_it_can() -> None:
    backup = load_backup("<domainbackup><disks><disk name='vda'/></disks></domainbackup>")
    align_backup_disks(backup, domain(), "77")
    assert format_backup(backup) == (
        "<domainbackup mode='push'>\n  <disks>\n    <disk name='vda' backup='yes' type='file' backupmode='full'>\n"
        "      <target file='/images/one.77'/>\n    </disk>\n    <disk name='vdb' backup='no'/>\n"
        "    <disk name='hda' backup='no'/>\n  </disks>\n</domainbackup>\n"
    )
    with pytest.raises(VirtError, match="refusing to generate file name for disk 'vdb'"):
        align_backup_disks(load_backup("<domainbackup/>"), domain(), "77")


def test_a_pull_in_the_status_file() -> None:
    text = (
        "<domainbackup mode='pull'>\n  <incremental>c</incremental>\n  <server transport='unix' socket='/s'/>\n"
        "  <disks>\n    <disk name='vda' backup='yes' state='cancelling' type='block' backupmode='incremental'"
        " incremental='c' exportname='e' exportbitmap='b' index='3'>\n      <driver type='qcow2'/>\n"
        "      <scratch dev='/dev/scratch'/>\n    </disk>\n    <disk name='vdb' backup='no'/>\n  </disks>\n"
        "  <privateData>\n    <objects>\n      <secret type='tlskey' alias='k'/>\n      <TLSx509 alias='t'/>\n"
        "    </objects>\n  </privateData>\n</domainbackup>\n"
    )
    backup = load_backup(text, internal=True)
    assert format_backup(backup, internal=True) == text
    public = format_backup(backup)
    assert "state=" not in public
    assert "privateData" not in public


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<domainbackup mode='x'/>", "unsupported configuration: unknown backup mode 'x'"),
        (
            "<domainbackup mode='pull'><server transport='unix'/></domainbackup>",
            "XML error: missing socket for unix transport",
        ),
        (
            "<domainbackup mode='pull'><server transport='unix' socket='s'/></domainbackup>",
            "XML error: backup socket path 's' must be absolute",
        ),
        (
            "<domainbackup mode='pull'><server name='h' socket='/s'/></domainbackup>",
            "XML error: transport 'tcp' does not support socket attribute",
        ),
        ("<domainbackup mode='pull'><server port='1'/></domainbackup>", "XML error: missing name for host"),
        (
            "<domainbackup mode='pull'><server transport='rdma' name='h'/></domainbackup>",
            "unsupported configuration: transport rdma is not supported for <server>",
        ),
        ("<domainbackup><disks><disk/></disks></domainbackup>", "XML error: missing name from disk backup element"),
        (
            "<domainbackup><disks><disk name='vda'/></disks></domainbackup>",
            "XML error: Missing required attribute 'state' in element 'disk'",
        ),
        (
            "<domainbackup><disks><disk name='vda' state='running' type='dir'/></disks></domainbackup>",
            "XML error: unsupported disk backup type 'dir'",
        ),
    ],
)
def test_refused_backups(text: str, message: str) -> None:
    with pytest.raises(VirtError) as caught:
        load_backup(text, internal=True)
    assert str(caught.value) == message
    assert caught.value.path is not None
    assert caught.value.path.startswith("/domainbackup")


@pytest.mark.parametrize(
    ("disks", "message"),
    [
        ("<disk name='vdz'/>", "no disk named 'vdz'"),
        ("<disk name='vda'/><disk name='vda'/>", "disk 'vda' specified twice"),
        (
            "<disk name='vda' backupmode='incremental'/>",
            "'incremental' backup mode of disk 'vda' requires setting 'incremental' field for disk or backup",
        ),
    ],
)
def test_refused_backup_disks(disks: str, message: str) -> None:
    backup = load_backup(f"<domainbackup><disks>{disks}</disks></domainbackup>")
    with pytest.raises(VirtError) as caught:
        align_backup_disks(backup, domain(), "s")
    assert str(caught.value) == f"unsupported configuration: {message}"
    assert caught.value.path == f"/domainbackup/disks/disk[@name='{caught.value.value}']"
