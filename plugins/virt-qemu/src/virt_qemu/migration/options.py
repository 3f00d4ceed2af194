"""From libvirt's flags and typed parameters to QEMU's capabilities and parameters."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Flag, auto
from typing import TYPE_CHECKING, NamedTuple

from virt_qemu.migration_cookie import MigrationCapability as Capability
from virtcore.enums.domain_more import DomainMigrateFlags as Flags
from virtcore.errors import ArgumentUnsupported, InvalidArg, OverflowDetected

if TYPE_CHECKING:
    from collections.abc import Collection

    from virt_qemu.migration_parameters import Parameters
    from virtcore.types import TypedParameters

__all__ = ["ALWAYS_ON", "SUPPORTED", "MigrationOptions", "Party", "options_of"]

#: Flags that the driver knows: all there are.
SUPPORTED = sum(Flags)


class Party(Flag):
    """The sides of a migration."""

    SOURCE = auto()
    DESTINATION = auto()
    BOTH = SOURCE | DESTINATION


#: Capabilities that are on wherever QEMU has them, and where. What is meant for both is on where both have it.
ALWAYS_ON: dict[Capability, Party] = {
    Capability.PAUSE_BEFORE_SWITCHOVER: Party.SOURCE,
    Capability.LATE_BLOCK_ACTIVATE: Party.DESTINATION,
}


class _FlagRule(NamedTuple):
    """A capability that a flag turns on."""

    flag: Flags
    capability: Capability
    party: Party
    without: bool = False  # it is on where the flag is not


_FLAGS = (
    _FlagRule(Flags.RDMA_PIN_ALL, Capability.RDMA_PIN_ALL, Party.BOTH),
    _FlagRule(Flags.AUTO_CONVERGE, Capability.AUTO_CONVERGE, Party.SOURCE),
    _FlagRule(Flags.POSTCOPY, Capability.POSTCOPY_RAM, Party.BOTH),
    _FlagRule(Flags.PARALLEL, Capability.MULTIFD, Party.BOTH),
    _FlagRule(Flags.TUNNELLED, Capability.RETURN_PATH, Party.BOTH, without=True),
    _FlagRule(Flags.ZEROCOPY, Capability.ZERO_COPY_SEND, Party.SOURCE),
)


class _ParameterRule(NamedTuple):
    """A parameter of QEMU's that a typed parameter sets."""

    name: str
    parameter: str
    party: Party = Party.BOTH
    unit: int = 1


_PARAMETERS = (
    _ParameterRule("auto_converge.initial", "cpu-throttle-initial", Party.SOURCE),
    _ParameterRule("auto_converge.increment", "cpu-throttle-increment", Party.SOURCE),
    _ParameterRule("compression.mt.level", "compress-level"),
    _ParameterRule("compression.mt.threads", "compress-threads"),
    _ParameterRule("compression.mt.dthreads", "decompress-threads"),
    _ParameterRule("compression.xbzrle.cache", "xbzrle-cache-size"),
    _ParameterRule("bandwidth.postcopy", "max-postcopy-bandwidth", unit=1 << 20),
    _ParameterRule("bandwidth.avail.switchover", "avail-switchover-bandwidth", Party.SOURCE),
    _ParameterRule("parallel.connections", "multifd-channels"),
    _ParameterRule("compression.zlib.level", "multifd-zlib-level"),
    _ParameterRule("compression.zstd.level", "multifd-zstd-level"),
    _ParameterRule("tls.destination", "tls-hostname", Party.SOURCE),
)
_ULONG_MAX = (1 << 64) - 1

#: Methods of compression; those of parallel migration are values of one parameter.
_CAPABILITY_METHODS = {"xbzrle": Capability.XBZRLE, "mt": Capability.COMPRESS}
_PARALLEL_METHODS = ("zlib", "zstd")
#: What a method is tuned by, and what libvirt calls it.
_TUNING = (
    ("mt", ("compress-level", "compress-threads", "decompress-threads"), "multithread"),
    ("xbzrle", ("xbzrle-cache-size",), "xbzrle"),
    ("zlib", ("multifd-zlib-level",), "zlib"),
    ("zstd", ("multifd-zstd-level",), "zstd"),
)


@dataclass(slots=True)
class MigrationOptions:
    """How a side's QEMU is to migrate.

    :ivar capabilities: to be on.
    :ivar parameters: to be set.
    """

    capabilities: set[str] = field(default_factory=set)
    parameters: Parameters = field(default_factory=dict)

    def settle(self, party: Party, supported: Collection[str], automatic: Collection[str]) -> None:
        """Add what is on wherever it can be.

        :param supported: capabilities of this side's QEMU.
        :param automatic: what the other side turns on by itself.
        :raises ArgumentUnsupported: QEMU cannot do what is wanted.
        """
        for capability in Capability:
            if capability in self.capabilities and capability not in supported:
                raise ArgumentUnsupported(f"Migration option '{capability}' is not supported by QEMU binary")
        for capability, where in ALWAYS_ON.items():
            if party in where and capability in supported and (where is party or capability in automatic):
                self.capabilities.add(capability)


def options_of(params: TypedParameters, flags: int, party: Party) -> MigrationOptions:
    """What flags and typed parameters mean for a side.

    :raises InvalidArg: something is tuned that is not on, or a method of compression does not go with the rest.
    :raises OverflowDetected: a value is too large for its unit.
    """
    options = MigrationOptions()
    for rule in _FLAGS:
        if party in rule.party and bool(flags & rule.flag) is not rule.without:
            options.capabilities.add(rule.capability)
    for each in _PARAMETERS:
        value = params.get(each.name)
        if value is None or party not in each.party:
            continue
        if isinstance(value, int) and each.unit > 1:
            most = _ULONG_MAX // each.unit
            if value > most:
                raise OverflowDetected(f"migration parameter '{each.name}' must be less than {most + 1}")
            value *= each.unit
        options.parameters[each.parameter] = value  # type: ignore[assignment]  # ints and strings only
    if not flags & Flags.AUTO_CONVERGE and {"cpu-throttle-initial", "cpu-throttle-increment"} & set(options.parameters):
        raise InvalidArg("Turn auto convergence on to tune it")
    if not flags & Flags.PARALLEL and "multifd-channels" in options.parameters:
        raise InvalidArg("Turn parallel migration on to tune it")
    _compress(params, flags, options)
    return options


def _compress(params: TypedParameters, flags: int, options: MigrationOptions) -> None:
    methods: list[str] = []
    parallel = bool(flags & Flags.PARALLEL)
    for method in map(str, params.all("compression")):
        if method not in (*_CAPABILITY_METHODS, *_PARALLEL_METHODS):
            raise InvalidArg(f"Unsupported compression method '{method}'")
        if method in methods:
            raise InvalidArg(f"Compression method '{method}' is specified twice")
        if method in _CAPABILITY_METHODS and parallel:
            raise InvalidArg(f"Compression method '{method}' isn't supported with parallel migration")
        if method in _PARALLEL_METHODS and not parallel:
            raise InvalidArg(f"Compression method '{method}' is only supported with parallel migration")
        if "multifd-compression" in options.parameters:
            raise InvalidArg("Only one compression method could be specified with parallel compression")
        methods.append(method)
        if method in _CAPABILITY_METHODS:
            options.capabilities.add(_CAPABILITY_METHODS[method])
        else:
            options.parameters["multifd-compression"] = method
    for method, parameters, called in _TUNING:
        if method not in methods and set(parameters) & set(options.parameters):
            raise InvalidArg(f"Turn {called} compression on to tune it")
    if not methods and flags & Flags.COMPRESSED:
        if parallel:
            raise InvalidArg("No compression algorithm selected for parallel migration")
        options.capabilities.add(Capability.XBZRLE)
