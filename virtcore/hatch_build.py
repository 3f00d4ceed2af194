"""The schemas of all kinds of documents, put into the wheel as ``virtcore/schemas/NAME.rng`` for editors.

They follow from the declarations and are not checked in. Content of plugins' namespaces, which core does not know, is
accepted where it may stand; ``virt-xml-validate`` knows what is installed and checks it, too.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class SchemaHook(BuildHookInterface[Any]):
    """Writes the schemas before a wheel is put together."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Generate the files; an editable installation has none, it generates what it needs."""
        if self.target_name != "wheel" or version == "editable":
            return
        sys.path.insert(0, str(Path(self.root) / "src"))
        from virtcore.model.schemas import SCHEMAS, document_schema

        self.folder = tempfile.TemporaryDirectory(prefix="virtcore-schemas-")
        for name in SCHEMAS:
            path = Path(self.folder.name) / f"{name}.rng"
            path.write_text(document_schema(name, foreign=True), encoding="utf-8")
            build_data["force_include"][str(path)] = f"virtcore/schemas/{name}.rng"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove them again."""
        if hasattr(self, "folder"):
            self.folder.cleanup()
