"""virt-xml-validate: what it says and how it ends."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from virt_shell.validate import main

NETWORK = "<network><name>n</name><bridge name='virbr1'/></network>"


@pytest.fixture(autouse=True)
def program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["virt-xml-validate"])


@pytest.fixture
def document(tmp_path: Path) -> Path:
    path = tmp_path / "network.xml"
    path.write_text(NETWORK)
    return path


def test_a_document_that_fits(document: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(document)]) == 0
    assert capsys.readouterr() == ("", f"{document} validates\n")


def test_a_document_that_does_not(document: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document.write_text(NETWORK.replace("<bridge", "\n<bridg"))
    assert main([str(document)]) == 3
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1] == f"{document} fails to validate"
    assert any(line.startswith(f"{document}:") and "Relax-NG validity error : " in line for line in lines[:-1])


def test_another_schema_than_the_roots(document: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(document), "secret"]) == 3
    assert main(["--", str(document), "network"]) == 0


def test_standard_input(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(NETWORK.encode())))
    assert main(["-"]) == 0
    assert capsys.readouterr().err == "- validates\n"


def test_namespaces_of_plugins_are_known(document: Path) -> None:
    options = "<d:options xmlns:d='http://libvirt.org/schemas/network/dnsmasq/1.0'><d:{}/></d:options></network>"
    document.write_text(NETWORK.replace("</network>", options.format("option value='foo=bar'")))
    assert main([str(document)]) == 0
    document.write_text(NETWORK.replace("</network>", options.format("choice value='foo=bar'")))
    assert main([str(document)]) == 3


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        ([], 1, "syntax: virt-xml-validate XMLFILE [TYPE]"),
        (["/nonexistent"], 2, "virt-xml-validate: document /nonexistent does not exist"),
        (["--verbose"], 1, "virt-xml-validate: unrecognized option '--verbose'"),
        (["{path}", "nothing"], 4, "virt-xml-validate: schema nothing.rng does not exist"),
    ],
)
def test_wrong_arguments(
    words: list[str], status: int, message: str, document: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([word.format(path=document) for word in words]) == status
    assert capsys.readouterr().err == f"{message}\n"


def test_no_schema_and_no_xml(document: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document.write_text("<shelf/>")
    assert main([str(document)]) == 3
    assert capsys.readouterr().err == f"virt-xml-validate: cannot determine schema type for {document}\n"
    document.write_text("<network>")
    assert main([str(document), "network"]) == 1
    assert f"{document}:1: parser error : " in capsys.readouterr().err


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--he"]) == main(["-h"]) == 0
    assert capsys.readouterr().out.count("Usage:\n  virt-xml-validate XML-FILE [SCHEMA-NAME]\n") == 2
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == "virt-xml-validate (libvirt) 11.3.0\n"
