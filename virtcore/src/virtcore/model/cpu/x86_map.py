"""What is known of x86 processors: vendors, features, models.

Every feature is one bit of a CPUID or MSR register. A set of features is an int whose bit ``i`` is the ``i``-th feature
of the map, so that the usual operators are set operations and bits come in the order features are listed.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from virtcore.errors import ErrorDomain, InternalError
from virtcore.model.cpu.map import MapFile, map_file

__all__ = ["Signature", "SignatureMatch", "Word", "X86Map", "X86Model", "x86_map"]


class Word(NamedTuple):
    """A register of 32 bits: what CPUID leaves in it, or half of an MSR.

    :ivar leaf: leaf of CPUID (``eax`` on input), or number of the MSR.
    :ivar subleaf: ``ecx`` on input; None for an MSR.
    :ivar register: ``eax``, ``ebx``, ``ecx`` or ``edx``.
    """

    leaf: int
    subleaf: int | None
    register: str


class Signature(NamedTuple):
    """What a processor calls itself in leaf 1 of CPUID."""

    family: int
    model: int
    stepping: int

    @classmethod
    def from_register(cls, eax: int) -> Signature:
        """From ``eax`` of leaf 1."""
        return cls(
            family=((eax >> 20) & 0xFF) + ((eax >> 8) & 0xF),
            model=((eax >> 12) & 0xF0) + ((eax >> 4) & 0xF),
            stepping=eax & 0xF,
        )

    def register(self) -> int:
        """``eax`` of leaf 1."""
        extended = max(self.family - 0xF, 0)
        low_family = min(self.family, 0xF)
        return (
            extended << 20 | self.model >> 4 << 16 | low_family << 8 | (self.model & 0xF) << 4 | (self.stepping & 0xF)
        )


class SignatureMatch(NamedTuple):
    """Processors of a family and model, of some steppings (a set of bits) or, with None, of all."""

    family: int
    model: int
    steppings: int | None

    def matches(self, signature: Signature) -> bool:
        """Whether a processor is one of them."""
        return (self.family, self.model) == signature[:2] and (
            self.steppings is None or bool(self.steppings >> signature.stepping & 1)
        )

    def example(self) -> Signature:
        """One of them: the lowest stepping."""
        steppings = self.steppings or 1
        return Signature(self.family, self.model, (steppings & -steppings).bit_length() - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class X86Model:
    """A CPU model.

    :ivar features: the features it has.
    :ivar removed: names of features that versions of the model once had: a guest says of each whether it has it.
    :ivar added: names of features that later versions of QEMU gave the model.
    :ivar partial_check: how ``<cpu check='partial'>`` is done for it: ``compat`` compares with the host by this map.
    :ivar alias_of: the model of which this is just another name (``Nehalem-v1`` of ``Nehalem``).
    """

    name: str
    features: int = 0
    vendor: str | None = None
    signatures: tuple[SignatureMatch, ...] = ()
    decode_host: bool = False
    decode_guest: bool = False
    removed: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    partial_check: str | None = None
    alias_of: str | None = None

    def matches(self, signature: Signature) -> bool:
        """Whether a processor is of the kind the model stands for."""
        return any(each.matches(signature) for each in self.signatures)


@dataclass(slots=True)
class _Lists:
    """The lists of features of a model while it is read."""

    own: int = 0
    removed: list[str] = field(default_factory=list)
    added: list[str] = field(default_factory=list)


class X86Map:
    """The map of x86.

    :ivar vendors: name -> the 12 characters CPUID gives.
    :ivar names: features in order.
    :ivar index: feature -> its place in ``names``.
    :ivar words: register -> ``(mask, set)`` of each feature in it.
    :ivar bits: register and mask of each feature, in the order of ``names``.
    :ivar migration_blockers: set of the features a guest cannot be migrated with.
    """

    def __init__(self, file: MapFile) -> None:
        self._records = file.models
        self._models: dict[str, X86Model] = {}
        self.vendors = file.vendors
        self.names = list(file.features)
        self.index = {name: place for place, name in enumerate(self.names)}
        self.words: dict[Word, list[tuple[int, int]]] = {}
        self.bits: list[tuple[Word, int]] = []
        self.migration_blockers = 0
        words: dict[str, Word] = {}
        for place, record in enumerate(file.features.values()):
            text, bit, *more = record.split()
            word = words.get(text)
            if word is None:
                word = words[text] = _word(text)
                self.words[word] = []
            mask = 1 << int(bit)
            self.words[word].append((mask, 1 << place))
            self.bits.append((word, mask))
            if more:
                self.migration_blockers |= 1 << place

    def feature(self, name: str) -> int | None:
        """The set of one feature; None where there is no feature of that name."""
        place = self.index.get(name)
        return None if place is None else 1 << place

    def require_feature(self, name: str) -> int:
        """The set of one feature.

        :raises InternalError: there is no feature of that name.
        """
        place = self.index.get(name)
        if place is None:
            raise InternalError(f"Unknown CPU feature {name}", domain=ErrorDomain.CPU, value=name)
        return 1 << place

    def names_of(self, features: int) -> Iterator[str]:
        """The features of a set, in the map's order."""
        while features:
            lowest = features & -features
            yield self.names[lowest.bit_length() - 1]
            features ^= lowest

    def model_names(self) -> list[str]:
        """Every model, in the map's order."""
        return list(self._records)

    def models(self) -> list[X86Model]:
        """Every model, in the map's order."""
        return [self._model(name) for name in self._records]

    def model(self, name: str) -> X86Model | None:
        """A model; None where there is none of that name."""
        return self._model(name) if name in self._records else None

    def require_model(self, name: str) -> X86Model:
        """A model.

        :raises InternalError: there is none of that name.
        """
        if name not in self._records:
            raise InternalError(f"Unknown CPU model {name}", domain=ErrorDomain.CPU, value=name)
        return self._model(name)

    def canonical(self, name: str) -> str | None:
        """The versioned name of a model (``Nehalem-v1`` of ``Nehalem``); None where it has none."""
        wanted = f"alias={name}"
        for other, record in self._records.items():
            if record.partition(" ")[0] == wanted:
                return other
        return None

    def _model(self, name: str) -> X86Model:
        model = self._models.get(name)
        if model is None:
            model = self._models[name] = self._read(name, self._records[name].split())
        return model

    def _read(self, name: str, words: list[str]) -> X86Model:
        options = {}
        changes = []
        for word in words:
            key, equals, value = word.partition("=")
            if equals:
                options[key] = value
            else:
                changes.append(word)
        decode = options.get("decode", "").split(",")
        alias = options.get("alias")
        base = self._model(alias or options["like"]) if alias or "like" in options else None
        lists = _Lists()
        if base is not None:
            lists = _Lists(base.features, list(base.removed), list(base.added))
        for change in changes:
            self._apply(lists, change)
        whole = base if alias else None
        return X86Model(
            name=name,
            features=lists.own,
            vendor=options.get("vendor") if whole is None else whole.vendor,
            signatures=_signatures(options.get("signatures")) if whole is None else whole.signatures,
            decode_host="host" in decode,
            decode_guest="guest" in decode,
            removed=tuple(sorted(lists.removed)),
            added=tuple(sorted(lists.added)),
            partial_check=options.get("check") if whole is None else whole.partial_check,
            alias_of=alias,
        )

    def _apply(self, lists: _Lists, change: str) -> None:
        which, _, change = change.rpartition(":")
        sign, name = change[0], change[1:]
        if not which:
            bit = 1 << self.index[name]
            lists.own = lists.own | bit if sign == "+" else lists.own & ~bit
            return
        names = lists.removed if which == "removed" else lists.added
        if sign == "+":
            names.append(name)
        else:
            names.remove(name)


def _word(text: str) -> Word:
    place, _, register = text.partition("/")
    first, _, second = place.partition(".")
    if first == "msr":
        return Word(int(second, 16), None, register)
    return Word(int(first, 16), int(second, 16), register)


def _signatures(text: str | None) -> tuple[SignatureMatch, ...]:
    found = []
    for each in text.split(",") if text else ():
        family, model, *rest = each.split("/")
        steppings = None
        for part in rest[0].split("+") if rest else ():
            first, _, last = part.partition("-")
            steppings = (steppings or 0) | ((2 << int(last)) - (1 << int(first)))
        found.append(SignatureMatch(int(family), int(model), steppings))
    return tuple(found)


@functools.cache
def x86_map() -> X86Map:
    """The map; read when first asked for."""
    return X86Map(map_file("x86"))
