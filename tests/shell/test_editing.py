"""Editing what is defined: what is refused goes back to the editor as often as the user wants."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

#: An editor: runs the next of its scripts (sed) over the file, the last one for ever.
EDITOR = """#!/bin/sh
count=$(cat "$0.count" 2>/dev/null || echo 1)
script=$(sed -n "${count}p" "$0.scripts")
echo $((count + 1)) > "$0.count"
sed -i "$script" "$1"
"""


def edit(folder: Path, scripts: list[str], keys: str, line: str) -> subprocess.CompletedProcess[str]:
    editor = folder / "editor"
    editor.write_text(EDITOR)
    editor.chmod(0o755)
    (folder / "editor.scripts").write_text("\n".join(scripts) + "\n")
    terminal, end = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "virt_shell", "-q", "-c", "test:///default", line],
        stdin=end,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "EDITOR": str(editor), "VISUAL": ""},
    )
    assert process.stdout is not None
    printed = b""
    try:
        for key in keys:  # each when it is asked for: what was typed before counts for nothing
            while not printed.endswith(b"]: "):
                more = os.read(process.stdout.fileno(), 4096)
                assert more, printed
                printed += more
            os.write(terminal, key.encode())
            printed += os.read(process.stdout.fileno(), 1)
        rest, errors = process.communicate(timeout=60)
        return subprocess.CompletedProcess(process.args, process.returncode, (printed + rest).decode(), errors.decode())
    finally:
        process.kill()
        process.wait()
        os.close(terminal)
        os.close(end)


BROKEN, MENDED = "s,'dir',dir,", "s,=dir,='dir',; s,/a<,/b<,"
POOL = "pool-define-as p dir --target /a; pool-edit p; pool-dumpxml p --xpath //path"


def test_a_refused_document_goes_back_to_the_editor(tmp_path: Path) -> None:
    done = edit(tmp_path, [BROKEN, MENDED], "?y", POOL)
    assert done.stdout == (
        "\rFailed. Try again? [y,n,f,?]: \n"
        "y - yes, start editor again\nn - no, throw away my changes\nf - force, try to redefine again\n"
        "? - print this help\n"
        "\rFailed. Try again? [y,n,f,?]: \n"
        "<path>/b</path>\n"
    )
    assert done.stderr.startswith("error: ")
    assert done.returncode == 0


def test_changes_may_be_thrown_away(tmp_path: Path) -> None:
    done = edit(tmp_path, [BROKEN], "n", POOL)
    assert done.stdout == "\rFailed. Try again? [y,n,f,?]: \n<path>/a</path>\n"


def test_a_guest_may_be_defined_without_validation(tmp_path: Path) -> None:
    unknown = "s,<vcpu,<nobodyknows/><vcpu,"
    done = edit(tmp_path, [unknown], "i", "edit test; dominfo test")
    assert "Failed. Try again? [y,n,i,f,?]: " in done.stdout
    assert "Name:           test" in done.stdout
    assert done.returncode == 0


@pytest.mark.parametrize("kind", ["net-edit default", "pool-edit default-pool", "edit test"])
def test_where_nobody_can_be_asked_it_fails(kind: str, tmp_path: Path) -> None:
    environment = {**os.environ, "EDITOR": "sed -i s/name/x/", "VISUAL": ""}
    command = [sys.executable, "-m", "virt_shell", "-c", "test:///default", kind]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment, check=False
    )
    assert done.stderr.startswith("error: Failed.\nerror: ")
    assert done.returncode == 1


@pytest.mark.parametrize(("prefix", "named", "noun"), [("", "test", "domain"), ("net-", "default", "network")])
def test_a_title_is_edited_alike_for_guests_and_networks(prefix: str, named: str, noun: str) -> None:
    desc = f"{prefix}desc {named}"
    lines = f"{desc}; {desc} --title a; {desc} --title --edit; {desc} --title --edit b; {desc} --title"
    metadata = f"{prefix}metadata {named} urn:x --key k"
    command = [sys.executable, "-m", "virt_shell", "-c", "test:///default", f"{lines}; {metadata} --edit"]
    environment = {**os.environ, "EDITOR": "true", "VISUAL": ""}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    # What is offered to the editor counts as a change where it is not what there was.
    assert done.stdout.splitlines() == [
        f"No description for {noun}: {named}",
        f"{noun.capitalize()} title updated successfully",
        f"{noun.capitalize()} title not changed",
        "",
        f"{noun.capitalize()} title updated successfully",
        "b",
        "Metadata not changed",
    ]
    assert done.stderr == ""
