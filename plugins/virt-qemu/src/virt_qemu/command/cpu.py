"""The guest's processor model and its features."""

from __future__ import annotations

from virt_qemu.capabilities.model import HYPERV_ENLIGHTENMENTS
from virt_qemu.command.line import Builder, on_off
from virtcore.errors import InternalError
from virtcore.model.arch import Arch
from virtcore.model.cpu.element import CPUCacheMode, CPUFeaturePolicy, CPUMode, MaxPhysAddrMode
from virtcore.model.domain.clock import TickPolicy, TimerName
from virtcore.model.domain.features import Features, HyperVMode

__all__ = ["add_cpu", "libvirt_feature", "qemu_feature"]

#: libvirt's name of a feature -> QEMU's, where they differ.
_FEATURES = {
    "cmp_legacy": "cmp-legacy",
    "ds_cpl": "ds-cpl",
    "fxsr_opt": "fxsr-opt",
    "kvm_pv_eoi": "kvm-pv-eoi",
    "kvm_pv_unhalt": "kvm-pv-unhalt",
    "lahf_lm": "lahf-lm",
    "nodeid_msr": "nodeid-msr",
    "pclmuldq": "pclmulqdq",
    "perfctr_core": "perfctr-core",
    "perfctr_nb": "perfctr-nb",
    "tsc_adjust": "tsc-adjust",
    "vmx-invvpid-single-context-noglobals": "vmx-invept-single-context-noglobals",
}

_LIBVIRT_FEATURES = {theirs: ours for ours, theirs in _FEATURES.items()}


def libvirt_feature(name: str) -> str:
    """libvirt's name of a processor feature, from QEMU's."""
    return _LIBVIRT_FEATURES.get(name, name)


def qemu_feature(name: str) -> str:
    """QEMU's name of a processor feature."""
    return _FEATURES.get(name, name)


def add_cpu(builder: Builder) -> None:
    """The processor; nothing where the machine's own default is wanted."""
    model = _model(builder)
    flags = [*_timers(builder), *_features(builder), *_layout(builder)]
    if not model and flags:
        domain = builder.domain
        machine = builder.capabilities.machine(domain.machine or "", domain.type)
        default = machine.default_cpu if machine is not None else None
        model = [default.removesuffix(f"-{domain.arch}-cpu") if default is not None else _plain(builder)]
    if model:
        builder.add("-cpu", ",".join([*model, *flags]))


def _plain(builder: Builder) -> str:
    return "qemu32" if builder.domain.arch is Arch.I686 else "qemu64"


def _model(builder: Builder) -> list[str]:
    domain = builder.domain
    cpu = domain.cpu
    if cpu is None or (cpu.mode in (None, CPUMode.CUSTOM) and (cpu.model is None or cpu.model.name is None)):
        emulator = domain.devices.emulator if domain.devices is not None else None
        return ["qemu32"] if domain.arch is Arch.I686 and "x86_64" in (emulator or "") else []
    if cpu.mode in (CPUMode.HOST_PASSTHROUGH, CPUMode.MAXIMUM):
        words = ["max" if cpu.mode is CPUMode.MAXIMUM else "host"]
        if domain.arch is Arch.ARMV7L and builder.capabilities.arch is Arch.AARCH64:
            words.append("aarch64=off")
        if cpu.migratable is not None and builder.capabilities.has("cpu.migratable"):
            words.append(f"migratable={on_off(cpu.migratable)}")
    elif cpu.mode is CPUMode.HOST_MODEL and domain.arch is not None and domain.arch.is_ppc64:
        # The generation that it is to be compatible with is told to the machine.
        words = ["host"]
    elif cpu.mode is CPUMode.HOST_MODEL:
        # Completion at start turns it into a custom model; what is left here is a mistake of ours.
        raise InternalError(f"unexpected host-model CPU for {domain.arch} architecture")
    else:
        assert cpu.model is not None
        assert cpu.model.name is not None
        words = [cpu.model.name]
    if cpu.model is not None and cpu.model.vendor_id is not None:
        words.append(f"vendor={cpu.model.vendor_id}")
    for feature in cpu.features:
        if feature.policy in (CPUFeaturePolicy.DISABLE, CPUFeaturePolicy.FORBID):
            words.append(f"{qemu_feature(feature.name)}=off")
        elif feature.policy is not CPUFeaturePolicy.OPTIONAL:
            words.append(f"{qemu_feature(feature.name)}=on")
    return words


def _timers(builder: Builder) -> list[str]:
    words = []
    for timer in builder.domain.clock.timers if builder.domain.clock is not None else ():
        if timer.name is TimerName.KVMCLOCK and timer.present is not None:
            words.append(f"kvmclock={on_off(timer.present)}")
        elif timer.name is TimerName.HYPERVCLOCK and timer.present:
            words.append("hv-time=on")
        elif timer.name is TimerName.ARMVTIMER and timer.tickpolicy in (TickPolicy.DELAY, TickPolicy.DISCARD):
            words.append(f"kvm-no-adjvtime={on_off(timer.tickpolicy is TickPolicy.DISCARD)}")
        elif timer.name is TimerName.TSC and timer.frequency:
            words.append(f"tsc-frequency={timer.frequency}")
    return words


def _features(builder: Builder) -> list[str]:
    domain = builder.domain
    features = domain.features if domain.features is not None else Features()
    words = []
    if features.apic is not None and features.apic.eoi is not None:
        words.append(f"kvm-pv-eoi={on_off(features.apic.eoi)}")
    if features.pvspinlock is not None:
        words.append(f"kvm-pv-unhalt={on_off(features.pvspinlock.state is not False)}")
    hyperv = features.hyperv
    if hyperv is not None:
        if hyperv.mode is HyperVMode.PASSTHROUGH:
            words.append("hv-passthrough=on")
        for name in HYPERV_ENLIGHTENMENTS:
            feature = getattr(hyperv, name)
            if feature is None or not feature.state:
                continue
            if name == "spinlocks":
                words.append(f"hv-spinlocks=0x{feature.retries or 0:x}")
            elif name == "vendor_id":
                words.append(f"hv-vendor-id={feature.value}")
            else:
                words.append(f"hv-{name.replace('_', '-')}=on")
            for nested, qemu in (("direct", "direct"), ("extended", "ext")):
                inner = getattr(feature, nested, None)
                if inner is not None and inner.state:
                    words.append(f"hv-{name}-{qemu}=on")
    if domain.devices is not None and any(panic.model == "hyperv" for panic in domain.devices.panics):
        words.append("hv-crash")
    kvm = features.kvm
    if kvm is not None:
        if kvm.hidden is not None and kvm.hidden.state:
            words.append("kvm=off")
        if kvm.hint_dedicated is not None and kvm.hint_dedicated.state:
            words.append("kvm-hint-dedicated=on")
        if kvm.poll_control is not None and kvm.poll_control.state:
            words.append("kvm-poll-control=on")
        if kvm.pv_ipi is not None and not kvm.pv_ipi.state:
            words.append("kvm-pv-ipi=off")
    if features.pmu is not None:
        words.append(f"pmu={on_off(features.pmu.state is not False)}")
    return words


def _layout(builder: Builder) -> list[str]:
    cpu = builder.domain.cpu
    if cpu is None:
        return []
    words = []
    if cpu.cache is not None:
        whole = cpu.mode in (CPUMode.HOST_PASSTHROUGH, CPUMode.MAXIMUM)
        if cpu.cache.mode is CPUCacheMode.EMULATE:
            words += ["l3-cache=on", *(["host-cache-info=off"] if whole else [])]
        elif cpu.cache.mode is CPUCacheMode.PASSTHROUGH:
            words += ["host-cache-info=on", "l3-cache=off"]
        else:
            words += [*(["host-cache-info=off"] if whole else []), "l3-cache=off"]
    bits = cpu.maxphysaddr
    if bits is not None:
        if bits.mode is MaxPhysAddrMode.PASSTHROUGH:
            words.append("host-phys-bits=on")
            words += [f"host-phys-bits-limit={bits.limit}"] if bits.limit else []
        else:
            words.append(f"phys-bits={bits.bits}" if bits.bits else "host-phys-bits=off")
    return words
