"""What an x86 processor says of itself: CPUID leaves and MSRs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtcore.errors import ErrorDomain, InternalError
from virtcore.model.cpu.x86_map import Signature, Word, x86_map

if TYPE_CHECKING:
    from virtcore.model.cpu.cpudata import CPUData

__all__ = ["X86Data"]

_SIGNATURE = Word(1, 0, "eax")
#: The parts of the signature that count: reserved bits are left out.
_SIGNATURE_MASK = 0x0FFF3FFF
#: Where the 12 characters of the vendor are, four in each.
_VENDOR = tuple(Word(0, 0, register) for register in ("ebx", "edx", "ecx"))


class X86Data:
    """Contents of registers; what is not there is 0.

    :ivar words: register -> its 32 bits.
    """

    __slots__ = ("words",)

    def __init__(self, words: dict[Word, int] | None = None) -> None:
        self.words: dict[Word, int] = {} if words is None else dict(words)

    @classmethod
    def from_document(cls, document: CPUData) -> X86Data:
        """From a ``<cpudata>`` document."""
        from virtcore.model.cpu.cpudata import CPUDataCPUID

        data = cls()
        for item in document.items:
            if isinstance(item, CPUDataCPUID):
                index, subleaf = item.eax_in, item.ecx_in or 0
                registers = {"eax": item.eax, "ebx": item.ebx, "ecx": item.ecx, "edx": item.edx}
            else:
                index, subleaf = item.index, None
                registers = {"eax": item.eax, "edx": item.edx}
            for register, bits in registers.items():
                if bits:
                    data.add(Word(index, subleaf, register), bits)
        return data

    def add(self, word: Word, bits: int) -> None:
        """Sets bits of a register."""
        self.words[word] = self.words.get(word, 0) | bits

    def remove(self, other: X86Data) -> None:
        """Clears the bits that are set in others."""
        for word, bits in other.words.items():
            if word in self.words:
                self.words[word] &= ~bits

    def add_feature(self, name: str) -> None:
        """Sets the bit of a feature; one that no map knows is passed over."""
        place = x86_map().index.get(name)
        if place is not None:
            self.add(*x86_map().bits[place])

    def features(self) -> int:
        """The features whose bits are set."""
        found = 0
        for word, members in x86_map().words.items():
            bits = self.words.get(word, 0)
            if bits:
                for mask, feature in members:
                    if bits & mask:
                        found |= feature
        return found

    def has(self, name: str) -> bool:
        """Whether the bit of a feature is set.

        :raises InternalError: there is no feature of that name.
        """
        return bool(self.features() & x86_map().require_feature(name))

    @property
    def empty(self) -> bool:
        """No bit is set."""
        return not any(self.words.values())

    @property
    def vendor(self) -> str | None:
        """Name of the vendor; None where the map has none with these 12 characters."""
        characters = b"".join(self.words.get(word, 0).to_bytes(4, "little") for word in _VENDOR)
        for name, string in x86_map().vendors.items():
            if string.encode("ascii") == characters:
                return name
        return None

    def set_vendor(self, characters: str) -> None:
        """Sets the vendor's 12 characters.

        :raises InternalError: these are not 12.
        """
        if len(characters) != 12 or not characters.isascii():
            raise InternalError(f"Invalid CPU vendor string '{characters}'", domain=ErrorDomain.CPU, value=characters)
        for place, word in enumerate(_VENDOR):
            self.words[word] = int.from_bytes(characters[4 * place : 4 * place + 4].encode("ascii"), "little")

    @property
    def signature(self) -> Signature | None:
        """Family, model and stepping; None where leaf 1 says nothing."""
        register = self.signature_register
        return Signature.from_register(register) if register else None

    @property
    def signature_register(self) -> int:
        """The signature as leaf 1 of CPUID has it in ``eax``."""
        return self.words.get(_SIGNATURE, 0) & _SIGNATURE_MASK

    def set_signature(self, signature: Signature) -> None:
        """Sets family, model and stepping."""
        self.words[_SIGNATURE] = signature.register()
