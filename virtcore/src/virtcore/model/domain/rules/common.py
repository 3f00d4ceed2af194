"""Completion of a domain that is the same for every driver (``virDomainDefPostParseCommon``), devices apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtcore.errors import ConfigUnsupported, XMLError
from virtcore.model import metadata
from virtcore.model.cpu.element import CPUCheck
from virtcore.model.domain.clock import TickPolicy, TimerName
from virtcore.model.domain.memory import Memory
from virtcore.model.domain.os import BootDevice, LoaderType, OSType
from virtcore.model.domain.rules.context import DomainFeature, ParseFlag
from virtcore.model.domain.rules.devices import collect_boot_orders

if TYPE_CHECKING:
    from virtcore.model.domain.domain import Domain
    from virtcore.model.domain.rules.context import DomainContext

# With these the memory of NUMA cells counts, whatever <memory> says.
_UPDATES = ParseFlag.ABI_UPDATE | ParseFlag.ABI_UPDATE_MIGRATION

__all__ = [
    "check_features",
    "complete_boot_order",
    "complete_loader",
    "complete_memory",
    "complete_vcpus",
    "require_init",
    "sanitize_metadata",
    "trim_hugepages",
    "verify_cpu",
    "verify_timers",
]


def require_init(domain: Domain, context: DomainContext) -> None:
    """A container needs a program to start."""
    assert domain.os is not None
    if domain.os_type is OSType.EXE and domain.os.init is None:
        raise XMLError("init binary must be specified", path="/domain/os/init")


def complete_vcpus(domain: Domain, context: DomainContext) -> None:
    """Offline vCPUs can be plugged in, the others stay."""
    for vcpu in domain.vcpus:
        if vcpu.hotpluggable is None:
            vcpu.hotpluggable = not vcpu.enabled
        elif not vcpu.hotpluggable and not vcpu.enabled:
            raise ConfigUnsupported(f"vcpu '{vcpu.id}' is both offline and not hotpluggable", path="/domain/vcpus/vcpu")


def complete_memory(domain: Domain, context: DomainContext) -> None:
    """Total and current memory, from NUMA cells and memory devices where need be."""
    memory = domain.memory
    if memory is None:
        memory = domain.memory = Memory()
    total = memory.size or 0
    cells = 0
    if (total == 0 or context.has(_UPDATES)) and domain.cpu is not None and domain.cpu.numa is not None:
        cells = sum(cell.memory for cell in domain.cpu.numa.cells)
    plugged = 0
    if domain.devices is not None and domain.devices.memory:
        from virtcore.model.domain.rules.devices import memory_device_size

        plugged = sum(memory_device_size(device) for device in domain.devices.memory)
    if cells:
        total = cells + plugged
    elif plugged > total:
        raise XMLError("Total size of memory devices exceeds the total memory size", path="/domain/memory")
    if total == plugged:
        raise XMLError(
            "Memory size must be specified via <memory> or in the <numa> configuration", path="/domain/memory"
        )
    memory.size = total
    if not domain.current_memory or domain.current_memory > total:
        domain.current_memory = total
    maximum = domain.max_memory
    if maximum is not None and maximum.slots and not maximum.size:
        raise XMLError(
            "maximum memory size must be specified when specifying number of memory slots", path="/domain/maxMemory"
        )
    if maximum is not None and maximum.size and maximum.size < total:
        raise XMLError(
            "maximum memory size must be equal or greater than the actual memory size", path="/domain/maxMemory"
        )
    if maximum is not None and not maximum.size:
        domain.max_memory = None


def complete_loader(domain: Domain, context: DomainContext) -> None:
    """A firmware image is a ROM by default."""
    assert domain.os is not None
    loader = domain.os.loader
    if loader is not None and loader.path is not None and loader.type is None:
        loader.type = LoaderType.ROM


def trim_hugepages(domain: Domain, context: DomainContext) -> None:
    """Without cells, node 0 of huge pages means all memory."""
    backing = domain.memory_backing
    if backing is None or backing.hugepages is None or (domain.cpu is not None and domain.cpu.numa is not None):
        return
    for page in backing.hugepages.pages:
        if page.nodeset is not None and not any(page.nodeset):
            page.nodeset = None


def complete_boot_order(domain: Domain, context: DomainContext) -> None:
    """Boot devices by class, or by device; the first disk by default."""
    assert domain.os is not None
    if domain.os_type is not OSType.HVM or context.supports(DomainFeature.NO_BOOT_ORDER):
        return
    ordered = collect_boot_orders(domain)
    if domain.os.boot and ordered:
        raise ConfigUnsupported(
            "per-device boot elements cannot be used together with os/boot elements", path="/domain/os/boot"
        )
    if not domain.os.boot and not ordered:
        domain.os.boot = [BootDevice.HD]
    if domain.bootloader is not None:
        # The bootloader decides; libvirt prints none of these then.
        domain.os.boot = []
        domain.os.bootmenu = domain.os.bios = None


def verify_timers(domain: Domain, context: DomainContext) -> None:
    """Settings that only some timers have."""
    path = "/domain/clock/timer"
    for timer in domain.clock.timers if domain.clock is not None else ():
        if timer.name in (TimerName.KVMCLOCK, TimerName.HYPERVCLOCK) and timer.tickpolicy is not None:
            raise ConfigUnsupported(
                f"timer {timer.name} doesn't support setting of timer tickpolicy", path=f"{path}/@tickpolicy"
            )
        catchup = timer.catchup
        if (
            catchup is not None
            and timer.tickpolicy is not TickPolicy.CATCHUP
            and (catchup.threshold or catchup.limit or catchup.slew)
        ):
            raise XMLError(
                "setting of timer catchup policies is only supported with tickpolicy='catchup'", path=f"{path}/catchup"
            )
        if timer.name is not TimerName.TSC:
            for setting in ("frequency", "mode"):
                if getattr(timer, setting):
                    raise ConfigUnsupported(
                        f"timer {timer.name} doesn't support setting of timer {setting}", path=f"{path}/@{setting}"
                    )
        if timer.name not in (TimerName.PLATFORM, TimerName.RTC) and timer.track is not None:
            raise ConfigUnsupported(f"timer {timer.name} doesn't support setting of timer track", path=f"{path}/@track")


def sanitize_metadata(domain: Domain, context: DomainContext) -> None:
    """Each application has one element in ``<metadata>``, in a namespace of its own; what else is there goes."""
    domain.metadata = metadata.sanitize_metadata(domain.metadata)


def verify_cpu(domain: Domain, context: DomainContext) -> None:
    """A check needs a model to check against."""
    cpu = domain.cpu
    if cpu is None or cpu.mode is not None:
        return
    # Without mode after settling: a description without a model.
    if cpu.check not in (None, CPUCheck.DEFAULT):
        raise ConfigUnsupported("check attribute specified for CPU with no model", path="/domain/cpu/@check")
    cpu.check = None
    cpu.migratable = cpu.deprecated_features = None


def check_features(domain: Domain, context: DomainContext) -> None:
    """Refuses what the driver cannot deal with (``virDomainDefPostParseCheckFeatures``)."""
    if domain.max_memory is not None and not context.supports(DomainFeature.MEMORY_HOTPLUG):
        raise ConfigUnsupported(
            "memory hotplug tunables <maxMemory> are not supported by this hypervisor driver", path="/domain/maxMemory"
        )
    if not context.supports(DomainFeature.OFFLINE_VCPUPIN):
        _drop_offline_pins(domain)
    if "/" in domain.name and not context.supports(DomainFeature.NAME_SLASH):
        raise XMLError(f"name {domain.name} cannot contain '/'", path="/domain/name", value=domain.name)
    if domain.vcpus and not context.supports(DomainFeature.INDIVIDUAL_VCPUS):
        raise ConfigUnsupported("individual CPU state configuration is not supported", path="/domain/vcpus")


def _drop_offline_pins(domain: Domain) -> None:
    if domain.cputune is None or not domain.cputune.vcpupins:
        return
    if domain.vcpus:
        online = {vcpu.id for vcpu in domain.vcpus if vcpu.enabled}
    else:
        online = set(range(domain.vcpu_count))
    domain.cputune.vcpupins = [pin for pin in domain.cputune.vcpupins if pin.vcpu in online]
