"""Whose things they are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from virtcore.driver.toolkit import DomainObject

__all__ = ["Owner", "owner_of"]


class Owner(NamedTuple):
    """A guest, as far as its things on the host go.

    :ivar short_name: its number and name, as its folders and sockets are called.
    :ivar folder: its folder for what lasts as long as it runs.
    """

    name: str
    uuid: str
    short_name: str
    folder: Path


def owner_of(obj: DomainObject, folder: Path) -> Owner:
    """A running guest.

    :param folder: its folder (see :func:`virt_qemu.guest.state_folder`).
    """
    return Owner(obj.name, obj.uuid, folder.name.removeprefix("domain-"), folder)
