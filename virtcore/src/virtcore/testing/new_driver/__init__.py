"""A new driver's distribution, from a template that works: state, tests, compliance suite::

    python -m virtcore.testing.new_driver acme

writes ``virt-acme``, which serves ``acme:///session``. Its tests pass from the first minute; its author replaces what
guests are, hook by hook.
"""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

__all__ = ["distribution", "write"]

#: Template -> where it goes.
_FILES = {
    "pyproject.toml": "pyproject.toml",
    "README.md": "README.md",
    "package.py": "src/@package@/__init__.py",
    "driver.py": "src/@package@/driver.py",
    "guest.py": "src/@package@/guest.py",
    "state.py": "src/@package@/state.py",
    "test_compliance.py": "tests/test_compliance.py",
    "test_driver.py": "tests/test_driver.py",
}


def distribution(name: str) -> dict[str, str]:
    """The files of a distribution ``virt-NAME`` for URI scheme ``name``: path below its folder -> content.

    :raises ValueError: it cannot be a scheme and the name of a package.
    """
    if not re.fullmatch(r"[a-z][a-z0-9]*", name):
        raise ValueError(f"{name!r} cannot be a URI scheme and a package: use lower-case letters and digits")
    words = {
        "name": name,
        "NAME": name.upper(),
        "Class": name.capitalize(),
        "package": f"virt_{name}",
        "distribution": f"virt-{name}",
    }

    def fill(text: str) -> str:
        return re.sub("@(name|NAME|Class|package|distribution)@", lambda found: words[found[1]], text)

    templates = files(__name__) / "template"
    filled = {
        fill(target): fill((templates / f"{source}.in").read_text(encoding="utf-8"))
        for source, target in _FILES.items()
    }
    filled[fill("src/@package@/py.typed")] = ""
    return filled


def write(name: str, folder: Path) -> Path:
    """Write a new distribution into ``folder/virt-NAME``, which is returned.

    :raises ValueError: the name cannot be one.
    :raises FileExistsError: the folder is there; nothing in it is touched.
    """
    content = distribution(name)
    root = folder / f"virt-{name}"
    root.mkdir(parents=True)
    for path, text in content.items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    return root
