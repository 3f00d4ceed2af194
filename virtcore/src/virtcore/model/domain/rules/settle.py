"""What libvirt's parser fills in, sorts, drops or refuses while it reads a domain; devices are :mod:`.devices`'.

Reading by declaration loses nothing and fills nothing; this stage makes of it what libvirt has in hand when its own
completion
starts. Its functions run in the order of libvirt's parser.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtcore.errors import ConfigUnsupported, InternalError, XMLDetail, XMLError
from virtcore.model.domain.clock import Clock, ClockBasis, ClockOffset
from virtcore.model.domain.domain import LifecycleAction
from virtcore.model.domain.memory import MEMORY_UNLIMITED
from virtcore.model.domain.rules.context import ParseFlag
from virtcore.model.domain.rules.devices import settle_devices
from virtcore.model.domain.rules.settle_cpu import settle_cpu, settle_cputune, settle_iothreads, settle_vcpus
from virtcore.model.domain.rules.settle_numa import settle_numa, settle_numatune
from virtcore.model.domain.rules.settle_os import settle_boot, settle_os_type

if TYPE_CHECKING:
    from virtcore.model.domain.domain import Domain
    from virtcore.model.domain.features import Features
    from virtcore.model.domain.resources import Perf
    from virtcore.model.domain.rules.context import DomainContext
    from virtcore.model.domain.seclabel import KeyWrap, SecurityLabel
    from virtcore.model.domain.sysinfo import FirmwareConfigInfo, SMBIOSInfo

__all__ = ["settle"]

# Longest security model and label (VIR_SECURITY_MODEL_BUFLEN, VIR_SECURITY_LABEL_BUFLEN less the final zero).
_MODEL_LENGTH = 256
_LABEL_LENGTH = 4096
_HYPERV_VENDOR_LENGTH = 12
_HYPERV_SPINLOCK_RETRIES = 0xFFF


def settle(domain: Domain, context: DomainContext) -> None:
    """Makes of a freshly read domain what libvirt's parser would have made of the document.

    :raises VirtError: what libvirt's parser refuses.
    """
    generated = _settle_ids(domain, context)
    settle_os_type(domain, context)
    if domain.title is not None and "\n" in domain.title:
        raise XMLError("Domain title can't contain newlines", path="/domain/title")
    if domain.seclabels:
        _settle_seclabels(domain, context)
    _settle_memory(domain)
    settle_vcpus(domain, context)
    settle_iothreads(domain, context)
    settle_cputune(domain, context)
    if domain.cpu is not None:
        settle_cpu(domain, context)
        settle_numa(domain, context)
    if domain.vcpu_maximum == 0:
        # libvirt's words for it, with or without cells: the highest CPU of none is 0.
        raise InternalError("CPU IDs in <numa> exceed the <vcpu> count", path="/domain/vcpu")
    settle_numatune(domain, context)
    if domain.features is not None:
        settle_features(domain.features)
    _settle_lifecycle(domain)
    if domain.perf is not None:
        _settle_perf(domain.perf)
    _settle_clock(domain)
    settle_boot(domain, context)
    if domain.throttle_groups:
        _settle_throttle_groups(domain)
    settle_devices(domain, context)
    if domain.idmap is not None:
        domain.idmap.uids.sort(key=lambda entry: entry.start)
        domain.idmap.gids.sort(key=lambda entry: entry.start)
    for info in domain.sysinfo:
        _settle_sysinfo(info, domain, generated)
    if domain.keywrap is not None:
        _settle_keywrap(domain.keywrap)
    if domain.metadata is not None and domain.metadata.count("<") < 3:
        # Only <metadata>, its end and no element between.
        domain.metadata = None


def _settle_ids(domain: Domain, context: DomainContext) -> bool:
    """Fills in missing UUIDs; whether the domain's own was generated."""
    if context.inactive:
        domain.id = None
    if domain.genid is not None and domain.genid.uuid is None:
        domain.genid.uuid = str(context.new_uuid())
    if domain.uuid is not None:
        return False
    domain.uuid = str(context.new_uuid())
    return True


# ------------------------------------------------------------------------------------------------------ security labels


def _settle_seclabels(domain: Domain, context: DomainContext) -> None:
    if context.has(ParseFlag.SKIP_SECLABEL):
        domain.seclabels = []
        return
    labels = domain.seclabels
    if not labels:
        return
    models: set[str | None] = set()
    for label in labels:
        if label.model is not None and len(label.model.encode()) > _MODEL_LENGTH:
            label.model = None
        _settle_seclabel(label, context)
        if label.model is not None and label.model in models:
            raise XMLDetail(f"seclabel for model {label.model} is already provided", path="/domain/seclabel/@model")
        models.add(label.model)
    if len(labels) == 1:
        if labels[0].model is None and context.security_model is not None:
            _settle_lone_seclabel(labels[0], context, context.security_model)
    elif None in models:
        raise XMLError("missing security model when using multiple labels", path="/domain/seclabel/@model")


def _settle_lone_seclabel(label: SecurityLabel, context: DomainContext, model: str) -> None:
    """A single label needs no model: it is the host's first."""
    from virtcore.model.domain.seclabel import SecurityLabelType

    dynamic = label.type is SecurityLabelType.DYNAMIC and label.baselabel is None and context.inactive
    if not dynamic and label.type is not SecurityLabelType.NONE:
        raise XMLError("missing security model in domain seclabel", path="/domain/seclabel/@model")
    label.model = model
    if model == "none" and context.inactive:
        label.type = SecurityLabelType.NONE
        label.relabel = False


def _settle_seclabel(label: SecurityLabel, context: DomainContext) -> None:
    from virtcore.model.domain.seclabel import SecurityLabelType

    path = "/domain/seclabel"
    if label.type is None:
        label.type = SecurityLabelType.DYNAMIC
    if label.relabel is None:
        label.relabel = label.type is SecurityLabelType.DYNAMIC
    if label.type is SecurityLabelType.DYNAMIC and not label.relabel:
        raise ConfigUnsupported("dynamic label type must use resource relabeling", path=f"{path}/@relabel")
    if label.type is SecurityLabelType.NONE and label.relabel:
        raise ConfigUnsupported("resource relabeling is not compatible with 'none' label type", path=f"{path}/@relabel")
    if label.model == "none":
        if context.inactive:
            # Older versions wrote it with another type.
            label.type = SecurityLabelType.NONE
            label.relabel = False
        elif label.type is not SecurityLabelType.NONE:
            raise ConfigUnsupported(f"unsupported type='{label.type}' to model 'none'", path=f"{path}/@type")
        label.label = label.imagelabel = label.baselabel = None
        return
    running = not context.inactive and label.type is not SecurityLabelType.NONE
    if running or label.type is SecurityLabelType.STATIC:
        if label.label is None or len(label.label.encode()) >= _LABEL_LENGTH:
            raise XMLError("security label is missing", path=f"{path}/label")
    else:
        label.label = None
    if running and label.relabel:
        if label.imagelabel is None or len(label.imagelabel.encode()) >= _LABEL_LENGTH:
            raise XMLError("security imagelabel is missing", path=f"{path}/imagelabel")
    else:
        label.imagelabel = None
    if label.type is not SecurityLabelType.DYNAMIC or len((label.baselabel or "").encode()) >= _LABEL_LENGTH:
        label.baselabel = None


# --------------------------------------------------------------------------------------------------------------- memory


def _settle_memory(domain: Domain) -> None:
    backing = domain.memory_backing
    if backing is not None and backing.hugepages is not None:
        for page in backing.hugepages.pages:
            if not page.size:
                raise XMLDetail("hugepage size can't be zero", path="/domain/memoryBacking/hugepages/page/@size")
    limits = domain.memtune
    if limits is not None:
        for name in ("hard_limit", "soft_limit", "swap_hard_limit"):
            if (getattr(limits, name) or 0) >= MEMORY_UNLIMITED:
                setattr(limits, name, None)
    if domain.blkiotune is not None:
        # A device without any limit says nothing.
        domain.blkiotune.devices = [
            device
            for device in domain.blkiotune.devices
            if device.weight
            or device.read_iops_sec
            or device.write_iops_sec
            or device.read_bytes_sec
            or device.write_bytes_sec
        ]


# ------------------------------------------------------------------------------------------------------------- features


def settle_features(features: Features) -> None:
    """``<features>``: a feature that is named is on, what belongs to a feature that is off goes."""
    for optional in (
        features.hap,
        features.pvspinlock,
        features.pmu,
        features.vmport,
        features.smm,
        features.vmcoreinfo,
    ):
        if optional is not None and optional.state is None:
            optional.state = True
    if features.smm is not None and not features.smm.state:
        features.smm.tseg = None
    if features.async_teardown is not None and features.async_teardown.enabled is None:
        features.async_teardown.enabled = True
    if features.hyperv is not None:
        _settle_hyperv(features)
    if features.kvm is not None and features.kvm.dirty_ring is not None:
        ring = features.kvm.dirty_ring
        path = "/domain/features/kvm/dirty-ring/@size"
        if not ring.state:
            ring.size = None
        elif ring.size is None:
            raise XMLError("Missing required attribute 'size' in element 'dirty-ring'", path=path)
        elif ring.size & (ring.size - 1) or not 1024 <= ring.size <= 65536:
            raise XMLError("dirty ring must be power of 2 and ranges [1024, 65536]", path=path)
    if features.xen is not None and features.xen.passthrough is not None and not features.xen.passthrough.state:
        features.xen.passthrough.mode = None
    if features.capabilities is not None:
        _settle_capabilities(features)


def _settle_hyperv(features: Features) -> None:
    from virtcore.model.domain.features import HyperV, HyperVMode

    hyperv = features.hyperv
    assert hyperv is not None
    if hyperv.mode is HyperVMode.PASSTHROUGH:
        features.hyperv = HyperV(mode=hyperv.mode)
        return
    hyperv.mode = HyperVMode.CUSTOM
    path = "/domain/features/hyperv"
    for feature in (hyperv.stimer, hyperv.tlbflush):
        if feature is not None and (not feature.state or (feature.direct is not None and not feature.direct.state)):
            feature.direct = None
    flush = hyperv.tlbflush
    if flush is not None and (not flush.state or (flush.extended is not None and not flush.extended.state)):
        flush.extended = None
    spinlocks = hyperv.spinlocks
    if spinlocks is not None:
        if not spinlocks.state:
            spinlocks.retries = None
        elif spinlocks.retries is None:
            raise XMLError(
                "Missing required attribute 'retries' in element 'spinlocks'", path=f"{path}/spinlocks/@retries"
            )
        elif spinlocks.retries < _HYPERV_SPINLOCK_RETRIES:
            raise XMLError("HyperV spinlock retry count must be at least 4095", path=f"{path}/spinlocks/@retries")
    vendor = hyperv.vendor_id
    if vendor is not None:
        place = f"{path}/vendor_id/@value"
        if not vendor.state:
            vendor.value = None
        elif vendor.value is None:
            raise XMLError("missing 'value' attribute for HyperV feature 'vendor_id'", path=place)
        elif len(vendor.value.encode()) > _HYPERV_VENDOR_LENGTH:
            raise XMLError(
                f"HyperV vendor_id value must not be more than {_HYPERV_VENDOR_LENGTH} characters.", path=place
            )
        elif "," in vendor.value:
            raise XMLError("HyperV vendor_id value is invalid", path=place)


def _settle_capabilities(features: Features) -> None:
    from virtcore.model.domain.features import CapabilitiesPolicy, StateFeature

    capabilities = features.capabilities
    assert capabilities is not None
    listed = [value for value in vars(capabilities).values() if isinstance(value, StateFeature)]
    for capability in listed:
        if capability.state is None:
            capability.state = True
    # The default policy is told only where something is listed.
    if capabilities.policy in (None, CapabilitiesPolicy.DEFAULT):
        capabilities.policy = CapabilitiesPolicy.DEFAULT if listed else None


# -------------------------------------------------------------------------------------------------- lifecycle and clock


def _settle_lifecycle(domain: Domain) -> None:
    if domain.on_poweroff is None:
        domain.on_poweroff = LifecycleAction.DESTROY
    if domain.on_reboot is None:
        domain.on_reboot = LifecycleAction.RESTART
    if domain.on_crash is None:
        domain.on_crash = LifecycleAction.DESTROY


def _settle_perf(perf: Perf) -> None:
    from virtcore.model.domain.resources import PerfEventName

    names = set()
    for event in perf.events:
        if event.name in names:
            raise XMLError(f"perf event '{event.name}' was already specified", path="/domain/perf/event/@name")
        names.add(event.name)
    order = list(PerfEventName)
    perf.events.sort(key=lambda event: order.index(event.name))


def _settle_clock(domain: Domain) -> None:
    clock = domain.clock
    if clock is None:
        domain.clock = Clock(offset=ClockOffset.UTC)
        return
    if clock.offset is None:
        clock.offset = ClockOffset.UTC
    if clock.offset in (ClockOffset.UTC, ClockOffset.LOCALTIME):
        if isinstance(clock.adjustment, int):
            clock.basis = ClockBasis(clock.offset)
            clock.offset = ClockOffset.VARIABLE
        elif clock.adjustment not in (None, "reset"):
            raise XMLError(f"unknown clock adjustment '{clock.adjustment}'", path="/domain/clock/@adjustment")
    elif clock.offset is ClockOffset.VARIABLE:
        if not isinstance(clock.adjustment, int):
            clock.adjustment = 0
        if clock.basis is None:
            clock.basis = ClockBasis.UTC


# ------------------------------------------------------------------------------------------------------- what is left


def _settle_throttle_groups(domain: Domain) -> None:
    names = set()
    for group in domain.throttle_groups:
        if group.group_name in names:
            raise XMLError(
                f"duplicate group name '{group.group_name}' found", path="/domain/throttlegroups/throttlegroup"
            )
        names.add(group.group_name)


def _settle_sysinfo(info: SMBIOSInfo | FirmwareConfigInfo, domain: Domain, generated: bool) -> None:
    from virtcore.model.domain.sysinfo import FirmwareConfigInfo

    if isinstance(info, FirmwareConfigInfo):
        from virtcore.model.paths import sanitize_path

        for entry in info.entries:
            if entry.value is None and entry.file is None:
                raise XMLError(
                    "Firmware entry must have either value or 'file' attribute", path="/domain/sysinfo/entry"
                )
            if entry.file is not None:
                entry.file = sanitize_path(entry.file)
        return
    if info.bios is not None and info.bios.date is not None and not _is_bios_date(info.bios.date):
        raise XMLDetail("Invalid BIOS 'date' format", path="/domain/sysinfo/bios/entry")
    if info.system is not None and info.system.uuid is not None:
        if generated:
            domain.uuid = info.system.uuid
        elif domain.uuid != info.system.uuid:
            raise XMLDetail("UUID mismatch between <uuid> and <sysinfo>", path="/domain/sysinfo/system/entry")
    # What only a host's own tables have.
    info.processors = []
    info.memory_devices = []


def _is_bios_date(text: str) -> bool:
    """mm/dd/yyyy or mm/dd/yy."""
    parts = text.split("/")
    if len(parts) != 3 or not all(part.isascii() and part.isdigit() for part in parts):
        return False
    month, day, year = map(int, parts)
    return 1 <= month <= 12 and 1 <= day <= 31 and (year < 100 or year >= 1900)


def _settle_keywrap(keywrap: KeyWrap) -> None:
    names = set()
    for cipher in keywrap.ciphers:
        if cipher.name in names:
            raise InternalError(
                f"A domain definition can have no more than one cipher node with name {cipher.name}",
                path="/domain/keywrap/cipher/@name",
            )
        names.add(cipher.name)
    keywrap.ciphers.sort(key=lambda cipher: cipher.name)
