"""Descriptors from and to clients over the real libvirt library."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support import ROOT, eventually, listens

SCRIPT = Path(__file__).with_name("descriptor_session.py")


@pytest.fixture
def uri(tmp_path: Path) -> Iterator[str]:
    root = tmp_path / "d"
    (root / "etc").mkdir(parents=True)
    (root / "etc" / "virtcored.conf").write_text("listen_tls = 0\n")
    process = subprocess.Popen([sys.executable, str(ROOT / "tests" / "descriptor_daemon.py"), str(root)])
    try:
        eventually(lambda: listens(root / "run" / "libvirt-sock"))
        yield f"fds+unix:///x?socket={root}/run/libvirt-sock"
    finally:
        process.terminate()
        process.wait()


def test_the_binding_passes_descriptors(binding: Any, uri: str) -> None:
    said = binding(SCRIPT, uri).splitlines()
    assert said[0] == "createWithFiles 0 ['file 0', 'file 1', 'file 2']"
    assert said[1] == "createXMLWithFiles one ['file 0', 'file 1']"
    assert said[-3:] == ["openGraphics 0 graphics 4", "openGraphicsFD graphics 6", "again 1"]


def test_virsh_passes_descriptors(uri: str, tmp_path: Path) -> None:
    virsh = shutil.which("virsh")
    if virsh is None:
        pytest.skip("virsh is not installed (Debian: libvirt-clients)")
    document = tmp_path / "domain.xml"
    document.write_text("<domain/>")
    with (tmp_path / "file").open("w+") as file:
        number = str(file.fileno())
        for words in (
            ["create", str(document), "--pass-fds", number],
            ["dom-fd-associate", "one", "--name", "n", "--pass-fds", number],
            ["qemu-monitor-command", "one", '{"execute":"x"}', "--pass-fds", number],
        ):
            file.truncate(0)
            file.seek(0)
            subprocess.run([virsh, "-c", uri, *words], check=True, pass_fds=[file.fileno()], capture_output=True)
            file.seek(0)
            assert file.read() == "file 0"
