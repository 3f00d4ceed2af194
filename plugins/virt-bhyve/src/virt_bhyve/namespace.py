"""What bhyve domains may have beyond libvirt's own elements: ``<bhyve:commandline>``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtcore.errors import ErrorCode
from virtcore.xml import Namespace, attribute, children, element, register_namespace

if TYPE_CHECKING:
    from virtcore.model.domain.domain import Domain

__all__ = ["BHYVE", "BhyveArgument", "BhyveCommandLine", "extra_arguments", "register"]

BHYVE = Namespace("bhyve", "http://libvirt.org/schemas/domain/bhyve/1.0", "domain")


@element("arg")
class BhyveArgument:
    """A word of the command line."""

    value: str = attribute(
        required=True,
        missing="No bhyve command-line argument specified",
        missing_code=ErrorCode.INTERNAL_ERROR,
        doc="the word, as it is",
    )


@element("commandline", ns=BHYVE)
class BhyveCommandLine:
    """Words that bhyve gets beside what the driver gives it. What they do is the user's affair."""

    arguments: list[BhyveArgument] = children()


def register() -> None:
    """Make the elements known to every reader of domain documents. Doing it again changes nothing."""
    register_namespace(BHYVE, BhyveCommandLine)


def extra_arguments(domain: Domain) -> list[str]:
    """The words of ``<bhyve:commandline>``."""
    return [
        argument.value
        for each in domain.hypervisor
        if isinstance(each, BhyveCommandLine)
        for argument in each.arguments
    ]
