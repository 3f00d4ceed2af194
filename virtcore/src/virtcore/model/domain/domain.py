"""``<domain>``: a virtual machine or container."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from virtcore.errors import ErrorCode
from virtcore.model.patterns import ONE_LINE
from virtcore.xml import (
    INT,
    UINT,
    UUID,
    Mode,
    attribute,
    child,
    children,
    element,
    extras,
    leaf,
    namespaces,
    scaled,
    text,
    verbatim,
)
from virtcore.xml.fields import BAD_TAG, NO_TAG

if TYPE_CHECKING:
    from virtcore.model.arch import Arch
    from virtcore.model.cpu import GuestCPU
    from virtcore.model.domain.clock import Clock
    from virtcore.model.domain.cputune import VCPU, CPUTune, VCPUMaximum
    from virtcore.model.domain.devices import Devices
    from virtcore.model.domain.features import Features
    from virtcore.model.domain.launch_security import LaunchSecurity
    from virtcore.model.domain.memory import MaxMemory, Memory, MemoryBacking, Memtune, Numatune
    from virtcore.model.domain.os import OS, OSType
    from virtcore.model.domain.resources import (
        Blkiotune,
        DefaultIOThread,
        IDMap,
        IOThread,
        Perf,
        PowerManagement,
        Resource,
        ThrottleGroup,
    )
    from virtcore.model.domain.seclabel import KeyWrap, SecurityLabel
    from virtcore.model.domain.sysinfo import Sysinfo
    from virtcore.xml import Extras

__all__ = ["Domain", "GenerationId", "LifecycleAction", "LockFailureAction", "VirtType"]

# Sizes are kept in KiB and must fit a signed 64 bit number of bytes.
_MEMORY_LIMIT = (1 << 63) - 1


class VirtType(StrEnum):
    """What runs the domain."""

    NONE = "none"
    QEMU = "qemu"
    KQEMU = "kqemu"
    KVM = "kvm"
    XEN = "xen"
    LXC = "lxc"
    UML = "uml"
    OPENVZ = "openvz"
    TEST = "test"
    VMWARE = "vmware"
    HYPERV = "hyperv"
    VBOX = "vbox"
    PHYP = "phyp"
    PARALLELS = "parallels"
    BHYVE = "bhyve"
    VZ = "vz"
    HVF = "hvf"


class LifecycleAction(StrEnum):
    """What happens to a domain when its guest powers off, reboots or crashes."""

    DESTROY = "destroy"
    RESTART = "restart"
    RENAME_RESTART = "rename-restart"
    PRESERVE = "preserve"
    COREDUMP_DESTROY = "coredump-destroy"
    COREDUMP_RESTART = "coredump-restart"


class LockFailureAction(StrEnum):
    """What happens to a domain that loses its locks."""

    DEFAULT = "default"
    POWEROFF = "poweroff"
    RESTART = "restart"
    PAUSE = "pause"
    IGNORE = "ignore"


@element("genid", empty="keep", doc="Tells the guest when it runs from a copied or older state.", since="4.4.0")
class GenerationId:
    uuid: str | None = text(
        codec=UUID, invalid="malformed genid element", code=ErrorCode.INTERNAL_ERROR, doc="Absent: to be generated."
    )


def _action(name: str, doc: str) -> LifecycleAction | None:
    """A reaction to a lifecycle event."""
    action: LifecycleAction | None = leaf(
        name, invalid="unknown {name} action: {value}", code=ErrorCode.CONFIG_UNSUPPORTED, doc=doc
    )
    return action


@element("domain", root=True, tag=frozenset(VirtType), doc="A virtual machine or container.")
class Domain:
    type: VirtType = attribute(
        required=True,
        blank=False,
        missing="missing domain type attribute",
        missing_code=ErrorCode.INTERNAL_ERROR,
        invalid="invalid domain type {value}",
        code=ErrorCode.CONFIG_UNSUPPORTED,
        doc="What runs it.",
    )
    id: int | None = attribute(codec=INT, minimum=0, when=Mode.LIVE, read=Mode.LIVE, doc="Number while it runs.")
    name: str = leaf(
        required=True, pattern=ONE_LINE, missing="", missing_code=ErrorCode.NO_NAME, doc="Unique on its host."
    )
    uuid: str | None = leaf(
        codec=UUID, invalid="malformed uuid element", code=ErrorCode.INTERNAL_ERROR, doc="Unique everywhere."
    )
    genid: GenerationId | None = child("genid", repeat="refuse", repeated="element 'genid' can only appear once")
    title: str | None = leaf(doc="One line for people.", since="0.9.10")
    description: str | None = leaf(doc="Text for people.", since="0.7.2")
    metadata: str | None = verbatim(
        doc="Whatever applications keep there, each in a namespace of its own.", since="0.9.10"
    )
    max_memory: MaxMemory | None = child("maxMemory")
    memory: Memory | None = child("memory")
    current_memory: int | None = leaf(
        "currentMemory",
        codec=scaled("KiB", limit=_MEMORY_LIMIT, xpath="./currentMemory[1]"),
        doc="Memory the guest has at the moment (balloon), in KiB.",
    )
    blkiotune: Blkiotune | None = child("blkiotune")
    memtune: Memtune | None = child("memtune")
    memory_backing: MemoryBacking | None = child("memoryBacking")
    vcpu: VCPUMaximum | None = child("vcpu")
    vcpus: list[VCPU] = children("vcpu", within="vcpus", since="2.2.0")
    iothreads: int | None = leaf(
        codec=UINT, omit=0, invalid="invalid iothreads count '{value}'", doc="Number of I/O threads.", since="1.2.8"
    )
    iothread_ids: list[IOThread] = children("iothread", within="iothreadids", since="1.2.15")
    default_iothread: DefaultIOThread | None = child("defaultiothread")
    throttle_groups: list[ThrottleGroup] = children("throttlegroup", within="throttlegroups", since="11.2.0")
    cputune: CPUTune | None = child("cputune")
    numatune: Numatune | None = child("numatune", repeat="refuse", repeated="only one numatune is supported")
    resource: Resource | None = child("resource", repeat="refuse", repeated="only one resource element is supported")
    sysinfo: list[Sysinfo] = children(
        "sysinfo",
        tag="@type",
        missing=NO_TAG,
        invalid=BAD_TAG,
    )
    bootloader: str | None = leaf(doc="Program on the host that chooses kernel and initrd (Xen).")
    bootloader_args: str | None = leaf(shown=lambda self: self.bootloader is not None, doc="Its arguments.")
    os: OS | None = child("os")
    idmap: IDMap | None = child("idmap")
    features: Features | None = child("features")
    cpu: GuestCPU | None = child("cpu")
    clock: Clock | None = child("clock")
    on_poweroff: LifecycleAction | None = _action("on_poweroff", "When the guest powers off; destroy by default.")
    on_reboot: LifecycleAction | None = _action("on_reboot", "When the guest reboots; restart by default.")
    on_crash: LifecycleAction | None = _action("on_crash", "When the guest crashes; destroy by default.")
    on_lockfailure: LockFailureAction | None = leaf(
        omit=LockFailureAction.DEFAULT,
        invalid="unknown on_lockfailure action: {value}",
        code=ErrorCode.CONFIG_UNSUPPORTED,
        doc="When it loses its locks.",
        since="1.0.0",
    )
    pm: PowerManagement | None = child("pm")
    perf: Perf | None = child("perf")
    devices: Devices | None = child("devices")
    seclabels: list[SecurityLabel] = children("seclabel")
    keywrap: KeyWrap | None = child("keywrap")
    launch_security: LaunchSecurity | None = child(
        "launchSecurity",
        tag="@type",
        missing=NO_TAG,
        invalid=BAD_TAG,
    )
    hypervisor: list[object] = namespaces(point="domain", doc="What plugins add, in namespaces of their own.")
    extra: Extras = extras()

    @property
    def arch(self) -> Arch | None:
        """Architecture of the guest's processors (``<os><type arch=…>``)."""
        return self.os.type.arch if self.os is not None and self.os.type is not None else None

    @property
    def os_type(self) -> OSType | None:
        """Kind of guest (the text of ``<os><type>``)."""
        return self.os.type.type if self.os is not None and self.os.type is not None else None

    @property
    def machine(self) -> str | None:
        """Machine type (``<os><type machine=…>``)."""
        return self.os.type.machine if self.os is not None and self.os.type is not None else None

    @property
    def vcpu_maximum(self) -> int:
        """Most vCPUs the guest can have (the text of ``<vcpu>``)."""
        return 1 if self.vcpu is None else self.vcpu.maximum

    @property
    def vcpu_count(self) -> int:
        """vCPUs online at boot."""
        if self.vcpus:
            return sum(vcpu.enabled for vcpu in self.vcpus)
        if self.vcpu is None or self.vcpu.current is None:
            return self.vcpu_maximum
        return self.vcpu.current

    @property
    def memory_total(self) -> int:
        """Memory at boot with memory devices, in KiB."""
        return 0 if self.memory is None or self.memory.size is None else self.memory.size
