"""``import virtcore`` loads nothing else, and each path loads only what it uses."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest


def modules_after(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}\nimport json\nprint(json.dumps(sorted(sys.modules)))"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(json.loads(done.stdout))


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
        ("import virtcore; virtcore.Connection, virtcore.Stream, virtcore.Job", {"asyncio", "virtcore.api.aio"}),
        (
            "import virtcore\nwith virtcore.connect('test:///default') as connection: connection.list_domains()",
            {"virtcore.api.aio", "virtcore.api.sync.network", "virtcore.api.sync.storage_pool", "virtcore.model"},
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
    listing = "import virtcore\nwith virtcore.connect('test:///default') as connection: connection.list_domains()"
    assert "virtcore.xml" not in modules_after(listing)
    loaded = modules_after(f"{listing}\nfrom virtcore.xml.namespace import registered\nassert registered('domain')")
    assert "virt_qemu.namespace" in loaded
