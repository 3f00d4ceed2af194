"""Which devices a group of the second version may open: a program in the kernel that looks them up in a table.

The kernel keeps both as long as the group is there. Whoever comes to it later finds the table by the program.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntFlag
from functools import cache
from pathlib import Path
from typing import Final

from virtcore.errors import SystemError

__all__ = ["ANY", "Access", "DeviceTable", "are_guarded"]

ANY: Final = 0xFFFFFFFF
"""The minor number that stands for all."""

#: Number of the system call, by machine.
_CALLS: Final = {"x86_64": 321, "aarch64": 280, "riscv64": 280, "loongarch64": 280, "ppc64le": 361, "s390x": 351}
_MAP_CREATE, _MAP_UPDATE, _MAP_DELETE = 0, 2, 3
_PROG_LOAD, _PROG_ATTACH = 5, 8
_PROG_FD, _MAP_FD, _INFO, _PROG_QUERY = 13, 14, 15, 16
_HASH, _GROUP_DEVICE, _ATTACH_DEVICE, _AMONG_OTHERS = 1, 15, 6, 2
_ENTRIES: Final = 4096
_PROGRAMS: Final = 64
_NAME: Final = b"virtcore_dev"
_KEY: Final = "=III"


class Access(IntFlag):
    """What is done with a device, as the kernel counts it."""

    MKNOD = 1
    READ = 2
    WRITE = 4

    @classmethod
    def parse(cls, letters: str) -> Access:
        """What ``rwm`` stand for."""
        return cls(sum({"m": cls.MKNOD, "r": cls.READ, "w": cls.WRITE}[letter] for letter in set(letters)))


@cache
def _library() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _call(command: int, attributes: bytes) -> tuple[int, bytes]:
    """The system call; returns its result and what it has made of the attributes.

    :raises OSError: the kernel refuses it.
    """
    number = _CALLS.get(os.uname().machine)
    if number is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    library = _library()
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    result = library.syscall(number, command, buffer, len(attributes))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result, buffer.raw


def _instruction(code: int, to: int = 0, of: int = 0, offset: int = 0, value: int = 0) -> bytes:
    return struct.pack("=BBhi", code, to | of << 4, offset, value)


def _program(table: int) -> bytes:
    """Instructions: r1 points to the kind with the access wanted in its upper half, and the device's numbers.

    :param table: descriptor of the table: kind, major and minor number -> the access that is allowed.
    """
    look_up = [
        _instruction(0xBF, 2, 10),  # r2 = frame pointer
        _instruction(0x07, 2, value=-12),  # r2 -= 12: the key
        _instruction(0x18, 1, 1, value=table),
        _instruction(0),  # second half
        _instruction(0x85, value=1),  # r0 = entry, or nothing
    ]
    compare = [
        _instruction(0x61, 1, 0),  # r1 = *r0
        _instruction(0xBF, 2, 7),
        _instruction(0x5F, 2, 1),  # r2 = wanted & allowed
    ]
    return b"".join(
        (
            _instruction(0xBF, 6, 1),  # r6 = r1
            _instruction(0x61, 2, 6, 0),
            _instruction(0xBF, 7, 2),
            _instruction(0x77, 7, value=16),  # r7 = the access that is wanted
            _instruction(0x57, 2, value=0xFFFF),
            _instruction(0x63, 10, 2, -12),  # key: the kind,
            _instruction(0x61, 2, 6, 4),
            _instruction(0x63, 10, 2, -8),  # the major number,
            _instruction(0x61, 2, 6, 8),
            _instruction(0x63, 10, 2, -4),  # the minor number
            *look_up,
            _instruction(0x15, 0, offset=4),  # nothing: see for all minor numbers
            *compare,
            _instruction(0x1D, 2, 7, 13),  # all of it: yes
            _instruction(0x62, 10, offset=-4, value=-1),
            *look_up,
            _instruction(0x15, 0, offset=4),  # nothing: no
            *compare,
            _instruction(0x1D, 2, 7, 2),
            _instruction(0xB7, 0, value=0),
            _instruction(0x95),
            _instruction(0xB7, 0, value=1),
            _instruction(0x95),
        )
    )


def _make_table() -> int:
    return _call(_MAP_CREATE, struct.pack("=IIIIIII16s", _HASH, 12, 4, _ENTRIES, 0, 0, 0, _NAME))[0]


def _load(table: int) -> int:
    code, license = ctypes.create_string_buffer(_program(table)), ctypes.create_string_buffer(b"GPL")
    count = (len(code) - 1) // 8
    where = ctypes.addressof(code), ctypes.addressof(license)
    return _call(_PROG_LOAD, struct.pack("=IIQQIIQII16s", _GROUP_DEVICE, count, *where, 0, 0, 0, 0, 0, _NAME))[0]


@contextmanager
def _closing(descriptor: int) -> Iterator[int]:
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@cache
def are_guarded(mount: Path) -> bool:
    """Whether the kernel lets us say which devices groups of the second version may open.

    :param mount: where they are.
    """
    try:
        with _opened(mount) as top, _closing(_make_table()) as table, _closing(_load(table)):
            _programs(top)
            return True
    except OSError:
        return False


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    with _closing(os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)) as group:
        yield group


def _programs(group: int) -> list[int]:
    """Numbers of the programs that look at what a group opens."""
    numbers = (ctypes.c_uint32 * _PROGRAMS)()
    query = struct.pack("=IIIIQII", group, _ATTACH_DEVICE, 0, 0, ctypes.addressof(numbers), _PROGRAMS, 0)
    count = struct.unpack("=IIIIQII", _call(_PROG_QUERY, query)[1])[5]
    return list(numbers)[:count]


class DeviceTable:
    """The devices of one group.

    :param folder: the group's.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def deny_all(self) -> None:
        """Let it open nothing; asked for again, nothing changes.

        :raises SystemError: the kernel refuses it.
        """
        try:
            with _opened(self._folder) as group:
                if self._find(group) is None:
                    with _closing(_make_table()) as table, _closing(_load(table)) as program:
                        _call(_PROG_ATTACH, struct.pack("=IIII", group, program, _ATTACH_DEVICE, _AMONG_OTHERS))
        except OSError as error:
            raise SystemError(f"Unable to guard the devices of '{self._folder}': {error.strerror}") from None

    def allow(self, kind: str, major: int, minor: int, access: Access) -> None:
        """Let it open a device.

        :param kind: ``c`` or ``b``.
        :param minor: :data:`ANY` for all.
        :raises SystemError: the kernel refuses it.
        """
        self._change(_MAP_UPDATE, kind, major, minor, access)

    def deny(self, kind: str, major: int, minor: int) -> None:
        """Let it open a device no more.

        :raises SystemError: the kernel refuses it.
        """
        self._change(_MAP_DELETE, kind, major, minor, None)

    def _change(self, command: int, kind: str, major: int, minor: int, access: Access | None) -> None:
        key = ctypes.create_string_buffer(struct.pack(_KEY, 1 if kind == "b" else 2, major, minor), 12)
        value = ctypes.create_string_buffer(struct.pack("=I", access or 0), 4)
        try:
            with _opened(self._folder) as group:
                table = self._find(group)
                if table is None:
                    raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
                with _closing(table):
                    where = ctypes.addressof(key), 0 if access is None else ctypes.addressof(value)
                    _call(command, struct.pack("=IIQQQ", table, 0, *where, 0))
        except OSError as error:
            if access is None and error.errno == errno.ENOENT:
                return  # it was not allowed
            raise SystemError(f"Unable to change the devices of '{self._folder}': {error.strerror}") from None

    def _find(self, group: int) -> int | None:
        """A descriptor of the table of our program in a group; None without one."""
        for number in _programs(group):
            with _closing(_call(_PROG_FD, struct.pack("=III", number, 0, 0))[0]) as program:
                tables = (ctypes.c_uint32 * 1)()
                info = ctypes.create_string_buffer(bytes(52) + struct.pack("=IQ", 1, ctypes.addressof(tables)), 80)
                _call(_INFO, struct.pack("=IIQ", program, len(info), ctypes.addressof(info)))
                if info.raw[64:80].rstrip(b"\0") == _NAME:
                    return _call(_MAP_FD, struct.pack("=III", tables[0], 0, 0))[0]
        return None
