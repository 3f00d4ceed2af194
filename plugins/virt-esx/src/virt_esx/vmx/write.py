"""From a domain to a VMX file (``virVMXFormatConfig``)."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from virt_esx.vmx.lines import VMXLines, write_uuid
from virt_esx.vmx.read import SHARES
from virt_esx.vmx.settings import escape
from virt_esx.vmx.write_devices import write_devices
from virtcore.errors import ConfigUnsupported, InternalError
from virtcore.model.arch import Arch
from virtcore.model.cpu import CPUMode
from virtcore.model.domain.domain import VirtType
from virtcore.model.domain.os import Firmware, SMBIOSMode

if TYPE_CHECKING:
    from virt_esx.vmx.context import VMXContext
    from virtcore.model.cpu import GuestCPU
    from virtcore.model.domain.domain import Domain

__all__ = ["write_vmx"]

_GUESTS = {Arch.I686: "other", Arch.X86_64: "other-64"}
# From this version on the machine has PCI bridges and the communication interface.
_PCIE_HARDWARE = 7
_MEMORY_STEP = 4096


def write_vmx(domain: Domain, context: VMXContext, hardware_version: int) -> str:
    """Write the configuration of a VMware machine.

    :param domain: a complete domain of type ``vmware``.
    :param context: what its file names mean.
    :param hardware_version: version of the virtual hardware, 4 or higher.
    :raises VirtError: the domain has what no VMware machine can have, or no VMX file can say.
    """
    if domain.type is not VirtType.VMWARE:
        raise InternalError(f"Expecting virt type to be 'vmware' but found '{domain.type}'", path="/domain/@type")
    lines = VMXLines()
    lines.add(".encoding", "UTF-8")
    lines.add("config.version", "8")
    lines.add("virtualHW.version", hardware_version)
    _write_os(domain, lines)
    _write_identity(domain, lines)
    _write_memory(domain, lines)
    _write_cpus(domain, lines)
    has_scsi = write_devices(domain, context, lines, hardware_version)
    if domain.os is not None and domain.os.firmware is Firmware.EFI:
        lines.add("firmware", "efi")
    if hardware_version >= _PCIE_HARDWARE:
        if has_scsi:
            _write_bridges(lines)
        lines.add("vmci0.present", True)
    return lines.text()


def _write_os(domain: Domain, lines: VMXLines) -> None:
    guest = _GUESTS.get(domain.arch) if domain.arch is not None else None
    if guest is None:
        raise InternalError(
            "Expecting domain XML attribute 'arch' of entry 'os/type' to be 'i686' or 'x86_64' "
            f"but found '{domain.arch}'",
            path="/domain/os/type/@arch",
        )
    lines.add("guestOS", guest)
    smbios = domain.os.smbios if domain.os is not None else None
    if smbios is SMBIOSMode.HOST:
        lines.add("smbios.reflecthost", True)
    elif smbios not in (None, SMBIOSMode.NONE, SMBIOSMode.EMULATE):
        raise ConfigUnsupported(f"Unsupported SMBIOS mode '{smbios}'", path="/domain/os/smbios/@mode")


def _write_identity(domain: Domain, lines: VMXLines) -> None:
    uuid = UUID(domain.uuid) if domain.uuid is not None else UUID(int=0)
    if uuid.int == 0:
        lines.add("uuid.action", "create")
    else:
        lines.add("uuid.bios", write_uuid(uuid))
    lines.add("displayName", escape(escape(domain.name, "|", '"'), "%", "/\\"))
    if domain.description is not None:
        # Line breaks are not special to libvirt, which writes files with them that cannot be read.
        lines.add("annotation", escape(domain.description, "|", '"\r\n'))


def _write_memory(domain: Domain, lines: VMXLines) -> None:
    most = -(-domain.memory_total // _MEMORY_STEP) * _MEMORY_STEP
    lines.add("memsize", most // 1024)
    current = domain.current_memory if domain.current_memory is not None else domain.memory_total
    if current < most:
        lines.add("sched.mem.max", -(-current // 1024))
    guaranteed = domain.memtune.min_guarantee if domain.memtune is not None else None
    if guaranteed:
        lines.add("sched.mem.minsize", -(-guaranteed // 1024))


def _write_cpus(domain: Domain, lines: VMXLines) -> None:
    count = domain.vcpu_maximum
    if domain.vcpu_count != count:
        raise ConfigUnsupported("No support for domain XML entry 'vcpu' attribute 'current'", path="/domain/vcpu")
    if count == 0:
        raise InternalError("Expecting domain XML entry 'vcpu' to be greater than 0", path="/domain/vcpu")
    lines.add("numvcpus", count)
    if domain.cpu is not None:
        lines.add("cpuid.coresPerSocket", _cores(domain.cpu, count))
    cpuset = domain.vcpu.cpuset if domain.vcpu is not None else None
    if cpuset:
        if len(cpuset) < count:
            raise InternalError(
                f"Expecting domain XML attribute 'cpuset' of entry 'vcpu' to contain at least {count} CPU(s)",
                path="/domain/vcpu/@cpuset",
            )
        lines.add("sched.cpu.affinity", ",".join(map(str, sorted(cpuset))))
    shares = domain.cputune.shares if domain.cputune is not None else None
    if shares is not None:
        lines.add("sched.cpu.shares", {level * count: name for name, level in SHARES.items()}.get(shares, shares))


def _cores(cpu: GuestCPU, vcpus: int) -> int:
    if cpu.mode not in (None, CPUMode.CUSTOM):
        raise InternalError(f"Expecting domain XML CPU mode 'custom' but found '{cpu.mode}'", path="/domain/cpu/@mode")
    path = "/domain/cpu/topology"
    topology = cpu.topology
    sockets, dies, clusters, cores, threads = (
        (0, 0, 0, 0, 0)
        if topology is None
        else (topology.sockets, topology.dies or 1, topology.clusters or 1, topology.cores, topology.threads)
    )
    if threads != 1:
        raise ConfigUnsupported("Only 1 thread per core is supported", path=f"{path}/@threads")
    if dies != 1:
        raise ConfigUnsupported("Only 1 die per socket is supported", path=f"{path}/@dies")
    if clusters != 1:
        raise ConfigUnsupported("Only 1 cluster per die is supported", path=f"{path}/@clusters")
    if sockets * cores != vcpus:
        raise InternalError(
            f"Expecting domain XML CPU sockets per core as {vcpus} but found {sockets * cores}", path=path
        )
    return cores


def _write_bridges(lines: VMXLines) -> None:
    lines.add("pciBridge0.present", True)
    for bridge in ("pciBridge4", "pciBridge5", "pciBridge6", "pciBridge7"):
        lines.add(f"{bridge}.present", True)
        lines.add(f"{bridge}.virtualDev", "pcieRootPort")
        lines.add(f"{bridge}.functions", "8")
