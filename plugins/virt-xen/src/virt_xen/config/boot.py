"""How a guest boots: firmware, kernel, boot order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virt_xen.rules import has_old_style_uefi
from virtcore.model.domain.os import ACPITable, ACPITableType, BootDevice, Firmware, Loader, LoaderType, OSType
from virtcore.model.storage.source import StorageFormat

if TYPE_CHECKING:
    from virt_xen.config.settings import Output, Settings
    from virt_xen.host import XenHost
    from virtcore.model.domain.domain import Domain
    from virtcore.model.domain.os import OS

__all__ = ["boot_letters", "read_boot_xl", "read_boot_xm", "write_boot_xl", "write_boot_xm"]

_DEVICES = {"a": BootDevice.FD, "d": BootDevice.CDROM, "n": BootDevice.NETWORK}
_LETTERS = {device: letter for letter, device in _DEVICES.items()}
#: As many as there are classes of devices.
_MOST_DEVICES = 4


def boot_letters(os: OS) -> str:
    """The boot order as Xen writes it."""
    return "".join(_LETTERS.get(device, "c") for device in os.boot) or "c"


def _read_order(settings: Settings, os: OS) -> None:
    letters = settings.string("boot")
    letters = "c" if letters is None else letters
    os.boot = [_DEVICES.get(letter, BootDevice.HD) for letter in letters[:_MOST_DEVICES]]


def _read_kernel(settings: Settings, os: OS, cmdline: str | None) -> None:
    os.kernel, os.initrd, os.cmdline = settings.string("kernel"), settings.string("ramdisk"), cmdline


def _read_bootloader(settings: Settings, domain: Domain) -> None:
    domain.bootloader, domain.bootloader_args = settings.string("bootloader"), settings.string("bootargs")


def _old_cmdline(settings: Settings) -> str | None:
    """The kernel's command line as ``root`` and ``extra`` say it."""
    root, extra = settings.string("root"), settings.string("extra")
    if root is None:
        return extra
    return f"root={root}" if extra is None else f"root={root} {extra}"


def read_boot_xl(settings: Settings, domain: Domain, host: XenHost) -> None:
    """How ``xl`` says it: a fully virtual guest may have a kernel, too."""
    os = domain.os
    assert os is not None
    given = settings.string("cmdline")
    cmdline = given if given is not None else _old_cmdline(settings)
    if domain.os_type is not OSType.HVM:
        _read_bootloader(settings, domain)
        _read_kernel(settings, os, cmdline)
        return
    if settings.string("bios") == "ovmf":
        path = settings.string("bios_path_override") or f"{host.firmware_folder}/ovmf.bin"
        os.loader = Loader(type=LoaderType.PFLASH, readonly=True, format=StorageFormat.RAW, path=path)
    else:
        os.loader = Loader(format=StorageFormat.RAW, path=host.loader)
    table = settings.string("acpi_firmware")
    if table is not None:
        os.acpi_tables.append(ACPITable(type=ACPITableType.RAWSET, path=table))
    _read_kernel(settings, os, cmdline)
    _read_order(settings, os)


def read_boot_xm(settings: Settings, domain: Domain) -> None:
    """How ``xm`` says it: a fully virtual guest's kernel is its firmware.

    :raises InternalError: it has none.
    """
    os = domain.os
    assert os is not None
    if domain.os_type is OSType.HVM:
        os.loader = Loader(format=StorageFormat.RAW, path=settings.required("kernel"))
        _read_order(settings, os)
    else:
        _read_bootloader(settings, domain)
        _read_kernel(settings, os, _old_cmdline(settings))


def write_boot_xl(domain: Domain, output: Output) -> None:
    """How ``xl`` says it."""
    os = domain.os
    assert os is not None
    if domain.os_type is not OSType.HVM:
        if domain.os_type is OSType.XENPVH:
            output.set("type", "pvh")
        _write_kernel(domain, output, "cmdline")
        return
    output.set("builder", "hvm")
    if has_old_style_uefi(domain):
        assert os.loader is not None
        output.set("bios", "ovmf")
        output.set("bios_path_override", os.loader.path)
    elif os.firmware is Firmware.EFI:
        output.set("bios", "ovmf")
    for table in os.acpi_tables:
        if table.type is ACPITableType.RAWSET:
            output.set("acpi_firmware", table.path)
    output.set("kernel", os.kernel)
    output.set("ramdisk", os.initrd)
    output.set("cmdline", os.cmdline)
    output.set("boot", boot_letters(os))


def write_boot_xm(domain: Domain, output: Output) -> None:
    """How ``xm`` says it."""
    os = domain.os
    assert os is not None
    if domain.os_type is OSType.HVM:
        output.set("builder", "hvm")
        output.set("kernel", os.loader.path if os.loader is not None else None)
        output.set("boot", boot_letters(os))
    else:
        _write_kernel(domain, output, "extra")


def _write_kernel(domain: Domain, output: Output, cmdline: str) -> None:
    assert domain.os is not None
    output.set("bootloader", domain.bootloader)
    output.set("bootargs", domain.bootloader_args)
    output.set("kernel", domain.os.kernel)
    output.set("ramdisk", domain.os.initrd)
    output.set(cmdline, domain.os.cmdline)
