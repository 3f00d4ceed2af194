"""libvirt's own output, read and printed again without completion: the measure of the declarations."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from domain_documents import CapableRules
from virtcore.errors import VirtError
from virtcore.model.arch import Arch
from virtcore.model.domain import Domain, domain_mode, format_domain, load_domain
from virtcore.xml import Mode, format, parse

#: At least this share of the reference outputs comes back byte for byte.
WANTED = 0.98


def outputs(suite: Path) -> list[Path]:
    """The documents that a suite expects."""
    paths = {}
    for line in (suite / "cases.jsonl").read_text().splitlines():
        expected = json.loads(line)["expected"].get("xml")
        if isinstance(expected, str):
            paths[expected] = suite / expected
    return list(paths.values())


@pytest.mark.parametrize("suite", ["generic-domain-xml", "qemu-domain-xml"])
def test_output_reads_back(shared: Path, suite: str) -> None:
    paths = outputs(shared / "conformance" / "suites" / suite)
    changed = []
    for path in paths:
        text = path.read_text()
        domain = parse(text, Domain)
        if format(domain, domain_mode(domain, Mode.SECURE)).strip() != text.strip():
            changed.append(path.name)
    assert len(changed) <= (1 - WANTED) * len(paths), changed


def test_inputs_print_stably(shared: Path) -> None:
    """Every input that is read at all is printed, and what was printed is printed again the same."""
    folder = shared / "conformance" / "suites" / "qemu-domain-xml"
    mode = Mode.SECURE | Mode.LIVE
    read = 0
    for path in sorted(folder.glob("data/**/*.xml")):
        try:
            text = format(parse(path.read_text(), Domain), mode)
            again = format(parse(text, Domain), mode)
        except VirtError:
            # Documents that libvirt refuses as well, some only in completion.
            continue
        assert again == text, path.name
        read += 1
    assert read > 500


def test_completion_is_done_once(shared: Path) -> None:
    """What generic completion made of a document it leaves alone: in the object, and read from its output."""
    folder = shared / "conformance" / "suites" / "qemu-domain-xml"
    rules = CapableRules()
    context = rules.context(arch=Arch.X86_64)
    loaded = 0
    for path in sorted(folder.glob("data/**/*.xml")):
        try:
            domain = load_domain(path.read_text(), rules, context)
        except VirtError:
            continue
        text = format_domain(domain)
        rules.complete(domain, context)
        assert format_domain(domain) == text, path.name
        assert format_domain(load_domain(text, rules, context)) == text, path.name
        loaded += 1
    assert loaded > 500
