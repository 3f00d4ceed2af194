"""Virtual fibre channel adapters (NPIV): made and removed by what is written to files of the adapter they are on."""

from __future__ import annotations

from virt_host.nodedev.kernel_device import HostFiles
from virt_host.nodedev.kinds.scsi import FC_HOSTS, SCSI_HOSTS
from virtcore.errors import OperationInvalid, SystemError

__all__ = ["CREATE", "DELETE", "find_adapter", "manage_vport"]

_BUS = "/sys/bus/scsi/devices"
CREATE, DELETE = "vport_create", "vport_delete"


def manage_vport(files: HostFiles, host: int, operation: str, wwnn: str, wwpn: str) -> None:
    """Make or remove a virtual adapter.

    :param host: number of the SCSI host it is on.
    :param operation: :data:`CREATE` or :data:`DELETE`.
    :raises OperationInvalid: that host has none.
    :raises SystemError: the kernel refuses.
    """
    paths = [f"{hosts}/host{host}/{operation}" for hosts in (FC_HOSTS, SCSI_HOSTS)]
    path = next((path for path in paths if files.exists(path)), None)
    if path is None:
        raise OperationInvalid(f"vport operation '{operation}' is not supported for host{host}")
    name = f"{wwpn}:{wwnn}"
    try:
        with open(files.real(path), "w", encoding="ascii") as file:
            file.write(name)
    except OSError as error:
        raise SystemError(
            f"Write of '{name}' to '{path}' during vport create/delete failed: {error.strerror}"
        ) from None


def find_adapter(files: HostFiles, wwnn: str, wwpn: str) -> str | None:
    """Folder in sysfs of the SCSI host of an adapter; None where there is none."""
    for name in files.entries(FC_HOSTS):
        said = [files.text(f"{FC_HOSTS}/{name}/{file}") for file in ("node_name", "port_name")]
        if [None if text is None else text.strip().removeprefix("0x") for text in said] == [wwnn, wwpn]:
            return f"{_BUS}/{name}"
    return None
