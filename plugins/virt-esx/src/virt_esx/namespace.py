"""What vSphere knows of a machine beyond libvirt's own elements, in the namespace ``vmware``."""

from __future__ import annotations

from virtcore.xml import Namespace, element, register_namespace, text

__all__ = ["VMWARE", "DatacenterPath", "ManagedObject", "register"]

VMWARE = Namespace("vmware", "http://libvirt.org/schemas/domain/vmware/1.0", "domain")


@element("datacenterpath", ns=VMWARE)
class DatacenterPath:
    """Where in vCenter's inventory the machine's datacenter is, folders separated by slashes."""

    path: str | None = text()


@element("moref", ns=VMWARE)
class ManagedObject:
    """Reference to the machine as a managed object, such as ``vm-29145``."""

    reference: str | None = text()


def register() -> None:
    """Make the elements known to every reader of domain documents. Doing it again changes nothing."""
    register_namespace(VMWARE, DatacenterPath, ManagedObject)
