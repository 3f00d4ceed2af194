"""Commands on what a domain is called and described as: id, name, UUID, title, description, metadata."""

from __future__ import annotations

from virt_shell.command import Arguments, CommandError, argv, command, data, flag, string
from virt_shell.completion import domains, inactive_domains
from virt_shell.domains import DOMAIN, impact
from virt_shell.edit import edited
from virt_shell.shell import Shell

#: ``--live``, ``--config``, ``--current`` of what is read and written.
_SCOPE = (
    flag("live", "modify/get running state"),
    flag("config", "modify/get persistent configuration"),
    flag("current", "modify/get current state configuration"),
)


@command(
    "domid",
    group="domain",
    help="convert a domain name or UUID to domain id",
    options=[data("domain", "domain name or uuid", completer=domains)],
)
def domid(shell: Shell, args: Arguments) -> bool:
    domain = shell.domain(args, by="uuid name")
    shell.out(f"{domain.id}\n" if domain.id >= 0 else "-\n")
    return True


@command(
    "domname",
    group="domain",
    help="convert a domain id or UUID to domain name",
    options=[data("domain", "domain id or uuid", completer=domains)],
)
def domname(shell: Shell, args: Arguments) -> bool:
    shell.out(shell.domain(args, by="id uuid").name + "\n")
    return True


@command(
    "domuuid",
    group="domain",
    help="convert a domain name or id to domain UUID",
    options=[data("domain", "domain id or name", completer=domains)],
)
def domuuid(shell: Shell, args: Arguments) -> bool:
    shell.out(shell.domain(args, by="id name").uuid + "\n")
    return True


@command(
    "domrename",
    group="domain",
    help="rename a domain",
    description="Give an inactive domain another name.",
    options=[
        data("domain", "domain name or uuid", completer=inactive_domains),
        data("new-name", "new domain name"),
    ],
)
def domrename(shell: Shell, args: Arguments) -> bool:
    domain = shell.domain(args, by="uuid name")
    domain.rename(args.require("new-name"))
    shell.extra("Domain successfully renamed\n")
    return True


@command(
    "desc",
    group="domain",
    help="show or set domain's description or title",
    description="Print or change the description or title of a domain.",
    options=[
        DOMAIN,
        *_SCOPE,
        flag("title", "modify/get the title instead of description"),
        flag("edit", "open an editor to modify the description"),
        argv("new-desc", "message"),
    ],
)
def desc(shell: Shell, args: Arguments) -> bool:
    from virtcore.enums import DomainMetadataType
    from virtcore.errors import NoDomainMetadata

    flags = impact(args)
    domain = shell.domain(args)
    titled = "title" in args
    kind = DomainMetadataType.TITLE if titled else DomainMetadataType.DESCRIPTION

    def present() -> str:
        try:
            text: str = domain.metadata(kind, None, flags)
        except NoDomainMetadata:
            return ""
        return text

    text = " ".join(args.words("new-desc"))
    if "edit" not in args and "new-desc" not in args:
        found = present()
        if found:
            shell.out(found)
        else:
            shell.extra(f"No {'title' if titled else 'description'} for domain: {domain.name}")
        return True
    if "edit" in args:
        before = text or present()
        after = edited(before)
        if after is None:
            shell.extra(f"Domain {'title' if titled else 'description'} not changed")
            return True
        text = after.removesuffix("\n")
    with shell.failing(f"Failed to set new domain {'title' if titled else 'description'}"):
        domain.set_metadata(kind, text or None, None, None, flags)
    shell.extra(f"Domain {'title' if titled else 'description'} updated successfully")
    return True


@command(
    "metadata",
    group="domain",
    help="show or set domain's custom XML metadata",
    description="Print or change the metadata that programs keep in a domain's XML.",
    options=[
        DOMAIN,
        data("uri", "URI of the namespace"),
        *_SCOPE,
        flag("edit", "use an editor to change the metadata"),
        string("key", "key to be used as a namespace identifier", unwanted_positional=True),
        string("set", "new metadata to set", unwanted_positional=True),
        flag("remove", "remove the metadata corresponding to an uri"),
    ],
)
def metadata(shell: Shell, args: Arguments) -> bool:
    from virtcore.enums import DomainMetadataType
    from virtcore.errors import NoDomainMetadata

    flags = impact(args)
    for first, second in (("edit", "set"), ("remove", "set"), ("remove", "edit")):
        args.exclusive(first, second)
    domain = shell.domain(args)
    uri, key, new = args.require("uri"), args.get("key"), args.get("set")
    if (new is not None or "edit" in args) and key is None:
        raise CommandError("namespace key is required when modifying metadata")
    kind = DomainMetadataType.ELEMENT
    if "remove" in args:
        domain.set_metadata(kind, None, None, uri, flags)
        shell.extra("Metadata removed\n")
        return True
    if "edit" in args:
        try:
            before = domain.metadata(kind, uri, flags)
        except NoDomainMetadata:
            before = "\n"
        new = edited(before)
        if new is None:
            shell.extra("Metadata not changed")
            return True
    if new is None:
        shell.out(domain.metadata(kind, uri, flags) + "\n")
        return True
    domain.set_metadata(kind, new, key, uri, flags)
    shell.extra("Metadata modified\n")
    return True
