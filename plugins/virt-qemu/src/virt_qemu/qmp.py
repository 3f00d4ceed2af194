"""One connection to a QMP server: the connections of ``qemu.qmp`` with messages that cost little.

QEMU reads its monitor byte by byte, with half a dozen system calls for each, so what most commands cost it is their
length: there are no spaces in them, no empty arguments, and identifiers are small numbers, which are used again.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import struct
from collections.abc import Callable, Mapping

from qemu.qmp import QMPError, Runstate
from qemu.qmp.protocol import AsyncProtocol

__all__ = ["Connection", "Message"]

#: A reply, an event or the greeting.
Message = dict[str, object]

_LONGEST = 10 << 20
"""Bytes of the longest message."""

# It reports to the log what it raises.
logging.getLogger("qemu.qmp").setLevel(logging.CRITICAL + 1)


class Connection(AsyncProtocol[Message]):
    """A connection. It ends like any of :class:`AsyncProtocol`; who waits for an answer then gets ``EOFError``.

    :param on_event: called in the loop with every event, in the order in which messages came.
    """

    def __init__(self, on_event: Callable[[Message], None]) -> None:
        super().__init__(None, _LONGEST)
        self._on_event = on_event
        self._answers: dict[int, asyncio.Future[Message]] = {}
        self._free: list[int] = []

    def ask(self, command: str, arguments: Mapping[str, object] | None = None) -> asyncio.Future[Message]:
        """Send a command; returns what its reply will be. It may be cancelled, which does not stop the command.

        :raises EOFError: the connection has ended.
        """
        if self.runstate is not Runstate.RUNNING:
            raise EOFError
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        number = self._free.pop() if self._free else len(self._answers)
        self._answers[number] = answer
        message = {"execute": command}
        self._do_send({**message, "arguments": arguments, "id": number} if arguments else {**message, "id": number})
        return answer

    def hand_over(self, descriptor: int) -> None:
        """Send a copy of a descriptor, for the command that is sent next."""
        assert self._writer is not None
        end: socket.socket = self._writer.get_extra_info("socket")._sock  # its wrapper does not let anybody send
        end.sendmsg([b" "], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("@i", descriptor))])

    # -- what the protocol asks for

    async def _establish_session(self) -> None:
        greeting = (await self._recv()).get("QMP")
        if not isinstance(greeting, dict):
            raise QMPError("it does not greet")
        # Then it reads the next command while it is at one.
        arguments = {"arguments": {"enable": ["oob"]}} if "oob" in greeting.get("capabilities", ()) else {}
        self._do_send({"execute": "qmp_capabilities", **arguments})
        if "return" not in await self._recv():
            raise QMPError("it does not agree")
        await super()._establish_session()

    def _do_send(self, msg: Message) -> None:
        assert self._writer is not None
        self._writer.write(json.dumps(msg, separators=(",", ":")).encode())

    async def _do_recv(self) -> Message:
        message = json.loads(await self._readline())
        if not isinstance(message, dict):
            raise QMPError("it does not speak QMP")
        return message

    async def _on_message(self, msg: Message) -> None:
        if "event" in msg:
            # When those were told whose answers came before.
            asyncio.get_running_loop().call_soon(self._on_event, msg)
            return
        number = msg.get("id")
        makes_sense = "return" in msg or isinstance(msg.get("error"), dict)
        if not makes_sense or not isinstance(number, int) or number not in self._answers:
            raise QMPError("it answers what was not asked")
        answer = self._answers.pop(number)
        self._free.append(number)
        if not answer.done():
            answer.set_result(msg)

    async def _bh_disconnect(self) -> None:
        try:
            await super()._bh_disconnect()
        finally:
            answers, self._answers, self._free = self._answers, {}, []
            for answer in answers.values():
                if not answer.done():
                    answer.set_exception(EOFError())

    # Its own write every message out for a log that is off: that takes longer than reading them.

    def _cb_inbound(self, msg: Message) -> Message:
        return msg

    def _cb_outbound(self, msg: Message) -> Message:
        return msg
