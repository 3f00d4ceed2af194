"""Validation of a domain that is the same for every driver (``virDomainDefValidateInternal``), devices apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtcore.errors import ConfigUnsupported, InvalidArg, XMLDetail, XMLError
from virtcore.model.domain.domain import LifecycleAction
from virtcore.model.domain.os import Firmware, FirmwareFeatureName, LoaderType
from virtcore.model.domain.rules.context import DomainFeature

if TYPE_CHECKING:
    from virtcore.model.domain.domain import Domain
    from virtcore.model.domain.memory import HugePage
    from virtcore.model.domain.resources import DefaultIOThread, IOThread
    from virtcore.model.domain.rules.context import DomainContext

__all__ = [
    "validate_boot",
    "validate_cputune",
    "validate_idmap",
    "validate_iothreads",
    "validate_launch_security",
    "validate_lifecycle",
    "validate_memtune",
    "validate_numa",
    "validate_os",
    "validate_resource",
    "validate_throttle_groups",
    "validate_topology",
    "validate_tunables",
]

_UINT_MAX = (1 << 32) - 1
_PERIOD = (1000, 1000000)
_QUOTA = (1000, 17592186044415)


def validate_resource(domain: Domain, context: DomainContext) -> None:
    """Fibre Channel identity."""
    appid = domain.resource.fibrechannel_appid if domain.resource is not None else None
    if appid is None:
        return
    path = "/domain/resource/fibrechannel/@appid"
    if not all(" " <= letter <= "~" for letter in appid):
        raise XMLError("Fibre Channel 'appid' is not a printable string", path=path)
    if not 1 <= len(appid) <= 128:
        raise InvalidArg("Fibre Channel 'appid' string length must be between [1, 128]", path=path)


def validate_topology(domain: Domain, context: DomainContext) -> None:
    """The arrangement of CPUs gives a number of them."""
    topology = domain.cpu.topology if domain.cpu is not None else None
    if topology is None:
        return
    count = topology.sockets * (topology.dies or 1) * (topology.clusters or 1) * topology.cores * topology.threads
    if count > _UINT_MAX:
        raise ConfigUnsupported(f"cpu topology results in more than {_UINT_MAX} cpus", path="/domain/cpu/topology")


def validate_lifecycle(domain: Domain, context: DomainContext) -> None:
    """Dumps belong to crashes."""
    _refuse_dump("poweroff", domain.on_poweroff)
    _refuse_dump("reboot", domain.on_reboot)


def _refuse_dump(event: str, action: LifecycleAction | None) -> None:
    if action in (LifecycleAction.COREDUMP_DESTROY, LifecycleAction.COREDUMP_RESTART):
        raise ConfigUnsupported(
            f"Lifecycle event '{event}' doesn't support '{action}' action", path=f"/domain/on_{event}"
        )


def validate_memtune(domain: Domain, context: DomainContext) -> None:
    """Each cell has huge pages of one size."""
    backing = domain.memory_backing
    pages = backing.hugepages.pages if backing is not None and backing.hugepages is not None else []
    numa = domain.cpu.numa if domain.cpu is not None else None
    cells = len(numa.cells) if numa is not None else 0
    path = "/domain/memoryBacking/hugepages/page"
    master: HugePage | None = None
    owner: dict[int, HugePage] = {}
    for page in pages:
        if page.nodeset is None:
            if master is not None:
                raise XMLDetail(f"two master hugepages detected: {page.size} and {master.size}", path=path)
            master = page
            continue
        shared = next((owner[node] for node in page.nodeset if node in owner), None)
        if shared is not None:
            raise XMLDetail(
                f"nodeset attribute of hugepages of sizes {page.size} and {shared.size} intersect",
                path=f"{path}/@nodeset",
            )
        owner.update(dict.fromkeys(page.nodeset, page))
        missing = min((node for node in page.nodeset if node >= cells), default=None)
        if missing is not None:
            raise XMLDetail(f"hugepages: node {missing} not found", path=f"{path}/@nodeset")


def validate_os(domain: Domain, context: DomainContext) -> None:
    """Firmware, its variables, kernel and shim go together."""
    os = domain.os
    assert os is not None
    loader, nvram = os.loader, os.nvram
    any_loader = loader is not None or nvram is not None
    if os.firmware is not None:
        if not context.supports(DomainFeature.FW_AUTOSELECT):
            raise XMLDetail("firmware auto selection not implemented for this driver", path="/domain/os/@firmware")
        features = {feature.name: feature.enabled for feature in os.firmware_features}
        if (
            features.get(FirmwareFeatureName.ENROLLED_KEYS) is True
            and features.get(FirmwareFeatureName.SECURE_BOOT) is False
        ):
            raise XMLDetail(
                "firmware feature 'enrolled-keys' cannot be enabled when firmware feature 'secure-boot' is disabled",
                path="/domain/os/firmware",
            )
        if not any_loader:
            return
        if nvram is not None and os.firmware is not Firmware.EFI:
            raise XMLDetail(f"firmware type '{os.firmware}' does not support nvram", path="/domain/os/nvram")
    else:
        if os.firmware_features:
            raise XMLDetail(
                "cannot use feature-based firmware autoselection when firmware autoselection is disabled",
                path="/domain/os/firmware",
            )
        if not any_loader:
            return
        if loader is None or loader.path is None:
            raise XMLDetail("no loader path specified and firmware auto selection disabled", path="/domain/os/loader")
    stateless = loader.stateless if loader is not None else None
    if stateless is True:
        if nvram is not None and nvram.template is not None:
            raise XMLDetail("NVRAM template is not permitted when loader is stateless", path="/domain/os/nvram")
        if nvram is not None:
            raise XMLDetail("NVRAM is not permitted when loader is stateless", path="/domain/os/nvram")
    elif stateless is False:
        if os.firmware is None:
            if loader is not None and loader.type is not LoaderType.PFLASH:
                raise XMLDetail("Only pflash loader type permits NVRAM", path="/domain/os/loader/@type")
        elif os.firmware is not Firmware.EFI:
            raise XMLDetail("Only EFI firmware permits NVRAM", path="/domain/os/@firmware")
    if os.shim is not None and os.kernel is None:
        raise ConfigUnsupported("shim only allowed with kernel option", path="/domain/os/shim")


def validate_cputune(domain: Domain, context: DomainContext) -> None:
    """Periods and quotas within what the kernel takes."""
    tune = domain.cputune
    if tune is None:
        return
    for kind, (low, high) in (("period", _PERIOD), ("quota", _QUOTA)):
        for scope in ("", "global_", "emulator_", "iothread_"):
            name = f"{scope}{kind}"
            value = getattr(tune, name)
            if value is not None and value > 0 and not low <= value <= high:
                raise ConfigUnsupported(
                    f"Value of cputune '{name}' must be in range [{low}, {high}]", path=f"/domain/cputune/{name}"
                )


def validate_boot(domain: Domain, context: DomainContext) -> None:
    """Delays of the boot menu and before rebooting."""
    os = domain.os
    assert os is not None
    if os.bootmenu is not None and (os.bootmenu.timeout or 0) > 65535:
        raise ConfigUnsupported(
            "invalid value for boot menu timeout, must be in range [0,65535]", path="/domain/os/bootmenu/@timeout"
        )
    if os.bios is not None and not -1 <= (os.bios.reboot_timeout or 0) <= 65535:
        raise ConfigUnsupported(
            "invalid value for rebootTimeout, must be in range [-1,65535]", path="/domain/os/bios/@rebootTimeout"
        )


def validate_tunables(domain: Domain, context: DomainContext) -> None:
    """A block device has one set of I/O limits."""
    paths = set()
    for device in domain.blkiotune.devices if domain.blkiotune is not None else ():
        if device.path in paths:
            raise ConfigUnsupported(f"duplicate blkio device path '{device.path}'", path="/domain/blkiotune/device")
        paths.add(device.path)


def validate_idmap(domain: Domain, context: DomainContext) -> None:
    """Users and groups are mapped both, root included."""
    idmap = domain.idmap
    if idmap is None:
        return
    if bool(idmap.uids) != bool(idmap.gids):
        raise ConfigUnsupported("uid and gid should be mapped both", path="/domain/idmap")
    if any(entries and entries[0].start != 0 for entries in (idmap.uids, idmap.gids)):
        raise ConfigUnsupported("You must map the root user of container", path="/domain/idmap")


def validate_numa(domain: Domain, context: DomainContext) -> None:
    """Cells, caches and interconnects refer to what exists."""
    numa = domain.cpu.numa if domain.cpu is not None else None
    if numa is None:
        return
    from virtcore.model.cpu.numa import NUMALatency
    from virtcore.model.domain.memory import NUMAMode

    tune = domain.numatune
    modes = {node.cellid: node.mode for node in tune.memnodes} if tune is not None else {}
    memory = tune.memory.mode if tune is not None and tune.memory is not None else None
    for cell in numa.cells:
        if cell.id in modes:
            restricted = modes[cell.id] is NUMAMode.RESTRICTIVE
            if memory is NUMAMode.RESTRICTIVE and not restricted:
                raise XMLError(
                    "'restrictive' mode is required in memnode element when mode is 'restrictive' in memory element",
                    path="/domain/numatune/memnode/@mode",
                )
            if restricted and memory is not NUMAMode.RESTRICTIVE:
                raise XMLError(
                    "'restrictive' mode is required in memory element when mode is 'restrictive' in memnode element",
                    path="/domain/numatune/memory/@mode",
                )
        levels = set()
        for cache in cell.caches:
            if cache.level > 3:
                raise XMLError("Ain't nobody heard of that much cache level", path="/domain/cpu/numa/cell/cache/@level")
            if cache.level in levels:
                raise XMLError(
                    f"Cache level '{cache.level}' already defined", path="/domain/cpu/numa/cell/cache/@level"
                )
            levels.add(cache.level)
    path = "/domain/cpu/numa/interconnects"
    known = set()
    links = set()
    for link in numa.interconnects:
        if link.initiator >= len(numa.cells):
            raise XMLError("'initiator' refers to a non-existent NUMA node", path=path)
        if link.target >= len(numa.cells):
            raise XMLError("'target' refers to a non-existent NUMA node", path=path)
        if numa.cells[link.initiator].cpus is None:
            raise XMLError("NUMA nodes without CPUs can't be initiator", path=path)
        if link.cache and all(cache.level != link.cache for cache in numa.cells[link.target].caches):
            raise XMLError("'cache' refers to a non-existent NUMA node cache", path=path)
        key = (isinstance(link, NUMALatency), link.initiator, link.target, link.cache or 0, link.type)
        if key in known:
            raise XMLError("Duplicate info for NUMA latencies", path=path)
        if link.initiator != link.target and (link.target, link.initiator) in links:
            raise XMLError("Link already defined", path=path)
        known.add(key)
        links.add((link.initiator, link.target))


def validate_iothreads(domain: Domain, context: DomainContext) -> None:
    """Worker threads: at least one, and not fewer than the fewest."""
    pools: list[IOThread | DefaultIOThread] = [*domain.iothread_ids]
    if domain.default_iothread is not None:
        pools.append(domain.default_iothread)
    for pool in pools:
        # Unset counts as -1, as in libvirt: a minimum alone is more than no maximum.
        most = -1 if pool.thread_pool_max is None else pool.thread_pool_max
        fewest = -1 if pool.thread_pool_min is None else pool.thread_pool_min
        if most == 0:
            raise ConfigUnsupported("thread_pool_max must be a positive integer", path="/domain/iothreadids")
        if fewest > most:
            raise ConfigUnsupported(
                "thread_pool_min must be smaller or equal to thread_pool_max", path="/domain/iothreadids"
            )


def validate_launch_security(domain: Domain, context: DomainContext) -> None:
    """Lengths of what SEV-SNP takes."""
    security = domain.launch_security
    if security is None:
        return
    from virtcore.model.domain.launch_security import SEVSNP

    if not isinstance(security, SEVSNP):
        return
    for name, text, length in (
        ("guestVisibleWorkarounds", security.guest_visible_workarounds, 16),
        ("idBlock", security.id_block, 96),
        ("idAuth", security.id_auth, 4096),
        ("hostData", security.host_data, 32),
    ):
        if text is not None and (got := _base64_length(text)) != length:
            raise ConfigUnsupported(
                f"Unexpected length of '{name}', expected {length} got {got}", path=f"/domain/launchSecurity/{name}"
            )


def _base64_length(text: str) -> int:
    """Bytes that Base64 text stands for; letters outside of its alphabet do not count."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    return sum(letter in alphabet for letter in text) * 6 // 8


def validate_throttle_groups(domain: Domain, context: DomainContext) -> None:
    """I/O limits of groups, as those of disks."""
    if domain.throttle_groups:
        from virtcore.model.domain.rules.disk_validate import validate_iotune

        for group in domain.throttle_groups:
            validate_iotune(group)
