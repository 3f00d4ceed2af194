"""The error tree.

Every error is a :class:`VirtError` with libvirt's numeric code, domain and level. ``str(error)`` is libvirt's message;
where in a document it happened, the offending value and advice are attributes and notes (PEP 678), never part of the
message.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
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
    # Two hundred members take longer to make than a call to a daemon: not before somebody looks at one.
    if name in ("ErrorCode", "ErrorDomain", "ErrorLevel"):
        from virtcore import _error_table

        value: object = getattr(_error_table, name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


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
    domain: ErrorDomain = _Late("ErrorDomain", "NONE")  # type: ignore[assignment]  # as above
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


class NoMemory(VirtError):
    """``out of memory: %s``"""

    code = _code("NO_MEMORY")


class NoSupport(UnsupportedError):
    """``this function is not supported by the connection driver: %s``"""

    code = _code("NO_SUPPORT")


class UnknownHost(VirtError):
    """``unknown host %s``"""

    code = _code("UNKNOWN_HOST")


class NoConnect(VirtError):
    """``no connection driver available for %s``"""

    code = _code("NO_CONNECT")


class InvalidConn(VirtError):
    """``invalid connection pointer in %s``"""

    code = _code("INVALID_CONN")


class InvalidDomain(VirtError):
    """``invalid domain pointer in %s``"""

    code = _code("INVALID_DOMAIN")


class InvalidArg(VirtError):
    """``invalid argument: %s``"""

    code = _code("INVALID_ARG")


class OperationFailed(VirtError):
    """``operation failed: %s``"""

    code = _code("OPERATION_FAILED")


class GetFailed(VirtError):
    """``GET operation failed: %s``"""

    code = _code("GET_FAILED")


class PostFailed(VirtError):
    """``POST operation failed: %s``"""

    code = _code("POST_FAILED")


class HTTPError(VirtError):
    """``got unknown HTTP error code %s``"""

    code = _code("HTTP_ERROR")


class SexprSerial(VirtError):
    """``failed to serialize S-Expr: %s``"""

    code = _code("SEXPR_SERIAL")


class NoXen(VirtError):
    """``could not use Xen hypervisor entry %s``"""

    code = _code("NO_XEN")


class XenCall(VirtError):
    """``failed Xen syscall %s``"""

    code = _code("XEN_CALL")


class OSType(VirtError):
    """``unknown OS type %s``"""

    code = _code("OS_TYPE")


class NoKernel(VirtError):
    """``missing kernel information: %s``"""

    code = _code("NO_KERNEL")


class NoRoot(VirtError):
    """``missing root device information in %s``"""

    code = _code("NO_ROOT")


class NoSource(VirtError):
    """``missing source information for device %s``"""

    code = _code("NO_SOURCE")


class NoTarget(VirtError):
    """``missing target information for device %s``"""

    code = _code("NO_TARGET")


class NoName(VirtError):
    """``missing name information in %s``"""

    code = _code("NO_NAME")


class NoOS(VirtError):
    """``missing operating system information for %s``"""

    code = _code("NO_OS")


class NoDevice(VirtError):
    """``missing devices information for %s``"""

    code = _code("NO_DEVICE")


class NoXenstore(VirtError):
    """``could not connect to Xen Store %s``"""

    code = _code("NO_XENSTORE")


class DriverFull(VirtError):
    """``too many drivers registered in %s``"""

    code = _code("DRIVER_FULL")


class CallFailed(VirtError):
    """``library call failed: %s``"""

    code = _code("CALL_FAILED")


class XMLError(VirtError):
    """``XML error: %s``"""

    code = _code("XML_ERROR")


class DomExist(ExistsError):
    """``domain %s exists already``"""

    code = _code("DOM_EXIST")


class OperationDenied(DeniedError):
    """``operation forbidden: %s``"""

    code = _code("OPERATION_DENIED")


class OpenFailed(VirtError):
    """``failed to open configuration file %s``"""

    code = _code("OPEN_FAILED")


class ReadFailed(VirtError):
    """``failed to read configuration file %s``"""

    code = _code("READ_FAILED")


class ParseFailed(VirtError):
    """``failed to parse configuration file %s``"""

    code = _code("PARSE_FAILED")


class ConfSyntax(VirtError):
    """``configuration file syntax error: %s``"""

    code = _code("CONF_SYNTAX")


class WriteFailed(VirtError):
    """``failed to write configuration file: %s``"""

    code = _code("WRITE_FAILED")


class XMLDetail(VirtError):
    """``%s``"""

    code = _code("XML_DETAIL")


class InvalidNetwork(VirtError):
    """``invalid network pointer in %s``"""

    code = _code("INVALID_NETWORK")


class NetworkExist(ExistsError):
    """``network %s exists already``"""

    code = _code("NETWORK_EXIST")


class SystemError(VirtError):
    """``%s``"""

    code = _code("SYSTEM_ERROR")


class RPC(VirtError):
    """``%s``"""

    code = _code("RPC")


class GnuTLSError(VirtError):
    """``%s``"""

    code = _code("GNUTLS_ERROR")


class NoDomain(NotFoundError):
    """``Domain not found: %s``"""

    code = _code("NO_DOMAIN")


class NoNetwork(NotFoundError):
    """``Network not found: %s``"""

    code = _code("NO_NETWORK")


class InvalidMAC(VirtError):
    """``invalid MAC address: %s``"""

    code = _code("INVALID_MAC")


class AuthFailed(DeniedError):
    """``authentication failed: %s``"""

    code = _code("AUTH_FAILED")


class InvalidStoragePool(VirtError):
    """``invalid storage pool pointer in %s``"""

    code = _code("INVALID_STORAGE_POOL")


class InvalidStorageVol(VirtError):
    """``invalid storage volume pointer in %s``"""

    code = _code("INVALID_STORAGE_VOL")


class NoStoragePool(NotFoundError):
    """``Storage pool not found: %s``"""

    code = _code("NO_STORAGE_POOL")


class NoStorageVol(NotFoundError):
    """``Storage volume not found: %s``"""

    code = _code("NO_STORAGE_VOL")


class InvalidNodeDevice(VirtError):
    """``invalid node device pointer in %s``"""

    code = _code("INVALID_NODE_DEVICE")


class NoNodeDevice(NotFoundError):
    """``Node device not found: %s``"""

    code = _code("NO_NODE_DEVICE")


class NoSecurityModel(VirtError):
    """``Security model not found: %s``"""

    code = _code("NO_SECURITY_MODEL")


class OperationInvalid(VirtError):
    """``Requested operation is not valid: %s``"""

    code = _code("OPERATION_INVALID")


class NoInterface(NotFoundError):
    """``Interface not found: %s``"""

    code = _code("NO_INTERFACE")


class InvalidInterface(VirtError):
    """``invalid interface pointer in %s``"""

    code = _code("INVALID_INTERFACE")


class MultipleInterfaces(VirtError):
    """``multiple matching interfaces found: %s``"""

    code = _code("MULTIPLE_INTERFACES")


class InvalidNWFilter(VirtError):
    """``Invalid network filter: %s``"""

    code = _code("INVALID_NWFILTER")


class NoNWFilter(NotFoundError):
    """``Network filter not found: %s``"""

    code = _code("NO_NWFILTER")


class BuildFirewall(VirtError):
    """``Error while building firewall: %s``"""

    code = _code("BUILD_FIREWALL")


class InvalidSecret(VirtError):
    """``Invalid secret: %s``"""

    code = _code("INVALID_SECRET")


class NoSecret(NotFoundError):
    """``Secret not found: %s``"""

    code = _code("NO_SECRET")


class ConfigUnsupported(UnsupportedError):
    """``unsupported configuration: %s``"""

    code = _code("CONFIG_UNSUPPORTED")


class OperationTimeout(VirtError):
    """``Timed out during operation: %s``"""

    code = _code("OPERATION_TIMEOUT")


class MigratePersistFailed(VirtError):
    """``Failed to make domain persistent after migration: %s``"""

    code = _code("MIGRATE_PERSIST_FAILED")


class HookScriptFailed(VirtError):
    """``Hook script execution failed: %s``"""

    code = _code("HOOK_SCRIPT_FAILED")


class InvalidDomainSnapshot(VirtError):
    """``Invalid domain snapshot: %s``"""

    code = _code("INVALID_DOMAIN_SNAPSHOT")


class NoDomainSnapshot(NotFoundError):
    """``Domain snapshot not found: %s``"""

    code = _code("NO_DOMAIN_SNAPSHOT")


class InvalidStream(VirtError):
    """``invalid stream pointer in %s``"""

    code = _code("INVALID_STREAM")


class ArgumentUnsupported(UnsupportedError):
    """``argument unsupported: %s``"""

    code = _code("ARGUMENT_UNSUPPORTED")


class StorageProbeFailed(VirtError):
    """``Storage pool probe failed: %s``"""

    code = _code("STORAGE_PROBE_FAILED")


class StoragePoolBuilt(ExistsError):
    """``Storage pool already built: %s``"""

    code = _code("STORAGE_POOL_BUILT")


class SnapshotRevertRisky(VirtError):
    """``revert requires force: %s``"""

    code = _code("SNAPSHOT_REVERT_RISKY")


class OperationAborted(VirtError):
    """``operation aborted: %s``"""

    code = _code("OPERATION_ABORTED")


class AuthCancelled(DeniedError):
    """``authentication cancelled: %s``"""

    code = _code("AUTH_CANCELLED")


class NoDomainMetadata(NotFoundError):
    """``metadata not found: %s``"""

    code = _code("NO_DOMAIN_METADATA")


class MigrateUnsafe(VirtError):
    """``Unsafe migration: %s``"""

    code = _code("MIGRATE_UNSAFE")


class OverflowDetected(VirtError):
    """``numerical overflow: %s``"""

    code = _code("OVERFLOW")


class BlockCopyActive(VirtError):
    """``block copy still active: %s``"""

    code = _code("BLOCK_COPY_ACTIVE")


class OperationUnsupported(UnsupportedError):
    """``Operation not supported: %s``"""

    code = _code("OPERATION_UNSUPPORTED")


class SSH(VirtError):
    """``SSH transport error: %s``"""

    code = _code("SSH")


class AgentUnresponsive(VirtError):
    """``Guest agent is not responding: %s``"""

    code = _code("AGENT_UNRESPONSIVE")


class ResourceBusy(VirtError):
    """``resource busy: %s``"""

    code = _code("RESOURCE_BUSY")


class AccessDenied(DeniedError):
    """``access denied: %s``"""

    code = _code("ACCESS_DENIED")


class DBusService(VirtError):
    """``error from service: %s``"""

    code = _code("DBUS_SERVICE")


class StorageVolExist(ExistsError):
    """``storage volume %s exists already``"""

    code = _code("STORAGE_VOL_EXIST")


class CPUIncompatible(VirtError):
    """``the CPU is incompatible with host CPU: %s``"""

    code = _code("CPU_INCOMPATIBLE")


class XMLInvalidSchema(VirtError):
    """``XML document failed to validate against schema: %s``"""

    code = _code("XML_INVALID_SCHEMA")


class MigrateFinishOk(VirtError):
    """``migration successfully aborted: %s``"""

    code = _code("MIGRATE_FINISH_OK")


class AuthUnavailable(DeniedError):
    """``authentication unavailable: %s``"""

    code = _code("AUTH_UNAVAILABLE")


class NoServer(NotFoundError):
    """``Server not found: %s``"""

    code = _code("NO_SERVER")


class NoClient(NotFoundError):
    """``Client not found: %s``"""

    code = _code("NO_CLIENT")


class AgentUnsynced(VirtError):
    """``guest agent replied with wrong id to guest-sync command: %s``"""

    code = _code("AGENT_UNSYNCED")


class LibSSH(VirtError):
    """``libssh transport error: %s``"""

    code = _code("LIBSSH")


class DeviceMissing(NotFoundError):
    """``device not found: %s``"""

    code = _code("DEVICE_MISSING")


class InvalidNWFilterBinding(VirtError):
    """``Invalid network filter binding: %s``"""

    code = _code("INVALID_NWFILTER_BINDING")


class NoNWFilterBinding(NotFoundError):
    """``Network filter binding not found: %s``"""

    code = _code("NO_NWFILTER_BINDING")


class InvalidDomainCheckpoint(VirtError):
    """``Invalid domain checkpoint: %s``"""

    code = _code("INVALID_DOMAIN_CHECKPOINT")


class NoDomainCheckpoint(NotFoundError):
    """``Domain checkpoint not found: %s``"""

    code = _code("NO_DOMAIN_CHECKPOINT")


class NoDomainBackup(NotFoundError):
    """``Domain backup job id not found: %s``"""

    code = _code("NO_DOMAIN_BACKUP")


class InvalidNetworkPort(VirtError):
    """``Invalid network port pointer: %s``"""

    code = _code("INVALID_NETWORK_PORT")


class NetworkPortExist(ExistsError):
    """``network port %s exists already``"""

    code = _code("NETWORK_PORT_EXIST")


class NoNetworkPort(NotFoundError):
    """``network port not found: %s``"""

    code = _code("NO_NETWORK_PORT")


class NoHostname(VirtError):
    """``no hostname found: %s``"""

    code = _code("NO_HOSTNAME")


class CheckpointInconsistent(VirtError):
    """``checkpoint inconsistent: %s``"""

    code = _code("CHECKPOINT_INCONSISTENT")


class MultipleDomains(VirtError):
    """``multiple matching domains found: %s``"""

    code = _code("MULTIPLE_DOMAINS")


class NoNetworkMetadata(NotFoundError):
    """``metadata not found: %s``"""

    code = _code("NO_NETWORK_METADATA")


class AgentCommandTimeout(VirtError):
    """``guest agent command timed out: %s``"""

    code = _code("AGENT_COMMAND_TIMEOUT")


class AgentCommandFailed(VirtError):
    """``guest agent command failed: %s``"""

    code = _code("AGENT_COMMAND_FAILED")


_codes: dict[int, type[VirtError]] = {}


def _by_code() -> dict[int, type[VirtError]]:
    if not _codes:
        own = [cls for cls in globals().values() if isinstance(cls, type) and issubclass(cls, VirtError)]
        _codes.update({int(cls.code): cls for cls in own if "code" in vars(cls) and cls is not VirtError})
    return _codes
