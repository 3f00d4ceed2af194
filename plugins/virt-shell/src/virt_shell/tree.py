"""virsh's trees: children below their parent, drawn with ``+-`` and ``|``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

__all__ = ["render_trees"]


def render_trees(nodes: Sequence[tuple[str, str | None]]) -> str:
    """Every tree among nodes, an empty line behind each.

    :param nodes: name and parent's name, None for a root; siblings stay in this order.
    """
    children: dict[str | None, list[str]] = {}
    for name, parent in nodes:
        children.setdefault(parent, []).append(name)
    return "".join(f"{line}\n" for root in children.get(None, ()) for line in _lines(root, children, "", True, True))


def _lines(name: str, children: dict[str | None, list[str]], indent: str, root: bool, last: bool) -> Iterator[str]:
    yield indent + ("" if root else "+- ") + name
    if not root:
        indent += "  " if last else "| "
    below = children.get(name, [])
    if below:
        yield f"{indent}  |"
    for child in below:
        yield from _lines(child, children, indent + "  ", False, child is below[-1])
    if not below and last:
        yield indent
