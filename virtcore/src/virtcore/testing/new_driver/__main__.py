"""``python -m virtcore.testing.new_driver NAME [--directory D]``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from virtcore._schemes import DISTRIBUTIONS
from virtcore.testing.new_driver import write


def main(arguments: list[str] | None = None) -> int:
    """Write the distribution, and say how to go on."""
    parser = argparse.ArgumentParser(
        prog="python -m virtcore.testing.new_driver", description="Write a distribution with a new driver for virtcore."
    )
    parser.add_argument("name", metavar="NAME", help="the URI scheme: lower-case letters and digits")
    parser.add_argument("--directory", type=Path, default=Path(), help="where virt-NAME is made (here)")
    options = parser.parse_args(arguments)
    if options.name in DISTRIBUTIONS:
        parser.error(f"scheme {options.name} is {DISTRIBUTIONS[options.name]}'s")
    try:
        root = write(options.name, options.directory)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    print(f"{root} is there. Its tests:\n\n  cd {root}\n  pip install -e . 'virtcore[testing]'\n  pytest tests")
    return 0


if __name__ == "__main__":
    sys.exit(main())
