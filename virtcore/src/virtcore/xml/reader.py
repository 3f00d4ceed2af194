"""Reading: a function is generated for every class on its first use; :func:`parse` runs it on a document."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from virtcore.errors import ErrorDomain, XMLError
from virtcore.xml import problems
from virtcore.xml.declare import declaration
from virtcore.xml.document import document
from virtcore.xml.modes import Mode
from virtcore.xml.plan import plan_of
from virtcore.xml.problems import Reading
from virtcore.xml.readergen import reader_of

if TYPE_CHECKING:
    from lxml.etree import _Element

__all__ = ["parse", "parse_part", "read_node", "root_class"]

T = TypeVar("T")

ALL_MODES = (1 << 60) - 1


def parse(source: str | bytes, cls: type[T] | tuple[type[T], ...], *, name: str | None = None) -> T:
    """Reads a document without losing anything: content that no field declares is kept in ``extra``.

    :param cls: class of the root element, or several, of which the root's name chooses one.
    :param name: what messages call the document; ``(disk_definition)`` and the like by default.
    :raises XMLDetail: malformed XML, with libvirt's message.
    :raises VirtError: a value that libvirt's parser refuses too; ``path``, ``value``, ``nearest`` say more.
    """
    root = document(source, name or title(cls))
    return read_node(root, root_class(root, cls), keep=True)


def title(cls: type | tuple[type, ...]) -> str:
    if isinstance(cls, tuple):
        return "(definition)"
    return f"({declaration(cls).name}_definition)"


def root_class(root: _Element, cls: type[T] | tuple[type[T], ...]) -> type[T]:
    """The class for a root element.

    :raises XMLError: the root is another element.
    """
    candidates = cls if isinstance(cls, tuple) else (cls,)
    for candidate in candidates:
        if declaration(candidate).qualified_name == root.tag:
            return candidate
    expected = declaration(candidates[0]).name
    uri, _, name = str(root.tag).rpartition("}")
    if uri and name == expected:
        raise XMLError(
            f"root element '{name}' is in namespace '{uri[1:]}'", domain=ErrorDomain.XML, path=problems.place(root)
        )
    raise XMLError(
        f"expecting root element of '{expected}', not '{problems.local(str(root.tag))}'",
        domain=ErrorDomain.XML,
        path=problems.place(root),
    )


def parse_part(source: str | bytes, owner: type, *, mode: Mode | None = None, keep: bool = True) -> object:
    """Reads an element that belongs inside another one, such as a device: its class is the one ``owner`` gives it.

    :param owner: the class of the surrounding element, one without required fields (``Devices``).
    :param mode: as for :func:`read_node`.
    :param keep: whether unknown content below the element is kept.
    :raises XMLDetail: malformed XML.
    :raises XMLError: ``owner`` knows no such element; otherwise as :func:`parse`.
    """
    root = document(source, "(device_definition)")
    # The owner's reader, given no attributes and this one child.
    bits = ALL_MODES if mode is None else mode.bits
    holder = reader_of(owner)(root, Reading(bits, keep), [], [root])
    for slot in plan_of(owner).slots():
        value = getattr(holder, slot.key, None)
        if slot.many and value:
            found: object = value[0]
            return found
        if not slot.many and slot.kind != "printed" and value not in (None, False):
            return value
    tag = problems.local(str(root.tag))
    raise XMLError(
        f"'{tag}' is no element of '{declaration(owner).name}'",
        domain=ErrorDomain.XML,
        path=problems.place(root),
        value=tag,
        nearest=problems.nearest(tag, tuple(sorted(plan_of(owner).known()[1]))),
    )


def read_node(node: _Element, cls: type[T], *, mode: Mode | None = None, keep: bool = False) -> T:
    """Reads an element of a tree.

    :param mode: the input mode for fields with ``read=``; None reads all.
    :param keep: whether unknown content is kept.
    """
    result: T = reader_of(cls, declaration(cls).ns)(node, Reading(ALL_MODES if mode is None else mode.bits, keep))
    return result
