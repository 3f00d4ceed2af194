"""Every kind of event, in each of its forms on the wire, at both ends."""

from __future__ import annotations

import json
import typing
from pathlib import Path

import pytest

from virtcore import enums
from virtcore.enums.domain_more import DomainBlockJobType
from virtcore.operations import events
from virtcore.operations.events import Event, GapEvent
from virtcore.operations.procedures import procedure, program
from virtcore.operations.wire.events import EVENTS, FAMILIES, EventRow, EventWire, event_wire, of_procedure, rows
from virtcore.types import DomainRef
from wire_samples import UUID, sample_event

FORMS = [(row, name) for row in EVENTS for name in (row.legacy, row.callback) if name is not None]
DOMAIN = DomainRef("guest", UUID, 3)


@pytest.mark.parametrize(("row", "name"), FORMS, ids=[name for _, name in FORMS])
def test_an_event_crosses_the_wire(row: EventRow, name: str) -> None:
    wire = EventWire(row, name)
    event = sample_event(row.event)
    if name == row.legacy:  # younger fields do not travel
        event = event._replace(**row.event._field_defaults)
    back, callback_id = wire.decode(b"head" + wire.encode(event, 7), 4)
    assert back == event
    assert type(back) is row.event
    assert [type(value) for value in back] == [type(value) for value in event]
    assert callback_id == (7 if name == row.callback else -1)
    assert of_procedure(wire.procedure.program, wire.procedure.number) is not None


def test_every_event_of_the_protocol_is_there() -> None:
    known = {name for _, name in FORMS}
    for owner in ("remote", "qemu", "lxc"):
        for row in program(owner).procedures():
            assert (row.kind == "event") == (f"{owner}.{row.name}" in known), row.name


def test_ids_are_libvirts(shared: Path) -> None:
    api = json.loads((shared / "facts" / "api.json").read_text())
    ids = {enum["name"]: len([row for row in enum["values"] if not row[0].endswith("_LAST")]) for enum in api["enums"]}
    kinds = {"domain": "Domain", "network": "Network", "pool": "StoragePool", "node-device": "NodeDevice"}
    for family, name in {**kinds, "secret": "Secret"}.items():
        assert len(FAMILIES[family].ids) == ids[f"vir{name}EventID"]
        assert [row.id for row in rows(family)] == list(FAMILIES[family].ids)
    for row in FAMILIES.values():
        assert procedure(row.register).kind == procedure(row.deregister).kind == "call"
    assert {name: member.value for name, member in enums.DomainEventID.__members__.items()} == {
        name: row.id for name, row in zip(enums.DomainEventID.__members__, rows("domain"), strict=True)
    }


def test_every_class_of_events_has_its_row() -> None:
    assert {row.event for row in EVENTS} | {GapEvent} == set(typing.get_args(Event))
    named = {getattr(events, name) for name in events.__all__ if name.endswith("Event") and name != "Event"}
    assert named == set(typing.get_args(Event))


def test_younger_fields_stand_before_the_older_struct() -> None:
    wire = event_wire("domain", 11, True)
    assert wire is not None
    body = wire.encode(events.DomainPMWakeupEvent(DOMAIN, 5), 2)
    assert body[:8] == bytes([0, 0, 0, 2, 0, 0, 0, 5])
    assert wire.decode(body, 0) == (events.DomainPMWakeupEvent(DOMAIN, 5), 2)


def test_numbers_that_nobody_knows_stay_numbers() -> None:
    wire = event_wire("domain", 16, True)
    assert wire is not None
    event = events.DomainBlockJob2Event(DOMAIN, "vda", DomainBlockJobType.COPY, 99)  # type: ignore[arg-type]
    back, _ = wire.decode(wire.encode(event, 0), 0)
    assert back == event
    assert isinstance(back, events.DomainBlockJob2Event)
    assert back.type is DomainBlockJobType.COPY


def test_there_is_no_older_form_of_younger_kinds() -> None:
    assert event_wire("domain", 17, False) is None
    assert event_wire("domain", 15, False) is not None
    assert of_procedure("remote", 1) is None
