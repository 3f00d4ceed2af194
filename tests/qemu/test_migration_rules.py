"""What migration decides without a guest: options, addresses, checks, statistics."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from virt_qemu.migration import shared
from virt_qemu.migration.address import MigrationAddress, Ports, parse_address, prepare_address
from virt_qemu.migration.checks import check_devices, check_flags_together, check_safe
from virt_qemu.migration.control import Progress
from virt_qemu.migration.options import Party, options_of
from virt_qemu.migration.statistics import MigrationStatistics
from virt_qemu.migration.storage import server_of
from virt_qemu.monitor import JSON, CommandError
from virt_qemu.rules import QemuRules
from virt_qemu.settings.table import QemuSettings
from virtcore.enums import DomainMigrateFlags as Flags
from virtcore.errors import (
    ArgumentUnsupported,
    InternalError,
    InvalidArg,
    MigrateUnsafe,
    OperationInvalid,
    OperationUnsupported,
    OverflowDetected,
    VirtError,
)
from virtcore.model.arch import Arch
from virtcore.model.domain import Domain
from virtcore.model.domain.document import load_domain
from virtcore.model.domain.rules.context import ParseFlag
from virtcore.operations.parameters import MIGRATION

SCSI = "<source><adapter name='scsi_host0'/><address bus='0' target='0' unit='0'/></source>"
PCI = "<source><address domain='0' bus='1' slot='1' function='0'/></source>"


def domain(devices: str) -> Domain:
    rules = QemuRules(lambda arch: "/qemu", lambda path: None)
    text = f"""<domain type='qemu'><name>x</name><memory>65536</memory>
    <os><type arch='x86_64' machine='pc'>hvm</type></os><devices>{devices}</devices></domain>"""
    return load_domain(text, rules, rules.context(ParseFlag.SKIP_VALIDATE, arch=Arch.X86_64))


def test_flags_and_parameters_are_for_a_side() -> None:
    params = MIGRATION.typed({"bandwidth.postcopy": 3, "auto_converge.initial": 9, "tls.destination": "there"})
    flags = Flags.POSTCOPY | Flags.AUTO_CONVERGE | Flags.LIVE
    here, there = options_of(params, flags, Party.SOURCE), options_of(params, flags, Party.DESTINATION)
    assert here.capabilities == {"postcopy-ram", "auto-converge", "return-path"}
    assert there.capabilities == {"postcopy-ram", "return-path"}
    assert here.parameters == {"max-postcopy-bandwidth": 3 << 20, "cpu-throttle-initial": 9, "tls-hostname": "there"}
    assert there.parameters == {"max-postcopy-bandwidth": 3 << 20}
    here.settle(Party.SOURCE, here.capabilities | {"pause-before-switchover", "late-block-activate"}, ())
    assert "pause-before-switchover" in here.capabilities
    assert "late-block-activate" not in here.capabilities
    with pytest.raises(ArgumentUnsupported, match="Migration option 'postcopy-ram' is not supported by QEMU binary"):
        options_of(params, flags, Party.SOURCE).settle(Party.SOURCE, {"return-path", "auto-converge"}, ())
    assert "return-path" not in options_of(MIGRATION.typed({}), Flags.TUNNELLED, Party.SOURCE).capabilities
    with pytest.raises(OverflowDetected, match=r"'bandwidth\.postcopy' must be less than 17592186044416"):
        options_of(MIGRATION.typed({"bandwidth.postcopy": 1 << 44}), Flags.LIVE, Party.SOURCE)


@pytest.mark.parametrize(
    ("uri", "address"),
    [
        ("tcp:host:5", MigrationAddress("tcp", "host", 5, well_formed=False)),
        ("tcp://[::1]:5", MigrationAddress("tcp", "::1", 5)),
        ("rdma://host", MigrationAddress("rdma", "host")),
        ("unix:///a/b", MigrationAddress("unix", path="/a/b")),
        ("unix:/a/b", MigrationAddress("unix", path="/a/b")),
    ],
)
def test_addresses(uri: str, address: MigrationAddress) -> None:
    assert parse_address(uri) == address


@pytest.mark.parametrize(("uri", "error"), [("tcp:", InvalidArg), ("/x", InvalidArg), ("ftp://x", ArgumentUnsupported)])
def test_what_is_no_address(uri: str, error: type[VirtError]) -> None:
    with pytest.raises(error):
        parse_address(uri)


def test_where_a_guest_is_waited_for() -> None:
    settings = QemuSettings(migration_host="there.example", migration_port_min=49300, migration_port_max=49301)
    ports = Ports(settings)
    first = prepare_address(None, "127.0.0.1", settings, ports)
    assert first.told == f"tcp:there.example:{first.port}"
    assert first.listen.qemu() == f"tcp:127.0.0.1:{first.port}"
    second = prepare_address("tcp://there.example", None, settings, ports)
    assert second.told == f"tcp://there.example:{second.port}"
    with pytest.raises(VirtError, match="Unable to find an unused port"):
        prepare_address("tcp:there.example", None, settings, ports)
    ports.release(first.port)
    assert prepare_address("tcp:there.example", None, settings, ports).told == f"tcp:there.example:{first.port}"
    told = prepare_address("tcp://there.example:7", "::1", settings, ports)
    assert (told.told, told.listen.qemu()) == (None, "tcp:[::1]:7")
    with pytest.raises(InternalError, match="resolved to localhost"):
        prepare_address(None, None, QemuSettings(migration_host="localhost.localdomain"), ports)


def test_a_port_that_somebody_else_took_meanwhile() -> None:
    settings = QemuSettings(migration_host="there.example", migration_port_min=49302, migration_port_max=49304)
    ports = Ports(settings)
    address = prepare_address(None, "127.0.0.1", settings, ports)
    first = address.port
    tried = []

    async def listen(port: int) -> None:
        address.move(port)
        tried.append(address.listen.qemu())
        if port == first:
            raise CommandError("migrate-incoming", "GenericError", "Failed to bind socket: Address already in use")

    asyncio.run(ports.listen(first, listen))
    assert tried == [f"tcp:127.0.0.1:{first}", f"tcp:127.0.0.1:{address.port}"]
    assert address.port != first
    assert address.told == f"tcp:there.example:{address.port}"

    async def refuse(port: int) -> None:
        raise CommandError("migrate-incoming", "GenericError", "The incoming migration has already been started")

    with pytest.raises(CommandError, match="already been started"):
        asyncio.run(ports.listen(address.port, refuse))


def test_where_disks_are_copied_to() -> None:
    assert server_of(None, "h", 7).address() == {"type": "inet", "host": "h", "port": "7"}
    assert server_of("tcp://other:9", "h", 7).address() == {"type": "inet", "host": "other", "port": "9"}
    assert server_of("unix:///p", "h", 7).address() == {"type": "unix", "path": "/p"}
    for wrong in ("tcp://:7", "http://x", "x"):
        with pytest.raises(InvalidArg):
            server_of(wrong, "h", 7)
    with pytest.raises(InvalidArg, match="nbd port must be in range 0-65535"):
        server_of(None, "h", 65536)


@pytest.mark.parametrize(
    ("devices", "message"),
    [
        (f"<hostdev mode='subsystem' type='scsi'>{SCSI}</hostdev>",
         "cannot migrate a domain with <hostdev mode='subsystem' type='scsi'>"),
        (f"<hostdev mode='subsystem' type='pci'>{PCI}</hostdev>",
         "cannot migrate a domain with <hostdev mode='subsystem' type='pci'>"),
        ("<filesystem type='mount'><driver type='virtiofs'/><source dir='/a'/><target dir='t'/></filesystem>",
         "migration with virtiofs device is not supported"),
        ("<shmem name='s' role='peer'><model type='ivshmem-plain'/></shmem>",
         "shmem device 's' cannot be migrated, only shmem with role='master' can be migrated"),
        ("<disk type='file'><source file='/x'/><target dev='vda'/><transient/></disk>",
         "migration with transient disk is not supported"),
    ],
)  # fmt: skip
def test_devices_that_cannot_go(devices: str, message: str) -> None:
    with pytest.raises((OperationInvalid, OperationUnsupported), match=message):
        check_devices(domain(devices), None, [])


def test_usb_devices_and_substituted_ones_can_go() -> None:
    check_devices(
        domain(
            "<hostdev mode='subsystem' type='usb'><source><vendor id='0x1'/><product id='0x2'/></source></hostdev>"
            f"<hostdev mode='subsystem' type='pci'>{PCI}<teaming type='transient' persistent='ua-x'/></hostdev>"
        ),
        None,
        [],
    )


def test_which_disks_are_safe(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def disk(cache: str, more: str = "") -> Domain:
        return domain(
            f"<disk type='file'><driver name='qemu' cache='{cache}'/><source file='{tmp_path}/x'/>"
            f"<target dev='vda'/>{more}</disk>"
        )

    with pytest.raises(MigrateUnsafe, match="Migration without shared storage is unsafe"):
        check_safe(disk("none"), None, [], Flags.LIVE)
    check_safe(disk("none"), None, [], Flags.LIVE | Flags.NON_SHARED_DISK)
    check_safe(disk("none", "<readonly/>"), None, [], Flags.LIVE)
    check_safe(disk("none"), None, [], Flags.LIVE, [str(tmp_path)])
    monkeypatch.setattr(shared, "_kind", lambda path: "nfs4")
    check_safe(disk("none"), None, [], Flags.LIVE)
    with pytest.raises(MigrateUnsafe, match="Migration may lead to data corruption if disks use cache other than none"):
        check_safe(disk("writeback"), None, [], Flags.LIVE)
    monkeypatch.setattr(shared, "_kind", lambda path: "gfs2")
    check_safe(disk("writeback"), None, [], Flags.LIVE)


def test_flags_that_do_not_go_together() -> None:
    with pytest.raises(ArgumentUnsupported, match="post-copy is not supported with tunnelled migration"):
        check_flags_together(Flags.LIVE | Flags.POSTCOPY | Flags.TUNNELLED, force_tls=False)
    with pytest.raises(OperationInvalid, match="allows migration only with VIR_MIGRATE_TLS flag"):
        check_flags_together(Flags.LIVE, force_tls=True)
    check_flags_together(Flags.LIVE | Flags.TLS, force_tls=True)


def test_statistics_tell_what_qemu_told() -> None:
    ram: dict[str, JSON] = {
        "total": 1000, "transferred": 600, "remaining": 400, "duplicate": 3, "normal": 5, "normal-bytes": 20480,
        "mbps": 8.0, "dirty-pages-rate": 2, "page-size": 4096, "dirty-sync-count": 4, "postcopy-requests": 1,
    }  # fmt: skip
    cache: dict[str, JSON] = {"cache-size": 64, "bytes": 7, "pages": 6, "cache-miss": 5, "overflow": 4}
    statistics = MigrationStatistics(started=0)
    statistics.take(
        Progress("active", {"ram": ram, "xbzrle-cache": cache, "cpu-throttle-percentage": 30, "expected-downtime": 11})
    )
    statistics.elapsed, statistics.delta, statistics.mirrored = 100, 10, (30, 50)
    told = statistics.parameters()
    expected = {
        "time_elapsed": 100, "time_elapsed_net": 90, "downtime": 11, "downtime_net": 1, "data_total": 1050,
        "data_processed": 630, "data_remaining": 420, "memory_bps": 1_000_000, "memory_iteration": 4,
        "disk_total": 50, "disk_remaining": 20, "compression_cache_misses": 5, "auto_converge_throttle": 30,
    }  # fmt: skip
    assert {name: told[name] for name in expected} == expected
    again = MigrationStatistics.of_cookie(statistics.to_cookie())
    assert again.parameters() == told | {"disk_bps": 0}


def test_phases_come_one_after_the_other():
    from virt_qemu.migration.side import MigrationPhase as Phase

    assert Phase.PREPARE.is_before(Phase.POSTCOPY_FAILED)
    assert Phase.POSTCOPY_FAILED.is_before(Phase.BEGIN_RESUME)
    assert not Phase.PERFORM3.is_before(Phase.BEGIN3)
