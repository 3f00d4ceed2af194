"""The users' side: one object a connection, one method an operation.

Operations that are not here and not in :class:`StatefulDriver` answer "not supported by the connection driver".
"""

from __future__ import annotations

import os
import signal
import socket
from typing import Self

from virt_example.state import ExampleState
from virtcore.driver import OpenRequest, inline
from virtcore.driver.toolkit import DomainObject, StateFolders, StatefulDriver
from virtcore.enums import DomainShutdownFlags, DomainState
from virtcore.errors import InvalidArg, OperationInvalid
from virtcore.operations.values import DomainInfo
from virtcore.types import DomainRef


class ExampleDriver(StatefulDriver[ExampleState]):
    """Serves ``example:///session`` and ``example:///embed?root=DIR``."""

    name = "EXAMPLE"
    local_only = True
    embeddable = True

    @classmethod
    async def open(cls, request: OpenRequest) -> Self:
        if request.uri.path == "/session":
            folders = StateFolders.session("example")
        elif request.uri.path == "/embed" and os.path.isabs(request.uri.get("root") or ""):
            folders = StateFolders.below(request.uri.get("root") or "", "example")
        else:
            raise InvalidArg(f"cannot open {request.uri}: use example:///session or example:///embed?root=DIR")
        # Connections to the same folders share one state; the last one to close gives it up.
        return await cls.attach(request, ("example", str(folders.config)), lambda: ExampleState(folders))

    # Three kinds of methods: @inline ones never wait; async ones may; plain ones may block, and run in a thread.

    @inline
    def connection_version(self) -> int:
        return 1_000_000  # 1.0.0

    def connection_hostname(self) -> str:
        return socket.getfqdn()  # may ask a name server

    async def domain_suspend(self, domain: DomainRef) -> None:
        obj = self.domain(domain)
        async with obj.job.modify("domain_suspend"):
            obj.require_active()
            if obj.state != DomainState.PAUSED:
                await self.state.pause(obj)

    async def domain_resume(self, domain: DomainRef) -> None:
        obj = self.domain(domain)
        async with obj.job.modify("domain_resume"):
            obj.require_active()
            if obj.state != DomainState.PAUSED:
                raise OperationInvalid("domain is already running")
            await self.state.resume(obj)

    async def domain_shutdown(self, domain: DomainRef, flags: DomainShutdownFlags | int = 0) -> None:
        self.check_flags(flags, DomainShutdownFlags.SIGNAL, "domain_shutdown")
        obj = self.domain(domain)
        async with obj.job.modify("domain_shutdown"):
            obj.require_active()
            self.state.process(obj).signal(signal.SIGTERM)  # that it went is noticed, and told, by the state

    def live_info(self, obj: DomainObject) -> DomainInfo:
        return self.info_of(obj, self.state.cpu_time(obj))
