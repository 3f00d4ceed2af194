"""Content that no field declares, kept so that editing a newer host's XML loses nothing."""

from __future__ import annotations

__all__ = ["Extra", "Extras"]


class Extra:
    """An unknown child element.

    :ivar xml: the element's text, namespaces declared in it.
    :ivar after: the field it followed and how many values that field had by then; None at the beginning.
    """

    __slots__ = ("after", "xml")

    def __init__(self, xml: str, after: tuple[str, int] | None = None) -> None:
        self.xml = xml
        self.after = after

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Extra) and self.xml == other.xml and self.after == other.after

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Extra({self.xml!r}, after={self.after!r})"


class Extras:
    """What an element holds beyond its fields.

    :ivar attributes: unknown attributes, by (qualified) name.
    :ivar elements: unknown child elements, in document order.
    """

    __slots__ = ("attributes", "elements")

    def __init__(self, attributes: dict[str, str] | None = None, elements: list[Extra] | None = None) -> None:
        self.attributes = {} if attributes is None else attributes
        self.elements = [] if elements is None else elements

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Extras) and self.attributes == other.attributes and self.elements == other.elements

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Extras({self.attributes!r}, {self.elements!r})"
