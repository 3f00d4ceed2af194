"""Enumerations that are made quickly are what :mod:`enum` makes."""

from __future__ import annotations

import copy
import enum
import pickle
import subprocess
import sys

import pytest

from virtcore import _quick_enum
from virtcore.enums import ConnectListAllDomainsFlags, DomainState


class Quick(_quick_enum.IntEnum):
    """Some numbers."""

    ONE = 1
    TWO = 2
    ALSO_TWO = 2


class Bits(_quick_enum.IntFlag):
    """Some bits."""

    A = 1
    B = 2
    BOTH = 3
    D = 8


def test_numbers() -> None:
    plain = enum.IntEnum("Quick", {"ONE": 1, "TWO": 2, "ALSO_TWO": 2})  # type: ignore[misc]
    assert isinstance(Quick, enum.EnumType)
    assert issubclass(Quick, enum.IntEnum)
    assert [(one.name, one.value, str(one), repr(one)) for one in Quick] == [
        (one.name, one.value, str(one), repr(one)) for one in plain
    ]
    assert list(Quick.__members__) == list(plain.__members__)
    assert Quick(2) is Quick.TWO is Quick["ALSO_TWO"]
    assert Quick.__doc__ == "Some numbers."
    with pytest.raises(ValueError, match="7 is not a valid Quick"):
        Quick(7)


def test_bits() -> None:
    plain = enum.IntFlag("Bits", {"A": 1, "B": 2, "BOTH": 3, "D": 8})  # type: ignore[misc]
    assert issubclass(Bits, enum.IntFlag)
    for number in range(20):
        assert repr(Bits(number)) == repr(plain(number))
        assert [one.name for one in Bits(number)] == [one.name for one in plain(number)]
    assert repr(~Bits.A) == repr(~plain(1))
    assert Bits.A | Bits.B is Bits.BOTH
    assert Bits.A in Bits.BOTH


def test_those_of_libvirt_are_made_so_and_survive_pickling() -> None:
    for one in (DomainState.PAUSED, ConnectListAllDomainsFlags.ACTIVE | ConnectListAllDomainsFlags.PAUSED):
        assert pickle.loads(pickle.dumps(one)) == one
    assert issubclass(DomainState, enum.IntEnum)


def test_a_class_is_made_when_it_is_asked_for_and_once() -> None:
    program = (
        "import threading\n"
        "from virtcore.enums import domain\n"
        "assert 'DomainState' in dir(domain) and 'DomainState' not in vars(domain)\n"
        "begin, found = threading.Barrier(8), []\n"
        "def look():\n"
        "    begin.wait()\n"
        "    found.append(domain.ConnectListAllDomainsFlags)\n"
        "threads = [threading.Thread(target=look) for _ in range(8)]\n"
        "[thread.start() for thread in threads]\n"
        "[thread.join() for thread in threads]\n"
        "assert len(found) == 8 and len(set(found)) == 1\n"
        "assert 'DomainState' not in vars(domain)\n"
        "try:\n"
        "    domain.Nothing\n"
        "except AttributeError as error:\n"
        "    assert 'Nothing' in str(error)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_python_without_that_way_makes_them_as_ever() -> None:
    program = (
        "import enum, re, pickle\n"
        "del enum._simple_enum\n"
        "from virtcore import _quick_enum\n"
        "class One(_quick_enum.IntEnum):\n"
        "    A = 1\n"
        "assert type(One) is enum.EnumType and One.__mro__[1] is enum.IntEnum\n"
        "from virtcore.enums import ConnectListAllDomainsFlags as Flags, DomainState\n"
        "print(repr(DomainState(3)), repr(Flags(3)))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[0] == f"{DomainState(3)!r} {ConnectListAllDomainsFlags(3)!r}"


class Words(_quick_enum.Enum):
    """Some words."""

    HERE = "here"
    THERE = "there"


def test_words_are_what_they_are_whatever_is_copied() -> None:
    assert [(one.name, one.value) for one in Words] == [("HERE", "here"), ("THERE", "there")]
    assert copy.deepcopy(Words.HERE) is pickle.loads(pickle.dumps(Words.HERE)) is Words.HERE
    assert repr(Words.THERE) == "<Words.THERE: 'there'>"
    assert len({*Words, Words.HERE}) == 2  # which differ
