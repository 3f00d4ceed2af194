"""Checks of the domain as a whole: machine, firmware, features, processor, timers."""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING, Final

from virt_qemu.rules.defaults import MAX_VCPUS_WITHOUT_EIM
from virt_qemu.rules.machine import Machine
from virt_qemu.rules.memory import WITHOUT_NODES
from virt_qemu.rules.validate.memory import check_memory_device
from virt_qemu.rules.validate.shared import require
from virtcore.errors import ConfigUnsupported, XMLError
from virtcore.model.arch import Arch
from virtcore.model.cpu.element import CPUCacheMode, CPUMode, MaxPhysAddrMode
from virtcore.model.domain.address import ISAAddress, PCIAddress
from virtcore.model.domain.chardev import ConsoleTargetType
from virtcore.model.domain.clock import ClockOffset, TickPolicy, TimerName, TimerTrack
from virtcore.model.domain.domain import LifecycleAction, VirtType
from virtcore.model.domain.features import HPT
from virtcore.model.domain.launch_security import S390PV, SEV, SEVSNP
from virtcore.model.domain.memory import AllocationMode, MemoryAccess, MemorySource
from virtcore.model.domain.memory_device import DIMM, NVDIMM
from virtcore.model.domain.os import ACPITableType, Firmware, LoaderType, OSType
from virtcore.model.domain.panic import PanicModel
from virtcore.model.domain.rules.devices import memory_device_size
from virtcore.model.domain.sysinfo import FirmwareConfigInfo
from virtcore.model.domain.tpm import TPMModel
from virtcore.model.domain.watchdog import WatchdogModel

if TYPE_CHECKING:
    from virt_qemu.capabilities.model import EmulatorCapabilities
    from virtcore.model.cpu.element import CPUCache, GuestCPU
    from virtcore.model.domain.clock import Timer
    from virtcore.model.domain.domain import Domain
    from virtcore.model.domain.resources import DefaultIOThread, IOThread

__all__ = ["check_lifecycle", "validate_domain"]

#: Architectures that an emulator of another can run.
_ALSO_RUNS = {
    Arch.X86_64: Arch.I686,
    Arch.AARCH64: Arch.ARMV7L,
    Arch.ARMV7L: Arch.ARMV6L,
    Arch.PPC64: Arch.PPC64LE,
}
#: Field of <features> -> its name, of those only a PAPR guest has.
_PSERIES_FEATURES = {
    "hpt": "hpt",
    "htm": "htm",
    "nested_hv": "nested-hv",
    "ccf_assist": "ccf-assist",
    "cfpc": "cfpc",
    "sbbc": "sbbc",
    "ibs": "ibs",
}


#: Type of a console that s390 has -> the capability it needs.
_CONSOLES = {ConsoleTargetType.SCLP: "s390-sclp", ConsoleTargetType.SCLPLM: "sclplmconsole"}
#: The end of the year 9999, which is the last that can be told.
_LAST_SECOND = 253402300799


def validate_domain(domain: Domain, capabilities: EmulatorCapabilities) -> None:
    """Refuse what the emulator or the machine has not got.

    :raises ConfigUnsupported: with libvirt's message.
    """
    _validate_machine(domain, capabilities)
    _validate_firmware(domain)
    _validate_identity(domain, capabilities)
    check_lifecycle(domain)
    _validate_cpu(domain, capabilities)
    _validate_memory_hotplug(domain)
    _validate_iothreads(domain, capabilities)
    _validate_clock(domain, capabilities)
    pm = domain.pm
    sleeps = pm is not None and (pm.suspend_to_mem is not None or pm.suspend_to_disk is not None)
    if sleeps and not Machine.of(domain).x86:
        raise _refuse("setting ACPI S3/S4 not supported", "/domain/pm")
    _validate_boot(domain, capabilities)
    _validate_topology(domain, capabilities)
    tune = domain.cputune
    if tune is not None and (tune.cachetunes or tune.memorytunes) and domain.type is not VirtType.KVM:
        raise _refuse("cachetune is only supported for KVM domains", "/domain/cputune")
    _validate_features(domain, capabilities)
    _validate_huge_pages(domain, capabilities)
    numa = domain.cpu.numa if domain.cpu is not None else None
    if numa is not None and numa.interconnects:
        require(capabilities, "numa.hmat", "HMAT is not supported with this QEMU")
    _validate_consoles(domain, capabilities)
    _validate_sysinfo(domain)
    _validate_panics(domain, capabilities)
    _validate_tpms(domain)
    _validate_watchdogs(domain)
    _validate_security(domain, capabilities)


def _validate_security(domain: Domain, capabilities: EmulatorCapabilities) -> None:
    security = domain.launch_security
    for kind, flags, name in (
        (SEV, ("sev-guest",), "sev"),
        (SEVSNP, ("sev-snp-guest",), "sev-snp"),
        (S390PV, ("confidential-guest-support", "s390-pv-guest"), "s390-pv"),
    ):
        if isinstance(security, kind) and not all(map(capabilities.has, flags)):
            raise _refuse(f"'{name}' launch security is not supported with this QEMU binary", "/domain/launchSecurity")
    if isinstance(security, SEV) and security.kernel_hashes is not None:
        require(
            capabilities,
            "sev-guest-kernel-hashes",
            "SEV measured direct kernel boot is not supported with this QEMU binary",
        )


def _refuse(message: str, path: str) -> ConfigUnsupported:
    return ConfigUnsupported(message, path=path)


#: Type of a domain that an emulator of QEMU's may run -> the capability it needs.
ACCELERATED: Final = {"qemu": "tcg", "kvm": "kvm", "hvf": "hvf"}


def _validate_machine(domain: Domain, capabilities: EmulatorCapabilities) -> None:
    assert domain.os is not None
    arch, machine = domain.arch, domain.machine or ""
    if domain.os_type is not OSType.HVM:
        raise _refuse(
            f"Emulator '{capabilities.binary}' does not support os type '{domain.os_type}'", "/domain/os/type"
        )
    if arch is not capabilities.arch and arch is not _ALSO_RUNS.get(capabilities.arch):
        raise _refuse(f"Emulator '{capabilities.binary}' does not support arch '{arch}'", "/domain/os/type/@arch")
    if not capabilities.has(ACCELERATED.get(domain.type, "")):
        raise _refuse(f"Emulator '{capabilities.binary}' does not support virt type '{domain.type}'", "/domain/@type")
    known = capabilities.machine(machine, domain.type)
    if known is None:
        raise _refuse(
            f"Emulator '{capabilities.binary}' does not support machine type '{machine}'", "/domain/os/type/@machine"
        )
    acpi = domain.features is not None and domain.features.acpi
    if acpi and known.acpi is False:
        raise _refuse(f"machine type '{machine}' does not support ACPI", "/domain/features/acpi")
    if domain.memtune is not None and domain.memtune.min_guarantee:
        raise _refuse("Parameter 'min_guarantee' not supported by QEMU.", "/domain/memtune/min_guarantee")


def _validate_firmware(domain: Domain) -> None:
    assert domain.os is not None
    arch, acpi = domain.arch, domain.features is not None and domain.features.acpi
    loader = domain.os.loader
    efi = domain.os.firmware is Firmware.EFI or (loader is not None and loader.type is LoaderType.PFLASH)
    if efi and not acpi and arch is not None and arch.is_x86:
        raise _refuse("UEFI requires ACPI on this architecture", "/domain/features/acpi")
    if acpi and not efi and arch is Arch.AARCH64:
        raise _refuse("ACPI requires UEFI on this architecture", "/domain/os")


def _validate_identity(domain: Domain, capabilities: EmulatorCapabilities) -> None:
    if domain.genid is not None:
        require(capabilities, "vmgenid", "this QEMU does not support the 'genid' capability")
    bios = domain.os.bios if domain.os is not None else None
    if bios is None or not bios.useserial:
        return
    if not Machine.of(domain).x86:
        raise _refuse("BIOS serial console only supported on x86 architectures", "/domain/os/bios/@useserial")
    if domain.devices is None or not domain.devices.serials:
        raise XMLError("need at least one serial port to use BIOS serial output", path="/domain/os/bios/@useserial")


def _validate_boot(domain: Domain, capabilities: EmulatorCapabilities) -> None:
    os = domain.os
    assert os is not None
    if domain.bootloader is not None or domain.bootloader_args is not None:
        raise _refuse("bootloader is not supported by QEMU", "/domain/bootloader")
    if os.loader is not None and os.loader.secure is True:
        path = "/domain/os/loader/@secure"
        if not Machine.of(domain).q35:
            raise _refuse("Secure boot is supported with q35 machine types only", path)
        if domain.arch is not Arch.X86_64:
            raise _refuse("Secure boot is supported for x86_64 architecture only", path)
        smm = domain.features.smm if domain.features is not None else None
        if os.firmware is None and (smm is None or smm.state is False):
            raise _refuse("Secure boot requires SMM feature enabled", path)
    for table in os.acpi_tables:
        if table.type is ACPITableType.RAWSET:
            raise _refuse(f"ACPI table type '{table.type}' is not supported", "/domain/os/acpi/table/@type")
    if os.shim is not None and not capabilities.has("shim"):
        raise _refuse("shim is not supported by this QEMU binary", "/domain/os/shim")


def check_lifecycle(domain: Domain) -> None:
    """Refuse what cannot be done at the end of a guest.

    :raises ConfigUnsupported: with libvirt's message.
    """
    actions = {name: getattr(domain, name) for name in ("on_poweroff", "on_reboot", "on_crash")}
    for name, action in actions.items():
        if action is LifecycleAction.RENAME_RESTART:
            raise _refuse(
                "qemu driver doesn't support the 'rename-restart' action for 'on_reboot'/'on_poweroff'/'on_crash'",
                f"/domain/{name}",
            )
    for name in ("on_poweroff", "on_reboot"):
        if actions[name] is LifecycleAction.PRESERVE:
            raise _refuse(
                "qemu driver doesn't support the 'preserve' action for 'on_reboot'/'on_poweroff'", f"/domain/{name}"
            )
    if domain.on_poweroff is LifecycleAction.RESTART and domain.on_reboot is LifecycleAction.DESTROY:
        raise _refuse(
            "qemu driver doesn't support 'onReboot' set to 'destroy and 'onPoweroff' set to 'reboot'",
            "/domain/on_reboot",
        )


def _validate_watchdogs(domain: Domain) -> None:
    """The one on PCI apart, a board has one of each model."""
    assert domain.devices is not None
    seen = set()
    for watchdog in domain.devices.watchdogs:
        if watchdog.model is WatchdogModel.I6300ESB:
            continue
        if watchdog.model in seen:
            raise _refuse(
                f"domain can only have one watchdog with model '{watchdog.model}'", "/domain/devices/watchdog/@model"
            )
        seen.add(watchdog.model)


def _validate_topology(domain: Domain, capabilities: EmulatorCapabilities) -> None:
    path = "/domain/vcpu"
    known = capabilities.machine(domain.machine or "", domain.type)
    # 0: QEMU names no limit.
    if known is not None and known.max_cpus and known.max_cpus < domain.vcpu_maximum:
        raise _refuse(f"Maximum CPUs greater than specified machine type limit {known.max_cpus}", path)
    machine = Machine.of(domain)
    topology = domain.cpu.topology if domain.cpu is not None else None
    if topology is not None:
        threads = topology.threads
        if topology.total != domain.vcpu_maximum:
            raise _refuse("CPU topology doesn't match maximum vcpu count", "/domain/cpu/topology")
        # A PAPR guest plugs whole cores.
        if machine.pseries and domain.vcpu_count % threads:
            raise _refuse(f"vCPUs count must be a multiple of the vCPU hotplug granularity ({threads})", path)
    if machine.x86 and domain.vcpu_maximum > MAX_VCPUS_WITHOUT_EIM:
        if not machine.q35:
            raise _refuse(
                f"more than {MAX_VCPUS_WITHOUT_EIM} vCPUs are only supported on q35-based machine types", path
            )
        iommu = domain.devices.iommu if domain.devices is not None else None
        if iommu is None or iommu.driver is None or not iommu.driver.eim:
            raise _refuse(
                f"more than {MAX_VCPUS_WITHOUT_EIM} vCPUs require extended interrupt mode enabled on the iommu device",
                "/domain/devices/iommu/driver/@eim",
            )


def _validate_cpu(domain: Domain, capabilities: EmulatorCapabilities) -> None:
    cpu = domain.cpu
    if cpu is None:
        return
    x86, path = domain.arch is not None and domain.arch.is_x86, "/domain/cpu"
    bits = cpu.maxphysaddr
    if bits is not None:
        if not x86:
            raise _refuse(
                f"CPU maximum physical address bits specification is not supported for '{domain.arch}' architecture",
                f"{path}/maxphysaddr",
            )
        if bits.mode is MaxPhysAddrMode.PASSTHROUGH and bits.bits is not None:
            raise _refuse(
                "CPU maximum physical address bits number specification cannot be used with "
                f"mode='{MaxPhysAddrMode.PASSTHROUGH}'",
                f"{path}/maxphysaddr/@bits",
            )
    if cpu.cache is not None:
        _validate_cache(cpu.cache, cpu, domain)
    if cpu.mode is CPUMode.HOST_PASSTHROUGH and cpu.migratable:
        require(
            capabilities,
            "cpu.migratable",
            "Migratable attribute for host-passthrough CPU is not supported by this QEMU binary",
        )
    if cpu.mode is CPUMode.MAXIMUM:
        require(capabilities, "cpu-max", "maximum CPU is not supported by QEMU binary")


def _validate_cache(cache: CPUCache, cpu: GuestCPU, domain: Domain) -> None:
    x86, path = domain.arch is not None and domain.arch.is_x86, "/domain/cpu/cache"
    if not x86:
        raise _refuse(f"CPU cache specification is not supported for '{domain.arch}' architecture", path)
    if cache.mode is CPUCacheMode.EMULATE:
        if cache.level != 3:
            raise _refuse(f"CPU cache mode '{cache.mode}' can only be used with level='3'", f"{path}/@level")
        return
    if cache.mode is CPUCacheMode.PASSTHROUGH and cpu.mode not in (CPUMode.HOST_PASSTHROUGH, CPUMode.MAXIMUM):
        raise _refuse(
            f"CPU cache mode '{cache.mode}' can only be used with "
            f"'{CPUMode.HOST_PASSTHROUGH}' / '{CPUMode.MAXIMUM}' CPUs",
            f"{path}/@mode",
        )
    if cache.level is not None:
        raise _refuse(f"unsupported CPU cache level for mode '{cache.mode}'", f"{path}/@level")


def _validate_features(domain: Domain, capabilities: EmulatorCapabilities) -> None:
    features = domain.features
    if features is None:
        return
    machine, path = Machine.of(domain), "/domain/features"

    def wrong_machine(name: str) -> ConfigUnsupported:
        return _refuse(
            f"The '{name}' feature is not supported for architecture '{domain.arch}' "
            f"or machine type '{domain.machine}'",
            f"{path}/{name}",
        )

    if features.apic is not None and features.apic.eoi is not None and not machine.x86:
        raise _refuse(
            f"The 'eoi' attribute of the 'apic' feature is not supported for architecture '{domain.arch}' "
            f"or machine type '{domain.machine}'",
            f"{path}/apic/@eoi",
        )
    if features.hyperv is not None and not (machine.x86 or machine.arm_virt):
        raise _refuse(
            f"Hyperv features are not supported for architecture '{domain.arch}' or machine type '{domain.machine}'",
            f"{path}/hyperv",
        )
    if features.pvspinlock is not None and not machine.x86:
        raise wrong_machine("pvspinlock")
    if features.pmu is not None and features.pmu.state is False and domain.arch is not None and domain.arch.is_ppc64:
        raise _refuse(f"PMU is always enabled for architecture '{domain.arch}'", f"{path}/pmu")
    if features.vmport is not None:
        if not machine.pc or not capabilities.has("machine-vmport-opt"):
            raise _refuse("vmport is not available with this QEMU binary", f"{path}/vmport")
        ps2 = features.ps2
        if features.vmport.state is not False and ps2 is not None and not ps2.state:
            raise _refuse("vmport feature requires the ps2 feature not to be disabled", f"{path}/vmport")
    if features.gic is not None and not machine.arm_virt:
        raise wrong_machine("gic")
    if features.ioapic is not None and not machine.x86:
        raise wrong_machine("ioapic")
    if features.vmcoreinfo is not None and features.vmcoreinfo.state is not False:
        require(capabilities, "vmcoreinfo", "vmcoreinfo is not available with this QEMU binary")
    if not machine.pseries:
        for field, name in _PSERIES_FEATURES.items():
            feature = getattr(features, field)
            if feature is not None and not (isinstance(feature, HPT) and feature == HPT()):
                raise wrong_machine(name)
    if features.tcg is not None:
        if domain.type is not VirtType.QEMU:
            raise _refuse(f"TCG features are incompatible with domain type '{domain.type}'", f"{path}/tcg")
        if (features.tcg.tb_cache or 0) % 1024:
            raise _refuse("tb-cache size must be an integer multiple of MiB", f"{path}/tcg/tb-cache")
    if features.async_teardown is not None and features.async_teardown.enabled:
        require(
            capabilities,
            "run-with.async-teardown",
            "asynchronous teardown is not available with this QEMU binary",
        )
    if features.ras is not None:
        if not machine.arm_virt:
            raise _refuse("ras feature is only supported with ARM Virt machines", f"{path}/ras")
        require(capabilities, "machine.virt.ras", "ras feature is not available with this QEMU binary")
    if features.ps2 is not None:
        if not machine.pc or not capabilities.has("i8042"):
            raise _refuse("ps2 feature is not available with this QEMU binary", f"{path}/ps2")
        require(capabilities, "machine-i8042-opt", "ps2 feature state cannot be controlled with this QEMU binary")
    if features.aia is not None:
        if not machine.riscv_virt:
            raise _refuse("aia feature is only supported with RISC-V Virt machines", f"{path}/aia")
        require(capabilities, "machine.virt.aia", "aia feature is not available with this QEMU binary")


def _validate_clock(domain: Domain, capabilities: EmulatorCapabilities) -> None:
    clock = domain.clock
    if clock is None:
        return
    for timer in clock.timers:
        _validate_timer(timer, domain, capabilities)
    if clock.offset is ClockOffset.ABSOLUTE and (clock.start or 0) > _LAST_SECOND:
        raise _refuse(
            f"The maximum 'start' value for <clock offset='absolute'> is {_LAST_SECOND}", "/domain/clock/@start"
        )


def _validate_timer(timer: Timer, domain: Domain, capabilities: EmulatorCapabilities) -> None:
    path, machine = "/domain/clock/timer", Machine.of(domain)
    name, policy = timer.name, timer.tickpolicy

    def wrong() -> ConfigUnsupported:
        return _refuse(
            f"Configuring the '{name}' timer is not supported for virtType={domain.type} arch={domain.arch} "
            f"machine={domain.machine} guests",
            path,
        )

    if name is TimerName.PLATFORM:
        raise _refuse(f"unsupported timer type (name) '{name}'", path)
    if name in (TimerName.TSC, TimerName.KVMCLOCK, TimerName.HYPERVCLOCK):
        if timer.present is True and not machine.x86:
            raise wrong()
    elif name is TimerName.HPET:
        if timer.present is True and not machine.x86:
            raise _refuse("hpet timer is not supported by this architecture", path)
    elif name is TimerName.RTC:
        if timer.track is TimerTrack.BOOT:
            raise _refuse(f"unsupported rtc timer track '{timer.track}'", f"{path}/@track")
        if policy in (TickPolicy.MERGE, TickPolicy.DISCARD):
            raise _refuse(f"unsupported rtc timer tickpolicy '{policy}'", f"{path}/@tickpolicy")
    elif name is TimerName.PIT:
        caught_up = policy is TickPolicy.CATCHUP and not capabilities.has("kvm-pit-lost-tick-policy")
        if policy is TickPolicy.MERGE or caught_up:
            raise _refuse(f"unsupported pit tickpolicy '{policy}'", f"{path}/@tickpolicy")
    elif name is TimerName.ARMVTIMER:
        if domain.type is not VirtType.KVM or not machine.arm_virt:
            raise wrong()
        if timer.present is False:
            raise _refuse(f"The '{name}' timer can't be disabled", f"{path}/@present")
        require(
            capabilities,
            "cpu.kvm-no-adjvtime",
            f"Configuring the '{name}' timer is not supported with this QEMU binary",
        )
        if policy in (TickPolicy.CATCHUP, TickPolicy.MERGE):
            raise _refuse(f"The '{name}' timer does not support tickpolicy '{policy}'", f"{path}/@tickpolicy")


def _validate_panics(domain: Domain, capabilities: EmulatorCapabilities) -> None:
    assert domain.devices is not None
    machine, path = Machine.of(domain), "/domain/devices/panic"
    rightful = {
        PanicModel.S390: (domain.arch is not None and domain.arch.is_s390, "only S390 guests support"),
        PanicModel.HYPERV: (machine.x86, "only i686 and x86_64 guests support"),
        PanicModel.PSERIES: (machine.pseries, "only pSeries guests support"),
    }
    for panic in domain.devices.panics:
        model, address = panic.model, panic.address
        if model in rightful:
            right, who = rightful[model]
            if not right:
                raise _refuse(f"{who} panic device of model '{model}'", f"{path}/@model")
            if address is not None:
                raise _refuse(
                    f"setting the panic device address is not supported for model '{model}'", f"{path}/address"
                )
        elif model is PanicModel.ISA:
            require(capabilities, "pvpanic", "the QEMU binary does not support the ISA panic device")
            if address is not None and not isinstance(address, ISAAddress):
                raise _refuse("panic is supported only with ISA address type", f"{path}/address")
        elif model is PanicModel.PVPANIC:
            require(capabilities, "pvpanic-pci", "the QEMU binary does not support the PCI pvpanic device")
            if not isinstance(address, PCIAddress):
                raise _refuse("pvpanic is supported only with PCI address type", f"{path}/address")
        else:
            raise _refuse(
                "no panic model provided, and no default for the architecture and machine type", f"{path}/@model"
            )


def _validate_tpms(domain: Domain) -> None:
    assert domain.devices is not None
    proxies = [tpm.model is TPMModel.SPAPR_TPM_PROXY for tpm in domain.devices.tpms]
    for proxy, name in ((True, "Proxy"), (False, "non-proxy")):
        if proxies.count(proxy) > 1:
            raise _refuse(f"only a single TPM {name} device is supported", "/domain/devices/tpm")


def _validate_memory_hotplug(domain: Domain) -> None:
    """Devices of memory need room, and on most machines a NUMA node."""
    assert domain.devices is not None
    devices = domain.devices.memory
    if domain.max_memory is None:
        if devices:
            raise _refuse(
                "cannot use/hotplug a memory device when domain 'maxMemory' is not defined", "/domain/devices/memory"
            )
        return
    numa = domain.cpu.numa if domain.cpu is not None else None
    nodes = numa is not None and bool(numa.cells)
    wants_node = domain.arch is None or not (domain.arch.is_ppc64 or domain.arch in WITHOUT_NODES)
    if wants_node and not nodes:
        # QEMU would make one of its own.
        raise _refuse("At least one numa node has to be configured when enabling memory hotplug", "/domain/maxMemory")
    slotted = [device for device in devices if isinstance(device, DIMM | NVDIMM)]
    slots = domain.max_memory.slots or 0
    if len(slotted) > slots:
        raise _refuse(
            f"count of memory devices requiring memory slots '{len(slotted)}' exceeds slots count '{slots}'",
            "/domain/devices/memory",
        )
    plugged = 0
    for device in devices:
        plugged += memory_device_size(device)
        check_memory_device(device, domain)
    if plugged > (domain.max_memory.size or 0) - (domain.memory_total - plugged):
        raise _refuse("memory device total size exceeds hotplug space", "/domain/devices/memory")


def _validate_iothreads(domain: Domain, capabilities: EmulatorCapabilities) -> None:
    pools: list[IOThread | DefaultIOThread] = [*domain.iothread_ids]
    if domain.default_iothread is not None:
        pools.append(domain.default_iothread)
    if any(pool.thread_pool_min is not None or pool.thread_pool_max is not None for pool in pools):
        require(
            capabilities,
            "iothread.thread-pool-max",
            "thread_pool_min and thread_pool_max is not supported by this QEMU binary",
        )


def _validate_huge_pages(domain: Domain, capabilities: EmulatorCapabilities) -> None:
    backing, path = domain.memory_backing, "/domain/memoryBacking"
    if backing is None or backing.hugepages is None:
        return
    allocation = backing.allocation
    if allocation is not None and allocation.mode is AllocationMode.ONDEMAND:
        raise _refuse("hugepages are not allowed with memory allocation ondemand", f"{path}/allocation/@mode")
    if allocation is not None and allocation.threads:
        require(
            capabilities,
            "memory-backend-file.prealloc-threads",
            "preallocation threads are unsupported with this QEMU",
        )
    if backing.source is MemorySource.ANONYMOUS:
        raise _refuse("hugepages are not allowed with anonymous memory source", f"{path}/source/@type")
    if backing.source is MemorySource.MEMFD:
        require(
            capabilities,
            "memory-backend-memfd.hugetlb",
            "hugepages is not supported with memfd memory source",
        )
    machine = capabilities.machine(domain.machine or "", domain.type)
    named = machine is not None and machine.default_ram_id is not None
    numa = domain.cpu.numa if domain.cpu is not None else None
    pages = backing.hugepages.pages
    small = bool(pages) and pages[0].size == mmap.PAGESIZE // 1024
    if not named and not small and not (numa is not None and numa.cells) and backing.access is MemoryAccess.SHARED:
        raise _refuse(f"memory access mode '{backing.access}' not supported without guest numa node", f"{path}/access")


def _validate_consoles(domain: Domain, capabilities: EmulatorCapabilities) -> None:
    assert domain.devices is not None
    for console in domain.devices.consoles:
        kind = console.target.type if console.target is not None else None
        if kind in (None, ConsoleTargetType.SERIAL, ConsoleTargetType.VIRTIO):
            continue
        if kind not in _CONSOLES:
            raise _refuse(f"unsupported console target type {kind}", "/domain/devices/console/target/@type")
        flag = _CONSOLES[kind]
        require(capabilities, flag, f"{kind}console is not supported in this QEMU binary")


def _validate_sysinfo(domain: Domain) -> None:
    """Names of files in QEMU's firmware configuration: all but the users' own are reserved."""
    for info in domain.sysinfo:
        if not isinstance(info, FirmwareConfigInfo):
            continue
        for entry in info.entries:
            if not entry.name.startswith("opt/"):
                raise _refuse("Invalid firmware name", "/domain/sysinfo/entry/@name")
            if entry.name.startswith(("opt/ovmf/", "opt/org.qemu/")):
                raise _refuse("That firmware name is reserved", "/domain/sysinfo/entry/@name")
