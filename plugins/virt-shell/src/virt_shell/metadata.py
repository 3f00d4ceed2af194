"""What domains and networks are described with: ``desc`` and ``metadata``, ``net-desc`` and ``net-metadata``.

The commands of a kind of object are one declaration (:func:`describing`).
"""

from __future__ import annotations

from collections.abc import Callable

from virt_shell.command import Arguments, CommandError, Option, argv, command, data, flag, string
from virt_shell.domains import impact
from virt_shell.edit import edited
from virtcore._typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from virt_shell.shell import Shell

__all__ = ["describing"]

_SCOPE = (
    flag("live", "modify/get running state"),
    flag("config", "modify/get persistent configuration"),
    flag("current", "modify/get current state configuration"),
)


def describing(noun: str, prefix: str, named: Option, find: Callable[[Shell, Arguments], Any], *, module: str) -> None:
    """Declare ``...desc`` and ``...metadata``.

    :param noun: what messages call the object: ``network``; enumeration and error are named after it.
    :param named: the option that names one.
    :param find: gives the object of that option.
    :param module: ``__name__`` of the module that declares the commands.
    """
    title = noun.capitalize()

    def kind_of(member: str) -> Any:
        from virtcore import enums

        return getattr(enums, f"{title}MetadataType")[member]

    def read(found: Any, kind: Any, uri: str | None, flags: int, otherwise: str) -> str:
        from virtcore import errors

        try:
            return str(found.metadata(kind, uri, flags))
        except getattr(errors, f"No{title}Metadata"):
            return otherwise

    def desc(shell: Shell, args: Arguments) -> bool:
        flags = impact(args)
        found = find(shell, args)
        what = "title" if "title" in args else "description"
        kind = kind_of(what.upper())
        before = read(found, kind, None, flags, "")
        if "edit" not in args and "new-desc" not in args:
            if before:
                shell.out(before)
            else:
                shell.extra(f"No {what} for {noun}: {found.name}")
            return True
        text = " ".join(args.words("new-desc")) if "new-desc" in args else before
        if "edit" in args:
            changed = edited(text)
            text = text if changed is None else changed
            if what == "title":
                text = text.removesuffix("\n")  # which some editors enforce
            if text == before:
                shell.extra(f"{title} {what} not changed\n")
                return True
        with shell.failing(f"Failed to set new {noun} {what}"):
            found.set_metadata(kind, text or None, None, None, flags)
        shell.extra(f"{title} {what} updated successfully")
        return True

    def metadata(shell: Shell, args: Arguments) -> bool:
        flags = impact(args)
        for first, second in (("edit", "set"), ("remove", "set"), ("remove", "edit")):
            args.exclusive(first, second)
        found = find(shell, args)
        uri, key, new = args.require("uri"), args.get("key"), args.get("set")
        if (new is not None or "edit" in args) and key is None:
            raise CommandError("namespace key is required when modifying metadata")
        kind = kind_of("ELEMENT")
        if "remove" in args:
            found.set_metadata(kind, None, None, uri, flags)
            shell.extra("Metadata removed\n")
            return True
        if "edit" in args:
            new = edited(read(found, kind, uri, flags, "\n"))
            if new is None:
                shell.extra("Metadata not changed")
                return True
        if new is None:
            shell.out(found.metadata(kind, uri, flags) + "\n")
            return True
        found.set_metadata(kind, new, key, uri, flags)
        shell.extra("Metadata modified\n")
        return True

    desc.__module__ = metadata.__module__ = module  # where they are declared, not where they are written
    command(
        f"{prefix}desc",
        group=noun,
        help=f"show or set {noun}'s description or title",
        description=f"Print or change the description or title of a {noun}.",
        options=[
            named,
            *_SCOPE,
            flag("title", "modify/get the title instead of description"),
            flag("edit", "open an editor to modify the description"),
            argv("new-desc", "message"),
        ],
    )(desc)
    command(
        f"{prefix}metadata",
        group=noun,
        help=f"show or set {noun}'s custom XML metadata",
        description=f"Print or change the metadata that programs keep in a {noun}'s XML.",
        options=[
            named,
            data("uri", "URI of the namespace"),
            *_SCOPE,
            flag("edit", "use an editor to change the metadata"),
            string("key", "key to be used as a namespace identifier", unwanted_positional=True),
            string("set", "new metadata to set", unwanted_positional=True),
            flag("remove", "remove the metadata corresponding to an uri"),
        ],
    )(metadata)
