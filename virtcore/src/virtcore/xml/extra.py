"""Content that no field declares, kept so that editing a newer host's XML loses nothing."""

from __future__ import annotations

__all__ = ["Extra", "Extras"]


class Extra:
    """An unknown child element.

    :ivar xml: the element's text, namespaces declared in it.
    :ivar within: the wrapper element it stood in, for wrappers without a class.
    :ivar after: the field it followed (``name/`` for a wrapper) and how many values that field had by then; None at
        the beginning.
    """

    __slots__ = ("after", "within", "xml")

    def __init__(self, xml: str, after: tuple[str, int] | None = None, within: str = "") -> None:
        self.xml = xml
        self.within = within
        self.after = after

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Extra):
            return NotImplemented
        return (self.xml, self.after, self.within) == (other.xml, other.after, other.within)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Extra({self.xml!r}, after={self.after!r})"


class Extras:
    """What an element holds beyond its fields.

    :ivar attributes: unknown attributes, by (qualified) name; ``leaf/@name`` on a child element that has no class.
    :ivar elements: unknown child elements, in document order.
    """

    __slots__ = ("attributes", "elements")

    def __init__(self, attributes: dict[str, str] | None = None, elements: list[Extra] | None = None) -> None:
        self.attributes = {} if attributes is None else attributes
        self.elements = [] if elements is None else elements

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Extras):
            return NotImplemented
        return self.attributes == other.attributes and self.elements == other.elements

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Extras({self.attributes!r}, {self.elements!r})"
