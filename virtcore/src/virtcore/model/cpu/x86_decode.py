"""From what an x86 processor can do to the model that says it best."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from virtcore.errors import ConfigUnsupported, ErrorDomain, InternalError
from virtcore.model.cpu.element import CPUFallback, CPUFeature, CPUFeaturePolicy
from virtcore.model.cpu.features import with_policy
from virtcore.model.cpu.x86_map import Signature, X86Model, x86_map

if TYPE_CHECKING:
    from virtcore.model.cpu.x86_data import X86Data

__all__ = ["Decoded", "decode_x86"]

#: Signatures of processors whose transactional memory is broken: model -> first stepping in which it works.
_BROKEN_TSX = {63: 4, 60: 16, 69: 16, 70: 16}


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """A processor as a model and what differs from it.

    :ivar required: features it has beyond the model.
    :ivar disabled: features of the model that it lacks.
    :ivar removed: features that the model once had and that are to be named as lacking.
    """

    model: X86Model
    required: int
    disabled: int
    removed: tuple[str, ...]
    vendor: str | None
    signature: Signature | None

    def feature_list(self) -> list[CPUFeature]:
        """The differences as a guest's features, in libvirt's order."""
        names = x86_map().names_of
        return [
            *with_policy(names(self.required), CPUFeaturePolicy.REQUIRE),
            *with_policy(names(self.disabled), CPUFeaturePolicy.DISABLE),
            *with_policy(self.removed, CPUFeaturePolicy.DISABLE),
        ]

    @property
    def _lacking(self) -> int:
        return self.disabled.bit_count() + len(self.removed)

    @property
    def penalty(self) -> int:
        """How bad it is that features are to be disabled: the first counts 2, the next 3, 4, ...

        libvirt counts only every other one this way.
        """
        counted = (self._lacking + 1) // 2
        return counted * (counted + 3) // 2

    @property
    def cost(self) -> int:
        """How far it is from the model: each feature to be named counts 1, the disabled ones more."""
        return self.required.bit_count() + self._lacking // 2 + self.penalty


def decode_x86(
    data: X86Data,
    *,
    host: bool,
    models: Mapping[str, Collection[str]] | None = None,
    preferred: Collection[str] = (),
    fallback: CPUFallback = CPUFallback.ALLOW,
    migratable: bool = False,
) -> Decoded:
    """Finds the model that describes a processor best.

    That is one made for processors of this signature, if there is any that may be used, and among those the one with
    the shortest list of differences; of equally good ones the newest.

    :param host: describe a host: only models count of which the processor has everything.
    :param models: models the hypervisor knows -> features that keep it from running them; None: all there are.
    :param preferred: a single name is taken if it can be; several win over others that need more disabled features.
    :param fallback: whether another model will do where the hypervisor does not know a single preferred one.
    :param migratable: leave out features a guest cannot be migrated with.
    :raises InternalError: no model fits.
    :raises ConfigUnsupported: the hypervisor does not know the preferred model, and nothing else will do.
    """
    known = x86_map()
    vendor, signature = data.vendor, data.signature
    features = data.features() & ~_broken(vendor, signature)
    only = next(iter(preferred)) if len(preferred) == 1 else None
    best: Decoded | None = None
    for model in reversed(known.models()):
        if models is not None and model.name not in models:
            if model.name == only and fallback is not CPUFallback.ALLOW:
                raise ConfigUnsupported(
                    f"CPU model {only} is not supported by hypervisor", domain=ErrorDomain.CPU, value=only
                )
            continue
        if vendor is not None and model.vendor is not None and vendor != model.vendor:
            continue
        if not (model.decode_host if host else model.decode_guest):
            continue
        required = features & ~model.features
        disabled = model.features & ~features
        # What the hypervisor's version of the model has beyond ours.
        for name in models[model.name] if models is not None else ():
            disabled |= (known.feature(name) or 0) & ~required
        if host and disabled:
            continue
        mentioned = required | disabled
        candidate = Decoded(
            model=model,
            required=required,
            disabled=disabled,
            removed=() if host else tuple(name for name in model.removed if not mentioned >> known.index[name] & 1),
            vendor=vendor,
            signature=signature,
        )
        if model.name == only:
            best = candidate
            break
        if best is None or _better(candidate, best, preferred):
            best = candidate
    if best is None:
        raise InternalError("Cannot find suitable CPU model for given data", domain=ErrorDomain.CPU)
    if migratable:
        return _migratable(best)
    return best


def _better(candidate: Decoded, best: Decoded, preferred: Collection[str]) -> bool:
    if candidate.signature is not None:
        fits, best_fits = candidate.model.matches(candidate.signature), best.model.matches(candidate.signature)
        if fits is not best_fits:
            return fits
    if (candidate.cost, candidate.penalty) < (best.cost, best.penalty):
        return True
    return candidate.model.name in preferred and candidate.penalty < best.penalty


def _broken(vendor: str | None, signature: Signature | None) -> int:
    """Features that the processor claims and that do not work."""
    if vendor != "Intel" or signature is None or signature.family != 6:
        return 0
    if signature.stepping >= _BROKEN_TSX.get(signature.model, 0):
        return 0
    known = x86_map()
    return (known.feature("hle") or 0) | (known.feature("rtm") or 0)


def _migratable(decoded: Decoded) -> Decoded:
    known = x86_map()
    blockers = known.migration_blockers
    return replace(
        decoded,
        required=decoded.required & ~blockers,
        disabled=decoded.disabled & ~blockers,
        removed=tuple(name for name in decoded.removed if not blockers >> known.index[name] & 1),
    )
