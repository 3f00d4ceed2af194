"""Checks of the domain as a whole: machine, firmware, features, processor, timers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from virt_qemu.rules.defaults import MAX_VCPUS_WITHOUT_EIM
from virt_qemu.rules.machine import Machine
from virtcore.errors import ConfigUnsupported
from virtcore.model.arch import Arch
from virtcore.model.cpu.element import CPUCacheMode, CPUMode, MaxPhysAddrMode
from virtcore.model.domain.clock import TickPolicy, TimerName, TimerTrack
from virtcore.model.domain.domain import LifecycleAction, VirtType
from virtcore.model.domain.launch_security import S390PV, SEV, SEVSNP
from virtcore.model.domain.os import ACPITableType, Firmware, LoaderType
from virtcore.model.domain.panic import PanicModel
from virtcore.model.domain.tpm import TPMModel

if TYPE_CHECKING:
    from virt_qemu.capabilities.model import EmulatorCapabilities
    from virtcore.model.domain.clock import Timer
    from virtcore.model.domain.domain import Domain
    from virtcore.model.domain.watchdog import Watchdog

__all__ = ["check_lifecycle", "check_watchdogs", "validate_domain"]

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


#: Field of <features>, the capability it needs, what is said when that is missing.
_SWITCHES = (
    ("vmport", "machine-vmport-opt", "vmport is not available with this QEMU binary"),
    ("vmcoreinfo", "vmcoreinfo", "vmcoreinfo is not available with this QEMU binary"),
    (
        "async_teardown",
        "run-with.async-teardown",
        "asynchronous teardown is not available with this QEMU binary",
    ),
)


def validate_domain(domain: Domain, capabilities: EmulatorCapabilities) -> None:
    """Refuse what the emulator or the machine has not got.

    :raises ConfigUnsupported: with libvirt's message.
    """
    _validate_machine(domain, capabilities)
    _validate_boot(domain, capabilities)
    _validate_topology(domain, capabilities)
    check_lifecycle(domain)
    if domain.devices is not None:
        check_watchdogs(domain.devices.watchdogs)
    _validate_cpu(domain)
    _validate_features(domain, capabilities)
    for timer in domain.clock.timers if domain.clock is not None else ():
        _validate_timer(timer, domain)
    _validate_panics(domain, capabilities)
    _validate_tpms(domain)
    _validate_memory(domain)
    _validate_security(domain, capabilities)


def _validate_security(domain: Domain, capabilities: EmulatorCapabilities) -> None:
    for kind, flag, name in (
        (SEV, "sev-guest", "SEV"),
        (SEVSNP, "sev-snp-guest", "SEV SNP"),
        (S390PV, "s390-pv-guest", "S390 PV"),
    ):
        if isinstance(domain.launch_security, kind) and not capabilities.has(flag):
            raise _refuse(f"{name} launch security is not supported with this QEMU binary", "/domain/launchSecurity")


def _refuse(message: str, path: str) -> ConfigUnsupported:
    return ConfigUnsupported(message, path=path)


#: Types of domains that an emulator of QEMU's may run.
ACCELERATED: Final = ("qemu", "kvm", "hvf")


def _validate_machine(domain: Domain, capabilities: EmulatorCapabilities) -> None:
    assert domain.os is not None
    arch, machine = domain.arch, domain.machine or ""
    if arch is not capabilities.arch and arch is not _ALSO_RUNS.get(capabilities.arch):
        raise _refuse(f"Emulator '{capabilities.binary}' does not support arch '{arch}'", "/domain/os/type/@arch")
    if domain.type not in ACCELERATED:
        raise _refuse(f"Emulator '{capabilities.binary}' does not support virt type '{domain.type}'", "/domain/@type")
    known = capabilities.machine(machine, domain.type)
    if known is None:
        raise _refuse(
            f"Emulator '{capabilities.binary}' does not support machine type '{machine}'", "/domain/os/type/@machine"
        )
    acpi = domain.features is not None and domain.features.acpi
    if acpi and known.acpi is False:
        raise _refuse(f"machine type '{machine}' does not support ACPI", "/domain/features/acpi")
    loader = domain.os.loader
    efi = domain.os.firmware is Firmware.EFI or (loader is not None and loader.type is LoaderType.PFLASH)
    if efi and not acpi and arch is not None and arch.is_x86:
        raise _refuse("UEFI requires ACPI on this architecture", "/domain/features/acpi")
    if acpi and not efi and arch is Arch.AARCH64:
        raise _refuse("ACPI requires UEFI on this architecture", "/domain/os")


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
    if domain.on_poweroff is LifecycleAction.RESTART and domain.on_reboot is LifecycleAction.DESTROY:
        raise _refuse(
            "qemu driver doesn't support 'onReboot' set to 'destroy and 'onPoweroff' set to 'reboot'",
            "/domain/on_reboot",
        )
    for name in ("on_poweroff", "on_reboot"):
        if actions[name] is LifecycleAction.PRESERVE:
            raise _refuse(
                "qemu driver doesn't support the 'preserve' action for 'on_reboot'/'on_poweroff'", f"/domain/{name}"
            )


def check_watchdogs(watchdogs: Sequence[Watchdog]) -> None:
    """Refuse watchdogs that want different things: QEMU has one action for all.

    :raises ConfigUnsupported: they do.
    """
    if any(watchdog.action != watchdogs[0].action for watchdog in watchdogs):
        raise _refuse("all watchdogs must have the same action", "/domain/devices/watchdog")


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


def _validate_cpu(domain: Domain) -> None:
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
    cache = cpu.cache
    if cache is None:
        return
    path += "/cache"
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

    if features.ioapic is not None and not machine.x86:
        raise wrong_machine("ioapic")
    if not machine.pseries:
        for field, name in _PSERIES_FEATURES.items():
            if getattr(features, field) is not None:
                raise wrong_machine(name)
    if features.hyperv is not None and not (machine.x86 or machine.arm_virt):
        raise wrong_machine("hyperv")
    for field, flag, message in _SWITCHES:
        if getattr(features, field) is not None and not capabilities.has(flag):
            raise _refuse(message, path)
    if features.gic is not None and not machine.arm_virt:
        raise wrong_machine("gic")
    if features.pvspinlock is not None and not machine.x86:
        raise wrong_machine("pvspinlock")
    if features.pmu is not None and features.pmu.state is False and domain.arch is not None and domain.arch.is_ppc64:
        raise _refuse(f"PMU is always enabled for architecture '{domain.arch}'", f"{path}/pmu")
    if features.ras is not None and not machine.arm_virt:
        raise _refuse("ras feature is only supported with ARM Virt machines", f"{path}/ras")
    if features.tcg is not None and domain.type is not VirtType.QEMU:
        raise _refuse(f"TCG features are incompatible with domain type '{domain.type}'", f"{path}/tcg")
    if features.aia is not None and not machine.riscv_virt:
        raise _refuse("aia feature is only supported with RISC-V Virt machines", f"{path}/aia")
    if features.ps2 is not None:
        board = machine.i440fx or machine.q35 or machine.isapc or machine.xenfv
        if not board or not capabilities.has("i8042"):
            raise _refuse("ps2 feature is not available with this QEMU binary", f"{path}/ps2")
        if not capabilities.has("machine-i8042-opt"):
            raise _refuse("ps2 feature state cannot be controlled with this QEMU binary", f"{path}/ps2")


def _validate_timer(timer: Timer, domain: Domain) -> None:
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
        if policy is TickPolicy.MERGE:
            raise _refuse(f"unsupported pit tickpolicy '{policy}'", f"{path}/@tickpolicy")
    elif name is TimerName.ARMVTIMER:
        if domain.type is not VirtType.KVM or not machine.arm_virt:
            raise wrong()
        if timer.present is False:
            raise _refuse(f"The '{name}' timer can't be disabled", f"{path}/@present")
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
        model = panic.model
        if model in (None, PanicModel.DEFAULT):
            raise _refuse(
                "no panic model provided, and no default for the architecture and machine type", f"{path}/@model"
            )
        if model in rightful:
            right, who = rightful[model]
            if not right:
                raise _refuse(f"{who} panic device of model '{model}'", f"{path}/@model")
            if panic.address is not None:
                raise _refuse(
                    f"setting the panic device address is not supported for model '{model}'", f"{path}/address"
                )


def _validate_tpms(domain: Domain) -> None:
    assert domain.devices is not None
    proxies = [tpm.model is TPMModel.SPAPR_TPM_PROXY for tpm in domain.devices.tpms]
    for proxy, name in ((True, "Proxy"), (False, "non-proxy")):
        if proxies.count(proxy) > 1:
            raise _refuse(f"only a single TPM {name} device is supported", "/domain/devices/tpm")


def _validate_memory(domain: Domain) -> None:
    """QEMU would make a NUMA node of its own for memory that is plugged in."""
    numa = domain.cpu.numa if domain.cpu is not None else None
    if domain.max_memory is None or (numa is not None and numa.cells):
        return
    if domain.arch is None or not (domain.arch.is_ppc64 or domain.arch.is_s390):
        raise _refuse("At least one numa node has to be configured when enabling memory hotplug", "/domain/maxMemory")
