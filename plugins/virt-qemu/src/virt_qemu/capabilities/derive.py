"""From QEMU's replies to capabilities."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from virt_qemu.capabilities import flags as known
from virt_qemu.capabilities.model import Accelerator, CPUDefinition, CPUExpansion, EmulatorCapabilities, Machine
from virt_qemu.capabilities.replies import Replies
from virt_qemu.capabilities.schema import Schema
from virt_qemu.monitor import JSON
from virtcore.errors import ConfigUnsupported, InternalError
from virtcore.model.arch import Arch

__all__ = ["MINIMUM_VERSION", "cpu_definitions", "cpu_expansion", "derive", "expansion_question", "target_arch"]

MINIMUM_VERSION = (6, 2, 0)

_ARCHITECTURES = {
    "i386": Arch.I686,
    "arm": Arch.ARMV7L,
    "or32": Arch.OPENRISC,
}


def derive(binary: str, main: Replies, tcg: Replies | None = None) -> EmulatorCapabilities:
    """Conclude what an emulator can do.

    :param main: replies of the probe with the best accelerator there is.
    :param tcg: replies of the probe without accelerator, where ``main`` had one.
    :raises ConfigUnsupported: the emulator is too old.
    """
    version = main.table("query-version")
    parts = version.get("qemu")
    if not isinstance(parts, dict):
        raise InternalError(f"unknown answer of {binary} to 'query-version'")
    numbers = tuple(int(str(parts[name])) for name in ("major", "minor", "micro"))
    if numbers < MINIMUM_VERSION:
        raise ConfigUnsupported(
            "QEMU version >= {}.{}.{} is required, but {}.{}.{} found".format(*MINIMUM_VERSION, *numbers)
        )
    arch = target_arch(main)
    flags = _flags(main, arch)
    best = "kvm" if "kvm" in flags else "tcg"
    accelerators = {best: _accelerator(main, arch, flags, accelerated=best != "tcg")}
    if tcg is not None:
        accelerators["tcg"] = _accelerator(tcg, arch, flags, accelerated=False)
    return EmulatorCapabilities(
        binary=binary,
        arch=arch,
        version=numbers[0] * 1_000_000 + numbers[1] * 1_000 + numbers[2],
        package=str(version.get("package", "")),
        flags=frozenset(flags),
        accelerators=accelerators,
    )


def target_arch(replies: Replies) -> Arch:
    """The architecture an emulator emulates, under libvirt's name.

    :raises InternalError: libvirt has no name for it.
    """
    name = str(replies.table("query-target").get("arch"))
    try:
        return _ARCHITECTURES.get(name) or Arch(name)
    except ValueError:
        raise InternalError(f"Unknown QEMU arch {name}") from None


def _flags(replies: Replies, arch: Arch) -> set[str]:
    found: set[str] = set()
    schema = Schema(replies.get("query-qmp-schema"))
    found |= {flag for path, flag in known.SCHEMA_PATHS.items() if schema.has(path)}
    if all(schema.has(f"{command}/arg-type/backing-mask-protocol") for command in ("block-commit", "block-stream")):
        found.add("blockjob.backing-mask-protocol")
    kvm = replies.table("query-kvm")
    if kvm.get("present") and kvm.get("enabled"):
        found.add("kvm")
    types = {str(row.get("name")) for row in replies.rows("qom-list-types")}
    found |= {flag for name, flag in known.OBJECT_TYPES.items() if name in types}
    for device, condition, properties in known.DEVICE_PROPERTIES:
        if condition is None or condition in found:
            found |= _properties(replies.rows("device-list-properties", {"typename": device}), properties)
    for kind, condition, properties in known.OBJECT_PROPERTIES:
        if condition is None or condition in found:
            found |= _properties(replies.rows("qom-list-properties", {"typename": kind}), properties)
    for device in ("virtio-blk-pci", "virtio-blk-ccw"):
        for row in replies.rows("device-list-properties", {"typename": device}):
            if row.get("name") == "scsi" and row.get("default-value") is False:
                found.add("virtio-blk-pci.scsi.default.disabled")
    for machine, _, properties in known.MACHINE_PROPERTIES:
        for canonical in _machine_types(replies, machine):
            found |= _properties(replies.rows("qom-list-properties", {"typename": canonical}), properties)
    if "query-cpu-definitions" in found and any(
        row.get("name") == "max" for row in replies.rows("query-cpu-definitions")
    ):
        found.add("cpu-max")
    _tpm(replies, found)
    options = {str(row.get("option")): row.get("parameters") for row in replies.rows("query-command-line-options")}
    for option, parameter, flag in known.COMMAND_LINE:
        parameters = options.get(option)
        if parameters is None:
            continue
        names = {row.get("name") for row in parameters if isinstance(row, dict)} if isinstance(parameters, list) else ()
        if parameter is None or parameter in names:
            found.add(flag)
    migration = {row.get("capability") for row in replies.rows("query-migrate-capabilities")}
    found |= {flag for name, flag in known.MIGRATION_CAPABILITIES.items() if name in migration}
    # The types are compiled in; whether the host has the feature is another question.
    if replies.get("query-sev-capabilities") is None:
        found -= {"sev-guest", "sev-snp-guest"}
    if replies.get("query-sgx-capabilities") is None:
        found.discard("sgx-epc")
    if "cpu-unavailable-features" in found:
        found.add("canonical-cpu-features")
    if arch in (Arch.SPARC, Arch.M68K, Arch.MIPS):
        found.add("ncr53c90")
    return found


def _properties(rows: list[dict[str, JSON]], properties: dict[str, str]) -> set[str]:
    names = {row.get("name") for row in rows}
    return {flag for name, flag in properties.items() if name in names}


def _machine_types(replies: Replies, machine: str) -> list[str]:
    """QOM types of a machine that may be an alias; the abstract ones are always there to be asked."""
    for row in replies.rows("query-machines"):
        if row.get("alias") == machine:
            return [f"{row['name']}-machine"]
    return [f"{machine}-machine"]


def _tpm(replies: Replies, found: set[str]) -> None:
    models, types = replies.get("query-tpm-models"), replies.get("query-tpm-types")
    for answer, names in ((models, ("tpm-tis", "tpm-crb", "tpm-spapr")), (types, ("passthrough", "emulator"))):
        if isinstance(answer, list):
            for name in names:
                if name in answer:
                    found.add(name if name.startswith("tpm-") else f"tpm-{name}")


def _accelerator(replies: Replies, arch: Arch, flags: set[str], *, accelerated: bool) -> Accelerator:
    result = Accelerator()
    for row in replies.rows("query-machines"):
        if row["name"] == "none":
            continue
        acpi = row.get("acpi")
        result.machines.append(
            Machine(
                name=str(row["name"]),
                alias=_text(row.get("alias")),
                max_cpus=_number(row.get("cpu-max")),
                hotplug_cpus=bool(row.get("hotpluggable-cpus")),
                default=bool(row.get("is-default")),
                numa_memory=bool(row.get("numa-mem-supported", True)),
                default_cpu=_text(row.get("default-cpu-type")),
                default_ram_id=_text(row.get("default-ram-id")),
                deprecated=bool(row.get("deprecated")),
                acpi=acpi if isinstance(acpi, bool) else None,
            )
        )
    if "query-cpu-definitions" in flags:
        result.cpus = cpu_definitions(replies.rows("query-cpu-definitions"))
    result.host_cpu = _host_cpu(replies, arch, "host" if accelerated else "max")
    return result


def expansion_question(arch: Arch, model: str, migratable: bool | None = None) -> dict[str, JSON]:
    """Arguments of the ``query-cpu-model-expansion`` that tells what ``host`` or ``max`` are here."""
    described: dict[str, JSON] = {"name": model}
    if migratable is not None:
        described["props"] = {"migratable": migratable}
    return {"type": "full" if arch.is_arm else "static", "model": described}


def cpu_definitions(rows: Iterable[Mapping[str, JSON]]) -> list[CPUDefinition]:
    """The CPU models that ``query-cpu-definitions`` lists."""
    found = []
    for row in rows:
        blockers = row.get("unavailable-features")
        found.append(
            CPUDefinition(
                name=str(row["name"]),
                type=_text(row.get("typename")),
                blockers=[str(name) for name in blockers] if isinstance(blockers, list) else None,
                deprecated=bool(row.get("deprecated")),
            )
        )
    return found


def cpu_expansion(model: Mapping[str, JSON]) -> CPUExpansion:
    """The model that ``query-cpu-model-expansion`` answers with."""
    result = CPUExpansion(name=str(model.get("name")))
    properties = model.get("props")
    if isinstance(properties, dict):
        result.properties = {name: value for name, value in properties.items() if isinstance(value, bool | int | str)}
    return result


def _host_cpu(replies: Replies, arch: Arch, model: str) -> CPUExpansion | None:
    answer = replies.table("query-cpu-model-expansion", expansion_question(arch, model)).get("model")
    if not isinstance(answer, dict):
        return None
    result = cpu_expansion(answer)
    if arch.is_x86:
        plain = replies.table("query-cpu-model-expansion", expansion_question(arch, model, False)).get("model")
        everything = plain.get("props") if isinstance(plain, dict) else None
        for name, value in everything.items() if isinstance(everything, dict) else ():
            here = result.properties.get(name)
            if not isinstance(value, bool) or not isinstance(here, bool):
                continue
            if here:
                result.migratable[name] = True
            elif value:
                # On, but switched off above because it does not survive a migration.
                result.properties[name] = True
                result.migratable[name] = False
    return result


def _text(value: JSON) -> str | None:
    return value if isinstance(value, str) else None


def _number(value: JSON) -> int:
    return value if isinstance(value, int) else 0
