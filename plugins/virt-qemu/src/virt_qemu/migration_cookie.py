"""``<qemu-migration>``: what the two sides of a migration tell each other about a guest beside its memory."""

from __future__ import annotations

from copy import copy, deepcopy
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

from virt_qemu.live_cpu import cpu_beside
from virt_qemu.private_data import register
from virtcore.errors import ErrorCode, InternalError
from virtcore.model.cpu.element import GuestCPU
from virtcore.model.domain.domain import Domain
from virtcore.model.domain.graphics import AddressListen, GraphicsType, NetworkListen, SpiceGraphics
from virtcore.model.network.port import VirtualPortType
from virtcore.xml import INT, LONG, UINT, ULONG, UUID, YES_NO, Mode, attribute, child, children, element, leaf

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from virt_qemu.rules import QemuRules
    from virt_qemu.rules.audio import HostAudio
    from virt_qemu.status import TemporaryBitmap
    from virtcore.model.domain.rules.context import DomainContext

__all__ = [
    "CookieFeature",
    "MigrationCookie",
    "automatic_of",
    "bitmap_mapping",
    "cookie_of",
    "format_cookie",
    "load_cookie",
]

_MODE = Mode.SECURE | Mode.INACTIVE | Mode.MIGRATABLE


class CookieFeature(StrEnum):
    """Parts of a cookie; what a side names in ``<feature>`` the other has to know."""

    GRAPHICS = "graphics"
    LOCKSTATE = "lockstate"
    PERSISTENT = "persistent"
    NETWORK = "network"
    NBD = "nbd"
    STATISTICS = "statistics"
    MEMORY_HOTPLUG = "memory-hotplug"
    CPU_HOTPLUG = "cpu-hotplug"
    CPU = "cpu"
    ALLOW_REBOOT = "allowReboot"
    CAPABILITIES = "capabilities"
    BLOCK_DIRTY_BITMAPS = "block-dirty-bitmaps"


#: Those without content: they are only ever demanded.
_DEMANDS = (CookieFeature.MEMORY_HOTPLUG, CookieFeature.CPU_HOTPLUG)


class MigrationCapability(StrEnum):
    """Capabilities of QEMU's migration that libvirt knows, in its order."""

    XBZRLE = "xbzrle"
    AUTO_CONVERGE = "auto-converge"
    RDMA_PIN_ALL = "rdma-pin-all"
    EVENTS = "events"
    POSTCOPY_RAM = "postcopy-ram"
    COMPRESS = "compress"
    PAUSE_BEFORE_SWITCHOVER = "pause-before-switchover"
    LATE_BLOCK_ACTIVATE = "late-block-activate"
    MULTIFD = "multifd"
    DIRTY_BITMAPS = "dirty-bitmaps"
    RETURN_PATH = "return-path"
    ZERO_COPY_SEND = "zero-copy-send"
    POSTCOPY_PREEMPT = "postcopy-preempt"
    SWITCHOVER_ACK = "switchover-ack"
    MAPPED_RAM = "mapped-ram"


@element("feature")
class DemandedFeature:
    """A feature without which the other side must not go on."""

    name: str = attribute(required=True, missing="missing feature name", missing_code=ErrorCode.INTERNAL_ERROR)


@element("cert")
class CookieCertificate:
    """A part of the certificate of the display's server."""

    info: str | None = attribute(doc="subject")
    value: str | None = attribute(doc="its text")


@element("graphics")
class CookieGraphics:
    """Where clients of the display are to go."""

    type: GraphicsType = attribute(
        required=True,
        missing="missing type attribute in migration data",
        invalid="unknown graphics type {value}",
        code=ErrorCode.INTERNAL_ERROR,
    )
    port: int = attribute(
        codec=INT,
        required=True,
        missing="missing port attribute in migration data",
        invalid="missing port attribute in migration data",
        code=ErrorCode.INTERNAL_ERROR,
    )
    listen: str = attribute(
        required=True, missing="missing listen attribute in migration data", code=ErrorCode.INTERNAL_ERROR
    )
    tls_port: int | None = attribute(
        "tlsPort",
        codec=INT,
        only={"type": (GraphicsType.SPICE,)},
        invalid="missing tlsPort attribute in migration data",
        code=ErrorCode.INTERNAL_ERROR,
        doc="-1: none",
    )
    certificate: CookieCertificate | None = child("cert")


@element("lockstate")
class CookieLockState:
    """Leases that the lock manager hands over."""

    driver: str = attribute(
        required=True, missing="Missing lock driver name in migration cookie", missing_code=ErrorCode.INTERNAL_ERROR
    )
    leases: str | None = leaf()


@element("interface")
class CookieInterface:
    """What a virtual port of an interface keeps."""

    index: int | None = attribute(codec=UINT, doc="which of the guest's interfaces")
    port_type: VirtualPortType | None = attribute(
        "vporttype",
        required=True,
        missing="missing vporttype attribute in migration data",
        missing_code=ErrorCode.INTERNAL_ERROR,
    )
    data: str | None = leaf("portdata")


@element("disk")
class CookieDisk:
    """A disk that is copied along."""

    target: str = attribute(required=True, missing="Malformed disk target", missing_code=ErrorCode.INTERNAL_ERROR)
    capacity: int = attribute(
        codec=ULONG,
        required=True,
        missing="Malformed disk capacity: '<null>'",
        invalid="Malformed disk capacity: '{value}'",
        code=ErrorCode.INTERNAL_ERROR,
        doc="in bytes",
    )


@element("nbd", empty="keep")
class CookieNBD:
    """The server that disks are copied to."""

    port: int | None = attribute(
        codec=INT, omit=0, invalid="Malformed nbd port '{value}'", code=ErrorCode.INTERNAL_ERROR
    )
    disks: list[CookieDisk] = children("disk")


@element("statistics")
class CookieStatistics:
    """How the migration went. Times in ms, memory and disks in bytes, rates in bytes a second."""

    started: int | None = leaf(codec=ULONG)
    stopped: int | None = leaf(codec=ULONG)
    sent: int | None = leaf(codec=ULONG)
    delta: int | None = leaf(codec=LONG, doc="between the hosts' clocks")
    time_elapsed: int | None = leaf("time_elapsed", codec=ULONG)
    downtime: int | None = leaf(codec=ULONG)
    setup_time: int | None = leaf("setup_time", codec=ULONG)
    memory_total: int | None = leaf("memory_total", codec=ULONG)
    memory_processed: int | None = leaf("memory_processed", codec=ULONG)
    memory_remaining: int | None = leaf("memory_remaining", codec=ULONG)
    memory_bps: int | None = leaf("memory_bps", codec=ULONG)
    memory_constant: int | None = leaf("memory_constant", codec=ULONG, doc="pages")
    memory_normal: int | None = leaf("memory_normal", codec=ULONG, doc="pages")
    memory_normal_bytes: int | None = leaf("memory_normal_bytes", codec=ULONG)
    memory_dirty_rate: int | None = leaf("memory_dirty_rate", codec=ULONG, doc="pages a second")
    memory_iteration: int | None = leaf("memory_iteration", codec=ULONG)
    memory_postcopy_requests: int | None = leaf("memory_postcopy_requests", codec=ULONG)
    memory_page_size: int | None = leaf("memory_page_size", codec=ULONG)
    disk_total: int | None = leaf("disk_total", codec=ULONG)
    disk_processed: int | None = leaf("disk_processed", codec=ULONG)
    disk_remaining: int | None = leaf("disk_remaining", codec=ULONG)
    disk_bps: int | None = leaf("disk_bps", codec=ULONG)
    compression_cache: int | None = leaf("compression_cache", codec=ULONG)
    compression_bytes: int | None = leaf("compression_bytes", codec=ULONG)
    compression_pages: int | None = leaf("compression_pages", codec=ULONG)
    compression_cache_misses: int | None = leaf("compression_cache_misses", codec=ULONG)
    compression_overflow: int | None = leaf("compression_overflow", codec=ULONG)
    auto_converge_throttle: int | None = leaf("auto_converge_throttle", codec=INT, doc="in percent")


#: Statistics that are there only where QEMU told them; groups are told by their first.
_OPTIONAL_STATISTICS = ("delta", "downtime", "setup_time")
_STATISTICS_GROUPS = (
    ("memory_constant", "memory_normal", "memory_normal_bytes"),
    (
        "compression_cache",
        "compression_bytes",
        "compression_pages",
        "compression_cache_misses",
        "compression_overflow",
    ),
)


@element("cap")
class CookieCapability:
    """A capability of the migration."""

    name: str = attribute(
        required=True, missing="missing migration capability name", missing_code=ErrorCode.INTERNAL_ERROR
    )
    automatic: bool | None = attribute("auto", codec=YES_NO, doc="on without being asked for")


@element("capabilities", empty="open")
class CookieCapabilities:
    """What a side's migration is capable of."""

    capabilities: list[CookieCapability] = children("cap")


_BITMAPS = "malformed <blockDirtyBitmaps> in migration cookie"


@element("bitmap")
class CookieBitmap:
    """A bitmap of changed blocks."""

    name: str = attribute(required=True, missing=_BITMAPS, missing_code=ErrorCode.INTERNAL_ERROR)
    alias: str = attribute(required=True, missing=_BITMAPS, missing_code=ErrorCode.INTERNAL_ERROR)


@element("disk")
class CookieBitmapDisk:
    """A disk with bitmaps."""

    target: str = attribute(required=True, missing=_BITMAPS, missing_code=ErrorCode.INTERNAL_ERROR)
    bitmaps: list[CookieBitmap] = children("bitmap")


@element("qemu-migration", root=True)
class MigrationCookie:
    """What one side of a migration tells the other."""

    name: str = leaf(
        required=True, missing="missing name element in migration data", missing_code=ErrorCode.INTERNAL_ERROR
    )
    uuid: str = leaf(
        required=True, missing="missing uuid element in migration data", missing_code=ErrorCode.INTERNAL_ERROR
    )
    host_name: str = leaf(
        "hostname",
        required=True,
        missing="missing hostname element in migration data",
        missing_code=ErrorCode.INTERNAL_ERROR,
    )
    host_uuid: str = leaf(
        "hostuuid",
        codec=UUID,
        required=True,
        missing="missing hostuuid element in migration data",
        invalid="malformed hostuuid element in migration data",
        code=ErrorCode.INTERNAL_ERROR,
    )
    demands: list[DemandedFeature] = children("feature")
    graphics: CookieGraphics | None = child()
    lock_state: CookieLockState | None = child()
    domain: Domain | None = child("domain", doc="the definition, where it is to stay on the other side")
    interfaces: list[CookieInterface] = children("interface", within="network")
    nbd: CookieNBD | None = child()
    statistics: CookieStatistics | None = child()
    cpu: GuestCPU | None = child("cpu", doc="the processor the guest sees")
    capabilities: CookieCapabilities | None = child()
    bitmap_disks: list[CookieBitmapDisk] = children("disk", within="blockDirtyBitmaps")


def load_cookie(
    source: str | bytes,
    rules: QemuRules,
    context: DomainContext,
    *,
    name: str,
    uuid: str,
    host_uuid: str,
    features: Collection[CookieFeature] = tuple(CookieFeature),
) -> MigrationCookie:
    """Read the other side's cookie.

    :param context: how the definition in it is read; ``INACTIVE | ABI_UPDATE_MIGRATION | SKIP_VALIDATE`` of flags.
    :param name: the guest's name on the other side.
    :param uuid: the guest's.
    :param host_uuid: this host's; a guest is not migrated to where it is.
    :param features: what this side knows; other parts are dropped, and refused where they are demanded.
    :raises InternalError: it is malformed, of another guest, from this host, or demands what is not known.
    """
    from virtcore.model.cpu.document import complete_guest_cpu
    from virtcore.model.domain.document import reading_mode
    from virtcore.xml import load

    register()
    cookie = load(source, MigrationCookie, mode=reading_mode(context.flags), name="(qemu_migration_cookie)")
    if cookie.name != name:
        raise InternalError(f"Incoming cookie data had unexpected name {cookie.name} vs {name}")
    if cookie.uuid != uuid:
        raise InternalError(f"Incoming cookie data had unexpected UUID {cookie.uuid} vs {uuid}")
    if cookie.host_uuid == host_uuid:
        raise InternalError(f"Attempt to migrate guest to the same host {cookie.host_uuid}")
    for demand in cookie.demands:
        if demand.name not in set(CookieFeature):
            raise InternalError(f"Unknown migration cookie feature {demand.name}")
        if demand.name not in features:
            raise InternalError(f"Unsupported migration cookie feature {demand.name}")
    _drop_unknown(cookie, features)
    if cookie.graphics is not None:
        _complete_graphics(cookie.graphics)
    if cookie.domain is not None:
        rules.complete(cookie.domain, context)
        cookie.domain.name = name
    if cookie.cpu is not None:
        complete_guest_cpu(cookie.cpu, "/qemu-migration/cpu")
    for index, interface in enumerate(cookie.interfaces):
        interface.index = index
    if cookie.statistics is not None:
        _complete_statistics(cookie.statistics)
    if CookieFeature.CAPABILITIES in features:
        named = {each.name: bool(each.automatic) for each in _capabilities(cookie)}
        cookie.capabilities = _known_capabilities(named)
    return cookie


def format_cookie(cookie: MigrationCookie, audio: HostAudio | None = None) -> str:
    """The cookie as libvirt writes it.

    :param audio: what guests may have of this host's sound; None for nothing.
    """
    from virt_qemu.migration.migratable import make_migratable
    from virtcore.xml import format

    register()
    if cookie.domain is not None:
        told, cookie = deepcopy(cookie.domain), copy(cookie)
        make_migratable(told, audio)
        cookie.domain = told
    return format(cookie, _MODE)


def automatic_of(cookie: MigrationCookie) -> list[str]:
    """Capabilities that the other side turns on by itself."""
    return [each.name for each in _capabilities(cookie) if each.automatic]


def cookie_of(
    domain: Domain,
    *,
    host_name: str,
    host_uuid: str,
    features: Collection[CookieFeature],
    capabilities: Collection[str] = (),
    automatic: Collection[str] = (),
    spice_listen: str = "127.0.0.1",
    spice_tls: bool = False,
) -> MigrationCookie:
    """What this side tells of a guest.

    :param host_name: this host's.
    :param host_uuid: this host's.
    :param features: what is to be told: ``graphics``, ``cpu`` and ``capabilities`` of the guest,
        ``memory-hotplug`` and ``cpu-hotplug`` as demands. What others need the caller puts into the cookie.
    :param capabilities: what the emulator's migration is capable of.
    :param automatic: those of them that are on without being asked for.
    :param spice_listen: where Spice servers listen by default (``spice_listen`` of qemu.conf).
    :param spice_tls: they have TLS (``spice_tls`` of qemu.conf).
    :raises InternalError: a Spice display does not say where it listens.
    """
    assert domain.name is not None
    assert domain.uuid is not None
    cookie = MigrationCookie(name=domain.name, uuid=domain.uuid, host_name=host_name, host_uuid=host_uuid)
    cookie.demands = [DemandedFeature(name=feature) for feature in _DEMANDS if feature in features]
    if CookieFeature.GRAPHICS in features:
        cookie.graphics = _graphics_of(domain, spice_listen, tls=spice_tls)
    if CookieFeature.CPU in features:
        cookie.cpu = cpu_beside(domain.cpu) if domain.cpu is not None else None
    if CookieFeature.CAPABILITIES in features:
        cookie.capabilities = _known_capabilities({name: name in automatic for name in capabilities})
    return cookie


def bitmap_mapping(
    moved: Iterable[CookieBitmapDisk], domain: Domain, instead: Mapping[str, TemporaryBitmap] = MappingProxyType({})
) -> list[dict[str, object]]:
    """A cookie's bitmaps as QEMU's migration parameter ``block-bitmap-mapping``.

    :param moved: by disk.
    :param instead: by the alias of a bitmap, a temporary one that is sent in its place, and kept as that one.
    :raises InternalError: the domain has no such disk.
    """
    from virt_qemu.block.image import disk_image

    assert domain.devices is not None
    disks = {disk.target.dev: disk for disk in domain.devices.disks if disk.target is not None}
    mapping: list[dict[str, object]] = []
    for told in moved:
        if (disk := disks.get(told.target)) is None:
            raise InternalError(f"Can't find disk '{told.target}' in domain definition")
        bitmaps: list[dict[str, object]] = []
        for bitmap in told.bitmaps:
            own = instead.get(bitmap.alias)
            kept: dict[str, object] = {} if own is None else {"transform": {"persistent": True}}
            bitmaps.append({"name": bitmap.name if own is None else own.name, "alias": bitmap.alias, **kept})
        if bitmaps:
            mapping.append({"node-name": disk_image(disk).top(), "alias": told.target, "bitmaps": bitmaps})
    return mapping


def _drop_unknown(cookie: MigrationCookie, features: Collection[CookieFeature]) -> None:
    """A side reads what it knows. Demands are the other side's and not told again."""
    cookie.demands = []
    for feature, field in (
        (CookieFeature.GRAPHICS, "graphics"),
        (CookieFeature.LOCKSTATE, "lock_state"),
        (CookieFeature.PERSISTENT, "domain"),
        (CookieFeature.NBD, "nbd"),
        (CookieFeature.STATISTICS, "statistics"),
        (CookieFeature.CPU, "cpu"),
        (CookieFeature.CAPABILITIES, "capabilities"),
    ):
        if feature not in features:
            setattr(cookie, field, None)
    if CookieFeature.NETWORK not in features:
        cookie.interfaces = []
    if CookieFeature.BLOCK_DIRTY_BITMAPS not in features:
        cookie.bitmap_disks = []
    if cookie.lock_state is not None and not cookie.lock_state.leases:
        cookie.lock_state = None
    cookie.bitmap_disks = [disk for disk in cookie.bitmap_disks if disk.bitmaps]


def _complete_graphics(graphics: CookieGraphics) -> None:
    if graphics.type is GraphicsType.SPICE and graphics.tls_port is None:
        raise InternalError("missing tlsPort attribute in migration data")
    certificate = graphics.certificate
    if certificate is not None and (certificate.info != "subject" or certificate.value is None):
        graphics.certificate = None


def _complete_statistics(statistics: CookieStatistics) -> None:
    """What is not told is 0, except what QEMU need not tell."""
    names = [name for name in CookieStatistics.__annotations__ if name not in _OPTIONAL_STATISTICS]
    for group in _STATISTICS_GROUPS:
        if getattr(statistics, group[0]) is None:
            names = [name for name in names if name not in group]
            for name in group:
                setattr(statistics, name, None)
    for name in names:
        if getattr(statistics, name) is None:
            setattr(statistics, name, 0)


def _capabilities(cookie: MigrationCookie) -> list[CookieCapability]:
    return cookie.capabilities.capabilities if cookie.capabilities is not None else []


def _known_capabilities(named: dict[str, bool]) -> CookieCapabilities:
    """Those libvirt knows, in its order."""
    return CookieCapabilities(
        capabilities=[
            CookieCapability(name=capability, automatic=named[capability])
            for capability in MigrationCapability
            if capability in named
        ]
    )


def _graphics_of(domain: Domain, default_listen: str, *, tls: bool) -> CookieGraphics | None:
    """The first Spice display that listens on an address: others are not handed over."""
    assert domain.devices is not None
    for display in domain.devices.graphics:
        if not isinstance(display, SpiceGraphics):
            continue
        if not display.listens:
            raise InternalError("missing listen element")
        listen = display.listens[0]
        if isinstance(listen, AddressListen | NetworkListen):
            return CookieGraphics(
                type=GraphicsType.SPICE,
                port=display.port or 0,
                listen=listen.address or default_listen,
                tls_port=(display.tls_port or 0) if tls else -1,
            )
    return None
