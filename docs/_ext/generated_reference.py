"""Write the reference pages that follow from the declarations, before Sphinx reads its sources.

They go to ``docs/generated/`` and are not checked in: operations, typed parameters, events, libvirt's functions, which
driver implements what, hooks, URI schemes, the elements of every kind of XML document, virtsh's commands.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

import virsh_beside

from virt_shell.command import GROUPS, Option, all_commands
from virtcore._schemes import DISTRIBUTIONS
from virtcore.driver.base import Driver
from virtcore.driver.hooks import Specifications
from virtcore.driver.service import ServiceDriver
from virtcore.model.schemas import SCHEMAS, document_classes
from virtcore.operations import events, parameters
from virtcore.operations.accounts import absence, counterpart
from virtcore.operations.declare import Operation, all_operations
from virtcore.operations.functions import FUNCTIONS
from virtcore.operations.parameters import PARAMETERS, ParameterGroup
from virtcore.operations.spellings import of_function, spellings_of
from virtcore.operations.wire.events import EVENTS
from virtcore.xml.declare import declaration
from virtcore.xml.reference import Row, describe, walk


def heading(title: str, line: str = "=") -> str:
    return f"{title}\n{line * len(title)}\n\n"


def table(*rows: tuple[str, ...]) -> str:
    """Return a reST list table; the first row is its head."""
    lines = [".. list-table::", "   :header-rows: 1", ""]
    for row in rows:
        cells = [" ".join(cell.split()) for cell in row]  # a cell is one line
        lines += [f"   {'* -' if number == 0 else '  -'} {cell}".rstrip() for number, cell in enumerate(cells)]
    return "\n".join(lines) + "\n\n"


def families() -> dict[str, list[Operation]]:
    found: dict[str, list[Operation]] = {}
    for record in all_operations().values():
        found.setdefault(record.family, []).append(record)
    return found


def signature(record: Operation) -> str:
    """Return the call as a user of the object writes it: without self, the object and the driver's result wrapper."""
    declared = record.signature
    parameters = list(declared.parameters.values())[1:]
    if record.family != "connection":
        parameters = parameters[1:]
    text = str(declared.replace(parameters=parameters)).replace("'", "")
    return re.sub(r"Result\[(.*)\]$", r"\1", text)


def operations() -> str:
    page = heading("Operations")
    page += (
        "What a driver implements and a user calls, sync or async. *Query* reads; *change* is a job, once begun.\n\n"
    )
    for family, records in families().items():
        page += heading(family.replace("_", " ").capitalize(), "-")
        for record in records:
            body = inspect.cleandoc(record.function.__doc__ or "")
            kind = f"*{record.kind.value}{', can be aborted' if record.abortable else ''}"
            kind += f"{', for core and peers only' if record.internal else ''}*"
            indented = "\n".join(f"   {line}".rstrip() for line in body.splitlines())
            page += f".. py:method:: {family}.{record.face_name}{signature(record)}\n   :no-index-entry:\n\n"
            page += f"   {kind}{spelled(record)}\n\n{indented}\n\n"
    return page


def typed_parameters() -> str:
    page = heading("Typed parameters") + "Names, types and units of typed parameters, group by group.\n\n"
    groups = {name: value for name, value in vars(parameters).items() if isinstance(value, ParameterGroup)}
    for name, group in sorted(groups.items()):
        users = [f"``{operation}``" for operation, other in PARAMETERS.items() if other is group]
        page += heading(f"{name}: {group.name}", "-") + group.doc + "\n\n"
        page += f"Of {', '.join(users)}.\n\n" if users else ""
        rows = [("name", "type", "unit", "")]
        for one in group:
            notes = [one.doc, *(["several times"] if one.repeated else []), *(["secret"] if one.secret else [])]
            rows.append((literal(one.name), one.type.name.lower(), literal(one.unit), "; ".join(notes)))
        page += table(*rows)
    return page


def event_classes() -> str:
    page = heading("Events") + inspect.cleandoc(events.__doc__ or "") + "\n\n"
    numbers = {row.event: f"{row.family} event {row.id}" for row in EVENTS if row.family}
    for name in events.__all__:
        cls = getattr(events, name)
        if not isinstance(cls, type) or not issubclass(cls, tuple):
            continue
        types = {name: getattr(declared, "__forward_arg__", declared) for name, declared in cls.__annotations__.items()}
        fields = ", ".join(f"{name}: {declared}" for name, declared in types.items())
        body = "\n".join(f"   {line}".rstrip() for line in inspect.cleandoc(cls.__doc__ or "").splitlines())
        number = f"   *{numbers[cls]}*\n\n" if cls in numbers else ""
        page += f".. py:class:: {name}({fields})\n   :no-index-entry:\n\n{number}{body}\n\n"
    return page


def spelled(record: Operation) -> str:
    """Return libvirt's functions for an operation, with the version that brought each."""
    names = [f"``{row.function}`` ({row.since or 'no version'})" for row in spellings_of(record.name)]
    return f"; in libvirt {', '.join(names)}" if names else "; not in libvirt"


def functions() -> str:
    rows = [("function", "since", "needs read-write", "procedure", "in virtcore")]
    for name, (since, write, procedure) in sorted(FUNCTIONS.items()):
        spelling = of_function(name)
        needed = "yes" if write is True else "no" if write is False else "by flags or arguments"
        other = counterpart(name)
        found = f"operation ``{spelling.operation}``" if spelling is not None else f"``virtcore.{other}``"
        found = absence(name) or found
        rows.append((f"``{name}``", since, needed, f"``{procedure}``" if procedure else "", found))
    text = "libvirt's public functions and what each one is here: an operation, something else, or nothing and why.\n\n"
    return heading("libvirt's functions") + text + table(*rows)


def hooks() -> str:
    page = heading("Hooks") + "What several plugins may answer at once; entry points of group ``virtcore.plugins``.\n\n"
    for name, function in vars(Specifications).items():
        if not name.startswith("virtcore_"):
            continue
        declared = inspect.signature(function)
        shown = str(declared.replace(parameters=list(declared.parameters.values())[1:])).replace("'", "")
        body = "\n".join(f"   {line}".rstrip() for line in inspect.cleandoc(function.__doc__ or "").splitlines())
        page += f".. py:function:: {name}{shown}\n   :no-index-entry:\n\n{body}\n\n"
    page += heading("Of the toolkit", "-")
    page += "What drivers over ``virtcore.driver.toolkit`` override, class by class.\n\n"
    for cls, methods in toolkit_hooks().items():
        page += heading(f"{cls.__module__}.{cls.__qualname__}", "~")
        for name, (shown, doc) in methods.items():
            body = "\n".join(f"   {line}".rstrip() for line in inspect.cleandoc(doc).splitlines())
            page += f".. py:method:: {cls.__qualname__}.{name}{shown}\n   :no-index-entry:\n\n{body}\n\n"
    return page


def modules(package: ModuleType) -> Iterator[ModuleType]:
    """Every module of a package."""
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        yield importlib.import_module(found.name)


def toolkit_hooks() -> dict[type, dict[str, tuple[str, str]]]:
    """The hooks of the toolkit: class -> name -> signature and documentation, which begins with "Hook"."""
    from virtcore.driver import toolkit

    found: dict[type, dict[str, tuple[str, str]]] = {}
    for module in modules(toolkit):
        for cls in vars(module).values():
            if not inspect.isclass(cls) or cls.__module__ != module.__name__:
                continue
            for name, member in vars(cls).items():
                function = inspect.unwrap(getattr(member, "fget", None) or getattr(member, "__func__", member))
                doc = getattr(function, "__doc__", None)
                if inspect.isfunction(function) and doc and doc.startswith("Hook"):
                    declared = inspect.signature(function)
                    parameters = [one for one in declared.parameters.values() if one.name not in ("self", "cls")]
                    shown = str(declared.replace(parameters=parameters)).replace("'", "")
                    found.setdefault(cls, {})[name] = ("" if isinstance(member, property) else shown, doc)
    return found


def usage(option: Option) -> str:
    """Return an option as it is written on the command line."""
    value = {"int": " NUMBER", "string": " STRING", "argv": " STRING..."}.get(option.type, "")
    return literal(f"--{option.name}{value}")


def commands() -> str:
    page = heading("virtsh") + "The commands of ``virtsh``, with virsh's names, options and output.\n\n"
    for group in GROUPS:
        shown = [known for known in all_commands() if known.group == group.keyword and not known.hidden]
        if shown:
            page += heading(group.title, "-")
        for command in shown:
            page += heading(command.name, "~") + (command.description or command.help) + "\n\n"
            rows = [("option", "")]
            for option in command.options:
                same = f"The same as {literal('--' + option.alias_of)}." if option.type == "alias" else option.help
                rows.append((usage(option), f"{'Required: ' if option.required else ''}{same}"))
            page += table(*rows) if len(rows) > 1 else ""
    return page


def literal(text: str) -> str:
    """Return inline literal markup; reST has none that is empty."""
    return f"``{text}``" if text else ""


def label(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}".replace("_", "-").lower()


def field_type(row: Row) -> str:
    if row.classes:
        names = ", ".join(f":ref:`{cls.__qualname__} <{label(cls)}>`" for cls in row.classes)
        return f"list of {names}" if row.many else names
    if row.values:
        return ", ".join(literal(value) for value in row.values)
    return literal(row.type.removesuffix(" | None"))


def element(cls: type) -> str:
    """Return the section of an element class."""
    facts = declaration(cls)
    name = f"<{facts.name}>: {cls.__qualname__}" if facts.name else cls.__qualname__
    page = f".. _{label(cls)}:\n\n" + heading(name, "-")
    page += " ".join(filter(None, (facts.doc, f"Since {facts.since}." if facts.since else ""))) + "\n\n"
    fields = [("in the XML", "in Python", "value", "since", "")]
    for row in describe(cls):
        doc = " ".join(filter(None, ("Required." if row.required else "", row.doc)))
        fields.append((literal(row.path), literal(row.key), field_type(row), row.since or "", doc))
    return page + (table(*fields) if len(fields) > 1 else "")


#: What a kind of document is called. The domain comes first: an element that several kinds have is described once.
DOCUMENTS = {
    "domain": "Domain",
    "domainsnapshot": "Domain snapshot",
    "domaincheckpoint": "Domain checkpoint",
    "domainbackup": "Domain backup",
    "domaincaps": "Domain capabilities",
    "network": "Network",
    "networkport": "Network port",
    "nwfilter": "Network filter",
    "nwfilterbinding": "Network filter binding",
    "storagepool": "Storage pool",
    "storagevol": "Storage volume",
    "storagepoolcaps": "Storage pool capabilities",
    "nodedev": "Node device",
    "interface": "Host interface",
    "secret": "Secret",
    "capability": "Host capabilities",
    "cpu": "CPU",
}


def document_pages() -> dict[str, Callable[[], str]]:
    """Return a page for every kind of document that has a schema."""
    assert DOCUMENTS.keys() == SCHEMAS.keys()
    pages: dict[str, Callable[[], str]] = {}
    described: set[type] = set()
    for name, title in DOCUMENTS.items():
        classes = list(dict.fromkeys(cls for root in document_classes(name) for cls in walk(root)))
        new = [cls for cls in classes if cls not in described]
        described.update(new)
        pages[f"{name}-xml"] = partial(document_page, name, title, new)
    return pages


def document_page(name: str, title: str, classes: list[type]) -> str:
    """Return the page of a kind of document: its roots, and the elements that no page before it describes."""
    roots = document_classes(name)
    places = ", ".join(f":ref:`{cls.__qualname__} <{label(cls)}>` (``{cls.__module__}``)" for cls in roots)
    text = f"Every element of the XML and where it stands in the object model: {places}. Schema ``{name}``.\n\n"
    return heading(f"{title} XML") + text + "".join(element(cls) for cls in classes)


def drivers() -> dict[str, type[Driver]]:
    found: dict[str, type[Driver]] = {}
    for point in sorted(entry_points(group="virtcore.drivers")):
        found[point.name] = point.load()
    return found


def service_classes() -> dict[str, type[ServiceDriver]]:
    return {point.name: point.load() for point in sorted(entry_points(group="virtcore.services"))}


def support() -> str:
    classes = {name: driver for name, driver in drivers().items() if driver.wanted_services is None}
    found = service_classes()
    rows = [("operation", *classes, "service")]
    for name, record in all_operations().items():
        service = found.get(record.service) if record.service is not None else None
        shared = "yes" if service is not None and service.implements(record) else ""
        rows.append(
            (f"``{name}``", *("yes" if driver.implements(record) else "" for driver in classes.values()), shared)
        )
    text = (
        "Which driver implements which operation. What a service of the host has is there for every driver that works "
        "on this host and does not bring the service itself, and for connections to that service alone.\n\n"
    )
    return heading("Support matrix") + text + table(*rows)


def schemes() -> str:
    served = {point.name for point in entry_points(group="virtcore.drivers")}
    rows = [("scheme", "distribution", "driver")]
    for scheme, distribution in sorted(DISTRIBUTIONS.items()):
        rows.append((f"``{scheme}``", f"``{distribution}``", "yes" if scheme in served else "not yet"))
    return heading("URI schemes") + "Which of the project's distributions serves which scheme.\n\n" + table(*rows)


PAGES = {
    "operations": operations,
    "parameters": typed_parameters,
    "events": event_classes,
    "functions": functions,
    "support": support,
    "schemes": schemes,
    "hooks": hooks,
    **document_pages(),
    "virtsh": commands,
    "virsh-beside": lambda: virsh_beside.page(heading, table),
}


def write(app: Sphinx) -> None:
    folder = Path(app.srcdir) / "generated"
    folder.mkdir(exist_ok=True)
    for name, page in PAGES.items():
        path = folder / f"{name}.rst"
        text = page()
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("builder-inited", write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
