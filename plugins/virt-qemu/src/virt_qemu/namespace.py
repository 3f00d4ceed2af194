"""What QEMU domains may have beyond libvirt's own elements: ``<qemu:commandline>`` and its siblings."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from virtcore.errors import ErrorCode
from virtcore.xml import Namespace, attribute, child, children, element, register_namespace

if TYPE_CHECKING:
    from virtcore.model.domain import Domain

__all__ = [
    "QEMU",
    "QemuArgument",
    "QemuCapabilityAddition",
    "QemuCapabilityChanges",
    "QemuCapabilityRemoval",
    "QemuCommandLine",
    "QemuDeprecation",
    "QemuDeviceOverride",
    "QemuFrontend",
    "QemuOverride",
    "QemuProperty",
    "QemuVariable",
    "find",
    "register",
]

QEMU = Namespace("qemu", "http://libvirt.org/schemas/domain/qemu/1.0", "domain")

T = TypeVar("T")


@element("arg")
class QemuArgument:
    """A word of the command line."""

    value: str = attribute(
        required=True,
        missing="No qemu command-line argument specified",
        missing_code=ErrorCode.INTERNAL_ERROR,
        doc="the word, as it is",
    )


@element("env")
class QemuVariable:
    """A variable in QEMU's environment."""

    name: str = attribute(
        required=True,
        missing="No qemu environment name specified",
        missing_code=ErrorCode.INTERNAL_ERROR,
        doc="name of the variable",
    )
    value: str | None = attribute(doc="its value; empty by default")


@element("commandline", ns=QEMU)
class QemuCommandLine:
    """Words and variables that QEMU gets beside what the driver gives it. What they do is the user's affair."""

    arguments: list[QemuArgument] = children()
    variables: list[QemuVariable] = children()


@element("add")
class QemuCapabilityAddition:
    """A capability the emulator is taken to have."""

    capability: str = attribute(
        required=True,
        missing="missing capability name",
        missing_code=ErrorCode.INTERNAL_ERROR,
        doc="libvirt's name of it",
    )


@element("del")
class QemuCapabilityRemoval:
    """A capability the emulator is taken not to have."""

    capability: str = attribute(
        required=True,
        missing="missing capability name",
        missing_code=ErrorCode.INTERNAL_ERROR,
        doc="libvirt's name of it",
    )


@element("capabilities", ns=QEMU)
class QemuCapabilityChanges:
    """Corrections of what was found out about the emulator."""

    added: list[QemuCapabilityAddition] = children()
    removed: list[QemuCapabilityRemoval] = children()


@element("property")
class QemuProperty:
    """A property of a device."""

    name: str = attribute(required=True, doc="QEMU's name of it")
    type: str = attribute(required=True, doc="signed, unsigned, bool, string or remove")
    value: str | None = attribute(doc="its value")


@element("frontend")
class QemuFrontend:
    """Properties of the device the guest sees."""

    properties: list[QemuProperty] = children()


@element("device")
class QemuDeviceOverride:
    """Properties of one device."""

    alias: str = attribute(required=True, doc="the device's alias")
    frontend: QemuFrontend | None = child()


@element("override", ns=QEMU)
class QemuOverride:
    """Properties of devices that replace what the driver gives them."""

    devices: list[QemuDeviceOverride] = children()


@element("deprecation", ns=QEMU)
class QemuDeprecation:
    """What QEMU does with what is deprecated."""

    behavior: str | None = attribute(doc="none, omit, reject or crash")


def register() -> None:
    """Make the elements known to every reader of domain documents. Doing it again changes nothing."""
    register_namespace(QEMU, QemuCommandLine, QemuCapabilityChanges, QemuOverride, QemuDeprecation)


def find(domain: Domain, kind: type[T]) -> T | None:
    """The domain's element of a kind; None where it has none."""
    return next((each for each in domain.hypervisor if isinstance(each, kind)), None)
