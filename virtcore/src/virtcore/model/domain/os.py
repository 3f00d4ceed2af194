"""``<os>``: how the guest boots: firmware, kernel, container init, boot order."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from virtcore.errors import ErrorCode
from virtcore.model.patterns import ABSOLUTE_PATH, UINT16
from virtcore.xml import INT, UINT, YES_NO, Codec, Mode, attribute, child, children, element, leaf, text, union

if TYPE_CHECKING:
    from virtcore.model.arch import Arch
    from virtcore.model.storage.source import Source, StorageFormat, StorageType

__all__ = [
    "ACPITable",
    "ACPITableType",
    "BIOS",
    "OS",
    "BootDevice",
    "BootMenu",
    "Firmware",
    "FirmwareFeature",
    "FirmwareFeatureName",
    "InitEnv",
    "Loader",
    "LoaderType",
    "NVRAMStore",
    "OSType",
    "OSVariant",
    "SMBIOSMode",
]


class OSType(StrEnum):
    """What kind of guest it is."""

    HVM = "hvm"
    XEN = "xen"
    LINUX = "linux"
    EXE = "exe"
    UML = "uml"
    XENPVH = "xenpvh"


class Firmware(StrEnum):
    """Firmware to choose automatically."""

    BIOS = "bios"
    EFI = "efi"


class FirmwareFeatureName(StrEnum):
    """What automatically chosen firmware must, or must not, have."""

    ENROLLED_KEYS = "enrolled-keys"
    SECURE_BOOT = "secure-boot"


class LoaderType(StrEnum):
    """How the firmware is given to the guest."""

    ROM = "rom"
    PFLASH = "pflash"


class BootDevice(StrEnum):
    """A class of device to boot from."""

    FD = "fd"
    CDROM = "cdrom"
    HD = "hd"
    NETWORK = "network"


class SMBIOSMode(StrEnum):
    """Where the guest's SMBIOS tables come from."""

    NONE = "none"
    EMULATE = "emulate"
    HOST = "host"
    SYSINFO = "sysinfo"


class ACPITableType(StrEnum):
    """Kind of an ACPI table file."""

    RAW = "raw"
    RAWSET = "rawset"
    SLIC = "slic"
    MSDM = "msdm"


@element("type", doc="Kind of guest, and the machine it runs on.")
class OSVariant:
    arch: Arch | None = attribute(
        invalid="Unknown architecture {value}",
        code=ErrorCode.CONFIG_UNSUPPORTED,
        doc="Processor architecture; by default the host's.",
    )
    machine: str | None = attribute(
        blank=False, pattern=r"[a-zA-Z0-9_\.\-]+", doc="Machine type, as the hypervisor names it."
    )
    type: OSType | None = text(
        invalid="unknown OS type '{value}'", code=ErrorCode.CONFIG_UNSUPPORTED, doc="Kind of guest."
    )


@element("feature", doc="A feature of automatically chosen firmware.")
class FirmwareFeature:
    enabled: bool = attribute(codec=YES_NO, required=True, doc="Whether it must be there, or must not.")
    name: FirmwareFeatureName = attribute(required=True)


@element("initenv", doc="A variable in the environment of a container's init.")
class InitEnv:
    name: str = attribute(required=True, missing="No name supplied for <initenv> element")
    value: str | None = text()


@element("loader", doc="Firmware image.")
class Loader:
    readonly: bool | None = attribute(codec=YES_NO, doc="Whether the guest may not write to it.", since="1.2.9")
    secure: bool | None = attribute(codec=YES_NO, doc="Whether it implements secure boot.", since="2.1.0")
    type: LoaderType | None = attribute(doc="ROM, or flash memory.", since="1.2.9")
    stateless: bool | None = attribute(codec=YES_NO, doc="Whether it keeps no variables.", since="8.6.0")
    format: StorageFormat | None = attribute(doc="Image format: raw or qcow2.", since="9.2.0")
    path: str | None = text(doc="Absolute path of the image.")


@element("nvram", doc="Where the firmware keeps its variables.")
class NVRAMStore:
    template: str | None = attribute(doc="Image that a new store is copied from.", since="1.2.8")
    template_format: StorageFormat | None = attribute(
        "templateFormat", doc="Format of the template: raw or qcow2.", since="10.10.0"
    )
    type: StorageType | None = attribute(doc="Kind of ``source``; absent: a file named by the text.", since="8.5.0")
    format: StorageFormat | None = attribute(doc="Format of the store: raw or qcow2.", since="9.2.0")
    path: str | None = text(shown=lambda self: self.type is None, doc="Absolute path of the store.")
    source: Source | None = union("source", tag="type", doc="Where the store is, when ``type`` is given.")


@element("table", doc="An ACPI table from a file.")
class ACPITable:
    type: ACPITableType = attribute(required=True)
    path: str | None = text()


@element("bootmenu", doc="Interactive choice of the boot device.")
class BootMenu:
    enable: bool | None = attribute(codec=YES_NO, demanded=True)
    timeout: int | None = attribute(
        codec=UINT, pattern=UINT16, doc="How long it waits for a key, in ms (0 to 65535).", since="1.2.8"
    )


# libvirt takes every other word for no.
_YES_OR_ELSE: Codec[bool] = Codec(
    lambda text: text == "yes", YES_NO.write, datatype="<choice><value>yes</value><value>no</value></choice>", safe=True
)


@element("bios", doc="Settings of the BIOS.")
class BIOS:
    useserial: bool | None = attribute(codec=_YES_OR_ELSE, doc="Messages on the first serial port.", since="0.9.4")
    reboot_timeout: int | None = attribute(
        "rebootTimeout", codec=INT, doc="Delay before rebooting when nothing boots, in ms; -1: never.", since="0.10.2"
    )


@element("os", empty="open", doc="How the guest boots.")
class OS:
    firmware: Firmware | None = attribute(
        unless=Mode.MIGRATABLE,
        invalid="unknown firmware value {value}",
        doc="Firmware to choose automatically.",
        since="5.2.0",
    )
    type: OSVariant | None = child("type", demanded=True)
    firmware_features: list[FirmwareFeature] = children(
        "feature", within="firmware", unless=Mode.MIGRATABLE, since="7.2.0"
    )
    init: str | None = leaf(pattern=ABSOLUTE_PATH, doc="Program a container starts.")
    initarg: list[str] = leaf(blank=True, doc="Its arguments.", since="0.9.13")
    initenv: list[InitEnv] = children("initenv")
    initdir: str | None = leaf(doc="Its working directory.")
    inituser: str | None = leaf(doc="User it runs as.")
    initgroup: str | None = leaf(doc="Group it runs as.")
    loader: Loader | None = child("loader")
    nvram: NVRAMStore | None = child("nvram")
    kernel: str | None = leaf(pattern=ABSOLUTE_PATH, doc="Kernel on the host, booted directly.")
    initrd: str | None = leaf(pattern=ABSOLUTE_PATH, doc="Initial RAM disk for it.")
    cmdline: str | None = leaf(doc="Its command line.")
    shim: str | None = leaf(pattern=ABSOLUTE_PATH, doc="Shim that verifies it.", since="11.2.0")
    dtb: str | None = leaf(pattern=ABSOLUTE_PATH, doc="Device tree for it.", since="1.0.4")
    root: str | None = leaf(doc="Root device for it.")
    acpi_tables: list[ACPITable] = children("table", within="acpi", since="1.3.5")
    boot: list[BootDevice] = attribute("dev", within="boot", doc="Classes of devices to boot from, in order.")
    bootmenu: BootMenu | None = child("bootmenu")
    bios: BIOS | None = child("bios")
    smbios: SMBIOSMode | None = attribute(
        "mode",
        within="smbios",
        omit=SMBIOSMode.NONE,
        invalid="unknown smbios mode '{value}'",
        code=ErrorCode.CONFIG_UNSUPPORTED,
        doc="Where the guest's SMBIOS tables come from.",
    )
