"""The plugin hooks: each is called, documented, and an error where a plugin is broken."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

import virtcore
from toydriver import ONLY, REBOOT, World
from virtcore._namespaces import settle
from virtcore.driver import NativeFormat, hookimpl, hooks, loader
from virtcore.driver.toolkit.pool_backend import PoolBackend
from virtcore.errors import HookScriptFailed, InternalError, VirtError
from virtcore.model.storage import StoragePoolType
from virtcore.operations.events import Event
from virtcore.types import DomainRef

TESTED = {
    "virtcore_register_namespaces",
    "virtcore_event",
    "virtcore_native_formats",
    "virtcore_domain_transition",
    "virtcore_pool_backend",
    "virtcore_network_firewall",
}


class Recorder:
    """A plugin that implements every hook."""

    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []

    @hookimpl
    def virtcore_register_namespaces(self) -> None:
        self.calls.append(("namespaces",))

    @hookimpl
    def virtcore_native_formats(self) -> list[NativeFormat]:
        return [
            NativeFormat(name="shout", to_xml=str.lower, from_xml=str.upper),
            NativeFormat(name="read-only", to_xml=lambda text: f"<{text}/>"),
        ]

    @hookimpl
    def virtcore_event(self, uri: str, event: Event) -> None:
        self.calls.append((uri, event))
        raise ZeroDivisionError

    @hookimpl
    def virtcore_pool_backend(self, kind: str) -> PoolBackend | None:
        return PoolBackend(StoragePoolType.SHEEPDOG) if kind == "sheepdog" else None

    @hookimpl
    def virtcore_network_firewall(self, name: str) -> type[object] | None:
        return Recorder if name == "recorder" else None

    @hookimpl
    def virtcore_domain_transition(self, domain: DomainRef, operation: str) -> None:
        self.calls.append((domain.name, operation))
        if operation == "prepare":
            raise HookScriptFailed("no")


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    made = Recorder()
    plugin = loader.Plugin(loader.PLUGINS, "recorder", "somewhere", "virt-recorder")
    installed = loader.installed
    monkeypatch.setattr(loader, "installed", lambda group: [plugin] if group == loader.PLUGINS else installed(group))
    monkeypatch.setattr(loader, "load", lambda found: made)
    settle()  # from here on, registrations do not wait for a document
    hooks.reset()
    yield made
    hooks.reset()


def test_namespaces_are_registered_before_the_first_connection(world: World, recorder: Recorder) -> None:
    virtcore.connect("toy:///x").close()
    virtcore.connect("toy:///x").close()
    assert recorder.calls == [("namespaces",)]


def test_plugins_see_events_and_failures_are_logged(
    world: World, recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    with virtcore.connect("toy:///x") as connection, connection.events() as events:
        world.emit(REBOOT)
        assert events.get(60) == REBOOT
    assert recorder.calls == [("namespaces",), ("toy:///x", REBOOT)]
    assert "callback failed" in caplog.text


def test_plugins_bring_kinds_of_pools(recorder: Recorder) -> None:
    ask = hooks.manager().hook.virtcore_pool_backend
    assert ask(kind="sheepdog", host=object()).kind is StoragePoolType.SHEEPDOG
    assert ask(kind="rbd", host=object()) is None


def test_plugins_bring_firewalls_of_networks(recorder: Recorder) -> None:
    ask = hooks.manager().hook.virtcore_network_firewall
    assert ask(name="recorder") is Recorder
    assert ask(name="other") is None


def test_a_domain_transition_can_be_refused(recorder: Recorder) -> None:
    hooks.domain_transition("toy", ONLY, "stopped", "end", "<domain/>")
    with pytest.raises(HookScriptFailed):
        hooks.domain_transition("toy", ONLY, "prepare", "begin", "<domain/>")
    assert recorder.calls == [("namespaces",), ("only", "stopped"), ("only", "prepare")]


@pytest.mark.parametrize(
    ("source", "from_format", "to_format", "result"),
    [
        ("ABC", "shout", "xml", "abc"),
        ("abc", "xml", "shout", "ABC"),
        ("abc", "read-only", "shout", "<ABC/>"),
    ],
)
def test_native_formats_convert_through_xml(
    recorder: Recorder, source: str, from_format: str, to_format: str, result: str
) -> None:
    assert virtcore.convert(source, from_format=from_format, to_format=to_format) == result


@pytest.mark.parametrize(
    ("from_format", "to_format", "message"),
    [
        ("nonsense", "xml", "invalid argument: unsupported config type nonsense"),
        ("xml", "nonsense", "invalid argument: unsupported config type nonsense"),
        ("xml", "xml", "invalid argument: one of the formats must be a native one"),
        (
            "xml",
            "read-only",
            "this function is not supported by the connection driver: virConnectDomainXMLToNative",
        ),
    ],
)
def test_formats_that_nobody_has_are_refused(
    recorder: Recorder, from_format: str, to_format: str, message: str
) -> None:
    with pytest.raises(VirtError) as caught:
        virtcore.convert("text", from_format=from_format, to_format=to_format)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("vmware-vmx", "pip install virt-esx"),
        ("lxc-tools", "pip install virt-lxc"),
        ("bhyve-argv", "pip install virt-bhyve"),
        ("xen-xl", "pip install virt-xen"),
        ("nonsense", "formats of installed plugins: read-only, shout"),
    ],
)
def test_who_lacks_a_format_is_told_what_brings_it(recorder: Recorder, name: str, advice: str) -> None:
    with pytest.raises(VirtError) as caught:
        virtcore.convert("text", from_format=name)
    assert advice in caught.value.__notes__


def test_two_plugins_with_one_format_are_an_error(recorder: Recorder) -> None:
    hooks.manager().register(Recorder(), "another")
    with pytest.raises(InternalError, match="shout"):
        virtcore.convert("text", from_format="shout")


def test_a_plugin_with_an_unknown_hook_is_refused(
    world: World, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = SimpleNamespace(virtcore_nonsense=hookimpl(lambda: None))
    monkeypatch.setattr(loader, "load", lambda found: wrong)
    with pytest.raises(InternalError, match=r"virt-recorder.*virtcore_nonsense"):
        hooks.manager()
    with pytest.raises(InternalError, match="virt-recorder"):
        virtcore.connect("toy:///x")
    assert world.closed == 1  # what was opened by then is given back


def test_every_hook_is_documented_and_tested() -> None:
    specified = {
        name: function
        for name, function in inspect.getmembers(hooks.Specifications, inspect.isfunction)
        if not name.startswith("_")
    }
    assert set(specified) == TESTED
    assert all(function.__doc__ for function in specified.values())
