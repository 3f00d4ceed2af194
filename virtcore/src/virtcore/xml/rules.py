"""Completion and validation in a fixed order: stages of core, functions of a driver hung into them, further checks
of plugins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from virtcore.errors import ErrorDomain, VirtError, XMLInvalidSchema
from virtcore.xml.declare import declaration
from virtcore.xml.document import document
from virtcore.xml.modes import Mode
from virtcore.xml.reader import read_node, root_class, title

if TYPE_CHECKING:
    from lxml.etree import _Element

__all__ = ["Rulebook", "Rules", "Stage", "load", "validate_schema"]

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)
C_contra = TypeVar("C_contra", contravariant=True)
C = TypeVar("C")


class Rulebook(Protocol[T_contra, C_contra]):
    """What :func:`load` needs to finish an object that was read."""

    def complete(self, obj: T_contra, context: C_contra, /) -> None:
        """Fills in defaults; idempotent."""

    def validate(self, obj: T_contra, context: C_contra, /) -> None:
        """Refuses what cannot work; changes nothing."""


class Stage(Generic[T, C]):
    """A named step of completion or validation.

    :param name: under which drivers hang their functions.
    :param run: the generic part; None where only drivers have something to do.
    :param doc: one line for the reference.
    """

    __slots__ = ("doc", "name", "run")

    def __init__(self, name: str, run: Callable[[T, C], None] | None = None, *, doc: str = "") -> None:
        self.name = name
        self.run = run
        self.doc = doc

    def __repr__(self) -> str:
        return f"Stage({self.name!r})"


class Rules(Generic[T, C]):
    """Stages in their order, with what a driver does in each (after the generic part).

    :param completion: stages of :meth:`complete`.
    :param validation: stages of :meth:`validate`.
    :param driver: stage name to the driver's function.
    :param checks: further checks of plugins, after the last validation stage. They can refuse, nothing else.
    :raises ValueError: a stage name is used twice, or the driver names a stage that does not exist.
    """

    def __init__(
        self,
        completion: Iterable[Stage[T, C]],
        validation: Iterable[Stage[T, C]],
        *,
        driver: dict[str, Callable[[T, C], None]] | None = None,
        checks: Iterable[Callable[[T, C], None]] = (),
    ) -> None:
        self.completion = tuple(completion)
        self.validation = tuple(validation)
        self.driver = dict(driver or {})
        self.checks = tuple(checks)
        names = [stage.name for stage in (*self.completion, *self.validation)]
        if len(set(names)) != len(names):
            raise ValueError(f"stage names are not unique: {', '.join(names)}")
        unknown = self.driver.keys() - set(names)
        if unknown:
            raise ValueError(f"no stage {', '.join(sorted(unknown))}; there are {', '.join(names)}")

    def for_driver(
        self, driver: dict[str, Callable[[T, C], None]], checks: Iterable[Callable[[T, C], None]] = ()
    ) -> Rules[T, C]:
        """The same stages with a driver's functions in them, and further checks."""
        return Rules(self.completion, self.validation, driver={**self.driver, **driver}, checks=(*self.checks, *checks))

    def complete(self, obj: T, context: C) -> None:
        """Runs the completion stages."""
        self._run(self.completion, obj, context)

    def validate(self, obj: T, context: C) -> None:
        """Runs the validation stages and the further checks."""
        self._run(self.validation, obj, context)
        for check in self.checks:
            check(obj, context)

    def _run(self, stages: tuple[Stage[T, C], ...], obj: T, context: C) -> None:
        for stage in stages:
            try:
                if stage.run is not None:
                    stage.run(obj, context)
                own = self.driver.get(stage.name)
                if own is not None:
                    own(obj, context)
            except VirtError as error:
                error.add_note(f"in stage {stage.name}")
                raise


def load(
    source: str | bytes,
    cls: type[T] | tuple[type[T], ...],
    rules: Rulebook[T, C] | None = None,
    context: C | None = None,
    *,
    mode: Mode = Mode.INACTIVE,
    validate: bool = False,
    check: bool = True,
    name: str | None = None,
) -> T:
    """Reads a document as libvirt does: unknown content is dropped, then completion, then validation.

    :param cls: class of the root element, or several, of which the root's name chooses one.
    :param rules: how it is completed and validated; None: neither.
    :param context: handed to the rules (architecture, capabilities, configuration).
    :param mode: input mode: fields with ``read=`` count only in their modes.
    :param validate: checked against the schema first (``VIR_DOMAIN_DEFINE_VALIDATE``); unknown content is refused
        thereby.
    :param check: whether the validation stages run (libvirt skips them for stored definitions).
    :param name: what messages call the document; ``(domain_definition)`` and the like by default.
    :raises VirtError: as libvirt's parser, completion and validation refuse.
    """
    root = document(source, name or title(cls))
    kind = root_class(root, cls)
    if validate:
        validate_schema(root, kind)
    obj = read_node(root, kind, mode=mode, keep=False)
    if rules is not None:
        arguments: Any = context
        rules.complete(obj, arguments)
        if check:
            rules.validate(obj, arguments)
    return obj


_SCHEMAS: dict[type, Any] = {}


def validate_schema(root: _Element, cls: type) -> None:
    """Checks a document against the schema of its class.

    :raises XMLInvalidSchema: it does not fit; the message has libxml2's findings.
    """
    from lxml import etree

    from virtcore.xml.relaxng import schema

    compiled = _SCHEMAS.get(cls)
    if compiled is None:
        compiled = _SCHEMAS[cls] = etree.RelaxNG(etree.fromstring(schema(cls).encode()))
    if not compiled.validate(root.getroottree()):
        findings = "\n".join(str(entry.message) for entry in compiled.error_log)
        raise XMLInvalidSchema(
            f"Unable to validate doc against {declaration(cls).name}.rng\n{findings}",
            domain=ErrorDomain.XML,
        )
