"""What reaches guests that do not exist from outside: keys, signals; and their screen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from virtcore.builtin.test.state import TestState
from virtcore.driver.toolkit.stateful import StatefulDriver
from virtcore.errors import InternalError, InvalidArg
from virtcore.operations.declare import inline

if TYPE_CHECKING:
    from virtcore.enums import DomainProcessSignal, KeycodeSet
    from virtcore.operations.stream import ByteStream
    from virtcore.operations.values import Screenshot
    from virtcore.types import DomainRef

__all__ = ["ReachingParts"]

_MOST_KEYS = 16


class ReachingParts(StatefulDriver[TestState]):
    """Operations that send something into a guest, or look at its screen."""

    @inline
    def domain_send_key(
        self, domain: DomainRef, codeset: KeycodeSet | int, holdtime: int, keycodes: Sequence[int], flags: int = 0
    ) -> None:
        from virtcore.builtin.test.keycodes import is_key, set_name
        from virtcore.driver.toolkit.arguments import invalid_argument, refuse_none
        from virtcore.enums.domain_more import KeycodeSet

        refuse_none(keycodes, "nkeycodes", "domain_send_key")
        if codeset not in KeycodeSet.__members__.values():
            raise invalid_argument(f"Unsupported codeset '{int(codeset)}'")
        if len(keycodes) > _MOST_KEYS:
            raise invalid_argument(f"nkeycodes in virDomainSendKey must be <= {_MOST_KEYS}")
        self.check_flags(flags, 0, "domain_send_key")
        self.domain(domain).require_active()
        codes = KeycodeSet(codeset)
        for number in keycodes:
            if not is_key(codes, number):
                raise InternalError(f"invalid keycode {number} of {set_name(codes)} codeset")

    @inline
    def domain_send_process_signal(
        self, domain: DomainRef, pid: int, signum: DomainProcessSignal | int, flags: int = 0
    ) -> None:
        from virtcore.driver.toolkit.arguments import refuse_zero
        from virtcore.enums.domain_more import DomainProcessSignal

        refuse_zero(pid, "pid_value", "domain_send_process_signal")
        self.check_flags(flags, 0, "domain_send_process_signal")
        if pid != 1:
            raise InvalidArg("only sending a signal to pid 1 is supported")
        if signum not in DomainProcessSignal.__members__.values():
            raise InvalidArg(f"signum value {int(signum)} is out of range")
        self.domain(domain)  # whether it runs is all the same to libvirt's driver

    @inline
    def domain_inject_nmi(self, domain: DomainRef, flags: int = 0) -> None:
        self.check_flags(flags, 0, "domain_inject_nmi")
        self.domain(domain).require_active()

    async def domain_screenshot(self, domain: DomainRef, screen: int = 0, flags: int = 0) -> Screenshot[ByteStream]:
        from virtcore.builtin.test.picture import screen as picture
        from virtcore.driver.toolkit.streams import Content
        from virtcore.operations.values import Screenshot

        self.check_flags(flags, 0, "domain_screenshot")
        self.domain(domain)
        return Screenshot("image/png", Content(picture()))
