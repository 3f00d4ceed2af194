"""Write ``examples/virt-example``: what ``python -m virtcore.testing.new_driver example`` makes, with our licence.

``--check`` says whether it is up to date instead.
"""

from __future__ import annotations

import sys
from pathlib import Path

from virtcore.testing.new_driver import distribution

TARGET = Path(__file__).resolve().parent.parent / "examples" / "virt-example"


def main() -> int:
    """Writes the files, or says which are not up to date."""
    changed = []
    for path, text in distribution("example").items():
        target = TARGET / path
        if not target.exists() or target.read_text(encoding="utf-8") != text:
            changed.append(path)
            if "--check" not in sys.argv[1:]:
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(text, encoding="utf-8")
    if "--check" in sys.argv[1:]:
        for path in changed:
            print(f"examples/virt-example/{path} is not what tools/generate_example.py writes")
        return 1 if changed else 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
