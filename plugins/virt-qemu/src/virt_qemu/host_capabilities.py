"""What the host and its emulators offer, as XML."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from operator import is_
from pathlib import Path
from typing import TYPE_CHECKING

from virt_host.description.capabilities import changing_facts, host_capabilities as describe_host
from virt_host.description.host_uuid import host_uuid
from virt_host.description.memory import HostMemory
from virt_host.description.tree import HostTree
from virtcore.errors import InvalidArg
from virtcore.model.arch import Arch, host_arch
from virtcore.model.capabilities import (
    BaseLabel,
    Capabilities,
    FeatureToggle,
    Guest,
    GuestArch,
    GuestDomain,
    GuestFeatures,
    GuestMachine,
    MigrationFeatures,
    PageSize,
    SecurityModel,
    format_capabilities,
)
from virtcore.model.domain import OSType, VirtType

if TYPE_CHECKING:
    from virt_qemu.capabilities.model import EmulatorCapabilities
    from virtcore.enums.host import NodeSuspendTarget
    from virtcore.model.cpu.element import HostCPU
    from virtcore.runtime.launcher import Identity

__all__ = ["HostDescription", "guest_capabilities", "parse_arch"]


def parse_arch(name: str | None) -> Arch:
    """An architecture by name; the host's when none is given.

    :raises InvalidArg: there is none of that name.
    """
    if name is None:
        return host_arch()
    try:
        return Arch(name)
    except ValueError:
        raise InvalidArg(f"unknown architecture: {name}") from None


def _machines(capabilities: EmulatorCapabilities) -> list[GuestMachine]:
    found: dict[str, GuestMachine] = {}
    for machine in capabilities.accelerator("qemu").machines:
        for name, canonical in ((machine.name, None), (machine.alias, machine.name)):
            if name is not None and name not in found:
                found[name] = GuestMachine(
                    name=name, canonical=canonical, max_cpus=machine.max_cpus, deprecated=machine.deprecated
                )
    return list(found.values())


def guest_capabilities(arch: Arch, capabilities: EmulatorCapabilities) -> Guest:
    """What guests of an architecture can be, as ``<guest>``."""
    kinds = ((VirtType.QEMU, "tcg"), (VirtType.KVM, "kvm"), (VirtType.HVF, "hvf"))
    acpi = arch.is_x86 or arch in (Arch.AARCH64, Arch.LOONGARCH64)
    return Guest(
        os_type=OSType.HVM,
        arch=GuestArch(
            name=arch,
            wordsize=arch.bits,
            emulator=capabilities.binary,
            machines=_machines(capabilities),
            domains=[GuestDomain(type=kind) for kind, flag in kinds if capabilities.has(flag)],
        ),
        features=GuestFeatures(
            pae=arch is Arch.I686,
            nonpae=arch is Arch.I686,
            acpi=FeatureToggle(default=True, toggle=True) if acpi else None,
            apic=FeatureToggle(default=True, toggle=False) if arch.is_x86 else None,
            cpuselection=True,
            deviceboot=True,
            disksnapshot=FeatureToggle(default=True, toggle=False),
            external_snapshot=True,
        ),
    )


class HostDescription:
    """The capabilities document, made anew when the host or an emulator has changed.

    :param folder: where this host's UUID is kept when the hardware has none.
    :param identity: who runs guests; None: the caller.
    :param tree: where the kernel's files are.
    """

    def __init__(self, folder: Path, identity: Identity | None = None, tree: HostTree | None = None) -> None:
        self._folder = folder
        self._identity = identity
        self._tree = tree or HostTree()
        self._facts: object = None
        self._emulators: Mapping[Arch, EmulatorCapabilities] = {}
        self._text: str | None = None

    def known(
        self, emulators: Mapping[Arch, EmulatorCapabilities], sleeps: Collection[NodeSuspendTarget]
    ) -> str | None:
        """The document, if nothing has changed since it was made.

        :param emulators: what the installed ones can do; these objects do not change.
        :param sleeps: how the host can sleep.
        """
        same = list(emulators) == list(self._emulators) and all(map(is_, emulators.values(), self._emulators.values()))
        return self._text if same and self._facts == self._look(sleeps) else None

    def make(
        self,
        emulators: Mapping[Arch, EmulatorCapabilities],
        sleeps: Collection[NodeSuspendTarget],
        host_cpu: Callable[[], HostCPU | None],
    ) -> str:
        """The document anew. Reads many of the kernel's files: not for the core loop.

        :param host_cpu: the host's processor, where it is known; it stays the same.
        """
        facts = self._look(sleeps)
        text = _document(self._tree, emulators, host_uuid(self._folder), host_cpu(), self._identity, sleeps)
        self._facts, self._emulators, self._text = facts, dict(emulators), text
        return text

    def _look(self, sleeps: Collection[NodeSuspendTarget]) -> object:
        return host_uuid(self._folder), changing_facts(self._tree), set(sleeps)


def _document(
    tree: HostTree,
    emulators: Mapping[Arch, EmulatorCapabilities],
    own_uuid: str,
    cpu: HostCPU | None,
    identity: Identity | None,
    sleeps: Collection[NodeSuspendTarget],
) -> str:
    host = describe_host(tree, host_arch(), cpu=cpu, sleeps=sleeps)
    assert host.cpu is not None
    host.uuid = own_uuid
    host.cpu.pages = [PageSize(unit="KiB", size=size) for size in HostMemory(tree).page_sizes()]
    host.migration_features = MigrationFeatures(live=True, uri_transports=["tcp", "rdma"])
    host.secmodels = [SecurityModel(model="none", doi="0")]
    if identity is not None:
        label = f"+{identity.uid}:+{identity.gid}"
        labels = [BaseLabel(type=kind, label=label) for kind in ("kvm", "qemu")]
        host.secmodels.append(SecurityModel(model="dac", doi="0", base_labels=labels))
    guests = [guest_capabilities(arch, capabilities) for arch, capabilities in emulators.items()]
    return format_capabilities(Capabilities(host=host, guests=guests))
