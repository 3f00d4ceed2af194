"""What callers may give for arguments is refused in one place, whatever the driver."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

import virtcore
from virtcore.errors import InvalidArg
from virtcore.operations.arguments import checks_of
from virtcore.operations.declare import Operation, all_operations
from virtcore.types import DomainRef, TypedParameters

DOMAIN = DomainRef("d", "6695eb01-f6a4-8304-79aa-97f2502e193f")


def refused(operation: str, *args: object) -> str:
    with pytest.raises(InvalidArg) as caught:
        all_operations()[operation].check_arguments(args)
    return str(caught.value).removeprefix("invalid argument: ")


@pytest.mark.parametrize(
    ("operation", "args", "message"),
    [
        ("domain_create", ("d", 0), "domain must be DomainRef, not str"),
        ("domain_create", (DOMAIN, "0"), "flags must be int, not str"),
        ("domain_create", (DOMAIN, 1 << 32), "flags must be between 0 and 4294967295, not 4294967296"),
        ("domain_create", (DOMAIN, -1), "flags must be between 0 and 4294967295, not -1"),
        ("domain_set_memory", (DOMAIN, 1 << 64), f"memory must be between 0 and {(1 << 64) - 1}, not {1 << 64}"),
        (
            "domain_set_memory_stats_period",
            (DOMAIN, 1 << 31),
            f"period must be between -2147483648 and 2147483647, not {1 << 31}",
        ),
        ("domain_rename", (DOMAIN, "a\0b"), "new_name holds characters that no text has"),
        ("domain_rename", (DOMAIN, "\ud800"), "new_name holds characters that no text has"),
        ("connection_define_domain", ("<domain>\0",), "xml holds characters that no text has"),
        ("connection_define_domain", (None,), "xml must be str, not NoneType"),
        ("domain_set_autostart", (DOMAIN, "yes"), "autostart must be bool, not str"),
        ("domain_pin_vcpu", (DOMAIN, 0, 3), "cpumap must be numbers of CPUs, not int"),
        ("domain_pin_vcpu", (DOMAIN, 0, [16384]), "16384 is no number of a CPU"),
        ("domain_set_memory_parameters", (DOMAIN, {"hard_limit": 1}), "params must be TypedParameters, not dict"),
        ("connection_node_free_pages", ("4",), "pages must be a list of int, not str"),
        ("connection_node_free_pages", ([None],), "pages must be int, not NoneType"),
        ("connection_baseline_cpu", ([3],), "xml_cpus must be str, not int"),
        ("connection_domain_stats", ([DOMAIN, "d"],), "domains must be DomainRef, not str"),
        ("connection_recent_stats", (None, 0, "1"), "max_age must be float, not str"),
        ("secret_set_value", (None,), "secret must be SecretRef, not NoneType"),
        ("connection_lookup_domain", (None, "x"), "uuidstr in virDomainLookupByUUIDString must be a valid UUID"),
        ("connection_lookup_secret", ("6695",), "uuidstr in virSecretLookupByUUIDString must be a valid UUID"),
        ("connection_lookup_domain", (), "exactly one of name, uuid and id is to be given"),
        ("connection_lookup_domain", ("a", None, 1), "exactly one of name, uuid and id is to be given"),
        ("connection_lookup_node_device", (None, "a"), "exactly one of name and wwnn with wwpn is to be given"),
        ("connection_lookup_secret", (None, 1), "exactly one of uuid and usage_type with usage_id is to be given"),
    ],
)
def test_what_is_refused(operation: str, args: tuple[object, ...], message: str) -> None:
    assert refused(operation, *args) == message


@pytest.mark.parametrize(
    ("operation", "args"),
    [
        ("connection_define_domain", (b"<domain/>", 0)),
        ("domain_set_memory", (DOMAIN, (1 << 64) - 1)),
        ("domain_set_time", (DOMAIN, -(1 << 63))),
        ("domain_pin_vcpu", (DOMAIN, 0, range(16384))),
        ("connection_domain_stats", (None,)),
        ("connection_lookup_secret", (None, 1, "a")),
        ("connection_lookup_node_device", (None, "a", "b")),
        ("domain_set_memory_parameters", (DOMAIN, TypedParameters())),
    ],
)
def test_what_is_taken(operation: str, args: tuple[object, ...]) -> None:
    all_operations()[operation].check_arguments(args)


class Something:
    """Nothing that any operation takes."""


@pytest.mark.parametrize("operation", all_operations().values(), ids=lambda one: one.name)
def test_every_argument_has_a_check(operation: Operation) -> None:
    """A type that is new in declarations needs a check of its own."""
    checks = dict(checks_of(operation))
    for at in range(len(operation.signature.parameters) - 1):
        with pytest.raises(InvalidArg):
            checks[at](Something())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c, d: c.domain_stats([d, "x"]), "domains must be DomainRef, not str"),
        (lambda c, d: c.domain_stats(d), "domains must be a list of DomainRef, not Domain"),
        (lambda c, d: c.lookup_storage_pool(volume="x"), "volume must be StorageVolRef, not str"),
        (lambda c, d: c.domain("x").state(), "domain must be DomainRef, not str"),
        (lambda c, d: d.migrate("x"), "destination must be a connection, not str"),
        (lambda c, d: d.migrate(c, 3), "parameters must be a mapping or TypedParameters, not int"),
        (lambda c, d: d.migrate_to_uri("x", flags="1"), "flags must be int, not str"),
        (lambda c, d: d.migrate_to_uri(1), "uri must be str, not int"),
    ],
)
def test_objects_are_arguments_too(call: Callable[[Any, Any], object], message: str) -> None:
    with virtcore.connect("test:///default") as connection, pytest.raises(InvalidArg, match=re.escape(message)):
        call(connection, connection.lookup_domain("test"))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c: c.events(of="test"), "of must be an object that has events, or its reference, not str"),
        (lambda c: c.on_event(print, of=3), "of must be an object that has events, or its reference, not int"),
        (lambda c: c.on_event(3), "callback must be a function, not int"),
        (lambda c: c.events(limit=0), "limit must be a number of events, not 0"),
        (lambda c: c.on_event(print, limit="x"), "limit must be a number of events, not 'x'"),
        (lambda c: c.events(int), "<class 'int'> is no class of events"),
    ],
)
def test_subscriptions_that_could_never_come_true(call: Callable[[Any], object], message: str) -> None:
    with virtcore.connect("test:///default") as connection, pytest.raises(InvalidArg, match=re.escape(message)):
        call(connection)


def test_a_uri_is_a_text() -> None:
    with pytest.raises(InvalidArg, match="uri must be str, not int"):
        virtcore.connect(3)  # type: ignore[arg-type]
