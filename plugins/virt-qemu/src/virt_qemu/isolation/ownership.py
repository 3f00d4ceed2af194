"""Giving files to a guest's user and giving them back, whatever ends in between.

Former owners are remembered in extended attributes of the files, with the number of guests that use them, as libvirt
does it (``trusted.libvirt.security.*``): both see what the other has given away. Which files are a guest's is noted in
its folder before they become so.
"""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple

from virtcore.errors import InternalError, OperationInvalid, SystemError

__all__ = ["Claim", "give_back", "take"]

log = logging.getLogger(__name__)

_OWNER, _COUNT, _TIME = (f"trusted.libvirt.security.{name}" for name in ("dac", "ref_dac", "timestamp_dac"))
_UNSUPPORTED = (errno.ENOTSUP, errno.ENOSYS, errno.EPERM)
_NOTE = "owned"
#: The byte that whoever changes the attributes locks, as libvirt has it.
_LOCKED_BYTE = 1


class Claim(NamedTuple):
    """A file that is to be a guest's.

    :ivar remember: its owner gets it back; of what several guests may read nobody knows when that is.
    """

    path: str
    uid: int
    gid: int
    remember: bool = True


class _Note(NamedTuple):
    path: str
    remembered: bool


def _notes(folder: Path) -> list[_Note]:
    try:
        lines = (folder / _NOTE).read_text().splitlines()
    except FileNotFoundError:
        return []
    return [_Note(*json.loads(line)) for line in lines]


def _write(folder: Path, notes: Iterable[_Note]) -> None:
    """Note which files are a guest's."""
    text = "".join(json.dumps(note) + "\n" for note in notes)
    temporary = folder / f"{_NOTE}.new"
    temporary.write_text(text)
    temporary.rename(folder / _NOTE)


def take(folder: Path, claims: Sequence[Claim], *, remember: bool) -> None:
    """Give files to a guest.

    :param folder: the guest's.
    :param remember: remember owners, so that they can be given back.
    :raises VirtError: one cannot be given away; then none is.
    """
    before = _notes(folder)
    known = {note.path for note in before}
    wanted = [claim for claim in dict.fromkeys(claims) if claim.path not in known and os.path.lexists(claim.path)]
    if not wanted:
        return
    notes = [_Note(claim.path, remember and claim.remember) for claim in wanted]
    _write(folder, [*before, *notes])
    done: list[_Note] = []
    try:
        for claim, note in zip(wanted, notes, strict=True):
            _give(claim, note.remembered)
            done.append(note)
    except BaseException:
        for note in done:
            _restore(note)
        _write(folder, before)
        raise


def give_back(folder: Path, paths: Iterable[str] | None = None) -> None:
    """Give files back to their owners. What cannot be given back is logged.

    :param folder: the guest's.
    :param paths: only these; by default all that are the guest's.
    """
    notes = _notes(folder)
    chosen = None if paths is None else set(paths)
    rest = [] if chosen is None else [note for note in notes if note.path not in chosen]
    for note in notes:
        if chosen is None or note.path in chosen:
            _restore(note)
    if notes:
        _write(folder, rest)


@cache
def _boot_time() -> str:
    """When the host was started: what was noted before that is void."""
    with open("/proc/stat", encoding="ascii") as file:
        return next(line.split()[1] for line in file if line.startswith("btime"))


@contextmanager
def _locked(path: str) -> Iterator[None]:
    """Keep others from the attributes of a file meanwhile."""
    try:
        kind = stat.S_IFMT(os.stat(path).st_mode)
    except OSError:
        kind = 0
    if kind not in (stat.S_IFREG, stat.S_IFBLK):
        yield
        return
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        yield  # a file that nobody can write can still be given away
        return
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX, 1, _LOCKED_BYTE)
        yield
    finally:
        os.close(descriptor)


def _attribute(path: str, name: str) -> str | None:
    try:
        return os.getxattr(path, name).decode(errors="replace").rstrip("\0")
    except OSError as error:
        if error.errno in (errno.ENODATA, *_UNSUPPORTED):
            return None
        raise SystemError(f"Unable to get XATTR {name} on {path}: {error.strerror}") from None


def _count(path: str) -> int:
    """How many guests use a file."""
    value = _attribute(path, _COUNT)
    if value is None:
        return 0
    if _attribute(path, _TIME) not in (None, _boot_time()):
        _forget(path)
        return 0
    if not (value.isascii() and value.isdigit()):
        raise InternalError(f"malformed refcount {value} on {path}")
    return int(value)


def _forget(path: str) -> None:
    for name in (_COUNT, _OWNER, _TIME):
        try:
            os.removexattr(path, name)
        except OSError as error:
            if error.errno not in (errno.ENODATA, *_UNSUPPORTED):
                raise


def _give(claim: Claim, remember: bool) -> None:
    """Give one file to a guest.

    :raises VirtError: it is another's already, or cannot be given away.
    """
    path = claim.path
    with _locked(path):
        try:
            now = os.stat(path)
            if remember:
                count = _count(path) + 1
                if count > 1 and (now.st_uid, now.st_gid) != (claim.uid, claim.gid):
                    raise OperationInvalid(f"Setting different DAC user or group on {path} which is already in use")
                _remember(path, count, f"+{now.st_uid}:+{now.st_gid}")
        except OSError as error:
            raise SystemError(f"unable to stat: {path}: {error.strerror}") from None
        try:
            _chown(path, claim.uid, claim.gid)
        except BaseException:
            if remember:
                _lessen(path)
            raise


def _remember(path: str, count: int, owner: str) -> None:
    try:
        if count == 1:
            os.setxattr(path, _OWNER, owner.encode())
            os.setxattr(path, _TIME, _boot_time().encode())
        os.setxattr(path, _COUNT, str(count).encode())
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise


def _lessen(path: str) -> str | None:
    """One guest less uses a file; returns its owner when nobody does any more."""
    count = _count(path)
    if count > 1:
        os.setxattr(path, _COUNT, str(count - 1).encode())
        return None
    owner = _attribute(path, _OWNER) if count else None
    _forget(path)
    # Where nothing can be remembered it is the administrator's again.
    return owner if owner is not None else "+0:+0"


def _restore(note: _Note) -> None:
    if not note.remembered:
        return
    try:
        with _locked(note.path):
            owner = _lessen(note.path)
            if owner is not None:
                uid, gid = (int(number.removeprefix("+")) for number in owner.split(":"))
                _chown(note.path, uid, gid)
    except FileNotFoundError:
        pass  # it went with the guest
    except (OSError, ValueError, SystemError, InternalError) as error:
        if not os.path.lexists(note.path):
            return  # as above, only just now
        log.warning("cannot give back %s: %s", note.path, error)


def _chown(path: str, uid: int, gid: int) -> None:
    """Change an owner, where the file system has owners.

    :raises SystemError: it refuses.
    """
    try:
        now = os.stat(path)
        if (now.st_uid, now.st_gid) != (uid, gid):
            os.chown(path, uid, gid)
    except OSError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.ENOTSUP, errno.EPERM, errno.EROFS):
            log.info("owner of '%s' stays: %s", path, error.strerror)
            return
        raise SystemError(f"unable to set user and group to '{uid}:{gid}' on '{path}': {error.strerror}") from None
