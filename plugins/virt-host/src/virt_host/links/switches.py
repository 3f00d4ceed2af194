"""Ports of switches that are no bridges of the kernel: Open vSwitch, MidoNet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virt_host.description.program import finish_program
from virt_host.tools import tool
from virtcore.errors import InternalError
from virtcore.model.network.port import NativeVLANMode, VirtualPortType

if TYPE_CHECKING:
    from virtcore.model.network.port import VLAN, VirtualPort

__all__ = ["plug_in", "set_vlans", "unplug"]


async def plug_in(
    name: str, bridge: str, port: VirtualPort, *, mac: str, vm_uuid: str, vlan: VLAN | None = None
) -> None:
    """Make a device a port of a switch.

    :param port: which port, of a kind that a switch has.
    :param mac: the guest's MAC address.
    :param vm_uuid: the guest.
    :raises VirtError: the switch refuses it.
    """
    identifier = (port.parameters.interfaceid if port.parameters is not None else None) or ""
    if port.type is VirtualPortType.MIDONET:
        if await _run("mm-ctl", "--bind-port", identifier, name):
            raise InternalError(f"Unable to bind port {name} to the virtual port {identifier}")
        return
    profile = port.parameters.profileid if port.parameters is not None else None
    known = [f'attached-mac="{mac}"', f'iface-id="{identifier}"', f'vm-id="{vm_uuid}"']
    if profile:
        known.append(f'port-profile="{profile}"')
    words = ["--", "--if-exists", "del-port", name, "--", "add-port", bridge, name, *_vlan_words(vlan)]
    for what in (*known, "iface-status=active"):
        words += ["--", "set", "Interface", name, f"external-ids:{what}"]
    problem = await _run("ovs-vsctl", "--timeout=5", *words)
    if problem is not None:
        raise InternalError(f"Unable to add port {name} to OVS bridge {bridge}: {problem}")


async def unplug(name: str, port: VirtualPort) -> None:
    """Let a device be a port of a switch no longer.

    :raises VirtError: the switch refuses it.
    """
    if port.type is VirtualPortType.MIDONET:
        identifier = (port.parameters.interfaceid if port.parameters is not None else None) or ""
        if await _run("mm-ctl", "--unbind-port", identifier):
            raise InternalError(f"Unable to unbind the virtual port {identifier} from Midonet")
        return
    problem = await _run("ovs-vsctl", "--timeout=5", "--", "--if-exists", "del-port", name)
    if problem is not None:
        raise InternalError(f"Unable to delete port {name} from OVS: {problem}")


async def set_vlans(name: str, vlan: VLAN | None) -> None:
    """Change the VLANs of a port of Open vSwitch.

    :raises VirtError: the switch refuses it.
    """
    words = [
        word for part in ("tag", "trunk", "vlan_mode") for word in ("--", "--if-exists", "clear", "Port", name, part)
    ]
    wanted = _vlan_words(vlan)
    if wanted:
        words += ["--", "--if-exists", "set", "Port", name, *wanted]
    problem = await _run("ovs-vsctl", "--timeout=5", *words)
    if problem is not None:
        raise InternalError(f"Unable to set vlan configuration on port {name}: {problem}")


def _vlan_words(vlan: VLAN | None) -> list[str]:
    if vlan is None or not vlan.tags:
        return []
    words = []
    for tag in vlan.tags:
        if tag.native_mode is not None:
            mode = "native-tagged" if tag.native_mode is NativeVLANMode.TAGGED else "native-untagged"
            words += [f"vlan_mode={mode}", f"tag={tag.id}"]
    if vlan.trunk:
        words.append(f"trunk={','.join(str(tag.id) for tag in vlan.tags)}")
    else:
        words.append(f"tag={vlan.tags[0].id}")
    return words


async def _run(program: str, *words: str) -> str | None:
    """What a program complains of; None: of nothing."""
    _, errors, status = await finish_program([tool(program), *words])
    return errors.strip() if status else None
