"""The agent's protocol, without any I/O: JSON objects, one a line, one question at a time.

Whatever was left in the channel by an earlier question (a reply that came after its asker had given up) is told from
the answer to the next one by *synchronizing*: a number is sent, and everything until that number comes back is dropped.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from virtcore.errors import AgentCommandFailed, AgentUnresponsive, InternalError

if TYPE_CHECKING:
    from virt_qemu.monitor import JSON

__all__ = ["LONGEST_REPLY", "AgentCommandError", "AgentProtocol", "value_of"]

LONGEST_REPLY = 10 << 20
"""Bytes that one reply may have."""

#: What libvirt says of an error that comes without a description, by the agent's class of error.
_CLASSES = {
    "BufferOverrun": "Buffer overrun",
    "CommandDisabled": "Command has been disabled",
    "CommandNotFound": "The command has not been found",
    "FdNotFound": "File descriptor not found",
    "InvalidParameter": "Invalid parameter",
    "InvalidParameterType": "Invalid parameter type",
    "InvalidParameterValue": "Invalid parameter value",
    "OpenFileFailed": "Cannot open file",
    "QgaCommandFailed": "Guest agent command failed",
    "QMPBadInputObjectMember": "Bad QMP input object member",
    "QMPExtraInputObjectMember": "Unexpected extra object member",
    "UndefinedError": "An undefined error has occurred",
    "Unsupported": "this feature or command is not currently supported",
}


class AgentCommandError(AgentCommandFailed):
    """The agent refused a command.

    :ivar error_class: its class of error.
    """

    def __init__(self, command: str, error: object) -> None:
        told = error if isinstance(error, dict) else {}
        self.error_class = str(told.get("class", ""))
        reason = told.get("desc") or _CLASSES.get(self.error_class, self.error_class) or "unknown QEMU command error"
        super().__init__(f"unable to execute QEMU agent command '{command}': {reason}")

    @property
    def unsupported(self) -> bool:
        """This agent has no such command, or none that may be used."""
        return self.error_class in ("CommandNotFound", "CommandDisabled")


class AgentProtocol:
    """What was asked, and what has come of it.

    :ivar in_step: what comes next is the answer to what is asked next.
    """

    def __init__(self) -> None:
        self.in_step = False
        self._number: int | None = None
        self._command: str | None = None
        self._rest = b""

    def synchronize(self, number: int) -> bytes:
        """Begin to synchronize: the bytes to send.

        :param number: one that was not used before.
        """
        self.in_step, self._number, self._command = False, number, None
        return _line({"execute": "guest-sync", "arguments": {"id": number}})

    def ask(self, command: str, arguments: Mapping[str, JSON] | None = None) -> bytes:
        """Ask something: the bytes to send."""
        question: dict[str, JSON] = {"execute": command}
        if arguments is not None:
            question["arguments"] = dict(arguments)
        return self.ask_as_is(command, question)

    def ask_as_is(self, command: str, question: JSON) -> bytes:
        """Ask something that somebody has put together."""
        self._command = command
        return _line(question)

    def give_up(self) -> None:
        """Nobody waits for the answer any more; it may still come."""
        self._command = self._number = None
        self.in_step = False

    def receive(self, data: bytes) -> list[dict[str, JSON]]:
        """Take what has come; the answer to what was asked, or to the synchronization, if it is among it.

        :raises InternalError: it is no answer.
        :raises AgentUnresponsive: it has no end.
        """
        self._rest += data
        found = []
        while b"\n" in self._rest:
            line, _, self._rest = self._rest.partition(b"\n")
            reply = self._take(line.strip(b"\xff\r\n\t "))
            if reply is not None:
                found.append(reply)
        if len(self._rest) > LONGEST_REPLY:
            self._rest = b""
            raise AgentUnresponsive("the guest agent's reply is too long")
        return found

    def _take(self, line: bytes) -> dict[str, JSON] | None:
        if not line or (self._number is None and self._command is None):
            return None  # nobody has asked: what is late is dropped
        try:
            reply = json.loads(line)
        except ValueError:
            reply = None
        if self._number is not None:
            # The agent may still be at something else, and may have read half a question.
            if isinstance(reply, dict) and reply.get("return") == self._number:
                self._number, self.in_step = None, True
                return reply
            return None
        if not isinstance(reply, dict):
            raise InternalError(f"cannot parse json {line[:200].decode(errors='replace')}")
        if "return" not in reply and "error" not in reply:
            return None  # libvirt passes over what it does not know
        self._command = None
        return reply


def value_of(command: str, reply: Mapping[str, JSON]) -> JSON:
    """What a reply gives.

    :raises AgentCommandError: it is a refusal.
    """
    if "error" in reply:
        raise AgentCommandError(command, reply["error"])
    return reply.get("return")


def _line(question: JSON) -> bytes:
    return json.dumps(question, separators=(",", ":")).encode() + b"\n"
