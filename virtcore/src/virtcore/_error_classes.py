"""The errors that few programs meet; :mod:`virtcore.errors` has them all, and gets these when somebody asks for one."""

from __future__ import annotations

from virtcore.errors import DeniedError, ExistsError, NotFoundError, UnsupportedError, VirtError, _code, _domain


class NoMemory(VirtError):
    """``out of memory: %s``"""

    code = _code("NO_MEMORY")


class UnknownHost(VirtError):
    """``unknown host %s``"""

    code = _code("UNKNOWN_HOST")


class InvalidDomain(VirtError):
    """``invalid domain pointer in %s``"""

    code = _code("INVALID_DOMAIN")


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


class OpenFailed(VirtError):
    """``failed to open configuration file %s``"""

    code = _code("OPEN_FAILED")


class ReadFailed(VirtError):
    """``failed to read configuration file %s``"""

    code = _code("READ_FAILED")


class ParseFailed(VirtError):
    """``failed to parse configuration file %s``"""

    code = _code("PARSE_FAILED")


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
    domain = _domain("NWFILTER")  # libvirt's clients take the number from another part for an old one


class NoNWFilter(NotFoundError):
    """``Network filter not found: %s``"""

    code = _code("NO_NWFILTER")
    domain = _domain("NWFILTER")  # libvirt's clients take the number from another part for an old one


class BuildFirewall(VirtError):
    """``Error while building firewall: %s``"""

    code = _code("BUILD_FIREWALL")
    domain = _domain("NWFILTER")  # libvirt's clients take the number from another part for an old one


class InvalidSecret(VirtError):
    """``Invalid secret: %s``"""

    code = _code("INVALID_SECRET")


class NoSecret(NotFoundError):
    """``Secret not found: %s``"""

    code = _code("NO_SECRET")


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


for _error in list(vars().values()):
    if isinstance(_error, type):
        _error.__module__ = "virtcore.errors"
