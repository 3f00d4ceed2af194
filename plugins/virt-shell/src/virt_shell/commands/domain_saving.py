"""Commands that save domains into files and restore them: save, managedsave, restore, dump and their kin."""

from __future__ import annotations

from virt_shell.command import Arguments, CommandError, command, data, flag, integer, string
from virt_shell.completion import among
from virt_shell.domains import ACTIVE, DOMAIN
from virt_shell.edit import edited
from virt_shell.jobs import watched
from virt_shell.numbers import INT
from virt_shell.objects import XPATH
from virt_shell.shell import Shell
from virt_shell.text import read_file, select_xpath

#: option -> name of the DomainSaveRestoreFlags member
_FLAGS = {
    "bypass-cache": "BYPASS_CACHE",
    "running": "RUNNING",
    "paused": "PAUSED",
    "reset-nvram": "RESET_NVRAM",
}
_VERBOSE = flag("verbose", "display the progress of save")
_SECURITY = flag("security-info", "include security sensitive information in XML dump")


def _save_flags(args: Arguments) -> int:
    from virtcore.enums import DomainSaveRestoreFlags

    return args.flags(DomainSaveRestoreFlags, _FLAGS)


def _image_flags(args: Arguments) -> int:
    from virtcore.enums import DomainSaveImageXMLFlags

    return args.flags(DomainSaveImageXMLFlags, {"security-info": "SECURE"})


def _xml(args: Arguments) -> str | None:
    """The document of ``--xml``."""
    path = args.get("xml")
    return read_file(path) if path is not None else None


@command(
    "save",
    group="domain",
    help="save a domain state to a file",
    description="Save the memory of a running domain into a file, and end it.",
    options=[
        ACTIVE,
        data("file", "where to save the data"),
        flag("bypass-cache", "avoid file system cache when saving"),
        integer("parallel-channels", "number of extra IO channels to use for parallel save"),
        string(
            "image-format",
            "format of the save image file",
            completer=among("raw", "gzip", "bzip2", "xz", "lzop", "zstd", "sparse"),
        ),
        string("xml", "filename containing updated XML for the target", unwanted_positional=True),
        flag("running", "set domain to be running on restore"),
        flag("paused", "set domain to be paused on restore"),
        _VERBOSE,
    ],
)
def save(shell: Shell, args: Arguments) -> bool:
    domain, name = shell.domain(args), args.require("domain")
    path, flags = args.require("file"), _save_flags(args)
    channels = args.number("parallel-channels", *INT)
    xml, image_format = _xml(args), args.get("image-format")
    watched(
        shell,
        domain,
        "Save",
        lambda: domain.save(path, xml, image_format, channels, flags),
        verbose="verbose" in args,
        failed=f"Failed to save domain '{name}' to {path}",
    )
    shell.extra(f"\nDomain '{name}' saved to {path}\n")
    return True


@command(
    "restore",
    group="domain",
    help="restore a domain from a saved state in a file",
    description="Start a domain where it was when it was saved into a file.",
    options=[
        data("file", "the state to restore"),
        flag("bypass-cache", "avoid file system cache when restoring"),
        integer("parallel-channels", "number of IO channels to use for parallel restore"),
        string("xml", "filename containing updated XML for the target", unwanted_positional=True),
        flag("running", "restore domain into running state"),
        flag("paused", "restore domain into paused state"),
        flag("reset-nvram", "re-initialize NVRAM from its pristine template"),
    ],
)
def restore(shell: Shell, args: Arguments) -> bool:
    path, flags = args.require("file"), _save_flags(args)
    channels = args.number("parallel-channels", *INT)
    xml = _xml(args)
    with shell.failing(f"Failed to restore domain from {path}"):
        shell.connection.restore(path, xml, channels, flags)
    shell.extra(f"Domain restored from {path}\n")
    return True


# -- files that domains are saved into


@command(
    "save-image-dumpxml",
    group="domain",
    help="saved state domain information in XML",
    description="Print the XML in a file that a domain was saved into.",
    options=[data("file", "saved state file to read"), _SECURITY, *XPATH],
)
def save_image_dumpxml(shell: Shell, args: Arguments) -> bool:
    xml = shell.connection.save_image_xml(args.require("file"), _image_flags(args))
    shell.out(select_xpath(xml, args.get("xpath"), wrap="wrap" in args))
    return True


@command(
    "save-image-define",
    group="domain",
    help="redefine the XML for a domain's saved state file",
    description="Replace the XML in a file that a domain was saved into.",
    options=[
        data("file", "saved state file to modify"),
        data("xml", "filename containing updated XML for the target"),
        flag("running", "set domain to be running on restore"),
        flag("paused", "set domain to be paused on restore"),
    ],
)
def save_image_define(shell: Shell, args: Arguments) -> bool:
    path, flags = args.require("file"), _save_flags(args)
    xml = read_file(args.require("xml"))
    with shell.failing(f"Failed to update {path}"):
        shell.connection.save_image_define_xml(path, xml, flags)
    shell.extra(f"State file {path} updated.\n")
    return True


@command(
    "save-image-edit",
    group="domain",
    help="edit XML for a domain's saved state file",
    description="Open the XML in a file that a domain was saved into in the editor.",
    options=[
        data("file", "saved state file to edit"),
        flag("running", "set domain to be running on restore"),
        flag("paused", "set domain to be paused on restore"),
    ],
)
def save_image_edit(shell: Shell, args: Arguments) -> bool:
    from virtcore.enums import DomainSaveImageXMLFlags

    path, flags = args.require("file"), _save_flags(args)
    if "running" in args and "paused" in args:
        raise CommandError("--running and --paused are mutually exclusive")
    after = edited(shell.connection.save_image_xml(path, DomainSaveImageXMLFlags.SECURE))
    if after is None and not flags:
        shell.extra(f"Saved image {path} XML configuration not changed.\n")
        return True
    if after is None:
        after = shell.connection.save_image_xml(path, DomainSaveImageXMLFlags.SECURE)
    with shell.failing(f"Failed to update {path}"):
        shell.connection.save_image_define_xml(path, after, flags)
    shell.extra(f"State file {path} edited.\n")
    return True


# -- managed save


@command(
    "managedsave",
    group="domain",
    help="managed save of a domain state",
    description="Save the memory of a running domain and end it; its next start goes on from there.",
    options=[
        ACTIVE,
        flag("bypass-cache", "avoid file system cache when saving"),
        flag("running", "set domain to be running on next start"),
        flag("paused", "set domain to be paused on next start"),
        _VERBOSE,
    ],
)
def managedsave(shell: Shell, args: Arguments) -> bool:
    domain, name = shell.domain(args), args.require("domain")
    flags = _save_flags(args)
    watched(
        shell,
        domain,
        "Managedsave",
        lambda: domain.managed_save(flags),
        verbose="verbose" in args,
        failed=f"Failed to save domain '{name}' state",
    )
    shell.extra(f"\nDomain '{name}' state saved by libvirt\n")
    return True


@command(
    "managedsave-remove",
    group="domain",
    help="Remove managed save of a domain",
    description="Have a domain's next start be a fresh one.",
    options=[DOMAIN],
)
def managedsave_remove(shell: Shell, args: Arguments) -> bool:
    domain, name = shell.domain(args), args.require("domain")
    with shell.failing("Failed to check for domain managed save image"):
        there = domain.has_managed_save()
    if there:
        with shell.failing(f"Failed to remove managed save image for domain '{name}'"):
            domain.managed_save_remove()
        shell.extra(f"Removed managedsave image for domain '{name}'")
    else:
        shell.extra(f"Domain '{name}' has no manage save image; removal skipped")
    return True


@command(
    "managedsave-dumpxml",
    group="domain",
    help="Domain information of managed save state file in XML",
    description="Print the XML in a domain's managed save image.",
    options=[DOMAIN, _SECURITY, *XPATH],
)
def managedsave_dumpxml(shell: Shell, args: Arguments) -> bool:
    xml = shell.domain(args).managed_save_xml(_image_flags(args))
    shell.out(select_xpath(xml, args.get("xpath"), wrap="wrap" in args))
    return True


@command(
    "managedsave-define",
    group="domain",
    help="redefine the XML for a domain's managed save state file",
    description="Replace the XML in a domain's managed save image.",
    options=[
        DOMAIN,
        data("xml", "filename containing updated XML for the target"),
        flag("running", "set domain to be running on start"),
        flag("paused", "set domain to be paused on start"),
    ],
)
def managedsave_define(shell: Shell, args: Arguments) -> bool:
    flags = _save_flags(args)
    path = args.require("xml")
    xml = read_file(path)
    domain = shell.domain(args)
    with shell.failing(f"Failed to update {domain.name} XML configuration"):
        domain.managed_save_define_xml(xml, flags)
    shell.extra(f"Managed save state file of domain '{domain.name}' updated.\n")
    return True


@command(
    "managedsave-edit",
    group="domain",
    help="edit XML for a domain's managed save state file",
    description="Open the XML in a domain's managed save image in the editor.",
    options=[
        DOMAIN,
        flag("running", "set domain to be running on start"),
        flag("paused", "set domain to be paused on start"),
    ],
)
def managedsave_edit(shell: Shell, args: Arguments) -> bool:
    from virtcore.enums import DomainSaveImageXMLFlags

    flags = _save_flags(args)
    if "running" in args and "paused" in args:
        raise CommandError("--running and --paused are mutually exclusive")
    domain = shell.domain(args)
    before = domain.managed_save_xml(DomainSaveImageXMLFlags.SECURE)
    after = edited(before)
    if after is None and not flags:
        shell.extra(f"Managed save image of domain '{domain.name}' XML configuration not changed.\n")
        return True
    with shell.failing(f"Failed to update {domain.name} XML configuration"):
        domain.managed_save_define_xml(before if after is None else after, flags)
    shell.extra(f"Managed save image of Domain '{domain.name}' XML configuration edited.\n")
    return True


# -- dump

#: In the order of DomainCoreDumpFormat.
_DUMP_FORMATS = {
    "elf": "RAW",
    "kdump-zlib": "KDUMP_ZLIB",
    "kdump-lzo": "KDUMP_LZO",
    "kdump-snappy": "KDUMP_SNAPPY",
    "win-dmp": "WIN_DMP",
    "kdump-raw-zlib": "KDUMP_RAW_ZLIB",
    "kdump-raw-lzo": "KDUMP_RAW_LZO",
    "kdump-raw-snappy": "KDUMP_RAW_SNAPPY",
}


@command(
    "dump",
    group="domain",
    help="dump the core of a domain to a file for analysis",
    description="Write a domain's memory into a file for a debugger.",
    options=[
        ACTIVE,
        data("file", "where to dump the core"),
        flag("live", "perform a live core dump if supported"),
        flag("crash", "crash the domain after core dump"),
        flag("bypass-cache", "avoid file system cache when dumping"),
        flag("reset", "reset the domain after core dump"),
        flag("verbose", "display the progress of dump"),
        flag("memory-only", "dump domain's memory only"),
        string(
            "format",
            "specify the format of memory-only dump",
            unwanted_positional=True,
            completer=among(*_DUMP_FORMATS),
        ),
    ],
)
def dump(shell: Shell, args: Arguments) -> bool:
    from virtcore.enums import DomainCoreDumpFlags, DomainCoreDumpFormat

    domain, name, path = shell.domain(args), args.require("domain"), args.require("file")
    flags = args.flags(
        DomainCoreDumpFlags,
        {
            "live": "LIVE",
            "crash": "CRASH",
            "bypass-cache": "BYPASS_CACHE",
            "reset": "RESET",
            "memory-only": "MEMORY_ONLY",
        },
    )
    given = args.get("format")
    dump_format = DomainCoreDumpFormat.RAW
    if given is not None:
        if "memory-only" not in args:
            raise CommandError("--format only works with --memory-only")
        if given not in _DUMP_FORMATS:
            known = ", ".join(f"'{word}'" for word in [*list(_DUMP_FORMATS)[1:5]])
            raise CommandError(f"format '{given}' is not supported, expecting {known} or 'elf'")
        dump_format = DomainCoreDumpFormat[_DUMP_FORMATS[given]]
    watched(
        shell,
        domain,
        "Dump",
        lambda: domain.core_dump(path, dump_format, flags),
        verbose="verbose" in args,
        failed=f"Failed to core dump domain '{name}' to {path}",
    )
    shell.extra(f"\nDomain '{name}' dumped to {path}\n")
    return True
