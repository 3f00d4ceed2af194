"""The remote driver in the hands of one thread, for the sync face (see :mod:`virtcore.runtime.blocking`)."""

from __future__ import annotations

from virt_remote.client.address import address_of
from virt_remote.client.blocking import BlockingClient
from virt_remote.client.credentials import Asker
from virt_remote.client.link import Expired
from virt_remote.client.steps import Flow, Request, Steps, is_secure, supports_feature
from virtcore._typing import TYPE_CHECKING, Any, Callable, Final, TypeVar
from virtcore.errors import NoSupport, VirtError
from virtcore.operations.declare import Operation
from virtcore.operations.spellings import canonical_function
from virtcore.operations.wire.mapping import crosses
from virtcore.runtime.blocking import NeedsLoop
from virtcore.uri import ConnectionURI

if TYPE_CHECKING:
    from virt_remote.client.driver import RemoteDriver

__all__ = ["RemoteBackend", "open_blocking"]

T = TypeVar("T")


def open_blocking(uri: ConnectionURI, *, readonly: bool, ask: Asker | None, end: float | None) -> RemoteBackend:
    """Open a connection that the calling thread drives.

    :raises VirtError: the daemon cannot be reached, or does not let us in.
    """
    try:
        client = BlockingClient.open(Steps(address_of(uri, readonly)), ask, end)
    except Expired:
        raise TimeoutError from None
    client.share()
    return RemoteBackend(client)


class RemoteBackend:
    """An open connection; a :class:`~virtcore.runtime.blocking.BlockingBackend`."""

    name = "RemoteDriver"

    def __init__(self, client: BlockingClient) -> None:
        self._client = client

    def implements(self, operation: Operation) -> bool:
        """Whether the driver has an operation, as far as is known."""
        name = operation.name
        return not self._client.steps.lacks(name) if crosses(name) else name in _OWN

    def call(self, operation: Operation, args: tuple[Any, ...], end: float | None) -> Any:
        """Carry an operation out, unless it takes a stream or what only the core loop can do."""
        own = _OWN.get(operation.name)
        try:
            if own is not None:
                return own(self, end, *args)
            if not crosses(operation.name):
                raise NoSupport(canonical_function(operation.name))
            return self._client.drive(_without_streams(self._client.steps.operate(operation.name, args, {})), end)
        except Expired:
            raise TimeoutError from None

    # -- operations that the remote driver has written by hand

    def _uri(self, end: float | None) -> str:
        return self._client.uri

    def _is_encrypted(self, end: float | None) -> bool:
        return self._client.link.encrypted

    def _is_alive(self, end: float | None) -> bool:
        return self._client.alive

    def _is_secure(self, end: float | None) -> bool:
        return self._client.drive(is_secure(self._client.link), end)

    def _supports_feature(self, end: float | None, feature: int) -> bool:
        return self._client.drive(supports_feature(feature), end)

    def _network_update(self, end: float | None, *args: Any) -> None:
        self._client.drive(self._client.steps.network_update(*args), end)

    def _set_keepalive(self, end: float | None, interval: int, count: int) -> bool:
        # The daemon is asked when it keeps silent during a call, if it answers at all. It is not told that we answer,
        # too: nobody would, while no call waits. In the core loop somebody does.
        if interval <= 0:
            self._client.keepalive = None
            return True
        answers = self._client.is_answered(end, interval)
        self._client.keepalive = (interval, count) if answers else None
        return answers

    # -- the core loop

    def hand_over(self, adopt: Callable[[], T]) -> T:
        """Have the core loop take over between two messages of the calling thread."""
        return self._client.take_over(adopt)

    async def adopt(self) -> RemoteDriver:
        """The driver that goes on with the connection."""
        from virt_remote.client.driver import RemoteDriver

        driver = await RemoteDriver.adopt(self._client)
        self._client.successor = driver.successor()
        return driver

    def close(self, end: float | None) -> None:
        """Take leave."""
        self._client.close(end)


def _without_streams(flow: Flow[T]) -> Flow[T]:
    """A conversation, as long as it opens no stream."""
    reply: Any = None
    error: VirtError | None = None
    while True:
        try:
            request: Request = flow.send(reply) if error is None else flow.throw(error)
        except StopIteration as end:
            value: T = end.value
            return value
        if request.row.stream is not None:
            flow.close()
            raise NeedsLoop
        error = None
        try:
            reply = yield request
        except VirtError as problem:
            error = problem


#: The operations that the driver does not leave to their procedures.
_OWN: Final[dict[str, Callable[..., Any]]] = {
    "connection_is_alive": RemoteBackend._is_alive,
    "connection_is_encrypted": RemoteBackend._is_encrypted,
    "connection_is_secure": RemoteBackend._is_secure,
    "connection_set_keepalive": RemoteBackend._set_keepalive,
    "connection_supports_feature": RemoteBackend._supports_feature,
    "connection_uri": RemoteBackend._uri,
    "network_update": RemoteBackend._network_update,
}
