"""Completion and validation in a fixed order: stages of core, functions of a driver hung into them, further checks
of plugins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NamedTuple, Protocol, TypeVar

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


class Stage(NamedTuple):
    """A named step of completion or validation.

    :ivar name: what error notes and the reference call it.
    :ivar run: the step, ``run(rules, obj, context)``: a function of core, or one that calls the driver's hook (a
        method of the rules).
    :ivar driver: it is the driver's hook.
    """

    name: str
    run: Callable[[Any, Any, Any], None]
    driver: bool = False


class Rules(Generic[T, C]):
    """Completion and validation of one kind of object.

    A family of objects subclasses this once, with its stages and a method for each of the driver's hooks. Drivers
    subclass that and override hooks; a stage can be neither replaced nor reordered.

    :param checks: further checks (of plugins), run behind the last validation stage. They can refuse, nothing else.
    """

    #: The stages of :meth:`complete`, in order.
    completion: ClassVar[tuple[Stage, ...]] = ()
    #: The stages of :meth:`validate`, in order.
    validation: ClassVar[tuple[Stage, ...]] = ()

    def __init__(self, checks: Iterable[Callable[[T, C], None]] = ()) -> None:
        self.checks = tuple(checks)

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for name in ("completion", "validation"):
            if name in cls.__dict__ and any(getattr(base, name, ()) for base in cls.__mro__[1:]):
                raise TypeError(f"{cls.__qualname__} may override hooks, not the stages of {name}")
            names = [stage.name for stage in getattr(cls, name)]
            if len(set(names)) != len(names):
                raise TypeError(f"{cls.__qualname__}: two stages of {name} have the same name")

    def complete(self, obj: T, context: C) -> None:
        """Fills in everything that has a default, in place; doing it twice changes nothing more.

        :raises VirtError: what is given contradicts itself, or the driver cannot deal with it.
        """
        for stage in self.completion:
            try:
                stage.run(self, obj, context)
            except VirtError as error:
                self._failed(stage, obj, context, error)

    def validate(self, obj: T, context: C) -> None:
        """Refuses what cannot work; changes nothing.

        :raises VirtError: with a note that names the stage.
        """
        for stage in self.validation:
            try:
                stage.run(self, obj, context)
            except VirtError as error:
                self._failed(stage, obj, context, error)
        for check in self.checks:
            check(obj, context)

    def tolerates(self, stage: Stage, obj: T, context: C, error: VirtError) -> bool:
        """Whether the failure of a stage is passed over (libvirt: when stored definitions are read again)."""
        return False

    def _failed(self, stage: Stage, obj: T, context: C, error: VirtError) -> None:
        if not self.tolerates(stage, obj, context, error):
            error.add_note(f"in stage {stage.name}")
            raise error


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
