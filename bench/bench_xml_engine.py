#!/usr/bin/env python3
"""Domain XML through the engine: parse + format, every field materialised, one field changed a document.

    bench_xml_engine.py                        a report on the corpus, beside lxml in and out (needs no libvirt)
    bench_xml_engine.py LIST ROUNDS            one JSON line, the protocol of ../shared/bench/bench_xml.py --impl:
        bench_xml.py --corpus ../shared/conformance/suites/qemu-domain-xml \\
            --impl 'virtcore=.venv/bin/python bench/bench_xml_engine.py'
        --complete LIST ROUNDS                 the same with generic completion between

The corpus is the inputs of the conformance suite qemu-domain-xml that can be read; bench_xml.py narrows it to those
that libvirt's C accepts. A document's title is changed to a new value in every round, so that no result can be
remembered.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import sys
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from virtcore.errors import VirtError
from virtcore.model.domain.domain import Domain
from virtcore.xml import Mode, format, load, parse

if TYPE_CHECKING:
    from virtcore.model.domain.rules import DomainContext, DomainRules

SHARED = Path(os.environ.get("VIRTCORE_SHARED", Path(__file__).resolve().parents[2] / "shared"))
MODE = Mode.SECURE | Mode.INACTIVE


def corpus() -> list[str]:
    """The input documents of suite qemu-domain-xml."""
    suite = SHARED / "conformance" / "suites" / "qemu-domain-xml"
    paths = set()
    for line in (suite / "cases.jsonl").read_text().splitlines():
        for path in json.loads(line)["inputs"].values():
            base = suite.parents[1] if path.startswith("common/") else suite
            paths.add(os.path.normpath(base / path))
    return sorted(path for path in paths if path.endswith(".xml"))


def engine(data: bytes, mark: str) -> str:
    domain = load(data, Domain, mode=MODE)
    domain.title = mark
    return format(domain, MODE)


def keeping(data: bytes, mark: str) -> str:
    """The lossless way: unknown content is kept."""
    domain = parse(data, Domain)
    domain.title = mark
    return format(domain, MODE)


@cache
def generic_rules() -> tuple[DomainRules, DomainContext]:
    from virtcore.model.domain.rules import DomainFeature, DomainRules

    class EveryFeature(DomainRules):
        """Like the C engine of bench_xml.py, which accepts all that a driver may."""

        features = ~DomainFeature.NONE

    rules = EveryFeature()
    return rules, rules.context()


def completed(data: bytes, mark: str) -> str:
    rules, context = generic_rules()
    domain = load(data, Domain, rules, context, mode=MODE, check=False)
    domain.title = mark
    return format(domain, MODE)


def read_only(data: bytes, mark: str) -> str:
    load(data, Domain, mode=MODE)
    return mark


def lxml_floor(data: bytes, mark: str) -> str:
    from lxml import etree

    return etree.tostring(etree.fromstring(data), encoding="unicode")


def accepted(paths: list[str], run: object) -> list[bytes]:
    documents = []
    for path in paths:
        data = Path(path).read_bytes()
        try:
            run(data, "warm")  # type: ignore[operator]
        except VirtError:
            continue
        documents.append(data)
    return documents


def measure(documents: list[bytes], run: object, rounds: int) -> list[float]:
    """Seconds per round; code is generated before the first."""
    seconds = []
    for n in range(rounds):
        mark = f"round {n}"
        gc.collect()
        start = time.perf_counter()
        for data in documents:
            run(data, mark)  # type: ignore[operator]
        seconds.append(time.perf_counter() - start)
    return seconds


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("list", nargs="?")
    options.add_argument("rounds", nargs="?", type=int, default=7)
    options.add_argument("--complete", action="store_true", help="with LIST: with generic completion between")
    options.add_argument(
        "--without", action="append", default=[], choices=["completion"], help="leave out of the report"
    )
    arguments = options.parse_args()
    if arguments.list:
        run = completed if arguments.complete else engine
        documents = accepted(Path(arguments.list).read_text().split(), run)
        seconds = measure(documents, run, arguments.rounds)
        parse_seconds = measure(documents, read_only, arguments.rounds)
        print(
            json.dumps(
                {
                    "ok": len(documents),
                    "seconds": seconds,
                    "parse": parse_seconds,
                    "bytes": sum(map(len, documents)),
                }
            )
        )
        return
    if not SHARED.is_dir():
        sys.exit(f"no corpus: {SHARED} is absent (VIRTCORE_SHARED names it)")
    start = time.perf_counter()
    documents = accepted(corpus(), engine)
    print(f"{len(documents)} documents, first pass (code generated) {time.perf_counter() - start:.2f} s")
    for name, run in (
        ("load + format", engine),
        ("load only", read_only),
        ("parse + format, unknown content kept", keeping),
        ("lxml in and out", lxml_floor),
        ("load + complete + format", completed),
    ):
        if run is completed and "completion" in arguments.without:
            continue
        usable = documents if run is not completed else accepted(corpus(), completed)
        seconds = measure(usable, run, arguments.rounds)
        each = [1e6 * s / len(usable) for s in seconds]
        print(
            f"{name:40s} {statistics.median(each):7.1f} us a document (best {min(each):.1f}, {len(usable)} documents)"
        )


if __name__ == "__main__":
    main()
