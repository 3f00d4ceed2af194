"""What a container may use of the host: ``lxc.cgroup.*``."""

from __future__ import annotations

from virt_lxc.config.settings import LXCSettings, parse_number, parse_size, split
from virtcore.errors import InternalError, InvalidArg
from virtcore.model.domain.cputune import CPUTune
from virtcore.model.domain.domain import Domain
from virtcore.model.domain.memory import MEMORY_UNLIMITED, Memory, Memtune, NUMAMemory, NUMAMode, Numatune
from virtcore.model.domain.resources import BlkioDevice, Blkiotune
from virtcore.xml import CPU_SET, LONG, CpuSet, number

__all__ = ["read_blkiotune", "read_cpuset", "read_cputune", "read_memtune"]

# Negative numbers count from the other end, as C reads them.
_UINT = number(32, wraps=True)
_ULONG = number(64, wraps=True)
_BLKIO = "lxc.cgroup.blkio."
# Limits of block devices by the name of the field, with how they are read and what libvirt's errors call them.
_LIMITS = {
    "device_weight": ("weight", _UINT, "device weight"),
    "throttle.read_bps_device": ("read_bytes_sec", _ULONG, "read_bps_device"),
    "throttle.write_bps_device": ("write_bytes_sec", _ULONG, "write_bps_device"),
    "throttle.read_iops_device": ("read_iops_sec", _UINT, "read_iops_device"),
    "throttle.write_iops_device": ("write_iops_sec", _UINT, "write_iops_device"),
}


def read_memtune(settings: LXCSettings, domain: Domain) -> None:
    """Limits of memory; the hard one is the container's memory."""
    sizes = []
    for name in ("limit_in_bytes", "soft_limit_in_bytes", "memsw.limit_in_bytes"):
        written = settings.get(f"lxc.cgroup.memory.{name}")
        sizes.append(parse_size(written) // 1024 if written is not None else None)
    if sizes[0] is not None:
        domain.memory = Memory(size=sizes[0])
    hard, soft, swap = (size if size is None or size < MEMORY_UNLIMITED else None for size in sizes)
    if (hard, soft, swap) != (None, None, None):
        domain.memtune = Memtune(hard_limit=hard, soft_limit=soft, swap_hard_limit=swap)


def read_cputune(settings: LXCSettings, domain: Domain) -> None:
    """Share and quota of processor time."""
    tune = CPUTune()
    for name, attribute, codec in (
        ("shares", "shares", _ULONG),
        ("cfs_quota_us", "quota", LONG),
        ("cfs_period_us", "period", _ULONG),
    ):
        written = settings.get(f"lxc.cgroup.cpu.{name}")
        if written is not None:
            setattr(tune, attribute, parse_number(written, codec, "failed to parse integer"))
    if tune != CPUTune():
        domain.cputune = tune


def read_cpuset(settings: LXCSettings, domain: Domain) -> None:
    """Processors and memory nodes of the host."""
    cpus = settings.get("lxc.cgroup.cpuset.cpus")
    if cpus is not None:
        assert domain.vcpu is not None
        domain.vcpu.cpuset = _bitmap(cpus)
    nodes = settings.get("lxc.cgroup.cpuset.mems")
    if nodes is not None:
        domain.numatune = Numatune(memory=NUMAMemory(mode=NUMAMode.STRICT, nodeset=_bitmap(nodes)))


def _bitmap(text: str) -> CpuSet:
    try:
        return CPU_SET.read(text)
    except ValueError:
        raise InvalidArg(f"Failed to parse bitmap '{text}'", value=text) from None


def read_blkiotune(settings: LXCSettings, domain: Domain) -> None:
    """Weights and limits of block I/O. Devices are named by their numbers."""
    weight = settings.get(f"{_BLKIO}weight")
    tune = Blkiotune(weight=parse_number(weight, _UINT, "failed to parse integer") if weight is not None else None)
    devices: dict[str, BlkioDevice] = {}
    for name, value in settings.each(_BLKIO):
        setting = name.removeprefix(_BLKIO)
        if setting == "weight":
            continue
        words = split(value)
        if len(words) < 2:
            raise InternalError(f"invalid {name} value: '{value}'", value=value)
        if setting in _LIMITS:
            attribute, codec, what = _LIMITS[setting]
            path = f"/dev/block/{words[0]}"
            device = devices.setdefault(path, BlkioDevice(path=path))
            setattr(device, attribute, parse_number(words[1], codec, f"failed to parse {what}") or None)
    # A device without any limit says nothing.
    tune.devices = [device for device in devices.values() if device != BlkioDevice(path=device.path)]
    if tune.weight or tune.devices:
        domain.blkiotune = tune
