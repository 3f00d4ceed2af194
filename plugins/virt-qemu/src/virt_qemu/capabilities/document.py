"""``<qemuCaps>``: what is known about an emulator, as a document: libvirt's capability cache."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from virt_qemu.capabilities.model import (
    GIC,
    SEV,
    Accelerator,
    CPUDefinition,
    CPUExpansion,
    EmulatorCapabilities,
    Machine,
)
from virtcore.errors import ErrorCode, InternalError
from virtcore.model.arch import Arch
from virtcore.model.domain_capabilities import SGXCapability
from virtcore.xml import UINT, YES_NO, attribute, child, children, element, leaf

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["format_emulator_capabilities", "parse_emulator_capabilities"]

#: Type of a property -> how its value is read.
_VALUES: dict[str, Callable[[str], bool | int | str]] = {
    "boolean": {"true": True, "false": False}.__getitem__,
    "number": int,
    "string": str,
}


@element("property")
class Property:
    """A property of the processor that QEMU expanded."""

    name: str = attribute(required=True)
    type: str = attribute(required=True, doc="boolean, number or string")
    value: str = attribute(required=True)
    migratable: bool | None = attribute(codec=YES_NO, doc="whether it survives migration")


@element("property")
class DeprecatedProperty:
    """A property that guests had better not have."""

    name: str = attribute(required=True)


@element("hostCPU")
class HostProcessor:
    """What guests can have at most."""

    accelerator: str = attribute("type", required=True, doc="kvm, hvf or tcg")
    model: str = attribute(required=True, doc="QEMU's name of the model")
    migratability: bool = attribute(codec=YES_NO, required=True, doc="whether properties say if they survive migration")
    properties: list[Property] = children("property")
    deprecated: list[DeprecatedProperty] = children("property", within="deprecatedFeatures")


@element("hypervCapabilities")
class HyperVEnlightenments:
    """Enlightenments guests can have."""

    supported: bool = attribute(codec=YES_NO, required=True)
    names: list[str] = attribute("name", within="cap")


@element("qemuCaps", root=True)
class CapabilitiesDocument:
    """What is known about an emulator."""

    emulator: str = leaf(required=True, doc="path of the binary")
    emulator_ctime: int = leaf("qemuctime", codec=UINT, required=True, doc="when the binary last changed")
    self_ctime: int = leaf("selfctime", codec=UINT, required=True, doc="when whoever wrote this last changed")
    self_version: int = leaf("selfvers", codec=UINT, required=True, doc="version of whoever wrote this")
    flags: list[str] = attribute("name", within="flag", doc="libvirt's names of what it can do")
    version: int = leaf(codec=UINT, required=True, doc="major * 1,000,000 + minor * 1,000 + micro")
    microcode: int = leaf("microcodeVersion", codec=UINT, required=True, doc="of the host's processor")
    package: str | None = leaf(blank=True, doc="what the distribution calls it")
    arch: Arch = leaf(
        required=True, invalid="unknown arch {value} in QEMU capabilities cache", code=ErrorCode.INTERNAL_ERROR
    )
    details: list[HostProcessor | CPUDefinition | Machine] = children(doc="one accelerator after the other")
    gics: list[GIC] = children("gic")
    sev: SEV | None = child()
    sgx: SGXCapability | None = child()
    hyperv: HyperVEnlightenments | None = child()


def _host_processor(accelerator: str, expansion: CPUExpansion) -> HostProcessor:
    properties = []
    for name, value in expansion.properties.items():
        kind = "boolean" if isinstance(value, bool) else "number" if isinstance(value, int) else "string"
        text = str(value).lower() if kind == "boolean" else str(value)
        migratable = (expansion.migratable or {}).get(name)
        properties.append(Property(name=name, type=kind, value=text, migratable=migratable))
    return HostProcessor(
        accelerator=accelerator,
        model=expansion.name,
        migratability=expansion.migratable is not None,
        properties=properties,
        deprecated=[DeprecatedProperty(name=name) for name in expansion.deprecated],
    )


def _expansion(processor: HostProcessor) -> CPUExpansion:
    values: dict[str, bool | int | str] = {}
    for one in processor.properties:
        try:
            values[one.name] = _VALUES[one.type](one.value)
        except (KeyError, ValueError):
            raise InternalError(
                f"invalid {one.type} value for '{one.name}' host CPU model property in QEMU capabilities cache",
                value=one.value,
            ) from None
    return CPUExpansion(
        name=processor.model,
        properties=values,
        migratable={one.name: one.migratable for one in processor.properties if one.migratable is not None}
        if processor.migratability
        else None,
        deprecated=[one.name for one in processor.deprecated],
    )


def _details(capabilities: EmulatorCapabilities) -> Iterator[HostProcessor | CPUDefinition | Machine]:
    for name, accelerator in capabilities.accelerators.items():
        if accelerator.host_cpu is not None:
            yield _host_processor(name, accelerator.host_cpu)
        yield from accelerator.cpus
        yield from accelerator.machines


def format_emulator_capabilities(capabilities: EmulatorCapabilities) -> str:
    """The document as libvirt prints it."""
    from virt_qemu.capabilities.flags import FLAGS
    from virtcore.xml import format

    hyperv = capabilities.hyperv
    return format(
        CapabilitiesDocument(
            emulator=capabilities.binary,
            emulator_ctime=0,
            self_ctime=0,
            self_version=0,
            flags=[flag for flag in FLAGS if flag in capabilities.flags],
            version=capabilities.version,
            microcode=capabilities.microcode,
            package=capabilities.package,
            arch=capabilities.arch,
            details=list(_details(capabilities)),
            gics=capabilities.gics,
            sev=capabilities.sev,
            sgx=capabilities.sgx,
            hyperv=None if hyperv is None else HyperVEnlightenments(supported=True, names=hyperv),
        )
    )


def parse_emulator_capabilities(source: str | bytes) -> EmulatorCapabilities:
    """Read a document.

    :raises VirtError: it is malformed, or not one.
    """
    from virtcore.xml import parse

    document = parse(source, CapabilitiesDocument, name="(qemuCaps)")
    accelerators: dict[str, Accelerator] = {}
    for name, rows in groupby(document.details, key=lambda row: row.accelerator):
        if name is None:
            raise InternalError("missing accelerator type in QEMU capabilities cache")
        found = accelerators.setdefault(name, Accelerator())
        for row in rows:
            if isinstance(row, HostProcessor):
                found.host_cpu = _expansion(row)
            elif isinstance(row, Machine):
                found.machines.append(row)
            else:
                found.cpus.append(row)
    return EmulatorCapabilities(
        binary=document.emulator,
        arch=document.arch,
        version=document.version,
        package=document.package or "",
        flags=frozenset(document.flags),
        accelerators=accelerators,
        microcode=document.microcode,
        gics=document.gics,
        sev=document.sev,
        sgx=document.sgx,
        hyperv=document.hyperv.names if document.hyperv is not None else None,
    )
