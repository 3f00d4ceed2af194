"""Finding drivers by entry points, and what is said when there is none."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from toydriver import ToyDriver, World
from virtcore.driver import loader
from virtcore.driver.opening import resolve
from virtcore.errors import ConfigUnsupported, ConfSyntax, InternalError, InvalidArg, NoConnect
from virtcore.uri import ConnectionURI


class Installer:
    """Puts pretended distributions on the import path."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def install(self, distribution: str, entry_points: str, **modules: str) -> None:
        info = self.folder / f"{distribution.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        (info / "entry_points.txt").write_text(entry_points)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        for name, text in modules.items():
            (self.folder / f"{name}.py").write_text(text)
        loader.rescan()


@pytest.fixture
def installer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Installer]:
    monkeypatch.syspath_prepend(tmp_path)
    yield Installer(tmp_path)
    loader.rescan()


def driver_for(text: str) -> type:
    return loader.driver_for(ConnectionURI.parse(text))


def test_an_installed_driver_serves_its_scheme(installer: Installer) -> None:
    installer.install(
        "virt-toy",
        "[console_scripts]\nx = y:z\n\n[virtcore.drivers]\n# theirs\nvtoy = installed_toy:Holder.Driver [extra]\n",
        installed_toy="from toydriver import ToyDriver\nclass Holder:\n    Driver = ToyDriver\n",
    )
    assert driver_for("vtoy:///x") is ToyDriver
    assert ToyDriver in loader.driver_classes()
    (plugin,) = [plugin for plugin in loader.installed(loader.DRIVERS) if plugin.name == "vtoy"]
    assert plugin == ("virtcore.drivers", "vtoy", "installed_toy:Holder.Driver", "virt-toy")


def test_a_driver_that_cannot_be_loaded(installer: Installer, caplog: pytest.LogCaptureFixture) -> None:
    installer.install(
        "virt-broken",
        "[virtcore.drivers]\nbroken = broken_toy:Driver\nodd = broken_odd:value\n",
        broken_toy="import no_such_module\n",
        broken_odd="value = 3\n",
    )
    with pytest.raises(InternalError) as caught:
        driver_for("broken:///x")
    assert "distribution virt-broken" in str(caught.value)
    assert "No module named 'no_such_module'" in str(caught.value)
    assert isinstance(caught.value.__cause__, ImportError)
    with pytest.raises(InternalError, match="distribution virt-broken is not a driver"):
        driver_for("odd:///x")
    rows = {row.plugin.name: row for row in loader.explain(loader.DRIVERS)}
    assert rows["broken"].plugin.distribution == "virt-broken"
    assert rows["broken"].error == "ModuleNotFoundError: No module named 'no_such_module'"
    assert rows["odd"].error is None
    loader.driver_classes()
    assert "virt-broken" in caplog.text


def test_a_promised_scheme_says_who_will_serve_it(installer: Installer) -> None:
    installer.install("virt-later", "[virtcore.schemes]\nlater = virt_later\n")
    with pytest.raises(NoConnect) as caught:
        driver_for("later:///x")
    assert str(caught.value) == (
        "no connection driver available for later:///x: scheme 'later' will be served by virt-later, but is not yet"
    )


def test_a_scheme_that_is_not_installed_names_the_distribution(monkeypatch: pytest.MonkeyPatch) -> None:
    import virtcore._schemes

    monkeypatch.setitem(virtcore._schemes.DISTRIBUTIONS, "absent", "virt-absent")
    with pytest.raises(NoConnect) as caught:
        driver_for("absent:///x")
    assert "scheme 'absent' needs distribution virt-absent" in str(caught.value)
    assert caught.value.__notes__ == ["pip install virt-absent"]


def test_an_unknown_scheme() -> None:
    with pytest.raises(NoConnect) as caught:
        driver_for("nonsense://me:hunter2@host/x")
    assert str(caught.value) == "no connection driver available for nonsense://me@host/x"
    assert caught.value.__notes__ == ["no installed distribution serves scheme 'nonsense'"]


def test_transports(installer: Installer, world: World) -> None:
    installer.install(
        "virt-wire",
        "[virtcore.transports]\ntls = wire_toy:Wire\next = wire_toy:Wire\n",
        wire_toy="from toydriver import ToyDriver\n"
        "class Wire(ToyDriver): pass\n"
        "class Local(ToyDriver): local_only = True\n",
    )
    assert driver_for("any+ext:///x").__name__ == "Wire"
    assert driver_for("toy://host/x") is ToyDriver
    import wire_toy  # type: ignore[import-not-found]

    with loader.registered("local", wire_toy.Local):
        assert driver_for("local:///x") is wire_toy.Local
        assert driver_for("local://host/x").__name__ == "Wire"
    with pytest.raises(InvalidArg, match="transport in URL not recognised"):
        driver_for("toy+pigeon:///x")

    class Far(ToyDriver):
        remote_only = True

    with loader.registered("far", Far), pytest.raises(InvalidArg, match="URI is missing the server part"):
        driver_for("far:///x")


def test_the_fast_path_is_fast_and_writes_nothing(tmp_path: Path) -> None:
    code = """
import sys, time
from virtcore.driver import loader
began = time.process_time()
loader.installed(loader.DRIVERS)
taken = time.process_time() - began
assert "importlib.metadata" not in sys.modules and "stevedore" not in sys.modules
loader.explain(loader.DRIVERS)
assert "stevedore" in sys.modules
print(taken)
"""
    environment = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache"), "PATH": "/usr/bin"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert float(done.stdout) < 0.1  # a millisecond or two; importlib.metadata takes sixty
    assert list(tmp_path.iterdir()) == []


# -- default URIs, aliases, embedded drivers


@pytest.fixture
def conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("LIBVIRT_DEFAULT_URI", raising=False)
    folder = tmp_path / "libvirt"
    folder.mkdir()
    return folder / "libvirt.conf"


def test_default_uri(world: World, conf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    conf.write_text('uri_default = "toy:///conf"\nuri_aliases = [ "short=toy:///long" ]\n')
    assert str(resolve().uri) == "toy:///conf"
    assert str(resolve("").uri) == "toy:///conf"
    assert str(resolve("short").uri) == "toy:///long"
    monkeypatch.setenv("LIBVIRT_DEFAULT_URI", "short")
    assert str(resolve().uri) == "toy:///long"
    assert str(resolve("toy:///given").uri) == "toy:///given"
    with pytest.raises(NoConnect, match="does not include a driver name"):
        resolve("short", aliases=False)


def test_probing(conf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class First(ToyDriver):
        probe_order = 1

        @classmethod
        def probe(cls) -> str | None:
            return None

    class Second(ToyDriver):
        probe_order = 2

        @classmethod
        def probe(cls) -> str | None:
            return "second:///system"

    monkeypatch.setattr(loader, "installed", lambda group: [])
    with loader.registered("second", Second), loader.registered("first", First):
        assert resolve() == (ConnectionURI.parse("second:///system"), Second)
    with pytest.raises(NoConnect) as caught:
        resolve()
    assert any("test:///default" in note for note in caught.value.__notes__)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("short", "Malformed 'uri_aliases' config entry 'short', expected 'alias=uri://host/path'"),
        ("a b=x", "Malformed 'uri_aliases' config entry 'a b=x', aliases may only contain 'a-Z, 0-9, _, -'"),
    ],
)
def test_malformed_aliases(conf: Path, row: str, message: str) -> None:
    conf.write_text(f'uri_aliases = [ "{row}" ]\n')
    with pytest.raises(ConfSyntax) as caught:
        resolve("toy:///x")
    assert str(caught.value) == f"configuration file syntax error: {message}"


def test_embedding(world: World) -> None:
    class Embeddable(ToyDriver):
        embeddable = True

    with loader.registered("emb", Embeddable):
        assert resolve("emb:///embed?root=/x").driver is Embeddable
        with pytest.raises(InvalidArg, match="Missing URI parameter 'root'"):
            resolve("emb:///embed")
        with pytest.raises(ConfigUnsupported, match="root path must be absolute"):
            resolve("emb:///embed?root=x")
    with pytest.raises(ConfigUnsupported, match="Driver Toy cannot be used in embedded mode"):
        resolve("toy:///embed?root=/x")
