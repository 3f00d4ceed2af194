"""What completion and validation of documents have in common, whatever they describe."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, TypeVar

from virtcore.errors import ErrorDomain, VirtError
from virtcore.xml import Rules

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["DefinitionContext", "DefinitionRules", "claim_errors"]

T = TypeVar("T")
C = TypeVar("C")


@dataclass(slots=True, kw_only=True)
class DefinitionContext:
    """Everything but the document that completion and validation may look at.

    :param new_uuid: where generated UUIDs come from.
    """

    new_uuid: Callable[[], uuid.UUID] = uuid.uuid4


class DefinitionRules(Rules[T, C]):
    """Rules whose errors say which part of libvirt they come from."""

    #: Where errors come from that say nothing about it.
    error_domain: ClassVar[ErrorDomain]

    def complete(self, obj: T, context: C) -> None:
        """Runs the completion stages.

        :raises VirtError: what is given contradicts itself.
        """
        try:
            super().complete(obj, context)
        except VirtError as error:
            claim_errors(error, self.error_domain)
            raise

    def validate(self, obj: T, context: C) -> None:
        """Runs the validation stages.

        :raises VirtError: what is given cannot work.
        """
        try:
            super().validate(obj, context)
        except VirtError as error:
            claim_errors(error, self.error_domain)
            raise


def claim_errors(error: VirtError, domain: ErrorDomain) -> None:
    """Errors of nobody in particular come from this kind of document."""
    if error.domain is ErrorDomain.NONE:
        error.domain = domain
