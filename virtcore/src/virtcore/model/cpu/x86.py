"""Processors of x86: compared, made independent of the host, put in other words."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from virtcore.enums import CPUCompareResult
from virtcore.errors import ConfigUnsupported, ErrorDomain, InternalError, OperationFailed
from virtcore.model.cpu.architecture import (
    CPUArchitecture,
    HypervisorModels,
    Incompatible,
    copy_host_model,
    model_name,
    set_model_name,
)
from virtcore.model.cpu.element import (
    CPUCheck,
    CPUFallback,
    CPUFeaturePolicy,
    CPUMatch,
    CPUMode,
    GuestCPU,
    HostCPU,
    HostCPUFeature,
    HostCPUSignature,
)
from virtcore.model.cpu.features import add_missing, policies, update_feature, with_policy
from virtcore.model.cpu.x86_data import X86Data
from virtcore.model.cpu.x86_decode import decode_x86
from virtcore.model.cpu.x86_map import x86_map

if TYPE_CHECKING:
    from virtcore.model.arch import Arch

__all__ = ["X86", "guest_cpu_of", "host_cpu_of", "update_live"]


def host_cpu_of(data: X86Data, arch: Arch, models: HypervisorModels | None = None) -> HostCPU:
    """A host's processor from what it says of itself (``virCPUGetHost``).

    :raises InternalError: no model fits.
    """
    found = decode_x86(data, host=True, models=models)
    signature = found.signature
    return HostCPU(
        arch=arch,
        model=found.model.name,
        vendor=found.vendor,
        signature=HostCPUSignature(**signature._asdict()) if signature is not None and signature.family else None,
        features=[HostCPUFeature(name=name) for name in x86_map().names_of(found.required)],
    )


def guest_cpu_of(
    data: X86Data,
    models: HypervisorModels | None = None,
    *,
    preferred: Collection[str] = (),
    fallback: CPUFallback = CPUFallback.FORBID,
    migratable: bool = False,
) -> GuestCPU:
    """A guest's processor from what it is to have (``virCPUDecode``).

    :param models: models the hypervisor knows -> features that keep it from running them; None: any.
    :param preferred: see :func:`virtcore.model.cpu.x86_decode.decode_x86`.
    :param fallback: whether another model would do.
    :raises InternalError: no model fits.
    """
    found = decode_x86(data, host=False, models=models, preferred=preferred, fallback=fallback, migratable=migratable)
    cpu = GuestCPU(mode=CPUMode.CUSTOM, match=CPUMatch.EXACT, vendor=found.vendor, features=found.feature_list())
    set_model_name(cpu, found.model.name)
    assert cpu.model is not None
    cpu.model.fallback = fallback
    return cpu


def update_live(cpu: GuestCPU, enabled: X86Data, disabled: X86Data) -> None:
    """Describes what a guest really got (``virCPUUpdateLive``).

    :param cpu: what it asked for; changed to what it has, unless it wants a full check.
    :param enabled: features the hypervisor gave it.
    :param disabled: features it asked for and did not get.
    :raises OperationFailed: it wants a full check, and got other features than it asked for.
    """
    known = x86_map()
    whole = cpu.mode in (CPUMode.HOST_PASSTHROUGH, CPUMode.MAXIMUM)
    wanted = _all_features(cpu)
    unwanted = _with_policy(cpu, CPUFeaturePolicy.DISABLE) if whole else ~wanted
    given, refused = enabled.features(), disabled.features()
    added = given & unwanted & ~wanted
    removed = refused | (wanted & ~given)
    if cpu.check is CPUCheck.FULL:
        parts = [
            f"{text} features: {','.join(known.names_of(features))}"
            for text, features in (("extra", added), ("missing", removed))
            if features
        ]
        if parts:
            raise OperationFailed(f"guest CPU doesn't match specification: {', '.join(parts)}", domain=ErrorDomain.CPU)
        if not disabled.empty:
            raise OperationFailed("guest CPU doesn't match specification", domain=ErrorDomain.CPU)
    for name in known.names_of(added | removed):
        on = not removed & (known.feature(name) or 0)
        update_feature(cpu, name, CPUFeaturePolicy.REQUIRE if on else CPUFeaturePolicy.DISABLE)
    model = model_name(cpu)
    if model is not None:
        _disable_removed(cpu, model)


def _with_policy(cpu: HostCPU | GuestCPU, policy: CPUFeaturePolicy) -> int:
    """Features that are listed with a policy."""
    require = x86_map().require_feature
    found = 0
    for name, wanted in policies(cpu):
        if wanted is policy:
            found |= require(name)
    return found


def _model_features(cpu: HostCPU | GuestCPU) -> int:
    name = model_name(cpu)
    return 0 if name is None else x86_map().require_model(name).features


def _all_features(cpu: HostCPU | GuestCPU) -> int:
    """Features of the model, with what the list adds and takes away."""
    require = x86_map().require_feature
    found = _model_features(cpu)
    for name, policy in policies(cpu):
        if policy in (CPUFeaturePolicy.FORCE, CPUFeaturePolicy.REQUIRE):
            found |= require(name)
        elif policy is not CPUFeaturePolicy.OPTIONAL:
            found &= ~require(name)
    return found


def _disable_removed(cpu: GuestCPU, name: str) -> None:
    """Features that the model once had are always listed."""
    add_missing(cpu, x86_map().require_model(name).removed, CPUFeaturePolicy.DISABLE)


class X86(CPUArchitecture):
    """i686 and x86_64."""

    def _compare(self, host: HostCPU | GuestCPU, cpu: HostCPU | GuestCPU) -> CPUCompareResult:
        if isinstance(cpu, HostCPU) and not cpu.arch.is_x86:
            raise Incompatible(f"CPU arch {cpu.arch} does not match host arch")
        if cpu.vendor is not None and cpu.vendor != host.vendor:
            raise Incompatible(f"host CPU vendor does not match required CPU vendor {cpu.vendor}")
        offered = _all_features(host)
        forced = _with_policy(cpu, CPUFeaturePolicy.FORCE)
        required = _model_features(cpu) | _with_policy(cpu, CPUFeaturePolicy.REQUIRE)
        optional = _with_policy(cpu, CPUFeaturePolicy.OPTIONAL)
        disabled = _with_policy(cpu, CPUFeaturePolicy.DISABLE)
        self._refuse("Host CPU provides forbidden features", _with_policy(cpu, CPUFeaturePolicy.FORBID) & offered)
        # What the model brings may be forced, optional or disabled instead.
        required &= ~(forced | optional | disabled)
        self._refuse("Host CPU does not provide required features", required & ~offered)
        extra = offered & ~(required | forced | optional | disabled)
        if not extra:
            return CPUCompareResult.IDENTICAL
        if isinstance(cpu, GuestCPU) and cpu.match is CPUMatch.STRICT:
            self._refuse("Host CPU does not strictly match guest CPU: Extra features", extra)
        return CPUCompareResult.SUPERSET

    @staticmethod
    def _refuse(why: str, features: int) -> None:
        if features:
            raise Incompatible(f"{why}: {', '.join(x86_map().names_of(features))}")

    def update(self, guest: GuestCPU, host: HostCPU | GuestCPU | None, relative: bool) -> None:
        if relative:
            if host is None:
                raise ConfigUnsupported("unknown host CPU model", domain=ErrorDomain.CPU)
            offered = _all_features(host)
            for feature in guest.features:
                if feature.policy is CPUFeaturePolicy.OPTIONAL:
                    there = offered & x86_map().require_feature(feature.name)
                    feature.policy = CPUFeaturePolicy.REQUIRE if there else CPUFeaturePolicy.DISABLE
            if guest.mode is CPUMode.HOST_MODEL or guest.match is CPUMatch.MINIMUM:
                self._take_host_model(guest, host)
        name = model_name(guest)
        if name is not None:
            _disable_removed(guest, name)

    @staticmethod
    def _take_host_model(guest: GuestCPU, host: HostCPU | GuestCPU) -> None:
        wanted, vendor, mode = guest.features, guest.vendor, guest.mode
        copy_host_model(guest, host)
        for feature in wanted:
            update_feature(guest, feature.name, feature.policy or CPUFeaturePolicy.REQUIRE)
        if mode is not CPUMode.HOST_MODEL:
            guest.vendor = vendor

    def baseline(
        self,
        cpus: Sequence[HostCPU | GuestCPU],
        models: HypervisorModels | None = None,
        features: Collection[str] | None = None,
        migratable: bool = False,
    ) -> GuestCPU:
        known = x86_map()
        common = _all_features(cpus[0])
        vendor = cpus[0].vendor
        if vendor is not None and vendor not in known.vendors:
            raise OperationFailed(f"Unknown CPU vendor {vendor}", domain=ErrorDomain.CPU, value=vendor)
        for cpu in cpus[1:]:
            common &= _all_features(cpu)
            vendor = self._common_vendor(cpu, vendor)
        if features is not None:
            offered = 0
            for name in features:
                offered |= known.feature(name) or 0
            common &= offered
        if not common:
            raise OperationFailed("CPUs are incompatible", domain=ErrorDomain.CPU)
        data = X86Data()
        for name in known.names_of(common):
            data.add_feature(name)
        if vendor is not None:
            data.set_vendor(known.vendors[vendor])
        names = list(dict.fromkeys(name for name in map(model_name, cpus) if name is not None))
        result = guest_cpu_of(data, models, preferred=names, fallback=CPUFallback.ALLOW, migratable=migratable)
        assert result.model is not None
        if names == [result.model.name]:
            result.model.fallback = CPUFallback.FORBID
        if not all(cpu.vendor is not None for cpu in cpus):
            result.vendor = None
        return result

    @staticmethod
    def _common_vendor(cpu: HostCPU | GuestCPU, vendor: str | None) -> str | None:
        """The vendor of the processors so far and of one more."""
        name = model_name(cpu)
        own = x86_map().require_model(name).vendor if name is not None else None
        if cpu.vendor is not None and own is not None and cpu.vendor != own:
            raise OperationFailed(
                f"CPU vendor {own} of model {name} differs from vendor {cpu.vendor}", domain=ErrorDomain.CPU
            )
        mine = cpu.vendor or own
        if mine is None:
            return vendor
        if vendor is None:
            if mine not in x86_map().vendors:
                raise OperationFailed(f"Unknown CPU vendor {mine}", domain=ErrorDomain.CPU, value=mine)
        elif vendor != mine:
            raise OperationFailed("CPU vendors do not match", domain=ErrorDomain.CPU)
        return mine

    def translate(self, cpu: GuestCPU, models: HypervisorModels) -> None:
        name = model_name(cpu)
        if name is None:
            raise InternalError("no CPU model to translate", domain=ErrorDomain.CPU)
        known = x86_map()
        model = known.require_model(name)
        data = X86Data()
        for feature in known.names_of(_all_features(cpu)):
            data.add_feature(feature)
        if model.vendor is not None:
            data.set_vendor(known.vendors[model.vendor])
        if model.signatures:
            data.set_signature(model.signatures[0].example())
        found = decode_x86(data, host=False, models=models)
        wanted = cpu.features
        cpu.features = found.feature_list()
        for each in wanted:
            update_feature(cpu, each.name, each.policy or CPUFeaturePolicy.REQUIRE)
        set_model_name(cpu, found.model.name)

    def has_feature(self, cpu: HostCPU | GuestCPU, feature: str) -> bool:
        wanted = x86_map().feature(feature)
        if wanted is None:
            raise InternalError(f"unknown CPU feature {feature}", domain=ErrorDomain.CPU, value=feature)
        return bool(_all_features(cpu) & wanted)

    def expand_features(self, cpu: HostCPU | GuestCPU) -> None:
        known = x86_map()
        name = model_name(cpu)
        model = known.model(name) if name is not None else None
        if model is None:
            raise InternalError(f"unknown CPU model {name}", domain=ErrorDomain.CPU, value=name)
        if isinstance(cpu, HostCPU):
            names = dict.fromkeys([*known.names_of(model.features), *(feature.name for feature in cpu.features)])
            cpu.features = [HostCPUFeature(name=each) for each in names]
            return
        wanted = list(policies(cpu))
        cpu.features = with_policy(known.names_of(model.features), CPUFeaturePolicy.REQUIRE)
        for each, policy in wanted:
            if policy in (CPUFeaturePolicy.REQUIRE, CPUFeaturePolicy.DISABLE):
                update_feature(cpu, each, policy)
        _disable_removed(cpu, model.name)

    def migratable_copy(self, cpu: HostCPU) -> HostCPU:
        known = x86_map()
        copy = super().migratable_copy(cpu)
        copy.features = [
            feature for feature in copy.features if not (known.feature(feature.name) or 0) & known.migration_blockers
        ]
        return copy

    def models(self) -> list[str]:
        return x86_map().model_names()

    def vendor_of(self, model: str) -> str | None:
        found = x86_map().model(model)
        return found.vendor if found is not None else None

    def canonical_model(self, model: str) -> str | None:
        return x86_map().canonical(model)
