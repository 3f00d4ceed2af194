"""Adapter of suite ``qemu-argv``: domain XML to QEMU's command line, on recorded capabilities and a made-up host."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from suites_qemu_domain import capabilities_of, firmware_of, rules_of
from virt_host.description.cpuinfo import node_cpus
from virt_host.description.tree import HostTree
from virt_qemu.block.tls import ImageTLS
from virt_qemu.command import Builder, HostSettings, build, incoming_uri
from virt_qemu.command.disks import prepare_disks
from virt_qemu.host_side.display_networks import find_display_addresses
from virt_qemu.host_side.interfaces import join_network
from virt_qemu.host_side.nbdkit import served_images, use_nbdkit
from virt_qemu.host_side.owner import Owner
from virt_qemu.parts import parts_of
from virt_qemu.prepare import DisplayDefaults, decide
from virt_qemu.startup_policy import Missing
from virt_qemu.volumes import find_volumes
from virtcore.enums.storage import StorageVolType
from virtcore.errors import NoStorageVol
from virtcore.model.arch import Arch
from virtcore.model.cpu import HostCPU, HostCPUFeature
from virtcore.model.domain.disk import Disk
from virtcore.model.domain.document import load_domain
from virtcore.model.domain.domain import Domain
from virtcore.model.domain.interface import Interface
from virtcore.model.domain.rules import ParseFlag
from virtcore.model.storage.source import NetProtocol
from virtcore.operations.values.storage import StorageVolInfo
from virtcore.xml import CpuSet

_ENVIRONMENT = {"LC_ALL": "C", "PATH": "/bin", "HOME": "/home/test", "USER": "test", "LOGNAME": "test"}


class _Host:
    """The host of the corpus: descriptor numbers and devices of ``common/qemu-host.json``."""

    def __init__(self, secret: str, lent: dict[str, Any] | None = None) -> None:
        self._secret = secret.encode()
        self._lent = lent or {}

    def listen(self, path: str) -> int:
        return 1729

    def output(self, path: str, append: bool) -> int:
        return 1750

    def log(self, path: str, append: bool) -> int:
        return 1751

    def vhost_scsi(self) -> int:
        return 3

    def scsi_generic(self, source: object) -> str:
        return "sg0"

    def tpm(self, path: str) -> tuple[int, int]:
        return 1730, 1731

    def tpm_socket(self, alias: str) -> str:
        return "/dev/test"

    def taps(self, interface: Any, count: int) -> list[int]:
        first = 3 if interface.type == "ethernet" else 102
        return list(range(first, first + count))

    def vhost_net(self, interface: Any, count: int) -> list[int]:
        return list(range(44, 44 + count))

    def vdpa(self, path: str) -> int:
        return 1732

    def lent(self, group: str) -> list[int]:
        fds: list[int] = self._lent[group]["fds"]
        return fds

    def slirp(self, interface: Any) -> int:
        raise NotImplementedError

    def vhost_user_gpu(self, alias: str) -> int:
        return 1729

    def render_node(self) -> str:
        return "/dev/dri/foo"

    def vsock(self, cid: int | None, auto: bool) -> tuple[int, int]:
        return 6789, 42 if auto or cid is None else cid

    def secret(self, reference: Any) -> bytes:
        return self._secret

    def is_cdrom(self, path: str) -> bool:
        return path == "/dev/cdrom"


def _facts(case: Any) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads(Path(case.resolve("common/qemu-host.json")).read_text())
    return facts


def _incoming(case: Any) -> str | None:
    """Where the state comes from: a descriptor, where there is one."""
    given = case.params.get("migrate_from")
    return incoming_uri(given, case.params["migrate_fd"]) if given is not None else None


def _settings(case: Any) -> HostSettings:
    """The host's folders, huge pages and nodes."""
    facts = _facts(case)
    driver = facts["driver"] | (case.params.get("driver_config") or {})

    def directory(switch: str, name: str) -> str | None:
        return driver[name] if driver.get(switch) else None

    return HostSettings(
        memory_folder=driver["memoryBackingDir"],
        hugepages={mount["size_kib"]: mount["mount"] for mount in driver["hugetlbfs"]},
        vnc_tls=directory("vncTLS", "vncTLSx509certdir"),
        vnc_sasl=directory("vncSASL", "vncSASLdir"),
        spice_tls=directory("spiceTLS", "spiceTLSx509certdir"),
        spice_sasl=directory("spiceSASL", "spiceSASLdir"),
        spice_password=True,
        chardev_tls=directory("chardevTLS", "chardevTLSx509certdir"),
        image_tls={
            protocol: ImageTLS(
                bool(driver.get(f"{protocol}TLS")),
                driver[f"{protocol}TLSx509certdir"],
                driver.get(f"{protocol}TLSx509secretUUID"),
            )
            for protocol in (NetProtocol.NBD, NetProtocol.VXHS)
        },
        cells=node_cpus(HostTree(system=Path(case.resolve("common/sysfs/linux-basic/system")))),
        vnc_tls_secret=driver.get("vncTLSx509secretUUID"),
        chardev_tls_secret=driver.get("chardevTLSx509secretUUID"),
        passt_folder=driver["passtStateDir"],
        auto_nodeset=CpuSet.parse(facts["auto_nodeset"]),
    )


def host_cpu_of(case: Any) -> HostCPU | None:
    """The host's processor, where the case is made on another one than the replies were recorded on."""
    name = case.params.get("host_cpu")
    if name is None:
        return None
    known = json.loads(Path(case.resolve("common/qemu-host.json")).read_text())["host_cpus"]
    described = next(cpu for title, cpu in known.items() if title.lower() == name.lower())
    arch = Arch(described["arch"])
    cpu = HostCPU(arch=arch, model=described["model"], vendor=described.get("vendor"))
    cpu.features = [HostCPUFeature(name=each) for each in described.get("features", ())]
    return cpu


class _Services:
    """The networks and pools of the corpus, as a guest's driver asks for them."""

    def __init__(self, case: Any) -> None:
        self._folder = Path(case.resolve("common/qemu-fixtures"))
        self._pools = _facts(case)["storage_pools"]

    async def call(self, service: str, operation: str, *arguments: Any) -> Any:
        return getattr(self, operation)(*arguments)

    def connection_lookup_network(self, name: str, uuid: str | None) -> tuple[str, str]:
        network, _, port = name.partition(";")
        return network, port

    def network_xml(self, network: tuple[str, str]) -> str:
        return (self._folder / "networks" / f"{network[0]}.xml").read_text()

    def network_create_port(self, network: tuple[str, str], xml: str, flags: int) -> str:
        return network[1]

    def network_port_xml(self, port: str, flags: int) -> str:
        return (self._folder / "network-ports" / f"{port}.xml").read_text()

    def connection_lookup_storage_pool(self, name: str) -> str:
        return name

    def storage_pool_is_active(self, pool: str) -> bool:
        return pool != self._pools["inactive_pool"]

    def storage_pool_xml(self, pool: str) -> str:
        return (self._folder / "storage-pools" / f"{pool}.xml").read_text()

    def storage_pool_lookup_volume(self, pool: str, name: str) -> tuple[StorageVolType, str]:
        if name == self._pools["nonexistent_volume"]:
            raise NoStorageVol(f"no storage vol with matching name '{name}'")
        kind, _, _ = name.rpartition("+")
        return StorageVolType[(kind or "block").upper()], name.rpartition("+")[2]

    def storage_vol_info(self, volume: tuple[StorageVolType, str]) -> StorageVolInfo:
        return StorageVolInfo(type=volume[0], capacity=0, allocation=0)

    def storage_vol_path(self, volume: tuple[StorageVolType, str]) -> str:
        path: str = self._pools["volume_path"]
        return path.replace("TYPE", volume[0].name.lower()).replace("NAME", volume[1])


async def _ask_services(case: Any, domain: Domain) -> None:
    """Find out what the host's services say of volumes, networks and the addresses of these."""
    services: Any = _Services(case)
    missing = Missing(domain, cold=True, tell=lambda *_: None)
    for disk in list(parts_of(domain, Disk)):
        with missing.allowed(disk):
            await find_volumes(services, (disk,))
    await find_display_addresses(services, domain)
    owner = Owner(domain.name, domain.uuid or "", domain.name, Path("/"), domain)
    for interface in parts_of(domain, Interface):
        await join_network(SimpleNamespace(services=services), owner, interface)  # type: ignore[arg-type]


def _serve_by_nbdkit(case: Any, domain: Domain, folder: Path) -> None:
    """What the host's nbdkit can serve is reached through it, where the settings want that."""
    if not (case.params.get("driver_config") or {}).get("storageUseNbdkit"):
        return
    plugins = [name.removeprefix("plugin-") for name in case.params["nbdkit_caps"] if name.startswith("plugin-")]
    prepare_disks(domain, _settings(case).image_tls)
    for disk in parts_of(domain, Disk):
        for image in served_images(disk, plugins):
            use_nbdkit(image, folder)


def qemu_argv(case: Any) -> list[str]:
    """Environment and command line of the guest."""
    capabilities = capabilities_of(case)
    rules = rules_of(case)
    flags = ParseFlag.INACTIVE
    if "abi-update" in (case.params.get("parse_flags") or ()):
        flags |= ParseFlag.ABI_UPDATE
    domain = load_domain(case.text("xml"), rules, rules.context(flags, arch=Arch(case.params["host_arch"])))
    folder = f"/var/lib/libvirt/qemu/domain--1-{domain.name[:20]}"
    config = case.params.get("driver_config") or {}
    settings = _settings(case)
    asyncio.run(_ask_services(case, domain))
    decide(
        domain,
        Path(folder),
        lambda address: 5900,
        capabilities,
        host_cpu_of(case),
        lambda address: 5901,
        DisplayDefaults(
            sockets_for=tuple(name for name in ("vnc", "spice") if config.get(f"{name}AutoUnixSocket")),
            spice_tls=bool(config.get("spiceTLS")),
        ),
        settings.image_tls,
        spice_tls_port=lambda address: 5902,
        firmware=firmware_of(case),
    )
    _serve_by_nbdkit(case, domain, Path(folder))
    builder = Builder(
        domain=domain,
        capabilities=capabilities,
        resources=_Host(_facts(case)["secret_value"], case.params.get("fd_groups")),
        key=bytes(range(32)),
        random=lambda count: bytes(range(count)),
        state_folder=folder,
        monitor=1729,
        privileged=True,
        host=settings,
        incoming=_incoming(case),
        now=datetime.fromtimestamp(_facts(case)["now_utc"], timezone(-timedelta(minutes=30))),
    )
    argv = build(builder, _ENVIRONMENT | dict(case.params.get("env") or {}))
    return [*(f"{name}={value}" for name, value in builder.environment.items()), *argv]
