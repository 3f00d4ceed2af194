"""What storage pools of a Linux host may have beyond libvirt's own elements: options handed on as they are."""

from __future__ import annotations

from typing import ClassVar

from virtcore.errors import XMLError
from virtcore.xml import Namespace, attribute, children, element, register_namespace

__all__ = ["FS", "RBD", "MountOption", "MountOptions", "RBDOption", "RBDOptions", "register"]

FS = Namespace("fs", "http://libvirt.org/schemas/storagepool/fs/1.0", "storagepool")
RBD = Namespace("rbd", "http://libvirt.org/schemas/storagepool/rbd/1.0", "storagepool")


@element("option")
class MountOption:
    """A word behind ``mount -o``."""

    name: str = attribute(required=True, missing="no fs mount option name specified", doc="the word, as it is")


@element("mount_opts", ns=FS, since="5.1.0")
class MountOptions:
    """Further options when the file system is mounted. What they do is the user's affair."""

    pool_types: ClassVar[frozenset[str]] = frozenset(("fs", "netfs"))

    options: list[MountOption] = children()


def _require_words(option: RBDOption) -> None:
    if not option.name:
        raise XMLError("empty rbd option name specified")
    if not option.value:
        raise XMLError(f"empty rbd option value specified for name '{option.name}'")


@element("option", after_parse=_require_words)
class RBDOption:
    """A setting of librados."""

    name: str = attribute(required=True, missing="no rbd option name specified", doc="name of the setting")
    value: str = attribute(required=True, missing="no rbd option value specified for name '{@name}'", doc="its value")


@element("config_opts", ns=RBD, since="5.1.0")
class RBDOptions:
    """Settings of the client of a Ceph cluster. What they do is the user's affair."""

    pool_types: ClassVar[frozenset[str]] = frozenset(("rbd",))

    options: list[RBDOption] = children()


def register() -> None:
    """Make the elements known to every reader of pool documents. Doing it again changes nothing."""
    register_namespace(FS, MountOptions)
    register_namespace(RBD, RBDOptions)
