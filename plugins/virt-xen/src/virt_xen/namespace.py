"""What Xen domains may have beyond libvirt's own elements: ``<xen:commandline>``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtcore.errors import ErrorCode
from virtcore.xml import Namespace, attribute, children, element, register_namespace

if TYPE_CHECKING:
    from virtcore.model.domain.domain import Domain

__all__ = ["XEN", "XenArgument", "XenCommandLine", "register", "set_words", "words_of"]

XEN = Namespace("xen", "http://libvirt.org/schemas/domain/xen/1.0", "domain")


@element("arg")
class XenArgument:
    """A word of the command line."""

    value: str = attribute(
        required=True,
        missing="No qemu command-line argument specified",
        missing_code=ErrorCode.INTERNAL_ERROR,
        doc="the word, as it is",
    )


@element("commandline", ns=XEN)
class XenCommandLine:
    """Words that the device model gets beside what Xen gives it. What they do is the user's affair."""

    arguments: list[XenArgument] = children()


def register() -> None:
    """Make the elements known to every reader of domain documents. Doing it again changes nothing."""
    register_namespace(XEN, XenCommandLine)


def words_of(domain: Domain) -> list[str]:
    """The words of ``<xen:commandline>``."""
    return [
        argument.value for each in domain.hypervisor if isinstance(each, XenCommandLine) for argument in each.arguments
    ]


def set_words(domain: Domain, words: list[str]) -> None:
    """Give a domain a ``<xen:commandline>``; none where there are no words."""
    if words:
        domain.hypervisor.append(XenCommandLine(arguments=[XenArgument(value=word) for word in words]))
