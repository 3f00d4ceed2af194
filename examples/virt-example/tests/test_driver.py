"""Drives it through the public API: ``pytest tests``."""

from __future__ import annotations

import queue
import subprocess
import sys
from pathlib import Path

import pytest

import virtcore
from virtcore import errors
from virtcore.enums import DomainEventType, DomainState
from virtcore.operations.events import DomainLifecycleEvent, Event

XML = """\
<domain type='test'>
  <name>sleeper</name>
  <memory unit='MiB'>16</memory>
  <os><type>hvm</type></os>
</domain>
"""


@pytest.fixture
def uri(tmp_path: Path) -> str:
    return f"example:///embed?root={tmp_path}"


def test_life_of_a_guest(uri: str) -> None:
    with virtcore.connect(uri) as connection:
        events: queue.Queue[Event] = queue.Queue()
        connection.on_event(events.put, DomainLifecycleEvent)
        domain = connection.define_domain(XML)
        assert domain.state().state is DomainState.SHUTOFF
        domain.create()
        assert domain.info().state is DomainState.RUNNING
        assert domain.info().max_memory == 16 * 1024
        domain.suspend()
        assert domain.state().state is DomainState.PAUSED
        domain.resume()
        domain.shutdown()
        seen = [events.get(timeout=10)]
        while seen[-1].type is not DomainEventType.STOPPED:  # type: ignore[union-attr]
            seen.append(events.get(timeout=10))
        assert not domain.is_active()
        domain.undefine()
        assert connection.list_domains() == []


def test_guests_survive_their_program(uri: str) -> None:
    code = f"import virtcore; virtcore.connect({uri!r}).create_domain({XML!r})"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    with virtcore.connect(uri) as connection:
        (domain,) = connection.list_domains()
        assert domain.name == "sleeper"
        assert domain.is_active()
        assert not domain.is_persistent()
        assert "<name>sleeper</name>" in domain.xml()
        domain.destroy()
        assert connection.list_domains() == []


def test_what_is_refused(uri: str) -> None:
    with virtcore.connect(uri) as connection:
        with pytest.raises(errors.ConfigUnsupported, match="domain type 'kvm' is not supported here"):
            connection.define_domain(XML.replace("type='test'", "type='kvm'"))
        with pytest.raises(errors.NoSupport):
            connection.define_domain(XML).reboot()
    with pytest.raises(errors.InvalidArg, match="use example:///session"):
        virtcore.connect("example:///elsewhere")
