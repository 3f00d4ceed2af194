"""``import virtcore`` loads nothing else, and each path loads only what it uses."""

from __future__ import annotations

import subprocess
import sys

import pytest


def modules_after(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}\nprint(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.splitlines()[-1].split())


def test_import_loads_one_module() -> None:
    # What it costs is measured by the benchmarks; what it can cost follows from this.
    assert modules_after("import virtcore") - modules_after("") == {"virtcore", "__future__"}


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("import virtcore", {"typing", "asyncio", "virtcore.errors"}),
        ("import virtcore; virtcore.VirtError; virtcore.ConnectionURI.parse('a:///')", {"asyncio", "inspect"}),
        ("from virtcore.driver import loader; loader.installed(loader.DRIVERS)", {"asyncio", "pluggy", "stevedore"}),
        ("import virtcore; virtcore.connect", {"lxml", "attr", "asyncio", "pluggy", "stevedore", "virtcore.xml"}),
        (
            "import virt_remote.client.backend, virtcore.runtime.blocking, virtcore.api.connecting, virt_shell.shell",
            {
                *("typing", "re", "socket", "threading", "weakref", "asyncio", "logging"),
                *("collections", "enum", "functools", "importlib", "operator"),
            },
        ),
        ("import virtcore; virtcore.Connection, virtcore.Stream, virtcore.Job", {"asyncio", "virtcore.api.aio"}),
        (
            "import virtcore\nwith virtcore.connect('test:///default') as connection: connection.list_domains()",
            {
                *("virtcore.api.aio", "virtcore.api.sync.network", "virtcore.api.sync.storage_pool", "virtcore.model"),
                *("asyncio", "logging", "pluggy", "re", "socket", "threading", "typing", "virtcore.runtime.loop"),
            },
        ),
    ],
)
def test_what_is_not_loaded(code: str, absent: set[str]) -> None:
    assert not modules_after(code) & absent


def test_public_names_are_there() -> None:
    import virtcore

    assert all(getattr(virtcore, name) is not None for name in virtcore.__all__)
    assert set(virtcore.__all__) <= set(dir(virtcore))
    with pytest.raises(AttributeError):
        _ = virtcore.nonsense  # type: ignore[attr-defined]


def test_namespaces_of_plugins_wait_for_the_first_document() -> None:
    listing = "import virtcore\nwith virtcore.connect('test:///default') as connection: connection.session"
    assert "virtcore.xml" not in modules_after(listing)
    loaded = modules_after(f"{listing}\nfrom virtcore.xml.namespace import registered\nassert registered('domain')")
    assert "virt_qemu.namespace" in loaded


#: What is done -> how many modules of ours that may load: what a command or a daemon needs to start follows from it. A
#: number may fall; that it has to grow is worth a thought (module-level imports of what is needed later, mostly).
LISTING = "import virtcore\nwith virtcore.connect('test:///default') as connection: connection.list_domains()"
COMMAND = "from virt_shell import main\nassert main._main({words}) == 0"
OWN = [
    ("import virtcore; virtcore.connect", 29),
    (LISTING, 83),
    (COMMAND.format(words=["--version"]), 8),
    (COMMAND.format(words=["-q", "-c", "test:///default", "list", "--all"]), 96),
    ("import virt_remote.client.blocking", 42),
    ("import virt_remote.server.daemon", 65),
    ("import virt_remote.server.daemon, virt_qemu.opening", 112),
]


@pytest.mark.parametrize(("code", "most"), OWN)
def test_how_much_is_loaded(code: str, most: int) -> None:
    own = [
        name
        for name in modules_after(code)
        if name.split(".")[0] in ("virtcore", "virt_qemu", "virt_remote", "virt_shell")
    ]
    assert len(own) <= most, sorted(own)


@pytest.mark.parametrize("module", ["virt_remote.server.daemon", "virt_qemu.opening", "virt_remote.client.blocking"])
def test_what_starts_first_loads_nothing_for_later(module: str) -> None:
    later = {
        "attr",
        "email",
        "hashlib",
        "http",
        "logging.handlers",
        "lxml",
        "paramiko",
        "pickle",
        "pluggy",
        "uuid",
        "virtcore.xml",
    }
    assert not modules_after(f"import {module}") & later
