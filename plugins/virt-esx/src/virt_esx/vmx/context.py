"""What a VMX file does not say itself: what its file names mean, where the machine is in the inventory."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from virtcore.errors import InternalError

if TYPE_CHECKING:
    from virtcore.model.domain.controller import SCSIControllerModel
    from virtcore.model.domain.disk import Disk

__all__ = ["DESKTOP_HARDWARE_VERSION", "DatastoreFiles", "FileNames", "VMXContext"]

DESKTOP_HARDWARE_VERSION = 7
"""Version of the virtual hardware that is written for VMware Workstation, Player and Fusion."""

_VOLUMES = "/vmfs/volumes/"
_SEPARATORS = "/\\"
_DATASTORE_PATH = re.compile(r"\[([^\]]+)\] *(.+)", re.DOTALL)


class FileNames:
    """How file names of a VMX file become those of domain XML and back. This one leaves them alone: VMware Desktop."""

    def read(self, name: str, *, optional: bool) -> str | None:
        """The path domain XML has for a name of a VMX file.

        :param optional: a removable medium, which may be missing.
        :return: None where it is missing.
        :raises InternalError: the name means nothing, or what has to be there is missing.
        """
        return name

    def write(self, path: str) -> str:
        """The name a VMX file has for a path of domain XML.

        :raises InternalError: the path means nothing.
        """
        return path


@dataclass(slots=True)
class DatastoreFiles(FileNames):
    """File names on ESX, GSX and vCenter: files are in datastores, domain XML has them as ``[datastore] path``.

    Absolute paths elsewhere stay as they are.

    :param datastore: name of the datastore the VMX file is in.
    :param directory: its directory there; bare file names are relative to it. Empty: the top.
    :param mounts: where the host has datastores mounted to their names, as ``/vmfs/volumes/4980...`` or, on Windows,
        ``C:\\Virtual Machines``. Other paths below ``/vmfs/volumes`` have the datastore's name as their next part.
    :param exists: whether there is such a datastore, and the path in it.
    """

    datastore: str
    directory: str = ""
    mounts: Mapping[str, str] = field(default_factory=dict)
    exists: Callable[[str, str], bool] = lambda datastore, path: True

    def read(self, name: str, *, optional: bool) -> str | None:
        if "/" not in name and "\\" not in name:
            return f"[{self.datastore}] {self.directory}/{name}" if self.directory else f"[{self.datastore}] {name}"
        for mount, datastore in self.mounts.items():
            rest = name.removeprefix(mount.rstrip(_SEPARATORS))
            if rest != name and rest.startswith(tuple(_SEPARATORS)):
                return f"[{datastore}] {rest.lstrip(_SEPARATORS).replace(chr(92), '/')}"
        if name.startswith(_VOLUMES):
            return self._below_volumes(name, optional=optional)
        if name.startswith("/"):
            return name
        raise InternalError(f"Could not handle file name '{name}'", value=name)

    def _below_volumes(self, name: str, *, optional: bool) -> str | None:
        datastore, _, path = name.removeprefix(_VOLUMES).lstrip("/").partition("/")
        if not datastore or not path:
            raise InternalError(
                f"File name '{name}' doesn't have expected format '/vmfs/volumes/<datastore>/<path>'", value=name
            )
        if self.exists(datastore, path):
            return f"[{datastore}] {path}"
        if optional:
            return None
        raise InternalError(f"File name '{name}' refers to non-existing datastore '{datastore}'", value=name)

    def write(self, path: str) -> str:
        if path.startswith("/"):
            return path
        if not path.startswith("["):
            raise InternalError(f"Could not handle file name '{path}'", value=path)
        found = _DATASTORE_PATH.fullmatch(path)
        if found is None:
            raise InternalError(
                f"Datastore path '{path}' doesn't have expected format '[<datastore>] <path>'", value=path
            )
        datastore, rest = found.groups()
        mount = next((mount for mount, name in self.mounts.items() if name == datastore), f"{_VOLUMES}{datastore}")
        separator = "\\" if "\\" in mount else "/"
        return f"{mount.rstrip(separator)}{separator}{rest.replace('/', separator)}"


@dataclass(slots=True, kw_only=True)
class VMXContext:
    """What is known beside the text of a VMX file.

    :param files: what its file names mean.
    :param datacenter_path: where the machine's datacenter is in vCenter's inventory.
    :param moref: vSphere's reference to the machine.
    :param scsi_model: the kind of adapter a disk's image was made for, where the domain leaves it to us
        (``model='auto'``); None: nobody can tell.
    """

    files: FileNames = field(default_factory=FileNames)
    datacenter_path: str | None = None
    moref: str | None = None
    scsi_model: Callable[[Disk], SCSIControllerModel] | None = None
