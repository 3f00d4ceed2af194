"""Spellings: libvirt's functions and the operations they stand for.

libvirt has several functions for most behaviours: older ones without flags, counts beside lists, look-ups by each key.
A spelling says which operation such a function is, with which arguments fixed, and how its arguments and results differ
from the operation's where they are not the same, in the same order. Since-version, procedure and whether it needs a
read-write connection are facts of the function (:mod:`virtcore.operations.functions`); a spelling without them fails
closed: it needs a read-write connection.

This module is cheap to import: no codecs, no enumerations, no procedures.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Final, Literal, NamedTuple

from virtcore.operations.functions import FUNCTIONS

__all__ = [
    "Form",
    "Spelling",
    "all_spellings",
    "by_procedure",
    "canonical",
    "canonical_function",
    "needs_write",
    "of_function",
    "spellings_of",
]

#: How a function's results relate to its operation's value:
#:
#: * ``value``: the same; several results are the fields of the operation's named tuple;
#: * ``list``: the list and its length, the list only when argument ``need`` is set;
#: * ``counted``: the list and its length;
#: * ``length``: the length of the list;
#: * ``ids``, ``names``: of the objects in the list, at most ``limit``;
#: * ``parameters``: typed parameters, at most ``count``; when that is 0 only how many there are;
#: * ``first-label``: the first label of the list, or an empty one.
Form = Literal["value", "list", "counted", "length", "ids", "names", "parameters", "first-label"]

#: Arguments of functions that are no argument of the operation.
VIRTUAL_ARGUMENTS: Final = frozenset(["need", "limit", "count"])


class Spelling(NamedTuple):
    """One function of libvirt."""

    #: Its name, e.g. ``virDomainCreate``.
    function: str
    #: Name of the operation it is.
    operation: str
    #: Parameters of the operation (or virtual ones: ``need``, ``limit``, ``count``) in the function's order; None when
    #: they are the operation's, of which the last ones may be missing.
    arguments: tuple[str, ...] | None
    #: Parameters of the operation that the function fixes.
    fixed: Mapping[str, object]
    form: Form
    #: Full name of the procedure that carries it; None when it never crosses the wire.
    procedure: str | None
    #: libvirt's version that brought it; empty when not known.
    since: str
    #: Whether it needs a read-write connection: always, never, or when one of these flags is set.
    write: bool | int

    @property
    def refusal(self) -> str:
        """What the error says that refuses it on a read-only connection."""
        if not isinstance(self.write, bool) and self.function.endswith("GetXMLDesc"):
            return f"{self.function} with secure flag"
        return f"read only access prevents {self.function}"

    def forbidden_readonly(self, flags: int) -> bool:
        """Whether a read-only connection must refuse it, given the value of its ``flags``."""
        return self.write is True or (self.write is not False and bool(self.write & flags))


# Flags that spellings fix (members of ConnectListAllDomainsFlags, DomainVcpuFlags; a test compares).
_ACTIVE = 1
_INACTIVE = 2
_VCPU_LIVE_MAXIMUM = 1 | 4
_VCPU_GUEST = 8


def _spell(
    function: str,
    arguments: str | None = None,
    *,
    form: Form = "value",
    procedure: str | None = None,
    write_flags: int | None = None,
    **fixed: object,
) -> tuple[str, tuple[str, ...] | None, Mapping[str, object], Form, str | None, int | None]:
    return function, tuple(arguments.split()) if arguments is not None else None, fixed, form, procedure, write_flags


#: Operation -> its spellings; the first is the canonical one, which our client sends.
_TABLE: Final = {
    # -- the hypervisor and the host
    "connection_type": [_spell("virConnectGetType")],
    "connection_version": [_spell("virConnectGetVersion")],
    "connection_lib_version": [_spell("virConnectGetLibVersion")],
    "connection_uri": [_spell("virConnectGetURI", procedure="remote.CONNECT_GET_URI")],
    "connection_max_vcpus": [_spell("virConnectGetMaxVcpus")],
    "connection_is_secure": [_spell("virConnectIsSecure")],
    "connection_is_encrypted": [_spell("virConnectIsEncrypted")],
    "connection_is_alive": [_spell("virConnectIsAlive")],
    "connection_hostname": [_spell("virConnectGetHostname")],
    "connection_capabilities": [_spell("virConnectGetCapabilities")],
    "connection_sysinfo": [_spell("virConnectGetSysinfo")],
    "connection_node_info": [_spell("virNodeGetInfo")],
    "connection_node_free_memory": [_spell("virNodeGetFreeMemory")],
    "connection_security_model": [_spell("virNodeGetSecurityModel")],
    "connection_node_memory_parameters": [_spell("virNodeGetMemoryParameters", "count flags", form="parameters")],
    # -- finding and making domains
    "connection_domain_capabilities": [_spell("virConnectGetDomainCapabilities")],
    "connection_list_domains": [
        _spell("virConnectListAllDomains", "need flags", form="list"),
        _spell("virConnectListDomains", "limit", form="ids", flags=_ACTIVE),
        _spell("virConnectNumOfDomains", "", form="length", flags=_ACTIVE),
        _spell("virConnectListDefinedDomains", "limit", form="names", flags=_INACTIVE),
        _spell("virConnectNumOfDefinedDomains", "", form="length", flags=_INACTIVE),
    ],
    "connection_lookup_domain": [
        _spell("virDomainLookupByName", "name"),
        _spell("virDomainLookupByUUID", "uuid"),
        _spell("virDomainLookupByUUIDString", "uuid", procedure="remote.DOMAIN_LOOKUP_BY_UUID"),
        _spell("virDomainLookupByID", "id"),
    ],
    "connection_define_domain": [_spell("virDomainDefineXMLFlags"), _spell("virDomainDefineXML")],
    "connection_create_domain": [
        _spell("virDomainCreateXML"),
        _spell("virDomainCreateLinux", procedure="remote.DOMAIN_CREATE_XML"),
    ],
    "connection_domain_stats": [
        _spell("virConnectGetAllDomainStats", "domains stats flags"),
        _spell("virDomainListGetStats", "domains stats flags"),
    ],
    # -- a domain's life
    "domain_create": [_spell("virDomainCreateWithFlags"), _spell("virDomainCreate")],
    "domain_shutdown": [_spell("virDomainShutdownFlags"), _spell("virDomainShutdown")],
    "domain_reboot": [_spell("virDomainReboot")],
    "domain_reset": [_spell("virDomainReset")],
    "domain_suspend": [_spell("virDomainSuspend")],
    "domain_resume": [_spell("virDomainResume")],
    "domain_destroy": [_spell("virDomainDestroyFlags"), _spell("virDomainDestroy")],
    "domain_undefine": [_spell("virDomainUndefineFlags"), _spell("virDomainUndefine")],
    # -- what it is
    "domain_state": [_spell("virDomainGetState")],
    "domain_info": [_spell("virDomainGetInfo")],
    "domain_control_info": [_spell("virDomainGetControlInfo")],
    "domain_xml": [_spell("virDomainGetXMLDesc")],
    "domain_os_type": [_spell("virDomainGetOSType")],
    "domain_is_active": [_spell("virDomainIsActive")],
    "domain_is_persistent": [_spell("virDomainIsPersistent")],
    "domain_is_updated": [_spell("virDomainIsUpdated")],
    "domain_has_managed_save": [_spell("virDomainHasManagedSaveImage")],
    "domain_security_labels": [
        _spell("virDomainGetSecurityLabelList", form="counted"),
        _spell("virDomainGetSecurityLabel", form="first-label"),
    ],
    "domain_messages": [_spell("virDomainGetMessages")],
    "domain_metadata": [_spell("virDomainGetMetadata")],
    "domain_max_memory": [_spell("virDomainGetMaxMemory")],
    "domain_vcpus_count": [
        _spell("virDomainGetVcpusFlags", write_flags=_VCPU_GUEST),
        _spell("virDomainGetMaxVcpus", "domain", flags=_VCPU_LIVE_MAXIMUM),
    ],
    "domain_memory_parameters": [_spell("virDomainGetMemoryParameters", "domain count flags", form="parameters")],
    # -- settings and devices
    "domain_autostart": [_spell("virDomainGetAutostart")],
    "domain_set_autostart": [_spell("virDomainSetAutostart")],
    "domain_open_console": [_spell("virDomainOpenConsole")],
}


@functools.cache
def spellings_of(operation: str) -> tuple[Spelling, ...]:
    """Every spelling of an operation, the canonical one first; none for an operation that libvirt does not know."""
    return tuple(_complete(operation, *row) for row in _TABLE.get(operation, ()))


def _complete(
    operation: str,
    function: str,
    arguments: tuple[str, ...] | None,
    fixed: Mapping[str, object],
    form: Form,
    procedure: str | None,
    write_flags: int | None,
) -> Spelling:
    since, write, carried_by = FUNCTIONS.get(function, ("", True, None))
    if write == -1 and write is not True:  # it depends, and only the table here can say on what
        write = True if write_flags is None else write_flags
    return Spelling(function, operation, arguments, fixed, form, procedure or carried_by, since, write)


def canonical(operation: str) -> Spelling | None:
    """The spelling our client sends for an operation."""
    found = spellings_of(operation)
    return found[0] if found else None


def canonical_function(operation: str) -> str:
    """libvirt's name for an operation, as errors give it; the operation's own where libvirt has none."""
    found = canonical(operation)
    return operation if found is None else found.function


def needs_write(operation: str, arguments: Sequence[object]) -> bool:
    """Whether an operation with these arguments (declared order, ``flags`` last) needs a read-write connection."""
    found = canonical(operation)
    if found is None:
        return True
    if isinstance(found.write, bool):
        return found.write
    flags = arguments[-1] if arguments else 0
    return not isinstance(flags, int) or found.forbidden_readonly(flags)


def all_spellings() -> list[Spelling]:
    """Every spelling of every operation."""
    return [spelling for operation in _TABLE for spelling in spellings_of(operation)]


@functools.cache
def _indexes() -> tuple[dict[str, Spelling], dict[str, Spelling]]:
    functions: dict[str, Spelling] = {}
    procedures: dict[str, Spelling] = {}
    for spelling in all_spellings():
        functions[spelling.function] = spelling
        if spelling.procedure is not None:
            procedures.setdefault(spelling.procedure, spelling)
    return functions, procedures


def of_function(function: str) -> Spelling | None:
    """The spelling of a libvirt function."""
    return _indexes()[0].get(function)


def by_procedure(procedure: str) -> Spelling | None:
    """The spelling that a procedure (``remote.DOMAIN_CREATE``) stands for."""
    return _indexes()[1].get(procedure)
