"""Administration of the daemon itself: the procedures of libvirt's admin program."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from virt_remote.server.procedures import session_procedure
from virtcore import LIBVIRT_VERSION
from virtcore.enums.common import TypedParameterType
from virtcore.errors import (
    ArgumentUnsupported,
    ErrorDomain,
    InternalError,
    InvalidArg,
    NoClient,
    NoServer,
    OperationUnsupported,
    SystemError,
)
from virtcore.types import TypedParameters, TypedValue

if TYPE_CHECKING:
    from virt_remote.server.client import Client
    from virt_remote.server.logs import Logs
    from virt_remote.server.service import Server

__all__ = ["TRANSPORTS"]

#: ``virClientTransport``.
TRANSPORTS: Final = {"unix": 0, "tcp": 1, "tls": 2}

#: ``VIR_DAEMON_SHUTDOWN_PRESERVE``.
_PRESERVE: Final = 1

_UINT, _INT = TypedParameterType.UINT, TypedParameterType.INT
_STRING, _BOOLEAN = TypedParameterType.STRING, TypedParameterType.BOOLEAN


def _check_flags(flags: int, known: int, function: str) -> None:
    unknown = flags & ~known
    if unknown:
        raise InvalidArg(f"unsupported flags (0x{unknown:x}) in function {function}", domain=ErrorDomain.ADMIN)


def _server(client: Client, reference: tuple[str]) -> Server:
    found = client.server.daemon.servers.get(reference[0])
    if found is None:
        raise NoServer(f"No server named '{reference[0]}'", domain=ErrorDomain.ADMIN)
    return found


def _client(client: Client, server: Server, number: int) -> Client:
    found = server.clients.get(number)
    if found is None:
        raise NoClient(f"No client with matching ID '{number}'", domain=ErrorDomain.ADMIN)
    return found


def _reference(server: Server, client: Client) -> tuple[tuple[str], int, int, int]:
    return ((server.name,), client.id, client.since, TRANSPORTS[client.endpoint.transport])


# -- the connection


@session_procedure("admin.CONNECT_OPEN", opened=False)
def _open(client: Client, flags: int) -> None:
    _check_flags(flags, 0, "adminConnectOpen")
    client.administers = True


@session_procedure("admin.CONNECT_CLOSE", opened=False)
def _close(client: Client) -> None:
    import asyncio

    asyncio.get_running_loop().call_soon(client.hang_up)


@session_procedure("admin.CONNECT_GET_LIB_VERSION")
def _lib_version(client: Client) -> tuple[int]:
    return (LIBVIRT_VERSION,)


@session_procedure("admin.CONNECT_LIST_SERVERS")
def _list_servers(client: Client, need: int, flags: int) -> tuple[Sequence[tuple[str]], int]:
    _check_flags(flags, 0, "adminConnectListServers")
    names = [(name,) for name in client.server.daemon.servers]
    return (names if need else [], len(names))


@session_procedure("admin.CONNECT_LOOKUP_SERVER")
def _lookup_server(client: Client, name: str, flags: int) -> tuple[tuple[str]]:
    _check_flags(flags, 0, "adminConnectLookupServer")
    return ((_server(client, (name,)).name,),)


# -- servers


@session_procedure("admin.SERVER_GET_THREADPOOL_PARAMETERS")
def _threadpool(client: Client, server: tuple[str], flags: int) -> tuple[TypedParameters]:
    _check_flags(flags, 0, "adminServerGetThreadPoolParameters")
    found = _server(client, server)
    workers = found.workers
    asking = found is client.server  # this call takes one, as libvirt's does
    values = {
        "minWorkers": workers.minimum,
        "maxWorkers": workers.maximum,
        "nWorkers": workers.current,
        "freeWorkers": max(workers.free - asking, 0),
        "prioWorkers": workers.priority,
        "jobQueueDepth": workers.queued,
    }
    return (TypedParameters((name, _UINT, value) for name, value in values.items()),)


def _given(params: TypedParameters, *names: str) -> dict[str, int | None]:
    """Numbers of typed parameters, of which only these may be given.

    :raises ArgumentUnsupported: there is another one.
    :raises InvalidArg: one is of another type, or given twice.
    """
    found: dict[str, int | None] = dict.fromkeys(names)
    for name, kind, value in params.rows():
        if name not in found:
            raise ArgumentUnsupported(f"parameter '{name}' not supported")
        if kind is not _UINT or not isinstance(value, int):
            raise InvalidArg(f"invalid type '{kind.name.lower()}' for parameter '{name}', expected 'uint'")
        if found[name] is not None:
            raise InvalidArg(f"parameter '{name}' occurs multiple times")
        found[name] = value
    return found


@session_procedure("admin.SERVER_SET_THREADPOOL_PARAMETERS")
def _set_threadpool(client: Client, server: tuple[str], params: TypedParameters, flags: int) -> None:
    _check_flags(flags, 0, "adminServerSetThreadPoolParameters")
    given = _given(params, "minWorkers", "maxWorkers", "prioWorkers")
    _server(client, server).workers.change(given["minWorkers"], given["maxWorkers"], given["prioWorkers"])


@session_procedure("admin.SERVER_GET_CLIENT_LIMITS")
def _limits(client: Client, server: tuple[str], flags: int) -> tuple[TypedParameters]:
    _check_flags(flags, 0, "adminServerGetClientLimits")
    found = _server(client, server)
    values = {
        "nclients_max": found.max_clients,
        "nclients": len(found.clients),
        "nclients_unauth_max": found.max_anonymous,
        "nclients_unauth": found.anonymous,
    }
    return (TypedParameters((name, _UINT, value) for name, value in values.items()),)


@session_procedure("admin.SERVER_SET_CLIENT_LIMITS")
def _set_limits(client: Client, server: tuple[str], params: TypedParameters, flags: int) -> None:
    _check_flags(flags, 0, "adminServerSetClientLimits")
    given = _given(params, "nclients_max", "nclients_unauth_max")
    _server(client, server).set_limits(given["nclients_max"], given["nclients_unauth_max"])


@session_procedure("admin.SERVER_UPDATE_TLS_FILES")
def _update_tls(client: Client, server: tuple[str], flags: int) -> None:
    _check_flags(flags, 0, "adminServerUpdateTlsFiles")
    found = _server(client, server)
    if not any(endpoint.transport == "tls" for endpoint in found.endpoints):
        raise InternalError("no tls service found, unable to update tls files", domain=ErrorDomain.RPC)
    client.server.daemon.update_tls()


# -- clients


@session_procedure("admin.SERVER_LIST_CLIENTS")
def _list_clients(client: Client, server: tuple[str], need: int, flags: int) -> tuple[list[Any], int]:
    _check_flags(flags, 0, "adminServerListClients")
    owner = _server(client, server)
    found = [_reference(owner, one) for one in owner.clients.values()]
    return (found if need else [], len(found))


@session_procedure("admin.SERVER_LOOKUP_CLIENT")
def _lookup_client(client: Client, server: tuple[str], number: int, flags: int) -> tuple[Any]:
    _check_flags(flags, 0, "adminServerLookupClient")
    owner = _server(client, server)
    return (_reference(owner, _client(client, owner, number)),)


@session_procedure("admin.CLIENT_GET_INFO")
def _client_info(client: Client, reference: tuple[tuple[str], int, int, int], flags: int) -> tuple[TypedParameters]:
    _check_flags(flags, 0, "adminClientGetInfo")
    found = _client(client, _server(client, reference[0]), reference[1])
    who = found.identity
    import grp

    group = None
    if who.gid is not None:
        try:
            group = grp.getgrgid(who.gid).gr_name
        except KeyError:
            group = str(who.gid)
    rows: list[tuple[str, TypedParameterType, TypedValue | None]] = [
        ("readonly", _BOOLEAN, found.readonly),
        ("sasl_user_name", _STRING, who.sasl),
        ("sock_addr", _STRING, who.address or None),
        ("tls_x509_dname", _STRING, who.dname),
        ("unix_user_id", _INT, who.uid),
        ("unix_user_name", _STRING, None if who.uid is None else who.user or str(who.uid)),
        ("unix_group_id", _INT, who.gid),
        ("unix_group_name", _STRING, group),
        ("unix_process_id", _INT, who.pid),
        ("selinux_context", _STRING, who.label),
    ]
    return (TypedParameters((name, kind, value) for name, kind, value in rows if value is not None),)


@session_procedure("admin.CLIENT_CLOSE")
def _close_client(client: Client, reference: tuple[tuple[str], int, int, int], flags: int) -> None:
    _check_flags(flags, 0, "adminClientClose")
    _client(client, _server(client, reference[0]), reference[1]).hang_up()


# -- the log


def _logs(client: Client) -> Logs:
    logs = client.server.daemon.logs
    if logs is None:
        raise OperationUnsupported("this daemon keeps no log of its own")
    return logs


@session_procedure("admin.CONNECT_GET_LOGGING_OUTPUTS")
def _outputs(client: Client, flags: int) -> tuple[str, int]:
    _check_flags(flags, 0, "adminConnectGetLoggingOutputs")
    logs = _logs(client)
    return (logs.outputs, logs.output_count)


@session_procedure("admin.CONNECT_GET_LOGGING_FILTERS")
def _filters(client: Client, flags: int) -> tuple[str | None, int]:
    _check_flags(flags, 0, "adminConnectGetLoggingFilters")
    logs = _logs(client)
    return (logs.filters or None, logs.filter_count)


@session_procedure("admin.CONNECT_SET_LOGGING_OUTPUTS")
def _set_outputs(client: Client, outputs: str | None, flags: int) -> None:
    _check_flags(flags, 0, "adminConnectSetLoggingOutputs")
    logs = _logs(client)
    try:
        logs.set_outputs(outputs or client.server.daemon.default_outputs)
    except OSError as error:
        raise SystemError(f"failed to open {error.filename or 'log output'}: {error.strerror}") from None


@session_procedure("admin.CONNECT_SET_LOGGING_FILTERS")
def _set_filters(client: Client, filters: str | None, flags: int) -> None:
    _check_flags(flags, 0, "adminConnectSetLoggingFilters")
    _logs(client).set_filters(filters or "")


# -- the daemon


@session_procedure("admin.CONNECT_SET_DAEMON_TIMEOUT")
def _set_timeout(client: Client, timeout: int, flags: int) -> None:
    _check_flags(flags, 0, "adminConnectSetDaemonTimeout")
    client.server.daemon.set_timeout(timeout)


@session_procedure("admin.CONNECT_DAEMON_SHUTDOWN")
def _shutdown(client: Client, flags: int) -> None:
    _check_flags(flags, _PRESERVE, "adminConnectDaemonShutdown")
    if flags & _PRESERVE:
        client.server.daemon.preserve()
    else:
        client.server.daemon.stop()
