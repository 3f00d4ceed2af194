"""Guests whose memory the host cannot read, and what firmware tells a guest about its machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virt_qemu.command.line import Builder, escape, unsupported
from virtcore.errors import XMLError
from virtcore.model.domain.launch_security import SEV, SEVSNP
from virtcore.model.domain.os import SMBIOSMode
from virtcore.model.domain.sysinfo import FirmwareConfigInfo, SMBIOSInfo

if TYPE_CHECKING:
    from virtcore.model.domain.sysinfo import BaseBoard

__all__ = ["add_firmware_config", "add_launch_security", "add_smbios"]


def add_launch_security(builder: Builder) -> None:
    """The object by which the guest's memory is protected."""
    security = builder.domain.launch_security
    if security is None:
        return
    props: dict[str, object]
    if isinstance(security, SEV | SEVSNP):
        known = builder.capabilities.sev
        position, reduced = security.cbitpos, security.reduced_phys_bits
        if known is not None:
            position = known.cbitpos if position is None else position
            reduced = known.reduced_phys_bits if reduced is None else reduced
        kind = "sev-guest" if isinstance(security, SEV) else "sev-snp-guest"
        props = {"qom-type": kind, "id": "lsec0", "cbitpos": position, "reduced-phys-bits": reduced}
        props["policy"] = security.policy
        if isinstance(security, SEV):
            folder = builder.state_folder
            props |= {
                "dh-cert-file": f"{folder}/dh_cert.base64" if security.dh_cert is not None else None,
                "session-file": f"{folder}/session.base64" if security.session is not None else None,
                "kernel-hashes": security.kernel_hashes,
            }
        else:
            props |= {
                "guest-visible-workarounds": security.guest_visible_workarounds,
                "id-block": security.id_block,
                "id-auth": security.id_auth,
                "host-data": security.host_data,
                "kernel-hashes": security.kernel_hashes,
                "author-key-enabled": security.author_key,
                "vcek-disabled": None if security.vcek is None else not security.vcek,
            }
    else:
        props = {"qom-type": "s390-pv-guest", "id": "lsec0"}
    builder.object(props)


def _option(builder: Builder, number: int, fields: dict[str, str | None]) -> None:
    words = [f"{name}={escape(value)}" for name, value in fields.items() if value is not None]
    if words:
        builder.add("-smbios", ",".join([f"type={number}", *words]))


def add_smbios(builder: Builder) -> None:
    """Tables about the machine, where they are not QEMU's own."""
    os = builder.domain.os
    mode = os.smbios if os is not None else None
    if mode in (None, SMBIOSMode.NONE, SMBIOSMode.EMULATE):
        return
    if mode is SMBIOSMode.HOST:
        raise unsupported("SMBIOS tables of the host")
    if not any(isinstance(info, SMBIOSInfo) for info in builder.domain.sysinfo):
        raise XMLError(f"Domain '{builder.domain.name}' sysinfo are not available")
    for info in builder.domain.sysinfo:
        if isinstance(info, SMBIOSInfo):
            _add_tables(builder, info)


def _add_tables(builder: Builder, info: SMBIOSInfo) -> None:
    bios, system, chassis = info.bios, info.system, info.chassis
    if bios is not None:
        _option(
            builder, 0, {"vendor": bios.vendor, "version": bios.version, "date": bios.date, "release": bios.release}
        )
    if system is not None:
        _option(
            builder,
            1,
            {
                "manufacturer": system.manufacturer,
                "product": system.product,
                "version": system.version,
                "serial": system.serial,
                "uuid": system.uuid,
                "sku": system.sku,
                "family": system.family,
            },
        )
    for board in info.base_boards:
        _option(builder, 2, _board(board))
    if chassis is not None:
        _option(
            builder,
            3,
            {
                "manufacturer": chassis.manufacturer,
                "version": chassis.version,
                "serial": chassis.serial,
                "asset": chassis.asset,
                "sku": chassis.sku,
            },
        )
    if info.oem_strings:
        builder.add("-smbios", ",".join(["type=11", *(f"value={escape(text)}" for text in info.oem_strings)]))


def _board(board: BaseBoard) -> dict[str, str | None]:
    return {
        "manufacturer": board.manufacturer,
        "product": board.product,
        "version": board.version,
        "serial": board.serial,
        "asset": board.asset,
        "location": board.location,
    }


def add_firmware_config(builder: Builder) -> None:
    """Values that the guest finds at its firmware's configuration device."""
    for info in builder.domain.sysinfo:
        if not isinstance(info, FirmwareConfigInfo):
            continue
        for entry in info.entries:
            value = f"string={escape(entry.value)}" if entry.value else f"file={escape(entry.file or '')}"
            builder.add("-fw_cfg", f"name={escape(entry.name)},{value}")
