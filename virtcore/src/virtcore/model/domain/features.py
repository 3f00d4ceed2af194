"""``<features>``: what the guest's machine offers beyond its devices."""

from __future__ import annotations

from enum import StrEnum

from virtcore.errors import ErrorCode
from virtcore.xml import ON_OFF, UINT_ANY, YES_NO, attribute, child, element, flag, leaf, pretty_size, scaled

__all__ = [
    "AIA",
    "APIC",
    "AIAValue",
    "AsyncTeardown",
    "CapabilitiesPolicy",
    "DirtyRing",
    "Features",
    "GIC",
    "GICVersion",
    "HPT",
    "HPTResizing",
    "HyperV",
    "HyperVMode",
    "HyperVSpinlocks",
    "HyperVSTimer",
    "HyperVTLBFlush",
    "HyperVVendorId",
    "IBS",
    "IBSValue",
    "IOAPIC",
    "IOAPICDriver",
    "KVMFeatures",
    "MSRs",
    "Mitigation",
    "MitigationValue",
    "ProcessCapabilities",
    "RequiredState",
    "SMM",
    "StateFeature",
    "TCGFeatures",
    "UnknownMSR",
    "XenFeatures",
    "XenPassthrough",
    "XenPassthroughMode",
]


class HyperVMode(StrEnum):
    """How Hyper-V enlightenments are chosen."""

    CUSTOM = "custom"
    PASSTHROUGH = "passthrough"


class CapabilitiesPolicy(StrEnum):
    """What a container may do when a capability is not listed."""

    DEFAULT = "default"
    ALLOW = "allow"
    DENY = "deny"


class XenPassthroughMode(StrEnum):
    """How device memory is mapped for Xen's passthrough."""

    SYNC_PT = "sync_pt"
    SHARE_PT = "share_pt"


class UnknownMSR(StrEnum):
    """What happens on access to a model-specific register that KVM does not know."""

    IGNORE = "ignore"
    FAULT = "fault"


class GICVersion(StrEnum):
    """Version of ARM's interrupt controller."""

    HOST = "host"
    V2 = "2"
    V3 = "3"


class IOAPICDriver(StrEnum):
    """Who emulates the I/O APIC."""

    QEMU = "qemu"
    KVM = "kvm"


class HPTResizing(StrEnum):
    """Whether a pSeries guest may resize its hashed page table."""

    ENABLED = "enabled"
    DISABLED = "disabled"
    REQUIRED = "required"


class MitigationValue(StrEnum):
    """State of a POWER mitigation (``cfpc``, ``sbbc``)."""

    BROKEN = "broken"
    WORKAROUND = "workaround"
    FIXED = "fixed"


class IBSValue(StrEnum):
    """State of POWER's indirect branch speculation mitigation."""

    BROKEN = "broken"
    WORKAROUND = "workaround"
    FIXED_IBS = "fixed-ibs"
    FIXED_CCD = "fixed-ccd"
    FIXED_NA = "fixed-na"


class AIAValue(StrEnum):
    """RISC-V's advanced interrupt architecture."""

    NONE = "none"
    APLIC = "aplic"
    APLIC_IMSIC = "aplic-imsic"


@element(None, doc="A feature that is on unless it says ``state='off'``.")
class StateFeature:
    state: bool | None = attribute(codec=ON_OFF, doc="Whether the feature is on; on by default.")


@element(None, doc="A feature whose state must be given.")
class RequiredState:
    state: bool = attribute(codec=ON_OFF, required=True, doc="Whether the feature is on.")


@element("apic", empty="keep", doc="The local APIC.")
class APIC:
    eoi: bool | None = attribute(codec=ON_OFF, doc="Paravirtual end of interrupt.", since="0.10.2")


@element("spinlocks", doc="Retries before a guest's spin lock notifies the hypervisor.")
class HyperVSpinlocks(RequiredState):
    retries: int | None = attribute(codec=UINT_ANY, doc="Number of attempts, at least 4095.")


@element("stimer", unknown="unsupported Hyper-V stimer feature: {name}", unknown_code=ErrorCode.CONFIG_UNSUPPORTED)
class HyperVSTimer(RequiredState):
    direct: RequiredState | None = child("direct", doc="Direct mode timers.")


@element("vendor_id", doc="The hypervisor's vendor the guest sees.")
class HyperVVendorId(RequiredState):
    value: str | None = attribute(doc="At most 12 characters.")


@element("tlbflush", unknown="unsupported Hyper-V tlbflush feature: {name}", unknown_code=ErrorCode.CONFIG_UNSUPPORTED)
class HyperVTLBFlush(RequiredState):
    direct: RequiredState | None = child("direct", doc="Flushes by nested guests.")
    extended: RequiredState | None = child("extended", doc="Flushes of parts of the address space.")


@element(
    "hyperv",
    empty="open",
    unknown="unsupported HyperV Enlightenment feature: {name}",
    unknown_code=ErrorCode.CONFIG_UNSUPPORTED,
    doc="Hyper-V enlightenments for Windows guests.",
)
class HyperV:
    mode: HyperVMode | None = attribute(doc="Listed ones, or all that the host offers.", since="8.0.0")
    relaxed: RequiredState | None = child("relaxed", doc="Relaxed timer constraints.")
    vapic: RequiredState | None = child("vapic", doc="Virtual APIC.")
    spinlocks: HyperVSpinlocks | None = child("spinlocks")
    vpindex: RequiredState | None = child("vpindex", doc="Virtual processor index.")
    runtime: RequiredState | None = child("runtime", doc="Processor time spent in guest and hypervisor code.")
    synic: RequiredState | None = child("synic", doc="Synthetic interrupt controller.")
    stimer: HyperVSTimer | None = child("stimer")
    reset: RequiredState | None = child("reset", doc="Hypervisor reset.")
    vendor_id: HyperVVendorId | None = child("vendor_id")
    frequencies: RequiredState | None = child("frequencies", doc="Frequency registers.")
    reenlightenment: RequiredState | None = child("reenlightenment", doc="Notification of migration.")
    tlbflush: HyperVTLBFlush | None = child("tlbflush")
    ipi: RequiredState | None = child("ipi", doc="Paravirtual inter-processor interrupts.")
    evmcs: RequiredState | None = child("evmcs", doc="Enlightened VMCS for nested guests.")
    avic: RequiredState | None = child("avic", doc="Use of Hyper-V's SynIC with hardware APIC virtualisation.")
    emsr_bitmap: RequiredState | None = child("emsr_bitmap", doc="Enlightened MSR bitmap for nested guests.")
    xmm_input: RequiredState | None = child("xmm_input", doc="Hypercall input in XMM registers.")


@element("dirty-ring", doc="KVM's dirty ring instead of its dirty bitmap.")
class DirtyRing(RequiredState):
    size: int | None = attribute(codec=UINT_ANY, omit=0, doc="Entries per vCPU: a power of two from 1024 to 65536.")


@element(
    "kvm",
    empty="open",
    unknown="unsupported KVM feature: {name}",
    unknown_code=ErrorCode.CONFIG_UNSUPPORTED,
    doc="What KVM shows the guest of itself.",
)
class KVMFeatures:
    hidden: RequiredState | None = child("hidden", doc="Hide the hypervisor.")
    hint_dedicated: RequiredState | None = child("hint-dedicated", doc="vCPUs have dedicated processors.")
    poll_control: RequiredState | None = child("poll-control", doc="The guest controls halt polling.")
    pv_ipi: RequiredState | None = child("pv-ipi", doc="Paravirtual inter-processor interrupts.")
    dirty_ring: DirtyRing | None = child("dirty-ring")


@element("passthrough", doc="Xen's passthrough of devices.")
class XenPassthrough(RequiredState):
    mode: XenPassthroughMode | None = attribute()


@element(
    "xen",
    empty="open",
    unknown="unsupported Xen feature: {name}",
    unknown_code=ErrorCode.CONFIG_UNSUPPORTED,
    doc="What Xen offers the guest.",
)
class XenFeatures:
    e820_host: RequiredState | None = child("e820_host", doc="The host's memory map for a paravirtual guest.")
    passthrough: XenPassthrough | None = child("passthrough")


@element(
    "capabilities",
    unknown="unexpected capability feature '{name}'",
    unknown_code=ErrorCode.CONFIG_UNSUPPORTED,
    doc="The kernel's process capabilities of a container.",
)
class ProcessCapabilities:
    policy: CapabilitiesPolicy | None = attribute(doc="What holds for capabilities that are not listed.")
    audit_control: StateFeature | None = child("audit_control")
    audit_write: StateFeature | None = child("audit_write")
    block_suspend: StateFeature | None = child("block_suspend")
    chown: StateFeature | None = child("chown")
    dac_override: StateFeature | None = child("dac_override")
    dac_read_search: StateFeature | None = child("dac_read_search")
    fowner: StateFeature | None = child("fowner")
    fsetid: StateFeature | None = child("fsetid")
    ipc_lock: StateFeature | None = child("ipc_lock")
    ipc_owner: StateFeature | None = child("ipc_owner")
    kill: StateFeature | None = child("kill")
    lease: StateFeature | None = child("lease")
    linux_immutable: StateFeature | None = child("linux_immutable")
    mac_admin: StateFeature | None = child("mac_admin")
    mac_override: StateFeature | None = child("mac_override")
    mknod: StateFeature | None = child("mknod")
    net_admin: StateFeature | None = child("net_admin")
    net_bind_service: StateFeature | None = child("net_bind_service")
    net_broadcast: StateFeature | None = child("net_broadcast")
    net_raw: StateFeature | None = child("net_raw")
    setgid: StateFeature | None = child("setgid")
    setfcap: StateFeature | None = child("setfcap")
    setpcap: StateFeature | None = child("setpcap")
    setuid: StateFeature | None = child("setuid")
    sys_admin: StateFeature | None = child("sys_admin")
    sys_boot: StateFeature | None = child("sys_boot")
    sys_chroot: StateFeature | None = child("sys_chroot")
    sys_module: StateFeature | None = child("sys_module")
    sys_nice: StateFeature | None = child("sys_nice")
    sys_pacct: StateFeature | None = child("sys_pacct")
    sys_ptrace: StateFeature | None = child("sys_ptrace")
    sys_rawio: StateFeature | None = child("sys_rawio")
    sys_resource: StateFeature | None = child("sys_resource")
    sys_time: StateFeature | None = child("sys_time")
    sys_tty_config: StateFeature | None = child("sys_tty_config")
    syslog: StateFeature | None = child("syslog")
    wake_alarm: StateFeature | None = child("wake_alarm")


@element("smm", doc="System management mode.")
class SMM:
    state: bool | None = attribute(codec=ON_OFF, doc="Whether the machine has it; on by default.")
    tseg: int | None = leaf(codec=pretty_size("MiB"), doc="Memory set aside for it, in bytes.", since="4.5.0")


@element("gic", empty="keep", doc="ARM's interrupt controller.")
class GIC:
    version: GICVersion | None = attribute(doc="Its version; by default what the host has.")


@element("ioapic", doc="The I/O APIC.")
class IOAPIC:
    driver: IOAPICDriver | None = attribute(doc="Who emulates it.")


@element("hpt", doc="A pSeries guest's hashed page table.")
class HPT:
    resizing: HPTResizing | None = attribute(doc="Whether it may be resized.")
    maxpagesize: int | None = leaf(
        codec=scaled("KiB"),
        omit=0,
        invalid="Unable to parse HPT maxpagesize setting",
        code=ErrorCode.CONFIG_UNSUPPORTED,
        doc="Largest page size the guest may use, in KiB.",
    )


@element("msrs", doc="Model-specific registers that KVM does not know.")
class MSRs:
    unknown: UnknownMSR = attribute(required=True, doc="What happens on access.")


@element(None, doc="A POWER mitigation.")
class Mitigation:
    value: MitigationValue | None = attribute()


@element("ibs", doc="POWER's indirect branch speculation.")
class IBS:
    value: IBSValue | None = attribute()


@element("tcg", doc="QEMU's own code generator.")
class TCGFeatures:
    tb_cache: int | None = leaf("tb-cache", codec=scaled("KiB"), omit=0, doc="Cache of translated code, in KiB.")


@element("async-teardown", doc="Memory is given back after QEMU's exit, by a process of its own.")
class AsyncTeardown:
    enabled: bool | None = attribute(codec=YES_NO, doc="Whether it is used; yes by default.")


@element("aia", doc="RISC-V's advanced interrupt architecture.")
class AIA:
    value: AIAValue | None = attribute()


@element(
    "features",
    unknown="unexpected feature '{name}'",
    unknown_code=ErrorCode.CONFIG_UNSUPPORTED,
    doc="What the guest's machine offers beyond its devices.",
)
class Features:
    acpi: bool = flag(doc="ACPI tables; power management by the guest.")
    apic: APIC | None = child("apic", repeat="last")
    pae: bool = flag(doc="Physical address extension.")
    hap: StateFeature | None = child("hap", repeat="last", doc="Hardware assisted paging.")
    viridian: bool = flag(doc="Xen's Hyper-V extensions.")
    privnet: bool = flag(doc="A network namespace of its own for a container.")
    hyperv: HyperV | None = child("hyperv", repeat="last")
    kvm: KVMFeatures | None = child("kvm", repeat="last")
    pvspinlock: StateFeature | None = child("pvspinlock", repeat="last", doc="Paravirtual spin locks.")
    capabilities: ProcessCapabilities | None = child("capabilities", repeat="last")
    pmu: StateFeature | None = child("pmu", repeat="last", doc="Performance monitoring unit.")
    vmport: StateFeature | None = child("vmport", repeat="last", doc="VMware's I/O port.")
    gic: GIC | None = child("gic", repeat="last")
    smm: SMM | None = child("smm", repeat="last")
    ioapic: IOAPIC | None = child("ioapic", repeat="last")
    hpt: HPT | None = child("hpt", repeat="last")
    vmcoreinfo: StateFeature | None = child("vmcoreinfo", repeat="last", doc="Device that helps to dump the guest.")
    htm: RequiredState | None = child("htm", repeat="last", doc="POWER's hardware transactional memory.")
    nested_hv: RequiredState | None = child("nested-hv", repeat="last", doc="POWER's nested virtualisation.")
    msrs: MSRs | None = child("msrs", repeat="last")
    ccf_assist: RequiredState | None = child("ccf-assist", repeat="last", doc="POWER's count cache flush assist.")
    xen: XenFeatures | None = child("xen", repeat="last")
    cfpc: Mitigation | None = child("cfpc", repeat="last", doc="POWER's cache flush on privilege change.")
    sbbc: Mitigation | None = child("sbbc", repeat="last", doc="POWER's speculation barrier bounds checking.")
    ibs: IBS | None = child("ibs", repeat="last")
    tcg: TCGFeatures | None = child("tcg", repeat="last")
    async_teardown: AsyncTeardown | None = child("async-teardown", repeat="last")
    ras: RequiredState | None = child("ras", repeat="last", doc="Reporting of memory errors to an ARM guest.")
    ps2: RequiredState | None = child("ps2", repeat="last", doc="The PS/2 controller.")
    aia: AIA | None = child("aia", repeat="last")
