"""From a VMX file to a domain (``virVMXParseConfig``)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from virt_esx.namespace import DatacenterPath, ManagedObject
from virt_esx.rules import VMwareRules
from virt_esx.vmx.read_devices import read_devices
from virt_esx.vmx.settings import VMXSettings, read_uuid, unescape
from virtcore.errors import InternalError, NoName
from virtcore.model.arch import Arch
from virtcore.model.cpu import CPUTopology, GuestCPU
from virtcore.model.domain.clock import Clock, ClockOffset
from virtcore.model.domain.cputune import CPUPlacement, CPUTune, VCPUMaximum
from virtcore.model.domain.domain import Domain, GenerationId, LifecycleAction, VirtType
from virtcore.model.domain.memory import Memory, Memtune
from virtcore.model.domain.os import OS, Firmware, OSType, OSVariant, SMBIOSMode
from virtcore.model.domain.rules import ParseFlag
from virtcore.xml import CpuSet, number

if TYPE_CHECKING:
    from virt_esx.vmx.context import VMXContext

__all__ = ["SHARES", "read_vmx"]

SHARES = {"low": 500, "normal": 1000, "high": 2000}
"""Levels of CPU shares and what they are for each vCPU."""

_NUMBER = number(64, wraps=True)
_CONFIG_VERSION = 8
_OLDEST_HARDWARE = 4
# From this version on a SCSI adapter has 64 units rather than 16.
_SUPER_WIDE_SCSI_HARDWARE = 13
_SCSI_UNITS = 16
_SUPER_WIDE_SCSI_UNITS = 64
_DEFAULT_MEMORY = 32
_HIGHEST_CPU = 16384
_NO_UUID = "00000000-0000-0000-0000-000000000000"
_AFFINITY = re.compile(r"\s*\+?([0-9]+)\s*", re.ASCII)
_ETHERNET = re.compile(r"ethernet\s*\+?([0-9]+)\.", re.ASCII | re.IGNORECASE)


def read_vmx(text: str | bytes, context: VMXContext) -> Domain:
    """Read the configuration of a VMware machine.

    :param text: the file. Bytes are in the encoding that the file itself names, UTF-8 by default.
    :param context: what its file names mean, and where the machine is.
    :return: a complete domain. What the file says beyond what a domain can say is left out.
    :raises VirtError: the file is malformed, or says what no domain can say.
    """
    settings = VMXSettings(text)
    networks = _network_indexes(settings)
    version = _hardware_version(settings)
    uuid = settings.uuid("uuid.bios")
    name = settings.string("displayName")
    if name is not None:
        name = unescape(unescape(name, "%", "name"), "|", "name")
    genid = _generation_id(settings)
    description = settings.string("annotation")
    if description is not None:
        description = unescape(description, "|", "annotation")
    memory = _memory(settings)
    vcpus = _vcpus(settings)
    cpu = _topology(settings, vcpus.maximum)
    vcpus.cpuset = _affinity(settings, vcpus.maximum)
    cputune = _shares(settings, vcpus.maximum)
    domain = Domain(
        type=VirtType.VMWARE,
        name=name or "",
        uuid=uuid or _NO_UUID,
        genid=genid,
        description=description,
        memory=Memory(size=memory.total),
        current_memory=memory.current,
        memtune=Memtune(min_guarantee=memory.guaranteed) if memory.guaranteed else None,
        vcpu=vcpus,
        cputune=cputune,
        cpu=cpu,
        os=_os(settings),
        clock=Clock(offset=ClockOffset.UTC),
        on_poweroff=LifecycleAction.DESTROY,
        on_reboot=LifecycleAction.RESTART,
        on_crash=LifecycleAction.DESTROY,
    )
    units = _SUPER_WIDE_SCSI_UNITS if version >= _SUPER_WIDE_SCSI_HARDWARE else _SCSI_UNITS
    domain.devices = read_devices(settings, context, networks, scsi_units=units)
    if context.datacenter_path is not None:
        domain.hypervisor.append(DatacenterPath(path=context.datacenter_path))
    if context.moref is not None:
        domain.hypervisor.append(ManagedObject(reference=context.moref))
    _firmware(settings, domain)
    if name is None:
        raise NoName(advice="a VMX file names its machine by displayName")
    rules = VMwareRules()
    completion = rules.context(ParseFlag.ABI_UPDATE, arch=domain.arch)
    completion.parsed = False
    rules.complete(domain, completion)
    return domain


def _network_indexes(settings: VMXSettings) -> list[int]:
    """Which network adapters are configured."""
    found = set()
    for name in settings.names:
        if name.lower().startswith("ethernet"):
            index = _ETHERNET.match(name)
            if index is None or len(index[1]) > 20 or int(index[1]) >= 1 << 31:
                raise InternalError(f"failed to parse the index of the VMX key '{name}'", value=name)
            found.add(int(index[1]))
    return sorted(found)


def _hardware_version(settings: VMXSettings) -> int:
    settings.required("config.version")
    config = settings.integer("config.version", 0)
    if config != _CONFIG_VERSION:
        raise InternalError(f"Expecting VMX entry 'config.version' to be 8 but found {config}")
    settings.required("virtualHW.version")
    version = settings.integer("virtualHW.version", 0)
    if version < _OLDEST_HARDWARE:
        raise InternalError(f"Expecting VMX entry 'virtualHW.version' to be 4 or higher but found {version}")
    return version


def _generation_id(settings: VMXSettings) -> GenerationId | None:
    """Two signed halves of a UUID."""
    halves = settings.integer("vm.genid", 0), settings.integer("vm.genidX", 0)
    if halves == (0, 0):
        return None
    return GenerationId(uuid=read_uuid("".join(f"{half & (1 << 64) - 1:016x}" for half in halves)))


class _Memory(NamedTuple):
    """Sizes in KiB."""

    total: int
    current: int
    guaranteed: int


def _memory(settings: VMXSettings) -> _Memory:
    size = settings.integer("memsize", _DEFAULT_MEMORY)
    if size <= 0 or size % 4:
        raise InternalError(f"Expecting VMX entry 'memsize' to be an unsigned integer (multiple of 4) but found {size}")
    current = settings.integer("sched.mem.max", size)
    guaranteed = settings.integer("sched.mem.minsize", 0)
    return _Memory(
        size * 1024,
        (size if current < 0 else min(current, size)) * 1024,
        min(max(guaranteed, 0), size) * 1024,
    )


def _vcpus(settings: VMXSettings) -> VCPUMaximum:
    count = settings.integer("numvcpus", 1)
    if count <= 0:
        raise InternalError(
            f"Expecting VMX entry 'numvcpus' to be an unsigned integer greater than 0 but found {count}"
        )
    if count > _HIGHEST_CPU:
        raise InternalError(f"Maximum CPUs must be less than {_HIGHEST_CPU + 1}", value=str(count))
    return VCPUMaximum(placement=CPUPlacement.STATIC, maximum=count)


def _topology(settings: VMXSettings, vcpus: int) -> GuestCPU | None:
    cores = settings.integer("cpuid.coresPerSocket", 1)
    if cores <= 1:
        return None
    if cores > vcpus:
        raise InternalError("VMX entry 'cpuid.coresPerSocket' smaller than 'numvcpus'")
    return GuestCPU(topology=CPUTopology(sockets=vcpus // cores, dies=1, clusters=1, cores=cores, threads=1))


def _affinity(settings: VMXSettings, vcpus: int) -> CpuSet | None:
    written = settings.string("sched.cpu.affinity")
    if written is None or written.lower() == "all":
        return None
    parts = written.split(",") if written else []
    if len(parts) < vcpus:
        raise InternalError(
            "Expecting VMX entry 'sched.cpu.affinity' to contain at least as many values as "
            f"'numvcpus' ({vcpus}) but found only {len(parts)} value(s)"
        )
    cpus = set()
    for part in parts:
        found = _AFFINITY.fullmatch(part)
        if found is None or len(found[1]) > 20 or int(found[1]) >= 1 << 32:
            raise InternalError(
                "Expecting VMX entry 'sched.cpu.affinity' to be a comma separated list of unsigned integers "
                f"but found '{written}'"
            )
        number = int(found[1])
        if number >= _HIGHEST_CPU:
            raise InternalError(f"VMX entry 'sched.cpu.affinity' contains a {number}, this value is too large")
        cpus.add(number)
    return CpuSet(cpus)


def _shares(settings: VMXSettings, vcpus: int) -> CPUTune | None:
    written = settings.string("sched.cpu.shares")
    if written is None:
        return None
    level = SHARES.get(written.lower())
    if level is not None:
        return CPUTune(shares=level * vcpus)
    try:
        return CPUTune(shares=_NUMBER.read(written))
    except ValueError:
        raise InternalError(
            "Expecting VMX entry 'sched.cpu.shares' to be an unsigned integer or 'low', 'normal' or 'high' "
            f"but found '{written}'"
        ) from None


def _os(settings: VMXSettings) -> OS:
    guest = settings.string("guestOS") or ""
    host_smbios = settings.boolean("smbios.reflecthost")
    return OS(
        type=OSVariant(arch=Arch.X86_64 if guest.endswith("-64") else Arch.I686, type=OSType.HVM),
        smbios=SMBIOSMode.HOST if host_smbios else None,
    )


def _firmware(settings: VMXSettings, domain: Domain) -> None:
    firmware = settings.string("firmware")
    if firmware is None:
        return
    if firmware != "efi":
        raise InternalError(f"VMX entry 'firmware' has unknown value '{firmware}'")
    assert domain.os is not None
    domain.os.firmware = Firmware.EFI
