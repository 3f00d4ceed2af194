"""From QEMU's replies to capabilities."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from virt_qemu.capabilities import flags as known
from virt_qemu.capabilities.model import (
    GIC,
    HYPERV_ENLIGHTENMENTS,
    SEV,
    Accelerator,
    CPUDefinition,
    CPUExpansion,
    EmulatorCapabilities,
    Machine,
)
from virt_qemu.capabilities.replies import Replies
from virt_qemu.capabilities.schema import Schema
from virt_qemu.monitor import JSON
from virtcore.errors import ConfigUnsupported, InternalError
from virtcore.model.arch import Arch
from virtcore.model.domain_capabilities import SGXCapability, SGXSection

__all__ = [
    "MINIMUM_VERSION",
    "accelerated",
    "cpu_definitions",
    "cpu_expansion",
    "derive",
    "expansion_question",
    "hyperv_question",
    "target_arch",
]

MINIMUM_VERSION = (6, 2, 0)

_ARCHITECTURES = {
    "i386": Arch.I686,
    "arm": Arch.ARMV7L,
    "or32": Arch.OPENRISC,
}


def derive(
    binary: str, main: Replies, tcg: Replies | None = None, *, hvf: bool = False, microcode: int = 0
) -> EmulatorCapabilities:
    """Conclude what an emulator can do.

    :param main: replies of the probe with the best accelerator there is.
    :param tcg: replies of the probe without accelerator, where ``main`` had one.
    :param hvf: the host is a macOS with its hypervisor framework.
    :param microcode: version of the microcode of the host's processor, on which ``main`` depends.
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
    if hvf:
        flags.add("hvf")
    best = next((name for name in ("kvm", "hvf") if name in flags), "tcg")
    accelerators = {best: _accelerator(main, arch, flags, best)}
    if tcg is not None:
        accelerators["tcg"] = _accelerator(tcg, arch, flags, "tcg")
    return EmulatorCapabilities(
        binary=binary,
        arch=arch,
        version=numbers[0] * 1_000_000 + numbers[1] * 1_000 + numbers[2],
        package=str(version.get("package", "")),
        flags=frozenset(flags),
        accelerators=accelerators,
        microcode=microcode if len(accelerators) > 1 else 0,
        gics=_gics(main),
        sev=_sev(main),
        sgx=_sgx(main),
        hyperv=_hyperv(main, arch) if best == "kvm" else None,
    )


def accelerated(replies: Replies) -> bool:
    """Whether a probe ran with KVM."""
    kvm = replies.table("query-kvm")
    return bool(kvm.get("present") and kvm.get("enabled"))


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
    if accelerated(replies):
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


def _accelerator(replies: Replies, arch: Arch, flags: set[str], accelerator: str) -> Accelerator:
    result = Accelerator()
    for row in replies.rows("query-machines"):
        if row["name"] == "none":
            continue
        acpi = row.get("acpi")
        result.machines.append(
            Machine(
                accelerator=accelerator,
                name=str(row["name"]),
                alias=_text(row.get("alias")),
                max_cpus=_number(row.get("cpu-max")),
                hotplug_cpus=bool(row.get("hotpluggable-cpus")) or None,
                default=bool(row.get("is-default")) or None,
                numa_memory=bool(row.get("numa-mem-supported", True)) or None,
                default_cpu=_text(row.get("default-cpu-type")),
                default_ram_id=_text(row.get("default-ram-id")),
                deprecated=bool(row.get("deprecated")) or None,
                acpi=acpi if isinstance(acpi, bool) else None,
            )
        )
    preferred = known.PREFERRED_MACHINES.get(arch)
    # The one that domains get which name none stands first.
    chosen = [machine for machine in result.machines if preferred in (machine.name, machine.alias)][-1:]
    chosen = chosen or [machine for machine in result.machines if machine.default][-1:]
    for machine in chosen:
        result.machines.remove(machine)
        result.machines.insert(0, machine)
    if "query-cpu-definitions" in flags:
        result.cpus = cpu_definitions(replies.rows("query-cpu-definitions"), arch, accelerator)
    result.host_cpu = _host_cpu(replies, arch, flags, "max" if accelerator == "tcg" else "host")
    return result


def expansion_question(
    arch: Arch, model: str, migratable: bool | None = None, *, full: bool = False
) -> dict[str, JSON]:
    """Arguments of the ``query-cpu-model-expansion`` that tells what ``host`` or ``max`` are here.

    :param migratable: only what survives a migration, or everything; None: as the model has it.
    :param full: every property, where QEMU could leave those out that the named model implies.
    """
    described: dict[str, JSON] = {"name": model}
    if migratable is not None:
        described["props"] = {"migratable": migratable}
    return {"type": "full" if full or arch.is_arm else "static", "model": described}


def cpu_definitions(
    rows: Iterable[Mapping[str, JSON]], arch: Arch | None = None, accelerator: str | None = None
) -> list[CPUDefinition]:
    """The CPU models that ``query-cpu-definitions`` lists."""
    names: dict[str, str] = {}
    if arch in (Arch.PPC64, Arch.PPC64LE):
        from virtcore.model.cpu import cpu_models

        # QEMU writes them in small letters.
        names = {name.lower(): name for name in cpu_models(arch) or ()}
    found = []
    for row in rows:
        name, blockers = str(row["name"]), row.get("unavailable-features")
        found.append(
            CPUDefinition(
                accelerator=accelerator,
                name=names.get(name.lower(), name),
                type=_text(row.get("typename")) or None,
                usable=not blockers if isinstance(blockers, list) else None,
                blockers=[str(blocker) for blocker in blockers] if isinstance(blockers, list) else [],
                deprecated=bool(row.get("deprecated")) or None,
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


def _host_cpu(replies: Replies, arch: Arch, flags: set[str], model: str) -> CPUExpansion | None:
    answer = replies.table("query-cpu-model-expansion", expansion_question(arch, model))
    described = answer.get("model")
    if not isinstance(described, dict):
        return None
    result = cpu_expansion(described)
    plain = replies.table("query-cpu-model-expansion", expansion_question(arch, model, False)).get("model")
    everything = plain.get("props") if isinstance(plain, dict) else None
    if isinstance(everything, dict):
        result.migratable = _migratable(result.properties, everything)
    if "query-cpu-model-expansion.deprecated-props" in flags:
        full = replies.table("query-cpu-model-expansion", expansion_question(arch, model, full=True))
        deprecated = full.get("deprecated-props")
        result.deprecated = [str(name) for name in deprecated] if isinstance(deprecated, list) else []
    return result


def _migratable(properties: dict[str, bool | int | str], everything: Mapping[str, JSON]) -> dict[str, bool]:
    """Which properties survive a migration; those that do not are switched on.

    :param properties: of a processor that survives it.
    :param everything: of one that need not.
    """
    result = {}
    for name, here in properties.items():
        value = everything.get(name)
        if not isinstance(value, bool) or not isinstance(here, bool):
            continue
        if here:
            result[name] = True
        elif value:
            result[name] = False
    properties.update(dict.fromkeys((name for name, survives in result.items() if not survives), True))
    return result


def hyperv_question(arch: Arch) -> dict[str, JSON]:
    """Arguments of the ``query-cpu-model-expansion`` that tells Hyper-V's enlightenments."""
    question = expansion_question(arch, "host", False, full=True)
    model = question["model"]
    assert isinstance(model, dict)
    assert isinstance(model["props"], dict)
    model["props"]["hv-passthrough"] = True
    return question


def _hyperv(replies: Replies, arch: Arch) -> list[str] | None:
    model = replies.table("query-cpu-model-expansion", hyperv_question(arch)).get("model")
    properties = model.get("props") if isinstance(model, dict) else None
    if not isinstance(properties, dict):
        return None
    told = {
        name for name, value in properties.items() if value or isinstance(value, str)
    }  # a text can be had, if empty
    found = {name.removeprefix("hv-").replace("-", "_") for name in told}
    return [name for name in HYPERV_ENLIGHTENMENTS if name in found] or None


def _gics(replies: Replies) -> list[GIC]:
    return [
        GIC(version=_number(row.get("version")), kernel=bool(row.get("kernel")), emulated=bool(row.get("emulated")))
        for row in replies.rows("query-gic-capabilities")
    ]


def _sev(replies: Replies) -> SEV | None:
    found = replies.table("query-sev-capabilities")
    if not found:
        return None
    return SEV(
        cbitpos=_number(found.get("cbitpos")),
        reduced_phys_bits=_number(found.get("reduced-phys-bits")),
        pdh=str(found["pdh"]),
        cert_chain=str(found["cert-chain"]),
        cpu0_id=_text(found.get("cpu0-id")),
    )


def _sgx(replies: Replies) -> SGXCapability | None:
    found = replies.table("query-sgx-capabilities")
    if not found:
        return None
    rows = found.get("sections")
    sections = [
        SGXSection(node=_number(row.get("node")), size=_number(row.get("size")) // 1024)
        for row in (rows if isinstance(rows, list) else ())
        if isinstance(row, dict)
    ]
    size = found.get("section-size")
    return SGXCapability(
        supported=True,
        flc=bool(found.get("flc")),
        sgx1=bool(found.get("sgx1")),
        sgx2=bool(found.get("sgx2")),
        section_size=size // 1024 if isinstance(size, int) else sum(section.size for section in sections),
        sections=sections,
    )


def _text(value: JSON) -> str | None:
    return value if isinstance(value, str) else None


def _number(value: JSON) -> int:
    return value if isinstance(value, int) else 0
