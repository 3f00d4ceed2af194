"""What libvirt's parser fills in, drops or refuses of ``<os>``: each kind of guest has boot settings of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtcore.errors import XMLError
from virtcore.model.domain.domain import VirtType
from virtcore.model.domain.os import OS, OSType, OSVariant
from virtcore.model.domain.rules.context import ParseFlag

if TYPE_CHECKING:
    from virtcore.model.domain.domain import Domain
    from virtcore.model.domain.rules.context import DomainContext

__all__ = ["settle_boot", "settle_os_type"]

# libvirt reads as many <boot> elements as there are kinds of boot device.
_BOOT_DEVICES = 4

_KERNEL = ("kernel", "initrd", "cmdline", "shim", "dtb", "root")
_INIT = ("init", "initdir", "inituser", "initgroup")


def settle_os_type(domain: Domain, context: DomainContext) -> None:
    """Kind of guest and architecture."""
    os = domain.os
    if os is None:
        os = domain.os = OS()
    variant = os.type
    if variant is None:
        variant = os.type = OSVariant()
    if variant.type is None:
        if domain.bootloader is None:
            raise XMLError("an os <type> must be specified", path="/domain/os/type")
        variant.type = OSType.XEN
    if domain.type is VirtType.XEN and variant.type is OSType.XEN:
        # Xen's paravirtual guests have always been written as "linux".
        variant.type = OSType.LINUX
    if variant.arch is None:
        variant.arch = context.arch


def is_paravirtual(domain: Domain) -> bool:
    """Whether it is a paravirtual Xen guest, which Xen domains call ``linux`` and others ``xen``."""
    kind = domain.os_type
    return kind is OSType.XEN or (kind is OSType.LINUX and domain.type is VirtType.XEN)


def settle_boot(domain: Domain, context: DomainContext) -> None:
    """Drops the settings that other kinds of guest have, and checks the rest."""
    os = domain.os
    assert os is not None
    kind = domain.os_type
    if kind is OSType.HVM:
        _drop(os, *_INIT)
        os.initarg = []
        os.initenv = []
        _settle_firmware(os, context)
        _settle_loader(os)
        _settle_acpi(os)
        _settle_boot_devices(os)
        return
    os.firmware = None
    os.firmware_features = []
    os.acpi_tables = []
    os.boot = []
    _drop(os, "bootmenu", "bios")
    if kind is OSType.EXE:
        _drop(os, "kernel", "initrd", "shim", "dtb", "root", "loader", "nvram")
        _settle_init(os)
        return
    _drop(os, *_INIT)
    os.initarg = []
    os.initenv = []
    if is_paravirtual(domain) or kind in (OSType.XENPVH, OSType.UML):
        _settle_loader(os)
    else:
        _drop(os, *_KERNEL, "loader", "nvram")


def _drop(os: OS, *names: str) -> None:
    for name in names:
        setattr(os, name, None)


def _settle_init(os: OS) -> None:
    if not all(os.initarg):
        raise XMLError("No data supplied for <initarg> element", path="/domain/os/initarg")
    for variable in os.initenv:
        if not variable.value:
            raise XMLError(f"No value supplied for <initenv name='{variable.name}'> element", path="/domain/os/initenv")


def _settle_firmware(os: OS, context: DomainContext) -> None:
    if not os.firmware_features:
        return
    if os.firmware is None and not context.has(ParseFlag.ABI_UPDATE):
        # Versions 8.6 to 9.1 sent the features without the choice that they were for.
        os.firmware_features = []
        return
    from virtcore.model.domain.os import FirmwareFeatureName

    last = {feature.name: feature for feature in os.firmware_features}
    os.firmware_features = [last[name] for name in FirmwareFeatureName if name in last]


def _settle_loader(os: OS) -> None:
    loader, nvram = os.loader, os.nvram
    if loader is None and nvram is None:
        return
    from virtcore.model.domain.os import Loader
    from virtcore.model.storage.source import StorageFormat

    images: list[tuple[StorageFormat | None, str]] = []
    if nvram is not None:
        if nvram.type is not None:
            nvram.path = None
        else:
            nvram.source = None
        images += [(nvram.template_format, "nvram template format"), (nvram.format, "nvram format")]
    if loader is not None:
        images.append((loader.format, "loader format"))
    for format_, what in images:
        if format_ not in (None, StorageFormat.RAW, StorageFormat.QCOW2):
            raise XMLError(f"Unsupported {what} '{format_}'", path="/domain/os")
    if loader is None and nvram is not None and nvram.format is not None:
        # The format of the variable store chooses the firmware build too.
        os.loader = Loader(format=nvram.format)


def _settle_acpi(os: OS) -> None:
    if not os.acpi_tables:
        return
    from virtcore.model.domain.os import ACPITableType
    from virtcore.model.paths import sanitize_path

    kinds = set()
    for table in os.acpi_tables:
        if table.type in kinds and table.type is not ACPITableType.RAW:
            raise XMLError(f"ACPI table type '{table.type}' may only appear once", path="/domain/os/acpi/table/@type")
        kinds.add(table.type)
        table.path = sanitize_path(table.path or "")


def _settle_boot_devices(os: OS) -> None:
    del os.boot[_BOOT_DEVICES:]
    menu = os.bootmenu
    if menu is not None:
        if menu.enable is None:
            os.bootmenu = None
        elif not menu.enable:
            menu.timeout = None
