"""What commands on snapshots and checkpoints have in common: making, finding, printing, listing and removing one."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence

from virt_shell.command import Arguments, CommandError, Option, argv, command, flag, string
from virt_shell.domains import DOMAIN
from virt_shell.edit import edited
from virt_shell.objects import XPATH
from virt_shell.table import Table
from virt_shell.text import escape_xml, read_file, select_xpath, split_list
from virt_shell.tree import render_trees
from virtcore._tuples import NamedTuple
from virtcore._typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from virt_shell.command import Handler
    from virt_shell.shell import Shell
    from virtcore.api.sync import Domain, DomainCheckpoint, DomainSnapshot

    Moment = DomainSnapshot | DomainCheckpoint

__all__ = ["MomentKind", "attributes", "element"]


class MomentKind(NamedTuple):
    """Snapshots, or checkpoints.

    :ivar module: ``__name__`` of the module that declares the commands.
    :ivar noun: ``snapshot``; also part of the names of commands, options and the domain's methods.
    :ivar root: the element of the document.
    :ivar missing: name of the error that says that there is none.
    :ivar current: whether ``--current`` stands for one.
    :ivar filters: the options of a list that do not go with ``--tree``.
    """

    module: str
    noun: str
    root: str
    missing: str
    current: bool
    filters: Sequence[str]

    def flags(self, call: str, options: Container[str]) -> int:
        """The flags of ``call`` (``Create``, ``Delete``, ``List``, ``XML``, ...) that the options stand for."""
        from virtcore import enums

        bits = 0
        # With the aliases: to begin at the roots and to descend from one are the same bit.
        for name, member in getattr(enums, f"Domain{self.noun.title()}{call}Flags").__members__.items():
            option = _SPELLED.get((call, name)) or name.lower().replace("_", "-")
            if option in options:
                bits |= member
        return bits

    # -- finding one

    def names(self, shell: Shell, args: Arguments) -> Sequence[str]:
        """Names of the domain's snapshots or checkpoints."""
        return [moment.name for moment in self._list(shell.domain(args), 0)]

    def named(self, help: str, *, required: bool = True) -> Option:
        """The option that names one."""
        return string(f"{self.noun}name", help, required=required, positional=True, completer=self.names)

    def lookup(self, domain: Domain, name: str) -> Any:
        """The snapshot or checkpoint of a name."""
        return getattr(domain, f"lookup_{self.noun}")(name)

    def find(self, domain: Domain, args: Arguments, option: str = "", *, exclusive: bool = True) -> Any:
        """The one that an option names, or with ``--current`` the current one."""
        option = option or f"{self.noun}name"
        name = args.get(option)
        current = self.current and "current" in args
        if exclusive and current and name is not None:
            raise CommandError(f"--{option} and --current are mutually exclusive")
        if name is not None:
            return self.lookup(domain, name)
        if current:
            return domain.current_snapshot()
        raise CommandError(f"--{option}{' or --current' if self.current else ''} is required")

    def parent(self, moment: Moment) -> str | None:
        """Name of the one before; None for a root."""
        from virtcore import errors

        try:
            found: str = moment.parent().name
        except getattr(errors, self.missing):
            return None
        except errors.VirtError as problem:
            raise CommandError(f"unable to determine if {self.noun} has parent") from problem
        return found

    def _list(self, start: Any, flags: int) -> list[Any]:
        found: list[Any] = getattr(start, f"list_{self.noun}s")(flags)
        return found

    def make(self, domain: Domain, xml: str, flags: int) -> Any:
        """Make one of a document."""
        return getattr(domain, f"create_{self.noun}")(xml, flags)

    # -- declaring commands

    def declare(self, verb: str, handler: Handler, help: str, description: str, options: Sequence[Option]) -> None:
        """Declare one command."""
        handler.__module__ = self.module  # where it is declared, not where it is written
        command(f"{self.noun}-{verb}", group=self.noun, help=help, description=description, options=options)(handler)

    def creating(self, options: Sequence[Option]) -> None:
        """Declare ``...create``."""

        def handler(shell: Shell, args: Arguments) -> bool:
            if "redefine-validate" in args:
                args.needs("redefine-validate", "redefine")
            domain = shell.domain(args)
            path = args.get("xmlfile")
            xml = read_file(path) if path is not None else f"<{self.root}/>"
            made = self.make(domain, xml, self.flags("Create", args))
            shell.extra(f"Domain {self.noun} {made.name} created" + (f" from '{path}'" if path is not None else ""))
            return True

        xmlfile = string("xmlfile", f"domain {self.noun} XML", positional=True)
        text = f"Make a {self.noun} of a domain, as a document says."
        self.declare("create", handler, f"Create a {self.noun} from XML", text, [DOMAIN, xmlfile, *options])

    def creating_from_arguments(
        self, options: Sequence[Option], diskspec: str, disk: Callable[[str], str], memory: Callable[[str], str] | None
    ) -> None:
        """Declare ``...create-as``.

        :param disk, memory: the element of one specification; a ``ValueError`` refuses it.
        """

        def handler(shell: Shell, args: Arguments) -> bool:
            domain = shell.domain(args)
            lines = [f"<{self.root}>\n"]
            for name in ("name", "description"):
                value = args.get(name)
                if value is not None:
                    lines.append(f"  <{name}>{escape_xml(value)}</{name}>\n")
            if memory is not None and "memspec" in args:
                lines.append(f"  {_part(memory, 'memspec', args.require('memspec'), shell)}\n")
            if "diskspec" in args:
                lines.append("  <disks>\n")
                for spec in args.words("diskspec"):
                    lines += [f"    {line}\n" for line in _part(disk, "diskspec", spec, shell).splitlines()]
                lines.append("  </disks>\n")
            xml = "".join([*lines, f"</{self.root}>\n"])
            if "print-xml" in args:
                shell.out(xml + "\n")
                return True
            made = self.make(domain, xml, self.flags("Create", args))
            shell.extra(f"Domain {self.noun} {made.name} created")
            return True

        self.declare(
            "create-as",
            handler,
            f"Create a {self.noun} from a set of args",
            f"Make a {self.noun} of a domain, as the options say.",
            [
                DOMAIN,
                string("name", f"name of {self.noun}", unwanted_positional=True),
                string("description", f"description of {self.noun}", unwanted_positional=True),
                flag("print-xml", "print XML document rather than create"),
                *options,
                argv("diskspec", diskspec, positional=False, unwanted_positional=True),
            ],
        )

    def deleting(self, options: Sequence[Option]) -> None:
        """Declare ``...delete``."""

        def handler(shell: Shell, args: Arguments) -> bool:
            moment = self.find(shell.domain(args), args)
            with shell.failing(f"Failed to delete {self.noun} {moment.name}"):
                moment.delete(self.flags("Delete", args))
            children = " children" if "children-only" in args else ""
            shell.extra(f"Domain {self.noun} {moment.name}{children} deleted\n")
            return True

        self.declare(
            "delete",
            handler,
            f"Delete a domain {self.noun}",
            f"Remove a {self.noun} and what it keeps; those after it stay.",
            [
                DOMAIN,
                *options,
                flag("children", f"delete {self.noun} and all children"),
                flag("children-only", f"delete children but not {self.noun}"),
                flag("metadata", f"delete only libvirt metadata, leaving {self.noun} contents behind"),
            ],
        )

    def dumping(self, options: Sequence[Option]) -> None:
        """Declare ``...dumpxml``."""

        def handler(shell: Shell, args: Arguments) -> bool:
            xml = self.find(shell.domain(args), args).xml(self.flags("XML", args))
            shell.out(select_xpath(xml, args.get("xpath"), wrap="wrap" in args))
            return True

        self.declare(
            "dumpxml",
            handler,
            f"Dump XML for a domain {self.noun}",
            f"Print the XML of a {self.noun}.",
            [DOMAIN, self.named(f"{self.noun} name"), *options, *XPATH],
        )

    def telling_parent(self, options: Sequence[Option]) -> None:
        """Declare ``...parent``."""

        def handler(shell: Shell, args: Arguments) -> bool:
            moment = self.find(shell.domain(args), args)
            parent = self.parent(moment)
            if parent is None:
                raise CommandError(f"{self.noun} '{moment.name}' has no parent")
            shell.out(parent)
            return True

        text = f"Print what {self.noun} a {self.noun} was made after."
        self.declare("parent", handler, f"Get the name of the parent of a {self.noun}", text, [DOMAIN, *options])

    def editing(self, options: Sequence[Option], save: Callable[[Domain, Any, str, Arguments, Shell], None]) -> None:
        """Declare ``...edit``.

        :param save: makes it of the changed document.
        """

        def handler(shell: Shell, args: Arguments) -> bool:
            from virtcore.errors import VirtError

            if self.current:
                args.exclusive("rename", "clone")
            domain = shell.domain(args)
            moment = self.find(domain, args, exclusive=False)
            try:
                before = moment.xml(self.flags("XML", ["security-info"]))
                after = edited(before)
                if after is None:
                    # To make it the current one is a change even if its document has none.
                    if not (self.current and "current" in args and args.given(f"{self.noun}name")):
                        shell.extra(f"{self.noun.title()} {moment.name} XML configuration not changed.\n")
                        return True
                    after = before
                save(domain, moment, after, args, shell)
            except VirtError as problem:
                raise CommandError(f"Failed to update {moment.name}") from problem
            except CommandError as problem:
                shell.error(str(problem))
                raise CommandError(f"Failed to update {moment.name}") from problem.__cause__
            return True

        text = f"Open the XML of a {self.noun} in the editor and redefine what was saved."
        self.declare("edit", handler, f"edit XML for a {self.noun}", text, [DOMAIN, *options])

    # -- listing

    def listing(self, options: Sequence[Option], state: bool) -> None:
        """Declare ``...list``.

        :param state: a column tells the state of the domain.
        """

        def handler(shell: Shell, args: Arguments) -> bool:
            for first, second in _EXCLUSIVE:
                args.exclusive(first, second)
            if self.current:
                args.exclusive("roots", "current")
            if "tree" in args:
                for option in self.filters:
                    if option in args:
                        raise CommandError(f"--{option} and --tree are mutually exclusive")
            started = "from" in args or (self.current and "current" in args)
            if "descendants" in args and not started:
                needed = "requires either --from or --current" if self.current else "requires --from"
                raise CommandError(f"--descendants {needed}")
            domain = shell.domain(args)
            start = self.find(domain, args, "from") if started else None
            moments = self._collect(domain, start, args, shell)
            if "tree" in args:
                nodes = [(moment.name, self._parent_below(moment, start)) for moment in moments]
                shell.out(render_trees(nodes))
            elif "name" in args:
                for moment in moments:
                    parent = self.parent(moment) if "parent" in args else None
                    shell.out(f"{moment.name}\n" if parent is None else f"{moment.name}\t{parent}\n")
            else:
                shell.out(self._table(moments, state, "parent" in args).render(header=not shell.quiet))
            return True

        self.declare(
            "list",
            handler,
            f"List {self.noun}s for a domain",
            f"Print the {self.noun}s of a domain.",
            [
                DOMAIN,
                flag("parent", f"add a column showing parent {self.noun}"),
                flag("roots", f"list only {self.noun}s without parents"),
                flag("leaves", f"list only {self.noun}s without children"),
                flag("no-leaves", f"list only {self.noun}s that are not leaves (with children)"),
                *options,
                flag("tree", f"list {self.noun}s in a tree"),
                string(
                    "from",
                    f"limit list to children of given {self.noun}",
                    unwanted_positional=True,
                    completer=self.names,
                ),
                *([flag("current", f"limit list to children of current {self.noun}")] if self.current else []),
                flag("descendants", "with --from, list all descendants"),
                flag("name", f"list {self.noun} names only"),
                flag("topological", "sort list topologically rather than by name"),
            ],
        )

    def _collect(self, domain: Domain, start: Any, args: Arguments, shell: Shell) -> list[Any]:
        flags = self.flags("List", args)
        if start is None:
            moments = self._list(domain, flags)
        else:
            moments = list(start.list_children(flags | (self.flags("List", ["descendants"]) if "tree" in args else 0)))
            if "tree" in args:
                moments.append(start)
        if "topological" in args:
            return moments
        return sorted(moments, key=lambda moment: moment.name.lower())

    def _parent_below(self, moment: Any, start: Any) -> str | None:
        """Its parent in the tree that begins at ``start``."""
        return None if start is not None and moment.name == start.name else self.parent(moment)

    def _table(self, moments: Sequence[Any], state: bool, parents: bool) -> Table:
        import time

        from lxml import etree

        table = Table("Name", "Creation Time", *(["State"] if state else []), *(["Parent"] if parents else []))
        for moment in moments:
            root = etree.fromstring(moment.xml().encode())
            made = root.findtext("creationTime")
            if made is None or (state and root.findtext("state") is None):
                continue
            cells = [moment.name, time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(int(made)))]
            if state:
                cells.append(root.findtext("state") or "")
            if parents:
                cells.append(root.findtext("parent/name") or "")
            table.add(*cells)
        return table

    def print_family(self, shell: Shell, moment: Any) -> None:
        """Print how many were made after one."""
        shell.out(f"{'Children:':<15} {len(moment.list_children())}\n")
        shell.out(f"{'Descendants:':<15} {len(moment.list_children(self.flags('List', ['descendants'])))}\n")


#: (call, member) -> option, where it is not the member's name
_SPELLED = {
    ("Create", "REUSE_EXT"): "reuse-external",
    ("Delete", "METADATA_ONLY"): "metadata",
    ("XML", "SECURE"): "security-info",
}
_EXCLUSIVE = (("tree", "name"), ("parent", "roots"), ("parent", "tree"), ("roots", "tree"), ("roots", "from"))


def _part(parse: Callable[[str], str], what: str, spec: str, shell: Shell) -> str:
    """The element of a specification."""
    try:
        return parse(spec)
    except ValueError as wrong:
        if str(wrong):
            shell.error(str(wrong))
        raise CommandError(f"unable to parse {what}: {spec}") from None


def attributes(text: str, known: Sequence[str], *, named: bool) -> dict[str, str]:
    """The parts of a specification like ``vda,file=/x``; the first one is the ``name`` when ``named``.

    :raises ValueError: something is not of ``known``, or twice.
    """
    parts = split_list(text)
    found: dict[str, str] = {}
    if named:
        found["name"] = parts.pop(0)
    for part in parts:
        key, equals, value = part.partition("=")
        if not equals and not named and part.startswith("/"):
            key, value = "file", part
        elif not equals or key not in known:
            key = ""
        if not key or key in found:
            raise ValueError
        found[key] = value
    return found


def element(name: str, values: Mapping[str, str | None]) -> str:
    """A start tag without its end, with the attributes that have a value."""
    return f"<{name}" + "".join(f" {key}='{escape_xml(value)}'" for key, value in values.items() if value is not None)
