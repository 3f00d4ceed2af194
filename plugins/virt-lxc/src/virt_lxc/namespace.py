"""What containers may have beyond libvirt's own elements: ``<lxc:namespace>``."""

from __future__ import annotations

from enum import StrEnum

from virtcore.errors import ErrorCode
from virtcore.xml import Namespace, attribute, child, element, register_namespace

__all__ = ["LXC", "NamespaceSharing", "NamespaceSource", "SharedNamespace", "register"]

LXC = Namespace("lxc", "http://libvirt.org/schemas/domain/lxc/1.0", "domain")


class NamespaceSource(StrEnum):
    """How a namespace to share is named."""

    NONE = "none"
    NAME = "name"
    PID = "pid"
    NETNS = "netns"


@element(None)
class SharedNamespace:
    """A namespace of the kernel that the container shares instead of having its own."""

    type: NamespaceSource = attribute(
        required=True,
        missing="No lxc environment type specified",
        missing_code=ErrorCode.INTERNAL_ERROR,
        invalid="Unknown LXC namespace source '{value}'",
        code=ErrorCode.INTERNAL_ERROR,
        doc="how it is named",
    )
    value: str = attribute(
        required=True,
        missing="No lxc environment type specified",
        missing_code=ErrorCode.INTERNAL_ERROR,
        doc="name of another container, process id, or name of a network namespace",
    )


def _is_shared(namespace: SharedNamespace | None) -> bool:
    return namespace is not None and namespace.type is not NamespaceSource.NONE


@element(
    "namespace",
    ns=LXC,
    empty="open",
    unknown="unsupported Namespace feature: {name}",
    unknown_code=ErrorCode.CONFIG_UNSUPPORTED,
)
class NamespaceSharing:
    """Namespaces the container shares."""

    net: SharedNamespace | None = child(
        "sharenet", repeat="last", shown=lambda self: _is_shared(self.net), doc="the network"
    )
    ipc: SharedNamespace | None = child(
        "shareipc", repeat="last", shown=lambda self: _is_shared(self.ipc), doc="System V objects and message queues"
    )
    uts: SharedNamespace | None = child(
        "shareuts", repeat="last", shown=lambda self: _is_shared(self.uts), doc="the host name"
    )

    @property
    def is_empty(self) -> bool:
        """Whether nothing was said; libvirt forgets the element then."""
        return self.net is None and self.ipc is None and self.uts is None


def register() -> None:
    """Make the element known to every reader of domain documents. Doing it again changes nothing."""
    register_namespace(LXC, NamespaceSharing)
