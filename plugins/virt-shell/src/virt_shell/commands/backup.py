"""Commands on backups of running domains."""

from __future__ import annotations

from virt_shell.command import Arguments, command, flag, string
from virt_shell.domains import ACTIVE
from virt_shell.objects import XPATH
from virt_shell.shell import Shell
from virt_shell.text import read_file, select_xpath


@command(
    "backup-begin",
    group="backup",
    help="Start a disk backup of a live domain",
    description="Begin to copy the disks of a running domain, or what changed since a checkpoint.",
    options=[
        ACTIVE,
        string("backupxml", "domain backup XML", positional=True),
        string("checkpointxml", "domain checkpoint XML", unwanted_positional=True),
        flag("reuse-external", "reuse files provided by caller"),
    ],
)
def backup_begin(shell: Shell, args: Arguments) -> bool:
    from virtcore.enums import DomainBackupBeginFlags

    domain = shell.domain(args)
    path, checkpoint = args.get("backupxml"), args.get("checkpointxml")
    xml = read_file(path) if path is not None else "<domainbackup/>"
    flags = args.flags(DomainBackupBeginFlags, {"reuse-external": "REUSE_EXTERNAL"})
    domain.backup_begin(xml, read_file(checkpoint) if checkpoint is not None else None, flags)
    shell.extra("Backup started\n")
    return True


@command(
    "backup-dumpxml",
    group="backup",
    help="Dump XML for an ongoing domain block backup job",
    description="Print the XML of the backup that is going on.",
    options=[ACTIVE, *XPATH],
)
def backup_dumpxml(shell: Shell, args: Arguments) -> bool:
    shell.out(select_xpath(shell.domain(args).backup_xml(), args.get("xpath"), wrap="wrap" in args))
    return True
