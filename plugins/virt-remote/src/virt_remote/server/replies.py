"""Errors as replies."""

from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING

from virt_remote.protocol import error_body
from virtcore._error_table import MESSAGES
from virtcore.errors import ErrorDomain, InternalError, NoSupport, VirtError
from virtcore.operations.functions import FUNCTIONS
from virtcore.operations.origins import claim_error
from virtcore.operations.spellings import Spelling, canonical_function

if TYPE_CHECKING:
    from virtcore.runtime.session import Session

__all__ = ["as_libvirt", "error_reply_body", "function_of"]

log = logging.getLogger("virtcored")


def error_reply_body(error: BaseException) -> bytes:
    """The body of the error reply for whatever went wrong; what is no :class:`VirtError` is logged, not sent."""
    if not isinstance(error, VirtError):
        log.error("unexpected failure", exc_info=error)
        error = InternalError(f"{type(error).__name__} in the daemon (its log tells more)", domain=ErrorDomain.RPC)
    plain, with_detail = MESSAGES.get(error.code, ("", "%s"))
    template = plain if error.detail is None else with_detail.replace("%s", "%1$s")  # as libvirt since 9.1
    return error_body(int(error.code), int(error.domain), error.message, int(error.level), template, error.detail)


def as_libvirt(error: VirtError, spelling: Spelling, session: Session) -> VirtError:
    """An error with libvirt's name of the function in the place of the operation's, and the part of libvirt that it
    comes from."""
    if isinstance(error, NoSupport) and error.detail == canonical_function(spelling.operation):
        error = NoSupport(spelling.function, domain=error.domain)
    claim_error(error, spelling.function, ErrorDomain[session.error_domain(spelling.operation)])
    return error


@functools.cache
def _functions_by_procedure() -> dict[str, str]:
    found: dict[str, str] = {}
    for function, (_, _, procedure) in FUNCTIONS.items():
        if procedure is not None:
            found.setdefault(procedure, function)
    return found


def function_of(procedure: str) -> str:
    """libvirt's function that a procedure (``remote.NODE_GET_INFO``) carries; the procedure's name where none is."""
    return _functions_by_procedure().get(procedure, procedure)
