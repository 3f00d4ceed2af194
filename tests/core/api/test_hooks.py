"""The plugin hooks: each is called, documented, and an error where a plugin is broken."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

import virtcore
from toydriver import ONLY, REBOOT, World
from virtcore.driver import hookimpl, hooks, loader
from virtcore.errors import HookScriptFailed, InternalError
from virtcore.operations.events import Event
from virtcore.types import DomainRef

TESTED = {"virtcore_register_namespaces", "virtcore_event", "virtcore_domain_transition"}


class Recorder:
    """A plugin that implements every hook."""

    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []

    @hookimpl
    def virtcore_register_namespaces(self) -> None:
        self.calls.append(("namespaces",))

    @hookimpl
    def virtcore_event(self, uri: str, event: Event) -> None:
        self.calls.append((uri, event))
        raise ZeroDivisionError

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
        assert events.get(5) == REBOOT
    assert recorder.calls == [("namespaces",), ("toy:///x", REBOOT)]
    assert "callback failed" in caplog.text


def test_a_domain_transition_can_be_refused(recorder: Recorder) -> None:
    hooks.domain_transition("toy", ONLY, "stopped", "end", "<domain/>")
    with pytest.raises(HookScriptFailed):
        hooks.domain_transition("toy", ONLY, "prepare", "begin", "<domain/>")
    assert recorder.calls == [("namespaces",), ("only", "stopped"), ("only", "prepare")]


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
