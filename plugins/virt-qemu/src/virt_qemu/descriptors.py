"""Files by which packages describe what they bring: firmware images, vhost-user programs.

QEMU's interoperability specification: JSON files in folders of the packages, the administrator and the user. Files with
the same name mask each other, an empty one all others, and they count in the order of their names.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

__all__ = ["descriptor_files", "descriptor_folders", "user_configuration"]


def user_configuration() -> Path:
    """The user's configuration folder."""
    named = os.environ.get("XDG_CONFIG_HOME", "")
    return Path(named) if os.path.isabs(named) else Path.home() / ".config"


def descriptor_folders(kind: str, *, root: Path = Path("/"), config: Path | None = None) -> list[Path]:
    """Where descriptors of a kind (``firmware``, ``vhost-user``) are, those that mask others last.

    :param config: the user's configuration folder, where those for a session are.
    """
    folders = [root / "usr/share/qemu" / kind, root / "etc/qemu" / kind]
    return [*folders, config / "qemu" / kind] if config is not None else folders


def descriptor_files(folders: Sequence[Path]) -> list[Path]:
    """The files that count, in order."""
    files: dict[str, Path] = {}
    for folder in folders:
        if folder.is_dir():
            files.update({path.name: path for path in folder.iterdir() if not path.name.startswith(".")})
    return [files[name] for name in sorted(files) if files[name].stat().st_size]
