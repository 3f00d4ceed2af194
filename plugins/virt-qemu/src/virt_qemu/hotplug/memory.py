"""Memory that joins and leaves a running guest."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from virtcore.errors import ConfigUnsupported, VirtError
from virtcore.model.arch import Arch
from virtcore.model.domain.address import DIMMAddress
from virtcore.model.domain.memory_device import DIMM, NVDIMM, VirtioMEMTarget, VirtioPMEMTarget

if TYPE_CHECKING:
    from virt_qemu.command.memory import Module
    from virt_qemu.hotplug.session import Session
    from virtcore.model.domain import Domain

__all__ = ["check_total", "grown", "refresh_memory", "room_for"]

log = logging.getLogger(__name__)


def room_for(domain: Domain, module: Module) -> None:
    """Refuse a module that a guest has no room for (``qemuDomainDefValidateMemoryHotplug``).

    :raises ConfigUnsupported: it has not.
    """
    check_total(domain, module)
    maximum = domain.max_memory
    assert maximum is not None
    assert maximum.size is not None
    numa = domain.cpu.numa if domain.cpu is not None else None
    if domain.arch not in (Arch.PPC64, Arch.PPC64LE) and (numa is None or not numa.cells):
        raise ConfigUnsupported("At least one numa node has to be configured when enabling memory hotplug")
    present: list[Module] = list(domain.devices.memory) if domain.devices is not None else []
    slots = sum(isinstance(one, DIMM | NVDIMM) for one in (*present, module))
    if isinstance(module, DIMM | NVDIMM) and slots > (maximum.slots or 0):
        raise ConfigUnsupported(f"memory device count '{slots}' exceeds slots count '{maximum.slots or 0}'")
    plugged = sum(_size(one) for one in present)
    if plugged + _size(module) > maximum.size - (domain.memory_total - plugged):
        raise ConfigUnsupported("memory device total size exceeds hotplug space")


def check_total(domain: Domain, module: Module) -> None:
    """Refuse a module that makes a guest's memory more than it may be.

    :raises ConfigUnsupported: it does.
    """
    maximum = domain.max_memory
    if maximum is None or not maximum.size:
        raise ConfigUnsupported("cannot use/hotplug a memory device when domain 'maxMemory' is not defined")
    if domain.memory_total + _size(module) > maximum.size:
        raise ConfigUnsupported(
            f"Attaching memory device with size '{_size(module)}' would exceed domain's maxMemory config size "
            f"'{maximum.size}'"
        )


def _size(module: Module) -> int:
    return (module.target.size or 0) if module.target is not None else 0


def grown(domain: Domain, size: int) -> None:
    """The guest's memory has become more, or less, by ``size`` KiB."""
    if domain.memory is not None and domain.memory.size is not None:
        domain.memory.size += size


async def refresh_memory(session: Session) -> None:
    """Note how much memory the guest has, and where its modules are. What QEMU does not say stays as it was."""
    domain, monitor, guest = session.domain, session.monitor, session.guest
    balloon = session.devices.memballoon
    try:
        answer = None
        if balloon is not None and balloon.model != "none":
            answer = await monitor.execute("query-balloon")
        _take_places(session, await monitor.execute("query-memory-devices"))
        if isinstance(answer, dict):
            guest.balloon = int(answer["actual"]) >> 10  # type: ignore[arg-type]
        guest.tell_memory(domain)
    except VirtError as error:
        log.warning("%s: %s", session.obj.name, error)
    session.obj.touch()


def _take_places(session: Session, answer: object) -> None:
    by_alias = {module.alias: module for module in session.devices.memory}
    for row in answer if isinstance(answer, list) else ():
        data = row.get("data", {})
        module = by_alias.get(data.get("id"))
        target = module.target if module is not None else None
        if isinstance(module, DIMM | NVDIMM):
            module.address = DIMMAddress(slot=data.get("slot"), base=data.get("addr"))
        elif isinstance(target, VirtioMEMTarget | VirtioPMEMTarget):
            target.address = data.get("memaddr")
            if isinstance(target, VirtioMEMTarget):
                target.current = int(data.get("size", 0)) >> 10
