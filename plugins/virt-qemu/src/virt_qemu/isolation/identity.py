"""Who runs guests."""

from __future__ import annotations

import grp
import os
import pwd

from virtcore.errors import InvalidArg
from virtcore.runtime.launcher import Identity

__all__ = ["group_number", "guest_identity", "helper_identity", "identity_of", "user_number"]

#: Names of the users and groups that distributions have for guests, the first that exists counts.
_GUESTS = ("libvirt-qemu", "qemu")
_TPMS = ("swtpm", "tss")


def user_number(name: str) -> int:
    """Number of a user.

    :param name: a name, or a number, which is one for sure with ``+`` before it.
    :raises InvalidArg: there is no such user.
    """
    if not name.startswith("+"):
        try:
            return pwd.getpwnam(name).pw_uid
        except KeyError:
            pass
    return _number(name, "user")


def group_number(name: str) -> int:
    """Number of a group; see :func:`user_number`.

    :raises InvalidArg: there is no such group.
    """
    if not name.startswith("+"):
        try:
            return grp.getgrnam(name).gr_gid
        except KeyError:
            pass
    return _number(name, "group")


def _number(name: str, what: str) -> int:
    digits = name.removeprefix("+")
    if not (digits.isascii() and digits.isdigit()) or int(digits) > 0xFFFFFFFE:
        raise InvalidArg(f"Failed to parse {what} '{name}'")
    return int(digits)


def identity_of(uid: int, gid: int) -> Identity:
    """A user with a group and the groups that the user is in."""
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        return Identity(uid, gid, (gid,))
    return Identity(uid, gid, tuple(os.getgrouplist(name, gid)))


def guest_identity(user: str | None, group: str | None, *, isolated: bool) -> Identity | None:
    """Who runs guests; None: we.

    :param user: as ``qemu.conf`` has it.
    :param isolated: guests have a user of their own where nothing is said.
    :raises InvalidArg: there is no such user or group.
    """
    if os.geteuid() != 0:
        return None
    if user is None and group is None:
        return _first(_GUESTS) if isolated else None
    default = _first(_GUESTS)
    uid = user_number(user) if user is not None else default.uid if default is not None else 0
    if group is not None:
        gid = group_number(group)
    elif user is not None:
        try:
            gid = pwd.getpwuid(uid).pw_gid
        except KeyError:
            gid = uid
    else:
        gid = default.gid if default is not None else 0
    return identity_of(uid, gid)


def helper_identity(user: str | None, group: str | None, *, isolated: bool) -> Identity | None:
    """Who runs emulated TPMs; None: we.

    :param isolated: guests do not run as we do.
    :raises InvalidArg: there is no such user or group.
    """
    if os.geteuid() != 0 or (user is None and group is None and not isolated):
        return None
    default = _first(_TPMS)
    uid = user_number(user) if user is not None else default.uid if default is not None else 0
    gid = group_number(group) if group is not None else default.gid if default is not None else 0
    return identity_of(uid, gid) if uid or gid else None


def _first(names: tuple[str, ...]) -> Identity | None:
    for name in names:
        try:
            found = pwd.getpwnam(name)
        except KeyError:
            continue
        try:
            gid = grp.getgrnam(name).gr_gid
        except KeyError:
            gid = found.pw_gid
        return Identity(found.pw_uid, gid, tuple({gid, *os.getgrouplist(name, found.pw_gid)}))
    return None
