"""Access control: every procedure against every permission that it needs, policies, lists and events."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from virt_remote.protocol import BODY, CALL, ERROR, EVENT, OK, decode_error, pack
from virt_remote.server.access import AccessControl, Request
from virt_remote.server.identity import Identity
from virt_remote.server.policy import Policy, permissions
from virt_remote.server.polkit import attributes
from virt_remote.server.procedures import SESSION_PROCEDURES
from virtcore.enums.common import TypedParameterType
from virtcore.errors import ConfSyntax
from virtcore.operations.declare import inline
from virtcore.operations.events import DomainRebootEvent
from virtcore.operations.procedures import Procedure, procedure, program
from virtcore.operations.values import DomainStats
from virtcore.operations.wire.codec import codec
from virtcore.operations.wire.mapping import server_call
from virtcore.types import (
    DomainRef,
    Kept,
    SecretRef,
    StoragePoolRef,
    TypedParameters,
)
from wholedriver import (
    GOOD,
    NET,
    OTHER,
    POOL,
    REFERENCES,
    SECRET,
    UUID,
    VOLUME,
    WholeDriver,
    arguments_of,
    every_procedure,
)


class Decides:
    """An access driver that writes down what it is asked, and grants all but what it is told."""

    name = "test"

    def __init__(self, denied: Callable[[Request], bool] = lambda request: False) -> None:
        self.denied = denied
        self.asked: list[Request] = []

    async def allows(self, request: Request) -> bool:
        self.asked.append(request)
        return not self.denied(request)


async def call(peer: Any, row: Procedure, *arguments: Any) -> tuple[int, str] | None:
    """Call a procedure; gives code and message of its error, None for none."""
    owner = program(row.program)
    body = codec(row.program, row.args).encode(arguments) if row.args else b""
    peer.serial += 1
    key = (owner.number, owner.version, row.number)
    peer.client.data_received(pack(*key, CALL, peer.serial, OK, body))
    message = await peer.reply(peer.serial)
    if message.status == ERROR:
        code, _, text, *_ = decode_error(message.data)
        return code, text
    peer.result = codec(row.program, row.ret).decode(message.data, BODY)[0] if row.ret else ()
    return None


ACCESS_DENIED = 88
READ_ONLY = 29

#: Procedures that need no permission: they come before access control, or only tell of the connection.
FREE = {"CONNECT_CLOSE", "AUTH_LIST", "AUTH_SASL_INIT", "AUTH_SASL_START", "AUTH_SASL_STEP", "AUTH_POLKIT"}
FREE |= {"CONNECT_IS_SECURE"}


async def whole(peer: Any) -> WholeDriver:
    """Open a connection that has everything."""
    driver = WholeDriver()
    peer.endpoint.driver = driver
    await peer.open()
    return driver


def test_nothing_is_free() -> None:
    assert {row.name for row in every_procedure() if not row.permissions} == FREE


@pytest.mark.parametrize("flags", [0, 0x7FFFFFFF])
def test_nothing_gets_through_when_everything_is_denied(play: Any, flags: int) -> None:
    async def scenario(peer: Any) -> None:
        decides = Decides(lambda request: (request.object, request.permission) != ("connect", "getattr"))
        peer.endpoint.access = AccessControl([decides])
        driver = await whole(peer)
        decides.denied = lambda request: True
        served = 0
        for row in every_procedure():
            name = f"{row.program}.{row.name}"
            if row.name in FREE or row.name == "CONNECT_OPEN":
                continue
            if name not in SESSION_PROCEDURES and server_call(name) is None:
                error = await call(peer, row, *arguments_of(row, flags))
                assert error is not None
                assert error[0] == 3, "it is served nowhere"
                continue
            if (row.program, row.name) == ("remote", "CONNECT_SUPPORTS_FEATURE"):
                assert await call(peer, row, 14) == (ACCESS_DENIED, "access denied")
                continue
            served += 1
            driver.calls.clear()
            assert await call(peer, row, *arguments_of(row, flags)) == (ACCESS_DENIED, "access denied"), name
            looked_up = [one for one in driver.changed() if "_lookup_" not in one]
            assert not looked_up, f"{name} was carried out: {looked_up}"
        assert served > 380

    play(scenario, opened=False)


def test_each_permission_is_needed(play: Any) -> None:
    """Deny one permission at a time: who lacks one of several does not get through."""

    async def scenario(peer: Any) -> None:
        decides = Decides()
        peer.endpoint.access = AccessControl([decides])
        driver = await whole(peer)
        checked = 0
        for row in every_procedure():
            if not row.permissions or server_call(f"{row.program}.{row.name}") is None:
                continue
            for right in row.permissions:
                flags = right.flags_set
                wire = list(arguments_of(row, flags))
                if right.argument is not None:
                    fields = codec(row.program, row.args or "").fields
                    wire[fields.index(right.argument[0])] = right.argument[1]
                decides.denied = lambda request, right=right: (request.object, request.permission) == right[:2]  # type: ignore[misc]
                driver.calls.clear()
                error = await call(peer, row, *wire)
                assert error == (ACCESS_DENIED, "access denied"), (row.name, right, error)
                assert not [one for one in driver.changed() if "_lookup_" not in one], (row.name, right)
                checked += 1
        assert checked > 450

    play(scenario, opened=False)


def test_lists_have_nothing_that_is_not_to_be_seen(play: Any) -> None:
    async def scenario(peer: Any) -> None:
        decides = Decides()
        peer.endpoint.access = AccessControl([decides])
        await whole(peer)
        lists = [
            row for row in every_procedure() if row.filters and server_call(f"{row.program}.{row.name}") is not None
        ]
        assert len(lists) > 30
        for row in lists:
            decides.denied = lambda request: False
            assert await call(peer, row, *arguments_of(row, 0)) is None, row.name
            full = peer.result
            decides.denied = (
                lambda request, row=row: any(  # type: ignore[misc]
                    (request.object, request.permission) == right[:2] for right in row.filters
                )
            )
            assert await call(peer, row, *arguments_of(row, 0)) is None, row.name
            assert all(part in (0, []) for part in peer.result), (row.name, peer.result)
            assert any(part not in (0, []) for part in full), row.name

    play(scenario, opened=False)


def test_bytes_that_are_kept_for_everybody_hide_nothing_less(play: Any) -> None:
    domains = Kept([GOOD, SECRET])
    stats = [DomainStats(one, TypedParameters([("of", TypedParameterType.STRING, one.name)]).seal()) for one in domains]

    class Keeping(WholeDriver):
        @inline
        def connection_list_domains(self, flags: int = 0) -> Kept[DomainRef]:
            return domains

        async def connection_domain_stats(self, *arguments: Any) -> list[DomainStats]:
            return list(stats)

    async def scenario(peer: Any) -> None:
        decides = Decides()
        peer.endpoint.access, peer.endpoint.driver = AccessControl([decides]), Keeping()
        await peer.open()
        listed, told = procedure("remote.CONNECT_LIST_ALL_DOMAINS"), procedure("remote.CONNECT_GET_ALL_DOMAIN_STATS")
        for allowed in ([GOOD, SECRET], [GOOD], [GOOD, SECRET], []):
            decides.denied = lambda request, allowed=allowed: request.subject not in (None, *allowed)  # type: ignore[misc]
            assert await call(peer, listed, 1, 0) is None
            assert peer.result == (allowed, len(allowed))
            assert await call(peer, told, [], 0, 0) is None
            assert [row[0] for row in peer.result[0]] == allowed

    play(scenario, opened=False)


def test_who_asks_little_does_not_wait_for_a_long_reply(play: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        DomainStats(GOOD, TypedParameters([("of", TypedParameterType.STRING, str(number))]).seal())
        for number in range(3000)
    ]
    monkeypatch.setattr("virt_remote.server.client._SLICE", 0)

    class Many(WholeDriver):
        async def connection_domain_stats(self, *arguments: Any) -> list[DomainStats]:
            return rows

    async def scenario(peer: Any) -> None:
        peer.endpoint.driver = Many()
        await peer.open()
        order: list[str] = []

        async def ask(name: str, *arguments: Any) -> None:
            assert await call(peer, procedure(f"remote.{name}"), *arguments) is None
            order.append(name)
            if name == "CONNECT_GET_ALL_DOMAIN_STATS":
                assert [row[1].rows() for row in peer.result[0]] == [row.params.rows() for row in rows]

        await asyncio.gather(ask("CONNECT_GET_ALL_DOMAIN_STATS", [], 0, 0), ask("DOMAIN_GET_INFO", GOOD))
        assert order == ["DOMAIN_GET_INFO", "CONNECT_GET_ALL_DOMAIN_STATS"]
        assert all(row.params.wire is not None for row in rows)

    play(scenario, opened=False)


def test_read_only_connections_change_nothing(play: Any) -> None:
    async def scenario(peer: Any) -> None:
        driver = await whole(peer)
        refused = 0
        for row in every_procedure():
            found = server_call(f"{row.program}.{row.name}")
            if found is None or found.spelling.write is False:
                continue
            flags = 0 if found.spelling.write is True else found.spelling.write
            wire = list(arguments_of(row, 0))
            if found.guard_at is not None:
                wire[found.guard_at] = flags & 0x7FFFFFFF
            elif found.spelling.write is not True:
                continue
            driver.calls.clear()
            error = await call(peer, row, *wire)
            assert error is not None, row.name
            assert error[0] == READ_ONLY, (row.name, error)
            assert not driver.calls
            refused += 1
        assert refused > 190

    play(scenario, opened=False, readonly=True)


def test_what_is_checked_is_what_is_used(play: Any) -> None:
    """The UUID says which domain it is; the name beside it is the client's."""

    async def scenario(peer: Any) -> None:
        access = Decides(lambda request: isinstance(request.subject, DomainRef) and request.subject.name == "secret")
        peer.endpoint.access = AccessControl([access])
        driver = await whole(peer)
        row = next(row for row in every_procedure() if row.name == "DOMAIN_DESTROY")
        assert await call(peer, row, DomainRef("good", OTHER, 1)) == (ACCESS_DENIED, "access denied")
        assert await call(peer, row, DomainRef("secret", UUID, 1)) is None
        assert driver.calls[-1] == ("domain_destroy", (GOOD,)), "its own name does not count"
        define = next(row for row in every_procedure() if row.name == "DOMAIN_DEFINE_XML")
        for text in (
            "<domain><name>secret</name></domain>",
            f"<domain><name>good</name><uuid>{OTHER}</uuid></domain>",
            f"<domain><name>good</name><name>secret</name><uuid>{UUID}</uuid></domain>",
            f"<domain><name>good</name><uuid>{OTHER.replace('-', '').upper()}</uuid></domain>",
        ):
            assert await call(peer, define, text) == (ACCESS_DENIED, "access denied"), text
        assert await call(peer, define, f"<domain><name>good</name><uuid>{UUID}</uuid></domain>") is None
        assert (await call(peer, define, "<domain><na")) is not None

    play(scenario, opened=False)


def test_a_connection_that_closes_takes_no_question_back(play: Any, caplog: pytest.LogCaptureFixture) -> None:
    """What was called before is decided as it would have been, also when it has its turn after the close."""

    async def scenario(peer: Any) -> None:
        access = Decides()
        peer.endpoint.access = AccessControl([access])
        driver = await whole(peer)
        calls: list[bytes] = []
        for name in ("DOMAIN_DESTROY", "CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY", "CONNECT_CLOSE"):
            row = next(row for row in every_procedure() if row.name == name)
            body = codec(row.program, row.args).encode(arguments_of(row, 0)) if row.args else b""
            calls.append(pack(program("remote").number, 1, row.number, CALL, 100 + len(calls), OK, body))
        places = [await peer.endpoint.workers.acquire(False) for _ in range(100)]
        access.denied = lambda request: True
        for data in calls:
            peer.client.data_received(data)
        closed = await peer.reply(102)  # it is of high priority
        assert closed.status == OK
        for place in places:
            peer.endpoint.workers.release(place)
        for serial in (100, 101):
            message = await peer.reply(serial)
            assert decode_error(message.data)[2] == "access denied"
        assert not driver.changed()

    play(scenario, opened=False)
    assert "unexpected failure" not in caplog.text


def test_who_cannot_decide_denies(play: Any, caplog: pytest.LogCaptureFixture) -> None:
    def fails(request: Request) -> bool:
        raise OSError("the bus is gone")

    async def scenario(peer: Any) -> None:
        peer.endpoint.driver = WholeDriver()
        peer.endpoint.access = AccessControl([Decides(fails)])
        row = next(row for row in every_procedure() if row.name == "CONNECT_OPEN")
        assert await call(peer, row, None, 0) == (ACCESS_DENIED, "access denied: 'WHOLE' denied access")
        assert peer.client.session is None

    play(scenario, opened=False)
    assert "the bus is gone" in caplog.text


def test_events_of_what_is_not_to_be_seen_do_not_come(play: Any) -> None:
    async def scenario(peer: Any) -> None:
        access = Decides(lambda request: isinstance(request.subject, DomainRef) and request.subject.name == "secret")
        peer.endpoint.access = AccessControl([access])
        driver = await whole(peer)
        await peer.call("CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY", 1, None)
        for domain in (GOOD, SECRET, GOOD._replace(id=7), SECRET, GOOD._replace(id=8)):
            for deliver in driver.subscribers:
                deliver(DomainRebootEvent(domain))
        for _ in range(50):
            await asyncio.sleep(0.001)
        events = [message for message in peer.transport.sent if message.type == EVENT]
        body = codec("remote", "remote_domain_event_callback_reboot_msg")
        found = [body.decode(message.data, BODY)[0][-1][0] for message in events]
        assert [domain.id for domain in found] == [1, 7, 8]
        assert {domain.name for domain in found} == {"good"}

    play(scenario, opened=False)


# -- policies

ALICE = Identity("unix", pid=1, uid=0, gid=0, start_time=1)
FRED = Identity("tls", "1.2.3.4;5", sasl="fred@EXAMPLE", dname="C=GB,O=Example,CN=laptop")


def decide(text: str, identity: Identity, right: str, subject: Any = None, driver: str = "QEMU") -> bool:
    kind, _, permission = right.partition(":")
    request = Request(identity, driver, kind, permission, subject)
    return asyncio.run(Policy.parse(text, "access.toml").allows(request))


POLICY = """
default = "deny"
[[rule]]
allow = ["connect:*", "domain:getattr"]
[[rule]]
objects = ["secret*"]
deny = ["domain:*"]
[[rule]]
users = ["root"]
allow = ["domain:*"]
[[rule]]
sasl = ["fred@*"]
dn = ["CN=nobody"]
objects = ["web-*", "6695eb01-*"]
drivers = ["QEMU"]
allow = ["domain:start", "domain:read-secure"]
"""


def test_the_first_rule_that_fits_decides() -> None:
    web = DomainRef("web-1", OTHER, 1)
    assert decide(POLICY, FRED, "connect:read")
    assert decide(POLICY, FRED, "domain:getattr", SECRET)
    assert not decide(POLICY, ALICE, "domain:read", SECRET), "also root's"
    assert decide(POLICY, ALICE, "domain:read", web)
    assert decide(POLICY, FRED, "domain:start", web)
    assert decide(POLICY, FRED, "domain:read_secure", GOOD), "by UUID"
    assert not decide(POLICY, FRED, "domain:start", web, driver="LXC")
    assert not decide(POLICY, FRED, "domain:stop", web)
    assert not decide(POLICY, FRED._replace(sasl="eve"), "domain:start", web)
    assert not decide(POLICY, FRED, "network:read", NET)
    assert decide("", FRED, "network:write", NET), "as libvirt without access drivers"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("default = 'perhaps'", "'default' is to be"),
        ("nonsense = 1", "unknown setting 'nonsense'"),
        ("[[rule]]\nallow = ['domain:read']\ndeny = ['domain:read']", "rule 1: it has to allow or to deny"),
        ("[[rule]]\nusers = ['x']", "rule 1: it has to allow or to deny"),
        ("[[rule]]\nallow = ['domain:raed']", "there is no permission 'domain:raed'"),
        ("[[rule]]\nallow = 'domain:read'", "is to be a list of strings"),
        ("[[rule]]\nallow = ['domain:read']\nuser = ['x']", "unknown setting 'user'"),
        ("[[rule]]\nallow = ['domain:read']\nusers = []", "is to be a list of strings"),
        ("[[rule", "access.toml:"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused_whole(text: str, message: str) -> None:
    with pytest.raises(ConfSyntax, match=message.replace("(", "\\(")):
        Policy.parse(text, "access.toml")


def test_polkit_is_told_what_libvirt_tells() -> None:
    def told(kind: str, subject: Any, pool: StoragePoolRef | None = None) -> dict[str, str]:
        return attributes(Request(ALICE, "QEMU", kind, "read", subject, pool))

    driver = {"connect_driver": "QEMU"}
    assert told("connect", None) == driver
    assert told("domain", GOOD) == {**driver, "domain_name": "good", "domain_uuid": UUID}
    assert told("storage_vol", VOLUME, POOL) == {
        **driver,
        "pool_name": "pool",
        "pool_uuid": UUID,
        "vol_name": "vol",
        "vol_key": "/vol",
    }
    assert told("secret", SecretRef(UUID, 3, "target")) == {
        **driver,
        "secret_uuid": UUID,
        "secret_usage_target": "target",
    }
    for kind, subject in REFERENCES.items():
        if kind not in ("domain_snapshot", "domain_checkpoint"):
            assert len(told(kind, subject)) > 1
    assert {right.partition(":")[0] for right in permissions()} <= set(REFERENCES) | {"connect"}
