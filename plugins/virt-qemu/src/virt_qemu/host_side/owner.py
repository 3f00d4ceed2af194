"""Whose things they are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from virtcore.driver.toolkit import DomainObject
    from virtcore.model.domain import Domain

__all__ = ["Owner", "owner_of"]


class Owner(NamedTuple):
    """A guest, as far as its things on the host go.

    :ivar short_name: its number and name, as its folders and sockets are called.
    :ivar folder: its folder for what lasts as long as it runs.
    :ivar domain: what it is; None where that is not known any more.
    """

    name: str
    uuid: str
    short_name: str
    folder: Path
    domain: Domain | None


def owner_of(obj: DomainObject, folder: Path, domain: Domain | None = None) -> Owner:
    """A running guest.

    :param folder: its folder (see :func:`virt_qemu.guest.state_folder`).
    :param domain: what it is, where the object does not say.
    """
    known = domain if domain is not None else obj.live
    return Owner(obj.name, obj.uuid, folder.name.removeprefix("domain-"), folder, known)
