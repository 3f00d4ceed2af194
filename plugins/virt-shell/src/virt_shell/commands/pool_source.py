"""Commands on what storage pools are made of: finding it, and making a pool of what the options say."""

from __future__ import annotations

from collections.abc import Sequence

from virt_shell.command import Arguments, Option, command, data, flag, string
from virt_shell.commands.pool import BUILD, POOL_TYPE, create_flags
from virt_shell.shell import Shell
from virt_shell.text import escape_xml, read_file


def _find_sources(shell: Shell, kind: str, where: str | None) -> bool:
    with shell.failing(f"Failed to find any {kind} pool sources"):
        found = shell.connection.find_storage_pool_sources(kind, where)
    shell.out(found)
    return True


@command(
    "find-storage-pool-sources-as",
    group="pool",
    help="find potential storage pool sources",
    description="Print from what pools of a type could be made.",
    options=[
        data("type", "type of storage pool sources to find", completer=POOL_TYPE),
        string("host", "optional host to query", unwanted_positional=True),
        string("port", "optional port to query", unwanted_positional=True),
        string("initiator", "optional initiator IQN to use for query", unwanted_positional=True),
    ],
)
def find_sources_as(shell: Shell, args: Arguments) -> bool:
    host, port, initiator = args.get("host"), args.get("port"), args.get("initiator")
    where = None
    if host is not None:
        at = f" port='{escape_xml(port)}'" if port is not None else ""
        where = f"<source>\n  <host name='{escape_xml(host)}'{at}/>\n{_initiator(initiator)}</source>\n"
    return _find_sources(shell, args.require("type"), where)


def _initiator(name: str | None) -> str:
    if name is None:
        return ""
    return f"  <initiator>\n    <iqn name='{escape_xml(name)}'/>\n  </initiator>\n"


@command(
    "find-storage-pool-sources",
    group="pool",
    help="discover potential storage pool sources",
    description="Print from what pools of a type could be made.",
    options=[
        data("type", "type of storage pool sources to discover", completer=POOL_TYPE),
        string("srcSpec", "optional file of source xml to query for pools", unwanted_positional=True),
    ],
)
def find_sources(shell: Shell, args: Arguments) -> bool:
    path = args.get("srcSpec")
    return _find_sources(shell, args.require("type"), read_file(path) if path is not None else None)


#: option -> help of what ``pool-define-as`` and ``pool-create-as`` make a pool of
_PARTS = {
    "source-host": "source-host for underlying storage",
    "source-path": "source path for underlying storage",
    "source-dev": "source device for underlying storage",
    "source-name": "source name for underlying storage",
    "target": "target for underlying storage",
    "source-format": "format for underlying storage",
    "auth-type": "auth type to be used for underlying storage",
    "auth-username": "auth username to be used for underlying storage",
    "secret-usage": "auth secret usage to be used for underlying storage",
    "secret-uuid": "auth secret UUID to be used for underlying storage",
    "adapter-name": "adapter name to be used for underlying storage",
    "adapter-wwnn": "adapter wwnn to be used for underlying storage",
    "adapter-wwpn": "adapter wwpn to be used for underlying storage",
    "adapter-parent": "adapter parent scsi_hostN to be used for underlying vHBA storage",
    "adapter-parent-wwnn": "adapter parent scsi_hostN wwnn to be used for underlying vHBA storage",
    "adapter-parent-wwpn": "adapter parent scsi_hostN wwpn to be used for underlying vHBA storage",
    "adapter-parent-fabric-wwn": "adapter parent scsi_hostN fabric_wwn to be used for underlying vHBA storage",
    "source-protocol-ver": "nfsvers value for NFS pool mount option",
    "source-initiator": "initiator iqn for underlying storage",
}


def _description(args: Arguments) -> str:
    """The document that the options describe."""
    given = {name: escape_xml(value) for name in _PARTS if (value := args.get(name)) is not None}
    lines = [f"<pool type='{escape_xml(args.require('type'))}'>"]
    lines.append(f"  <name>{escape_xml(args.require('name'))}</name>")
    source = _source(given)
    if source:
        lines += ["  <source>", *(f"    {line}" for line in source)]
        if "source-protocol-ver" in given:
            lines.append(f"    <protocol ver='{given['source-protocol-ver']}'/>")
        lines.append("  </source>")
    if "target" in given:
        lines += ["  <target>", f"    <path>{given['target']}</path>", "  </target>"]
    return "\n".join([*lines, "</pool>", ""])


def _source(given: dict[str, str]) -> list[str]:
    """The lines inside of the source, less the version of a protocol, which makes no source of its own."""
    lines = []
    for option, line in (
        ("source-host", "<host name='{}'/>"),
        ("source-path", "<dir path='{}'/>"),
        ("source-dev", "<device path='{}'/>"),
    ):
        if option in given:
            lines.append(line.format(given[option]))
    if "source-initiator" in given:
        lines += ["<initiator>", f"  <iqn name='{given['source-initiator']}'/>", "</initiator>"]
    if {"adapter-wwnn", "adapter-wwpn"} <= given.keys():
        lines.append(
            f"<adapter type='fc_host'{_parent(given)} wwnn='{given['adapter-wwnn']}' wwpn='{given['adapter-wwpn']}'/>"
        )
    elif "adapter-name" in given:
        lines.append(f"<adapter type='scsi_host' name='{given['adapter-name']}'/>")
    secret = next((name for name in ("secret-usage", "secret-uuid") if name in given), None)
    if secret is not None and {"auth-type", "auth-username"} <= given.keys():
        lines += [
            f"<auth type='{given['auth-type']}' username='{given['auth-username']}'>",
            f"  <secret {secret.removeprefix('secret-')}='{given[secret]}'/>",
            "</auth>",
        ]
    if "source-format" in given:
        lines.append(f"<format type='{given['source-format']}'/>")
    if "source-name" in given:
        lines.append(f"<name>{given['source-name']}</name>")
    return lines


def _parent(given: dict[str, str]) -> str:
    """How an adapter names its parent."""
    for names in (
        ("adapter-parent",),
        ("adapter-parent-wwnn", "adapter-parent-wwpn"),
        ("adapter-parent-fabric-wwn",),
    ):
        if given.keys() >= set(names):
            return "".join(f" {n.removeprefix('adapter-').replace('-', '_')}='{given[n]}'" for n in names)
    return ""


def _making_as(verb: str, past: str, description: str, options: Sequence[Option]) -> None:
    """Declare a command that makes a pool of what its options say."""

    def handler(shell: Shell, args: Arguments) -> bool:
        flags = create_flags(args) if verb == "create" else 0
        args.exclusive("secret-usage", "secret-uuid")
        xml = _description(args)
        if "print-xml" in args:
            shell.out(xml)
            return True
        name = args.require("name")
        with shell.failing(f"Failed to {verb} pool {name}"):
            made = getattr(shell.connection, f"{verb}_storage_pool")(xml, flags)
        shell.extra(f"Pool {made.name} {past}\n")
        return True

    command(
        f"pool-{verb}-as",
        group="pool",
        help=f"{verb} a pool from a set of args",
        description=description,
        options=[
            data("name", "name of the pool"),
            data("type", "type of the pool", completer=POOL_TYPE),
            flag("print-xml", "print XML document, but don't define/create"),
            *(string(name, help, unwanted_positional=True) for name, help in _PARTS.items()),
            *options,
        ],
    )(handler)


_making_as("define", "defined", "Define a pool that the options describe.", ())
_making_as("create", "created", "Start a pool that the options describe.", BUILD)
