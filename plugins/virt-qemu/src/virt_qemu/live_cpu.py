"""The processor that a started guest really has: QEMU is asked, and ``<cpu>`` says so.

Two questions tell it: what the model comes to on this machine, with what the command line adds to it and takes away,
and what of that could not be had.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING

from virt_qemu.command.cpu import libvirt_feature
from virtcore.errors import ConfigUnsupported, InternalError
from virtcore.model.cpu.element import CPUCheck, CPUMode

if TYPE_CHECKING:
    from virt_qemu.capabilities.model import EmulatorCapabilities
    from virt_qemu.monitor import Monitor
    from virtcore.model.cpu.element import GuestCPU
    from virtcore.model.cpu.x86_data import X86Data
    from virtcore.model.domain import Domain
    from virtcore.model.domain.features import Features

__all__ = ["cpu_beside", "give_cpu", "read_back_cpu", "put_cpu"]

_WHOLE = {CPUMode.MAXIMUM: "max", CPUMode.HOST_PASSTHROUGH: "host"}
#: Enlightenments of Hyper-V that are numbers or texts: QEMU has them, whatever the host is.
_NOT_SWITCHES = ("spinlocks", "vendor_id")


@dataclass(frozen=True, slots=True)
class _Given:
    """What QEMU says of a guest's processor.

    :ivar names: features it has, under QEMU's names.
    :ivar enabled: those that are known.
    :ivar disabled: features it was to have, and has not.
    """

    names: frozenset[str]
    enabled: X86Data
    disabled: X86Data


async def read_back_cpu(
    monitor: Monitor, domain: Domain, capabilities: EmulatorCapabilities, cpus: object, limit: float
) -> None:
    """Have the processor of a new guest be what QEMU made of it, where it can tell.

    :param cpus: what ``query-cpus-fast`` says.
    :param limit: seconds for each question.
    :raises OperationFailed: it wants a full check, and got other features than it asked for.
    :raises ConfigUnsupported: it did not get what it cannot do without.
    :raises InternalError: QEMU's answer makes no sense.
    """
    arch, cpu = domain.arch, domain.cpu
    known = capabilities.has("cpu-unavailable-features") and capabilities.has("query-cpu-model-expansion")
    if arch is None or not arch.is_x86 or cpu is None or not known:
        return
    model = _WHOLE.get(cpu.mode) if cpu.mode is not None else None
    if model is None:
        model = cpu.model.name if cpu.model is not None else None
    if model is None:
        return
    given = await _ask(monitor, model, cpus, limit)
    _verify(domain, cpu, given)
    from virtcore.model.cpu.models import update_live_cpu

    if update_live_cpu(arch, cpu, given.enabled, given.disabled):
        cpu.check = CPUCheck.FULL


def cpu_beside(cpu: GuestCPU) -> GuestCPU:
    """A processor as it is told beside a document of the guest's, which alone has its NUMA cells."""
    told = deepcopy(cpu)
    told.numa = None
    return told


def give_cpu(domain: Domain, seen: GuestCPU | None) -> GuestCPU | None:
    """Have a guest that comes from elsewhere the processor that it saw there, in place.

    :param seen: that one, as it was told beside its document; None where the document has it.
    :returns: the one that was asked for, where that is another.
    """
    if seen is None or domain.cpu is None:
        return None
    original = cpu_beside(domain.cpu)
    if seen == original:
        return None
    put_cpu(domain, seen)
    return original


def put_cpu(domain: Domain, cpu: GuestCPU) -> None:
    """Put a processor that is told beside a document into it."""
    cells = domain.cpu.numa if domain.cpu is not None else None
    domain.cpu = deepcopy(cpu)
    domain.cpu.numa = cells


async def _ask(monitor: Monitor, model: str, cpus: object, limit: float) -> _Given:
    from virt_qemu.capabilities.derive import cpu_expansion
    from virt_qemu.cpu_model import x86_data_of
    from virtcore.model.cpu.x86_data import X86Data

    first = cpus[0] if isinstance(cpus, list) and cpus else {}
    path = first.get("qom-path") if isinstance(first, dict) else None
    # What the command line says of features holds for every processor of this QEMU's, the one that is expanded too.
    expanded = await monitor.execute(
        "query-cpu-model-expansion", {"type": "full", "model": {"name": model}}, limit=limit
    )
    unavailable = await monitor.execute(
        "qom-get", {"path": path or "/machine/unattached/device[0]", "property": "unavailable-features"}, limit=limit
    )
    described = expanded.get("model") if isinstance(expanded, dict) else None
    if not isinstance(described, dict) or not isinstance(described.get("props"), dict):
        raise InternalError("query-cpu-model-expansion reply data was missing 'model'")
    expansion = cpu_expansion(described)
    refused = [str(name) for name in unavailable] if isinstance(unavailable, list) else []
    enabled, disabled = x86_data_of(expansion), X86Data()
    for name in refused:
        disabled.add_feature(libvirt_feature(name))
    # By their bits: QEMU has several names for some, and tells of a feature that it refused by one of them.
    enabled.remove(disabled)
    names = {name for name, value in expansion.properties.items() if value is True}
    return _Given(frozenset(names.difference(refused)), enabled, disabled)


def _verify(domain: Domain, cpu: GuestCPU, given: _Given) -> None:
    """Refuse a guest that lacks what it was promised, whatever it wants checked."""
    from virtcore.model.cpu.models import cpu_has_feature

    features = domain.features
    if features is not None:
        if features.pvspinlock is not None and features.pvspinlock.state is not False:
            _demand(given, "kvm-pv-unhalt", "paravirtual spinlocks")
        _verify_hyperv(features, given)
    assert domain.arch is not None
    if cpu_has_feature(domain.arch, cpu, "invtsc") and not given.enabled.has("invtsc"):
        raise ConfigUnsupported("host doesn't support invariant TSC")


def _verify_hyperv(features: Features, given: _Given) -> None:
    from virt_qemu.capabilities.model import HYPERV_ENLIGHTENMENTS

    for name in HYPERV_ENLIGHTENMENTS:
        wanted = getattr(features.hyperv, name, None)
        if wanted is None or not wanted.state or name in _NOT_SWITCHES:
            continue
        _demand(given, f"hv-{name.replace('_', '-')}", f"hyperv '{name}' feature")
        for nested, qemu in (("direct", "direct"), ("extended", "ext")):
            inner = getattr(wanted, nested, None)
            if inner is not None and inner.state:
                _demand(given, f"hv-{name}-{qemu}", f"hyperv {name} '{nested}' feature")


def _demand(given: _Given, feature: str, what: str) -> None:
    if feature not in given.names:
        raise ConfigUnsupported(f"host doesn't support {what}")
