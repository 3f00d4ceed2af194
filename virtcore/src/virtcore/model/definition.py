"""What completion and validation of definitions other than domains' have in common."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, TypeVar

from virtcore.errors import ErrorDomain, VirtError
from virtcore.xml import Rules

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["DefinitionContext", "DefinitionRules"]

T = TypeVar("T")
C = TypeVar("C", bound="DefinitionContext")


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
            self._claim(error)
            raise

    def validate(self, obj: T, context: C) -> None:
        """Runs the validation stages.

        :raises VirtError: what is given cannot work.
        """
        try:
            super().validate(obj, context)
        except VirtError as error:
            self._claim(error)
            raise

    def _claim(self, error: VirtError) -> None:
        if error.domain is ErrorDomain.NONE:
            error.domain = self.error_domain
