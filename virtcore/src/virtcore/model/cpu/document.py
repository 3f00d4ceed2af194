"""From a ``<cpu>`` document to a complete, valid processor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtcore.errors import ConfigUnsupported, ErrorDomain, XMLError
from virtcore.model.cpu.element import CPUFallback, CPUFeaturePolicy, CPUMatch, CPUMode, GuestCPU, HostCPU

if TYPE_CHECKING:
    from collections.abc import Iterable

    from virtcore.model.cpu.element import CPUFeature, CPUTopology, HostCPUFeature

__all__ = ["complete_guest_cpu", "complete_host_cpu", "load_cpu", "load_guest_cpu", "load_host_cpu"]

_NAME = "(CPU_definition)"


def load_cpu(source: str | bytes, *, validate: bool = False) -> HostCPU | GuestCPU:
    """Reads a processor: a host's if it names its architecture, else a guest's.

    :param validate: checked against the schema first.
    :raises VirtError: the document is malformed or contradicts itself.
    """
    from virtcore.xml.document import document

    root = document(source, _NAME)
    if root.find("arch") is None:
        return load_guest_cpu(source, validate=validate)
    if root.get("match") is not None:
        raise XMLError(
            "'arch' element cannot be used inside 'cpu' element with 'match' attribute'",
            domain=ErrorDomain.CPU,
            path="/cpu/@match",
        )
    return load_host_cpu(source, validate=validate)


def load_host_cpu(source: str | bytes, *, validate: bool = False) -> HostCPU:
    """Reads the processor of a host.

    :param validate: checked against the schema first.
    :raises VirtError: the document is malformed or incomplete.
    """
    from virtcore.xml import load

    cpu = load(source, HostCPU, validate=validate, name=_NAME)
    complete_host_cpu(cpu)
    return cpu


def load_guest_cpu(source: str | bytes, *, validate: bool = False) -> GuestCPU:
    """Reads the processor of a guest. Memory cells say nothing about a processor and are left out.

    :param validate: checked against the schema first.
    :raises VirtError: the document is malformed or contradicts itself.
    """
    from virtcore.xml import load

    cpu = load(source, GuestCPU, validate=validate, name=_NAME)
    cpu.numa = None
    complete_guest_cpu(cpu)
    return cpu


def complete_host_cpu(cpu: HostCPU, path: str = "/cpu") -> None:
    """Fills in what has a default, and refuses what contradicts itself.

    :param path: where the element is in its document, for errors.
    """
    _complete_topology(cpu.topology)
    _check_features(cpu.features, path)
    _check_parts(cpu, path)


def complete_guest_cpu(cpu: GuestCPU, path: str = "/cpu") -> None:
    """Fills in what has a default, and refuses what contradicts itself.

    :param path: where the element is in its document, for errors.
    """
    _complete_model(cpu, path)
    _complete_topology(cpu.topology)
    _check_features(cpu.features, path)
    for feature in cpu.features:
        if feature.policy is None:
            feature.policy = CPUFeaturePolicy.REQUIRE
    _check_parts(cpu, path)


def _complete_topology(topology: CPUTopology | None) -> None:
    if topology is not None:
        topology.dies = topology.dies or 1
        topology.clusters = topology.clusters or 1


def _check_parts(cpu: GuestCPU | HostCPU, path: str) -> None:
    cache = cpu.cache
    if cache is not None and cache.level is not None and not 1 <= cache.level <= 3:
        raise XMLError("invalid CPU cache level, must be in range [1,3]", path=f"{path}/cache/@level")
    address = cpu.maxphysaddr
    if address is not None and address.limit is not None and address.mode != "passthrough":
        raise ConfigUnsupported(
            "attribute 'limit' is only supported for maxphysaddr mode 'passthrough'", path=f"{path}/maxphysaddr/@limit"
        )


def _complete_model(cpu: GuestCPU, path: str) -> None:
    mode = cpu.mode or CPUMode.CUSTOM
    passed_through = mode in (CPUMode.HOST_PASSTHROUGH, CPUMode.MAXIMUM)
    if cpu.migratable is not None and not passed_through:
        raise ConfigUnsupported(
            "Attribute migratable is only allowed for 'host-passthrough' / 'maximum' CPU mode",
            path=f"{path}/@migratable",
        )
    model = cpu.model
    named = model is not None and model.name is not None
    if model is not None and not passed_through and model.vendor_id is not None:
        if len(model.vendor_id.encode()) != 12:
            raise XMLError("vendor_id must be exactly 12 characters long", path=f"{path}/model/@vendor_id")
        if "," in model.vendor_id:
            raise XMLError("vendor id is invalid", path=f"{path}/model/@vendor_id")
    if cpu.vendor is not None and not named:
        raise XMLError("CPU vendor specified without CPU model", path=f"{path}/vendor")
    if cpu.features and not named and mode is CPUMode.CUSTOM:
        raise XMLError("Non-empty feature list specified without CPU model", path=f"{path}/feature")
    if passed_through:
        cpu.model = cpu.vendor = None
    elif model is not None and named and model.fallback is None:
        model.fallback = CPUFallback.ALLOW
    if mode is CPUMode.CUSTOM:
        # A description without model says nothing about the processor itself: only topology, cache and cells count.
        cpu.mode = mode if named else None
        cpu.match = (cpu.match or CPUMatch.EXACT) if named else None
    else:
        cpu.match = None


def _check_features(features: Iterable[CPUFeature | HostCPUFeature], path: str) -> None:
    names = set()
    for feature in features:
        if not feature.name:
            raise XMLError("Invalid CPU feature name", path=f"{path}/feature/@name")
        if feature.name in names:
            raise XMLError(
                f"CPU feature '{feature.name}' specified more than once",
                path=f"{path}/feature/@name",
                value=feature.name,
            )
        names.add(feature.name)
