"""The error tree.

Every error is a :class:`VirtError` with libvirt's numeric code, domain and level. ``str(error)`` is libvirt's message;
where in a document it happened, the offending value and advice are attributes and notes (PEP 678), never part of the
message.
"""

# ruff: noqa: F405  # most of the names are those of a module that is read at their first use
from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from virtcore._error_classes import *  # noqa: F403
    from virtcore._error_table import ErrorCode, ErrorDomain, ErrorLevel

__all__ = [
    "AccessDenied",
    "AgentCommandFailed",
    "AgentCommandTimeout",
    "AgentUnresponsive",
    "AgentUnsynced",
    "ArgumentUnsupported",
    "AuthCancelled",
    "AuthFailed",
    "AuthUnavailable",
    "BlockCopyActive",
    "BuildFirewall",
    "CPUIncompatible",
    "CallFailed",
    "CheckpointInconsistent",
    "ConfSyntax",
    "ConfigUnsupported",
    "DBusService",
    "DeniedError",
    "DeviceMissing",
    "DomExist",
    "DriverFull",
    "ErrorCode",
    "ErrorDomain",
    "ErrorLevel",
    "ExistsError",
    "GetFailed",
    "GnuTLSError",
    "HTTPError",
    "HookScriptFailed",
    "InternalError",
    "InvalidArg",
    "InvalidConn",
    "InvalidDomain",
    "InvalidDomainCheckpoint",
    "InvalidDomainSnapshot",
    "InvalidInterface",
    "InvalidMAC",
    "InvalidNWFilter",
    "InvalidNWFilterBinding",
    "InvalidNetwork",
    "InvalidNetworkPort",
    "InvalidNodeDevice",
    "InvalidSecret",
    "InvalidStoragePool",
    "InvalidStorageVol",
    "InvalidStream",
    "LibSSH",
    "MigrateFinishOk",
    "MigratePersistFailed",
    "MigrateUnsafe",
    "MultipleDomains",
    "MultipleInterfaces",
    "NetworkExist",
    "NetworkPortExist",
    "NoClient",
    "NoConnect",
    "NoDevice",
    "NoDomain",
    "NoDomainBackup",
    "NoDomainCheckpoint",
    "NoDomainMetadata",
    "NoDomainSnapshot",
    "NoHostname",
    "NoInterface",
    "NoKernel",
    "NoMemory",
    "NoNWFilter",
    "NoNWFilterBinding",
    "NoName",
    "NoNetwork",
    "NoNetworkMetadata",
    "NoNetworkPort",
    "NoNodeDevice",
    "NoOS",
    "NoRoot",
    "NoSecret",
    "NoSecurityModel",
    "NoServer",
    "NoSource",
    "NoStoragePool",
    "NoStorageVol",
    "NoSupport",
    "NoTarget",
    "NoXen",
    "NoXenstore",
    "NotFoundError",
    "OSType",
    "OpenFailed",
    "OperationAborted",
    "OperationDenied",
    "OperationFailed",
    "OperationInvalid",
    "OperationTimeout",
    "OperationUnsupported",
    "OverflowDetected",
    "ParseFailed",
    "PostFailed",
    "RPC",
    "ReadFailed",
    "ResourceBusy",
    "SSH",
    "SexprSerial",
    "SnapshotRevertRisky",
    "StoragePoolBuilt",
    "StorageProbeFailed",
    "StorageVolExist",
    "SystemError",
    "UnknownHost",
    "UnsupportedError",
    "VirtError",
    "WriteFailed",
    "XMLDetail",
    "XMLError",
    "XMLInvalidSchema",
    "XenCall",
]


def __getattr__(name: str) -> object:
    # Three hundred classes and members take longer to make than a call to a daemon: not before somebody wants one.
    if name in ("ErrorCode", "ErrorDomain", "ErrorLevel"):
        from virtcore import _error_table as home
    elif name in __all__:
        from virtcore import _error_classes as home  # type: ignore[no-redef]
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(home, name)
    globals()[name] = value
    return value


class _Late:
    """An attribute that is a member of one of these enumerations."""

    __slots__ = ("_enumeration", "_member")

    def __init__(self, enumeration: str, member: str) -> None:
        self._enumeration = enumeration
        self._member = member

    def __get__(self, instance: object, owner: type) -> object:
        from virtcore import _error_table

        return getattr(getattr(_error_table, self._enumeration), self._member)


def _code(name: str) -> ErrorCode:
    return _Late("ErrorCode", name)  # type: ignore[return-value]  # what it is to those who look at it


def _domain(name: str) -> ErrorDomain:
    return _Late("ErrorDomain", name)  # type: ignore[return-value]  # as above


class VirtError(Exception):
    """Base of all errors virtcore raises.

    :param detail: what happened; inserted into libvirt's message form for the code. None gives the form without detail.
    :param code: error number; by default the class's own.
    :param domain: part of the library it comes from.
    :param path: where in a document, as ``/domain/devices/disk[2]/driver/@cache``.
    :param value: the offending value as written.
    :param nearest: the nearest valid value, where one suggests itself.
    :param advice: what to do next; becomes a note.
    """

    code: ErrorCode = _code("INTERNAL_ERROR")
    domain: ErrorDomain = _domain("NONE")
    level: ErrorLevel = _Late("ErrorLevel", "ERROR")  # type: ignore[assignment]

    def __init__(
        self,
        detail: str | None = None,
        *,
        code: ErrorCode | None = None,
        domain: ErrorDomain | None = None,
        path: str | None = None,
        value: str | None = None,
        nearest: str | None = None,
        advice: str | None = None,
    ) -> None:
        if code is not None:
            self.code = code
        if domain is not None:
            self.domain = domain
        self.detail = detail
        self.path = path
        self.value = value
        self.nearest = nearest
        from virtcore._error_table import MESSAGES

        plain, with_detail = MESSAGES.get(self.code, ("", "%s"))
        self.message = plain if detail is None else with_detail.replace("%s", detail)
        super().__init__(self.message)
        if path is not None:
            self.add_note(f"at {path}")
        if nearest is not None:
            self.add_note(f"nearest valid value: {nearest}")
        if advice is not None:
            self.add_note(advice)

    def __str__(self) -> str:
        return self.message

    def locate(self, path: str) -> None:
        """Says where in the document it is, in place of what it said before."""
        notes = getattr(self, "__notes__", [])
        if f"at {self.path}" in notes:
            notes[notes.index(f"at {self.path}")] = f"at {path}"
        else:
            self.add_note(f"at {path}")
        self.path = path

    @classmethod
    def for_code(cls, code: int) -> type[VirtError]:
        """The class that stands for an error number; :class:`VirtError` itself for numbers newer than this version."""
        return _by_code().get(code, VirtError)

    @classmethod
    def from_message(
        cls, code: int, message: str, *, domain: int = 0, level: int = 2, detail: str | None = None
    ) -> VirtError:
        """An error whose message is already formatted (as a libvirt peer sends it)."""
        from virtcore._error_table import ErrorCode, ErrorDomain, ErrorLevel

        error = cls.for_code(code)(detail)
        error.message = message
        error.args = (message,)
        # A newer peer may send numbers this version has no name for: they stay plain integers.
        try:
            error.code = ErrorCode(code)
        except ValueError:
            error.code = code  # type: ignore[assignment]
        try:
            error.domain = ErrorDomain(domain)
        except ValueError:
            error.domain = domain  # type: ignore[assignment]
        error.level = ErrorLevel(level)
        return error


class NotFoundError(VirtError):
    """An object that was asked for does not exist."""


class ExistsError(VirtError):
    """An object of that name or UUID exists already."""


class UnsupportedError(VirtError):
    """The driver, the hypervisor or the configuration cannot do what was asked."""


class DeniedError(VirtError):
    """Authentication or access control said no."""


class InternalError(VirtError):
    """``internal error: %s``"""

    code = _code("INTERNAL_ERROR")


class NoSupport(UnsupportedError):
    """``this function is not supported by the connection driver: %s``"""

    code = _code("NO_SUPPORT")


class NoConnect(VirtError):
    """``no connection driver available for %s``"""

    code = _code("NO_CONNECT")


class InvalidConn(VirtError):
    """``invalid connection pointer in %s``"""

    code = _code("INVALID_CONN")


class InvalidArg(VirtError):
    """``invalid argument: %s``"""

    code = _code("INVALID_ARG")


class OperationAborted(VirtError):
    """``operation aborted: %s``"""

    code = _code("OPERATION_ABORTED")


class OperationDenied(DeniedError):
    """``operation forbidden: %s``"""

    code = _code("OPERATION_DENIED")


class ConfSyntax(VirtError):
    """``configuration file syntax error: %s``"""

    code = _code("CONF_SYNTAX")


class SystemError(VirtError):
    """``%s``"""

    code = _code("SYSTEM_ERROR")


class RPC(VirtError):
    """``%s``"""

    code = _code("RPC")


class AuthFailed(DeniedError):
    """``authentication failed: %s``"""

    code = _code("AUTH_FAILED")


class OperationInvalid(VirtError):
    """``Requested operation is not valid: %s``"""

    code = _code("OPERATION_INVALID")


class ConfigUnsupported(UnsupportedError):
    """``unsupported configuration: %s``"""

    code = _code("CONFIG_UNSUPPORTED")


class OperationTimeout(VirtError):
    """``Timed out during operation: %s``"""

    code = _code("OPERATION_TIMEOUT")


class AuthUnavailable(DeniedError):
    """``authentication unavailable: %s``"""

    code = _code("AUTH_UNAVAILABLE")


_codes: dict[int, type[VirtError]] = {}


def _by_code() -> dict[int, type[VirtError]]:
    if not _codes:
        from virtcore import _error_classes

        here = {**vars(_error_classes), **globals()}
        own = [cls for cls in here.values() if isinstance(cls, type) and issubclass(cls, VirtError)]
        _codes.update({int(cls.code): cls for cls in own if "code" in vars(cls) and cls is not VirtError})
    return _codes
