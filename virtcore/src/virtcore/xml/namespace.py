"""Namespaces of plugins: elements that a plugin hangs into a document, under a prefix of its own."""

from __future__ import annotations

from virtcore._namespaces import settle

__all__ = ["Namespace", "private_class", "register_namespace", "register_private", "registered"]


class Namespace:
    """A namespace and where its elements stand.

    :param prefix: printed prefix (``qemu``).
    :param uri: the namespace's name.
    :param point: the ``namespaces(point=...)`` field its elements belong to (``domain``).

    Its element classes name it: ``@element("commandline", ns=QEMU)``; what stands below them inherits it. They are
    registered with
    :func:`register_namespace`, in the order in which they are printed.
    """

    __slots__ = ("point", "prefix", "uri")

    def __init__(self, prefix: str, uri: str, point: str) -> None:
        self.prefix = prefix
        self.uri = uri
        self.point = point

    def __repr__(self) -> str:
        return f"Namespace({self.prefix!r}, {self.uri!r}, {self.point!r})"


_REGISTERED: dict[str, dict[str, type]] = {}


def register_namespace(namespace: Namespace, *classes: type) -> None:
    """Registers the top element classes of a plugin's namespace. Registering the same classes again changes nothing.

    :raises ValueError: another class already stands for one of the elements, or a class does not belong to the
    namespace.
    """
    from virtcore.xml.declare import declaration

    at = _REGISTERED.setdefault(namespace.point, {})
    for cls in classes:
        declared = declaration(cls)
        if declared.ns is not namespace:
            raise ValueError(f"{cls.__qualname__} does not belong to {namespace!r}")
        name = declared.qualified_name
        if at.setdefault(name, cls) is not cls:
            raise ValueError(f"{name} is already registered for {at[name].__qualname__}")


_PRIVATE: dict[str, type] = {}


def register_private(point: str, cls: type) -> None:
    """Registers the element class of a driver's private data at a point. Doing it again changes nothing.

    :raises ValueError: another class is already there.
    """
    if _PRIVATE.setdefault(point, cls) is not cls:
        raise ValueError(f"private data of {point} is already registered for {_PRIVATE[point].__qualname__}")


def private_class(point: str) -> type | None:
    """The element class of private data at a point."""
    return _PRIVATE.get(point)


def registered(point: str) -> dict[str, type]:
    """Qualified element name to class, in printing order; the live table, not to be changed."""
    settle()
    return _REGISTERED.setdefault(point, {})
