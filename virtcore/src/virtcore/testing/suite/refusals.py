"""Bad input: refused with libvirt's code and message, and nothing has changed."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

import virtcore
from virtcore import errors
from virtcore.testing.suite.target import Target, needs

if TYPE_CHECKING:
    from virtcore.api.sync import Connection, Domain
    from virtcore.operations.declare import Operation

__all__ = ["TestBadInput"]

#: A bit that no operation has a flag for.
UNKNOWN_FLAG = 1 << 26

#: Family -> how something of it is looked up by name.
_LOOKUPS: dict[str, tuple[str, Callable[[Connection], object], type[errors.VirtError]]] = {
    "domain": ("connection_lookup_domain", lambda c: c.lookup_domain(name="compliance-none"), errors.NoDomain),
    "network": ("connection_lookup_network", lambda c: c.lookup_network(name="compliance-none"), errors.NoNetwork),
    "interface": (
        "connection_lookup_interface",
        lambda c: c.lookup_interface(name="compliance-none"),
        errors.NoInterface,
    ),
    "nwfilter": ("connection_lookup_nwfilter", lambda c: c.lookup_nwfilter(name="compliance-none"), errors.NoNWFilter),
    "binding": (
        "connection_lookup_nwfilter_binding",
        lambda c: c.lookup_nwfilter_binding("compliance-none"),
        errors.NoNWFilterBinding,
    ),
    "node device": (
        "connection_lookup_node_device",
        lambda c: c.lookup_node_device(name="compliance-none"),
        errors.NoNodeDevice,
    ),
    "pool": (
        "connection_lookup_storage_pool",
        lambda c: c.lookup_storage_pool(name="compliance-none"),
        errors.NoStoragePool,
    ),
    "volume": (
        "connection_lookup_storage_vol",
        lambda c: c.lookup_storage_vol(path="/compliance/none"),
        errors.NoStorageVol,
    ),
    "secret": (
        "connection_lookup_secret",
        lambda c: c.lookup_secret(uuid="c0ffee00-0000-4000-8000-00000000dead"),
        errors.NoSecret,
    ),
}


#: Arguments that are needed, though an operation can do without (a file that is opened already).
_NEEDED = {"file": "/compliance/none"}


def callable_alone(connection: Connection, target: Target, family: str) -> list[Operation]:
    """The operations of a family that the driver claims and that need no arguments."""
    from virtcore.operations.declare import all_operations

    claimed = target.claims(connection)
    found = []
    for name, operation in all_operations().items():
        own = list(operation.signature.parameters.values())[1 if family == "connection" else 2 :]
        if (
            operation.family == family
            and not operation.face_name.startswith("lookup_")  # which need one of several
            and not operation.internal
            and name in claimed
            and all(parameter.default is not parameter.empty for parameter in own)
        ):
            found.append(operation)
    return found


def refusals(
    holder: Connection | Domain,
    operations: list[Operation],
    kind: type[errors.VirtError],
    message: str,
    **named: int,
) -> list[str]:
    """Call each; those that are not refused with that error and a message that matches."""
    wrong = []
    for operation in operations:
        needed = {name: value for name, value in _NEEDED.items() if name in operation.signature.parameters}
        if operation.keys:
            needed |= dict.fromkeys(operation.keys[0].split(), "compliance-none")
        try:
            answer = getattr(holder, operation.face_name)(**needed, **named)
        except kind as error:
            if not re.search(message, str(error)):
                wrong.append(f"{operation.name}: {error}")
        except Exception as error:  # noqa: BLE001
            wrong.append(f"{operation.name}: {error!r}")
        else:
            wrong.append(f"{operation.name}: {answer!r}")
    return wrong


class TestBadInput:
    """Whatever is claimed refuses nonsense alike."""

    @pytest.mark.parametrize("family", _LOOKUPS)
    def test_names_that_do_not_exist(self, connection: Connection, family: str) -> None:
        operation, look_up, kind = _LOOKUPS[family]
        if not connection.supports(operation):
            pytest.skip(f"the driver does not claim {operation}")
        with pytest.raises(kind):
            look_up(connection)

    @needs("connection_lookup_domain")
    def test_uuids_that_are_none(self, connection: Connection) -> None:
        for nonsense in ("", "c0ffee", "g0ffee00-0000-4000-8000-000000000001", "../../etc/passwd"):
            with pytest.raises(errors.VirtError):
                connection.lookup_domain(uuid=nonsense)

    def test_unknown_flags_of_a_connection(self, connection: Connection, target: Target) -> None:
        self._unknown_flags(connection, callable_alone(connection, target, "connection"))

    def test_unknown_flags_of_a_domain(self, defined: Domain, target: Target) -> None:
        before = defined.xml() if defined.connection.supports("domain_xml") else ""
        self._unknown_flags(defined, callable_alone(defined.connection, target, "domain"))
        assert not defined.is_active()
        assert not before or defined.xml() == before

    def _unknown_flags(self, holder: Connection | Domain, operations: list[Operation]) -> None:
        flagged = [operation for operation in operations if "flags" in operation.signature.parameters]
        message = r"^unsupported flags \(0x4000000\) in function \w+$"
        wrong = refusals(holder, flagged, errors.InvalidArg, message, flags=UNKNOWN_FLAG)
        assert not wrong, "\n".join(["unknown flags are not refused as libvirt does:", *wrong])

    @needs("domain_undefine")
    def test_what_is_undefined_is_gone_for_every_operation(self, defined: Domain, target: Target) -> None:
        defined.undefine()
        message = rf"^Domain not found: no domain with matching uuid '{defined.uuid}' \(compliance\)$"
        operations = [
            found for found in callable_alone(defined.connection, target, "domain") if found.name not in target.lenient
        ]
        wrong = refusals(defined, operations, errors.NoDomain, message)
        assert not wrong, "\n".join(["domains that are gone are not missed as libvirt does:", *wrong])

    def test_what_is_closed_answers_nothing(self, uri: str, target: Target) -> None:
        connection = virtcore.connect(uri)
        operations = callable_alone(connection, target, "connection")
        connection.close()
        wrong = refusals(connection, operations, errors.InvalidConn, r"^invalid connection pointer in \w+$")
        assert not wrong, "\n".join(["closed connections do not refuse as libvirt does:", *wrong])

    def test_readonly_connections_refuse_every_change(self, uri: str, target: Target, defined: Domain) -> None:
        from virtcore.operations.declare import Kind

        with virtcore.connect(uri, readonly=True) as readonly:
            domain = readonly.lookup_domain(uuid=defined.uuid)
            changes = [
                operation for operation in callable_alone(readonly, target, "domain") if operation.kind is Kind.CHANGE
            ]
            wrong = refusals(
                domain, changes, errors.OperationDenied, r"^operation forbidden: read only access prevents \w+$"
            )
        assert not wrong, "\n".join(["read-only connections do not refuse as libvirt does:", *wrong])
        assert not defined.is_active()
        assert defined.is_persistent()

    @needs("connection_define_domain", "connection_list_domains", "connection_lookup_domain")
    def test_wrong_types(self, connection: Connection, defined: Domain) -> None:
        before = connection.list_domains()
        nonsense: list[Any] = [5, 1.5, object(), ["<domain/>"], {}]
        for wrong in [None, *nonsense]:
            with pytest.raises(errors.InvalidArg):
                connection.define_domain(wrong)
        for wrong in nonsense:
            with pytest.raises(errors.InvalidArg):
                connection.lookup_domain(name=wrong)
        no_flags: list[Any] = [None, "many", 1.0, object()]
        for wrong in no_flags:
            with pytest.raises(errors.InvalidArg):
                connection.list_domains(wrong)
            with pytest.raises(errors.VirtError):
                defined.create(wrong)
        assert connection.list_domains() == before
        assert not defined.is_active()

    @needs("connection_define_domain", "connection_list_domains")
    def test_documents_that_are_bombs(self, connection: Connection, target: Target) -> None:
        before = connection.list_domains()
        good = target.domain("compliance-bomb")
        layers = "".join(f"<!ENTITY a{n} '{f'&a{n - 1};' * 10}'>" for n in range(1, 10))
        bomb = f"<!DOCTYPE domain [<!ENTITY a0 'a'>{layers}]>" + good.replace("compliance-bomb", "&a9;")
        outside = "<!DOCTYPE domain [<!ENTITY a SYSTEM 'file:///etc/hostname'>]>" + good.replace(
            "compliance-bomb", "&a;"
        )
        deep = "<domain>" * 100_000
        for document in (bomb, outside, deep, good + "x", good[:-3], "\ufeff\ufeff" + good[:-9]):
            with pytest.raises(errors.VirtError):
                connection.define_domain(document)
        assert connection.list_domains() == before
