from __future__ import annotations

import os
from pathlib import Path

import pytest

from virtcore.driver.toolkit import StateFolders, file_name, use_root


def test_system_folders_are_virtcores_own() -> None:
    folders = StateFolders.system("qemu")
    assert folders.config == Path("/etc/virtcore/qemu")
    assert folders.run == Path("/run/virtcore/qemu")
    assert not any("libvirt" in str(folder) for folder in folders)


def test_session_folders_follow_xdg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "c"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "r"))
    monkeypatch.setenv("XDG_STATE_HOME", "relative/is/ignored")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    folders = StateFolders.session("toy")
    assert folders.config == tmp_path / "c/virtcore/toy"
    assert folders.run == tmp_path / "r/virtcore/toy"
    assert folders.log == tmp_path / "home/.local/state/virtcore/log/toy"


def test_session_without_runtime_directory_uses_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert StateFolders.session("toy").run == tmp_path / "virtcore/run/toy"


def test_folders_below_a_root_are_made_private(tmp_path: Path) -> None:
    folders = StateFolders.below(tmp_path / "new" / "root", "toy")
    folders.make()
    folders.make()
    assert folders.lib == tmp_path / "new/root/lib/toy"
    for folder in folders:
        assert folder.is_dir()
        assert folder.stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700


def test_a_process_wide_root(tmp_path: Path) -> None:
    use_root(tmp_path)
    try:
        assert StateFolders.system("toy").config == tmp_path / "system/etc/toy"
        assert StateFolders.session("toy").run == tmp_path / "session/run/toy"
    finally:
        use_root(None)
    assert StateFolders.system("toy").config == Path("/etc/virtcore/toy")


HOSTILE = [
    "",
    ".",
    "..",
    "../../etc/passwd",
    "a/b",
    "a\nb",
    "-rf",
    "x" * 10_000,
    "ü" * 3000,
    "a\0b",
    "%2F",
    ".hidden",
    "a%",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_file_names_are_safe(name: str, tmp_path: Path) -> None:
    made = file_name(name, ".log")
    assert "/" not in made
    assert "\n" not in made
    assert "\0" not in made
    assert made[0] not in ".-"
    assert len(os.fsencode(made)) <= 255
    (tmp_path / made).touch()
    assert [path.name for path in tmp_path.iterdir()] == [made]


def test_file_names_are_distinct_and_readable() -> None:
    names = [*HOSTILE, "vm1", "vm 1", "x" * 10_001, "x" * 200, "%2f"]
    assert len({file_name(name) for name in names}) == len(names)
    assert file_name("vm-1_web.example", ".log") == "vm-1_web.example.log"
