"""What the asking end says and when, without any input or output: opening a connection, and every operation.

Each is a generator that gives the calls to make and is sent their replies (or has their errors thrown into it), so that
a thread with a blocking socket and a coroutine in the core loop carry out the same::

    steps = Steps(address).open(link, ask)
    request = next(steps)
    while True: request = steps.send(reply_to(request))      # until StopIteration, whose value is the result
"""

from __future__ import annotations

from virt_remote.client.address import Address
from virt_remote.client.credentials import Asker, credentials, look_up
from virt_remote.client.link import Link, ReplyWithFiles
from virt_remote.descriptors import close_all
from virt_remote.protocol import AUTH_NONE, AUTH_POLKIT, AUTH_SASL, BODY, READONLY, decode_error
from virtcore import errors
from virtcore._tuples import NamedTuple
from virtcore._typing import TYPE_CHECKING, Any, Callable, Final, Generator, Mapping, Sequence, TypeVar
from virtcore.errors import RPC, AuthFailed, AuthUnavailable, NoSupport, VirtError
from virtcore.operations.procedures import Procedure, procedure
from virtcore.operations.spellings import canonical_function, spellings_of
from virtcore.operations.wire.codec import EncodingError, WireError, codec
from virtcore.operations.wire.mapping import ClientCall, client_operation

if TYPE_CHECKING:
    from virtcore.types import NetworkRef

__all__ = ["Flow", "Request", "Steps", "ask", "body_of", "is_secure", "remote_error", "supports_feature"]

#: Bits of encryption that SASL has to bring where nothing else does.
SSF_NEEDED: Final = 56
_USERNAME: Final = 2  # VIR_CRED_AUTHNAME
_PASSWORD: Final = 5  # VIR_CRED_PASSPHRASE

V = TypeVar("V")


class Request(NamedTuple):
    """A call to make."""

    row: Procedure
    body: bytes
    #: Descriptors to send with it; the caller's to close.
    files: Sequence[int] = ()


#: Calls to make, replies (of calls that open a stream: reply and stream), and what comes of it all.
Flow = Generator[Request, Any, V]


def remote_error(data: bytes) -> VirtError:
    """The error that an error reply carries.

    :raises ProtocolError: it is none.
    """
    code, domain, text, level, _, _, detail, *_ = decode_error(data)
    return VirtError.from_message(code, text or "", domain=domain, level=level, detail=detail)


def body_of(data: bytes, decode: Callable[[bytes, int], tuple[Any, int]] | None) -> Any:
    """The results in a reply; an empty tuple for procedures without."""
    if isinstance(data, ReplyWithFiles):
        close_all(data.files)
        raise RPC("the daemon sent descriptors that were not asked for", domain=errors.ErrorDomain.RPC)
    return _results(data, decode)


def _results(data: bytes, decode: Callable[[bytes, int], tuple[Any, int]] | None) -> Any:
    if decode is None:
        return ()
    try:
        return decode(data, BODY)[0]
    except WireError:
        raise RPC("Unable to decode message payload", domain=errors.ErrorDomain.RPC) from None


def ask(name: str, *arguments: object) -> Flow[Any]:
    """Call a procedure that stands for no operation."""
    row = procedure("remote." + name)
    body = codec(row.program, row.args).encode(arguments) if row.args else b""
    reply = yield Request(row, body)
    return body_of(reply, codec(row.program, row.ret).decode if row.ret else None)


def supports_feature(feature: int) -> Flow[bool]:
    """Whether the daemon, or the driver behind it, has a feature (``virDrvFeature``)."""
    (supported,) = yield from ask("CONNECT_SUPPORTS_FEATURE", feature)
    return bool(supported)


def is_secure(link: Link) -> Flow[bool]:
    """Whether nobody can listen, neither on the way to the daemon nor beyond it."""
    (secure,) = yield from ask("CONNECT_IS_SECURE")
    return bool(secure) and (link.secure or link.encrypted)


class Steps:
    """One connection's side of the conversation."""

    def __init__(self, address: Address) -> None:
        self.address = address
        #: Functions that the daemon or its driver turned out not to have.
        self._absent: set[str] = set()
        self._link: Link | None = None
        #: Whether descriptors may be passed; None until that was asked.
        self._passes_files: bool | None = None

    def open(self, link: Link, asker: Asker | None) -> Flow[str]:
        """Authenticate and open; gives the connection's URI."""
        self._link = link
        yield from self._authenticate(link, asker)
        yield from ask("CONNECT_OPEN", self.address.name, READONLY if self.address.readonly else 0)
        if self.address.name:
            return str(self.address.uri)
        (uri,) = yield from ask("CONNECT_GET_URI")
        return str(uri)

    # -- who we are

    def _authenticate(self, link: Link, asker: Asker | None) -> Flow[None]:
        (offers,) = yield from ask("AUTH_LIST")
        if not offers:
            return
        chosen = offers[0]
        wanted = self.address.get("auth")
        mechanism: str | None = None
        if wanted is not None:
            kind, dot, mechanism_text = wanted.partition(".")
            kinds = {"sasl": AUTH_SASL, "polkit": AUTH_POLKIT}
            if kind.lower() not in kinds or (dot and kind.lower() != "sasl"):
                raise AuthFailed(f"unknown authentication type {wanted}", domain=errors.ErrorDomain.REMOTE)
            chosen = kinds[kind.lower()]
            if chosen not in offers:
                raise AuthFailed(f"requested authentication type {wanted} rejected", domain=errors.ErrorDomain.REMOTE)
            mechanism = mechanism_text if dot else None
        if chosen == AUTH_SASL:
            yield from self._sasl(link, asker, mechanism)
        elif chosen == AUTH_POLKIT:
            # The daemon asks polkit; whoever has no agent to answer it is told so by the error.
            (done,) = (yield from ask("AUTH_POLKIT")) or (1,)
            if not done:
                raise AuthFailed("authentication failed", domain=errors.ErrorDomain.REMOTE)
        elif chosen != AUTH_NONE:
            raise AuthUnavailable(f"unsupported authentication type {chosen}", domain=errors.ErrorDomain.REMOTE)

    def _sasl(self, link: Link, asker: Asker | None, wanted: str | None) -> Flow[None]:
        from virt_remote import sasl
        from virtcore.driver.base import Credential

        host = self.address.host or "localhost"
        protected = link.secure or link.encrypted
        needed = 0 if protected else SSF_NEEDED
        (offered,) = yield from ask("AUTH_SASL_INIT")
        names = [name for name in offered.replace(" ", ",").split(",") if name]
        if wanted is not None and wanted.upper() not in (name.upper() for name in names):
            raise AuthFailed(f"SASL mechanism {wanted} not supported by server", domain=errors.ErrorDomain.REMOTE)
        kerberos = "GSSAPI" in (name.upper() for name in names) and _has_ticket(wanted)
        try:
            name = sasl.best_mechanism(names, wanted, encrypted=protected, ssf=needed, kerberos=kerberos)
        except sasl.SaslError as error:
            raise AuthFailed(
                f"Failed to start SASL negotiation: -4 ({error})", domain=errors.ErrorDomain.REMOTE
            ) from None
        user = password = ""
        if name != "GSSAPI":
            user, password = credentials(
                [
                    Credential(_USERNAME, "Please enter your authentication name", None, None),
                    Credential(_PASSWORD, "Please enter your password", None, None),
                ],
                _both(look_up(self.address.uri, "libvirt", host)),
                asker,
            )
        try:
            client = sasl.client_mechanism(name, user, password, host, needed)
            first = client.start()
            done, nil, data = yield from ask("AUTH_SASL_START", name, int(first is None), first or b"")
            while True:
                answer = None
                if not client.complete and (not done or not nil):
                    answer = client.step(None if nil else bytes(data))
                if done:
                    break
                done, nil, data = yield from ask("AUTH_SASL_STEP", int(answer is None), answer or b"")
        except sasl.SaslError as error:
            raise AuthFailed(
                f"Failed to step SASL negotiation: -1 ({error})", domain=errors.ErrorDomain.REMOTE
            ) from None
        if not client.complete:
            raise AuthFailed("authentication failed", domain=errors.ErrorDomain.REMOTE)
        if client.layer is not None and client.layer.ssf > 0:
            link.layers.append(client.layer)
        if needed and not link.encrypted:
            ssf = client.layer.ssf if client.layer is not None else 0
            raise AuthFailed(f"negotiation SSF {ssf} was not strong enough", domain=errors.ErrorDomain.REMOTE)

    # -- operations

    def operate(self, operation: str, arguments: tuple[Any, ...], named: Mapping[str, Any]) -> Flow[Any]:
        """Carry out an operation, under the best of its spellings that the daemon and its driver have."""
        refusal: VirtError | None = None
        for call, wire_arguments in client_operation(operation).calls(arguments, named):
            if call.spelling.function in self._absent:
                continue
            try:
                if call.takes_files or call.gives_files:
                    yield from self._pass_files()
                return (yield from _invoke(call, wire_arguments))
            except (NoSupport, RPC) as error:
                if isinstance(error, RPC) and not str(error.detail).startswith("unknown procedure"):
                    raise
                refusal = refusal or error
                if isinstance(error, RPC) or error.detail == call.spelling.function:
                    self._absent.add(call.spelling.function)  # for good; else it is what was asked for this time
        raise refusal or NoSupport(canonical_function(operation))

    def lacks(self, operation: str) -> bool:
        """Whether an operation cannot be had here: no procedure carries it, the daemon or its driver turned out not to
        have it, or it needs descriptors, which do not travel."""
        carried = [spelling for spelling in spellings_of(operation) if spelling.procedure is not None]
        files = self._passes_files is not False and self._link is not None and self._link.passes_files
        return all(one.function in self._absent or (one.files and not files) for one in carried)

    def _pass_files(self) -> Flow[None]:
        """Make sure that descriptors can be passed both ways.

        :raises ArgumentUnsupported: they cannot.
        """
        if self._passes_files is None:
            from virtcore.operations.features import DriverFeature

            able = self._link is not None and self._link.expect_files()
            self._passes_files = able and (yield from supports_feature(DriverFeature.FD_PASSING))
        if not self._passes_files:
            raise errors.ArgumentUnsupported("fd passing is not supported by this connection")

    def network_update(
        self, network: NetworkRef, command: int, section: int, parent_index: int, xml: str, flags: int = 0
    ) -> Flow[None]:
        """Update a network. Daemons before libvirt 7.2 take command and section the other way round."""
        from virtcore.operations.features import DriverFeature

        ordered = yield from supports_feature(DriverFeature.NETWORK_UPDATE_HAS_CORRECT_ORDER)
        first, second = (command, section) if ordered else (section, command)
        yield from self.operate("network_update", (network, first, second, parent_index, xml, flags), {})


def _has_ticket(wanted: str | None) -> bool:
    """Whether Kerberos can be used: the library is there, and a ticket, or the user wants nothing else."""
    from virt_remote.sasl_gssapi import has_ticket, is_available

    return is_available() and ((wanted or "").upper() == "GSSAPI" or (wanted is None and has_ticket()))


def _both(known: Mapping[str, str]) -> Mapping[str, str]:
    """Files may call the name either way."""
    return {**known, "authname": known["username"]} if "username" in known and "authname" not in known else known


def _invoke(call: ClientCall, wire_arguments: tuple[Any, ...]) -> Flow[Any]:
    row = call.procedure
    try:
        if call.takes_files or call.gives_files:
            return (yield from _invoke_with_files(call, wire_arguments))
        body = call.encode(wire_arguments) if call.encode is not None else b""
        if row.stream is not None:
            reply, stream = yield Request(row, body)
            return call.value((*body_of(reply, call.decode), stream))
        results = body_of((yield Request(row, body)), call.decode)
        while call.again is not None and call.encode is not None:
            more = call.again(wire_arguments, results)
            if more is None:
                break
            wire_arguments = more
            results = body_of((yield Request(row, call.encode(wire_arguments))), call.decode)
    except EncodingError as error:
        raise RPC(f"Unable to encode message payload: {error}", domain=errors.ErrorDomain.RPC) from None
    return call.value(results) if call.decode is not None else None


def _invoke_with_files(call: ClientCall, wire_arguments: tuple[Any, ...]) -> Flow[Any]:
    files: Sequence[int] = ()
    if call.takes_files:
        *rest, files = wire_arguments
        wire_arguments = tuple(rest)
    body = call.encode(wire_arguments) if call.encode is not None else b""
    reply = yield Request(call.procedure, body, files)
    if not call.gives_files:
        return call.value(body_of(reply, call.decode)) if call.decode is not None else None
    received = list(reply.files) if isinstance(reply, ReplyWithFiles) else []
    try:
        return call.value((*_results(reply, call.decode), received))
    except BaseException:
        close_all(received)
        raise
