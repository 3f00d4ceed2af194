"""Firmware images on the host, as their packages describe them, and the choice among them for a domain.

QEMU's interoperability specification: a JSON file for every image, in folders of the packages, the administrator and
the user; files with the same name mask each other, and the first match in the order of names is taken.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from virt_qemu.descriptors import descriptor_files, descriptor_folders
from virt_qemu.settings.table import FIRMWARE_PAIRS
from virtcore.errors import OperationFailed
from virtcore.model.arch import Arch
from virtcore.model.domain.features import SMM, Features
from virtcore.model.domain.launch_security import SEV, SEVSNP
from virtcore.model.domain.os import (
    Firmware,
    FirmwareFeature,
    FirmwareFeatureName,
    Loader,
    LoaderType,
    NVRAMStore,
)
from virtcore.model.storage.source import StorageFormat, StorageType

if TYPE_CHECKING:
    from virtcore.model.domain.domain import Domain
    from virtcore.model.domain.os import OS

__all__ = ["Descriptor", "FirmwareCatalog", "SupportedFirmware"]

_FORMATS = (StorageFormat.RAW, StorageFormat.QCOW2)
_LOCAL = (None, StorageType.FILE, StorageType.BLOCK, StorageType.DIR)
_INTERFACES = {Firmware.BIOS: "bios", Firmware.EFI: "uefi"}
_LOADER_INTERFACES = {LoaderType.ROM: "bios", LoaderType.PFLASH: "uefi"}
#: Those that libvirt knows; packages may name others.
_FEATURES = frozenset(["acpi-s3", "acpi-s4", "amd-sev", "amd-sev-es", "amd-sev-snp", "enrolled-keys", "requires-smm",
                       "secure-boot", "verbose-dynamic", "verbose-static"])  # fmt: skip
_ARCHITECTURES = {"i386": Arch.I686, "arm": Arch.ARMV7L}
#: The bit of an SEV policy that asks for encrypted state.
_SEV_ES_POLICY = 1 << 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptor:
    """What a package says about an image.

    :ivar interfaces: ``uefi``, ``bios``, ...
    :ivar device: ``flash``, ``memory`` or ``kernel``: how the guest gets the image.
    :ivar mode: of flash: ``split`` (variables in a file of their own), ``combined`` or ``stateless``.
    :ivar template: where new variables are copied from, and its format.
    :ivar targets: architectures with patterns of machine types.
    """

    interfaces: tuple[str, ...]
    device: str
    path: str
    mode: str = ""
    format: str = ""
    template: str | None = None
    template_format: str | None = None
    targets: tuple[tuple[Arch, tuple[str, ...]], ...] = ()
    features: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Descriptor:
        """Read a descriptor.

        :raises ValueError: it is none.
        """
        try:
            data = json.loads(text)
            mapping = data["mapping"]
            device = mapping["device"]
            if device not in ("flash", "memory", "kernel"):
                raise ValueError(f"unknown device {device!r}")
            mode, template, executable = "", None, mapping
            if device == "flash":
                executable = mapping["executable"]
                mode = mapping.get("mode", "split")
                template = mapping["nvram-template"] if mode == "split" else None
            return cls(
                interfaces=tuple(data["interface-types"]),
                device=device,
                path=executable["filename"],
                mode=mode,
                format=executable["format"] if device == "flash" else "",
                template=template["filename"] if template is not None else None,
                template_format=template["format"] if template is not None else None,
                targets=tuple(
                    (_ARCHITECTURES.get(row["architecture"]) or Arch(row["architecture"]), tuple(row["machines"]))
                    for row in data["targets"]
                ),
                features=tuple(name for name in data["features"] if name in _FEATURES),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"incomplete description: {error}") from error

    def document(self) -> dict[str, object]:
        """The descriptor as a JSON value, without what is for people only."""
        executable: dict[str, str] = {"filename": self.path}
        mapping: dict[str, object] = {"device": self.device}
        if self.device == "flash":
            mapping |= {"mode": self.mode, "executable": {**executable, "format": self.format}}
            if self.template is not None:
                mapping["nvram-template"] = {"filename": self.template, "format": self.template_format}
        else:
            mapping |= executable
        names = {arch: name for name, arch in _ARCHITECTURES.items()}
        return {
            "interface-types": list(self.interfaces),
            "mapping": mapping,
            "targets": [
                {"architecture": names.get(arch, str(arch)), "machines": list(machines)}
                for arch, machines in self.targets
            ],
            "features": list(self.features),
        }

    def runs_on(self, arch: Arch | None, machine: str) -> bool:
        """Whether the image is for a machine type."""
        return any(
            arch is target and any(fnmatchcase(machine, pattern) for pattern in patterns)
            for target, patterns in self.targets
        )

    def suits(self, domain: Domain) -> bool:
        """Whether the image is what a domain asks for."""
        os_ = domain.os
        assert os_ is not None
        loader = os_.loader if os_.loader is not None else Loader()
        if os_.firmware is not None:
            wanted = _INTERFACES[os_.firmware]
        else:
            wanted = _LOADER_INTERFACES.get(loader.type, "") if loader.type is not None else ""
        return (
            wanted in self.interfaces
            and self._has_paths(os_, loader)
            and self.runs_on(domain.arch, domain.machine or "")
            and self._has_features(domain, loader)
            and self._has_mapping(loader)
        )

    def _has_paths(self, os_: OS, loader: Loader) -> bool:
        if self.device == "kernel":
            return os_.kernel in (None, self.path)
        if loader.path not in (None, self.path):
            return False
        template = os_.nvram.template if os_.nvram is not None else None
        return self.device != "flash" or template is None or template == self.template

    def _has_features(self, domain: Domain, loader: Loader) -> bool:
        assert domain.os is not None
        pm, security = domain.pm, domain.launch_security
        needed = set()
        if pm is not None:
            if pm.suspend_to_mem is True:
                needed.add("acpi-s3")
            if pm.suspend_to_disk is True:
                needed.add("acpi-s4")
        if isinstance(security, SEV):
            needed |= {"amd-sev", "amd-sev-es"} if security.policy & _SEV_ES_POLICY else {"amd-sev"}
        elif isinstance(security, SEVSNP):
            needed.add("amd-sev-snp")
        for feature in domain.os.firmware_features:
            if feature.enabled:
                needed.add(str(feature.name))
            elif feature.name in self.features:
                return False
        if not needed.issubset(self.features):
            return False
        if "requires-smm" in self.features:
            smm = domain.features.smm if domain.features is not None else None
            return loader.secure is not False and not (smm is not None and smm.state is False)
        return loader.secure is not True

    def _has_mapping(self, loader: Loader) -> bool:
        if self.device == "memory":
            return loader.type in (None, LoaderType.ROM) and loader.readonly is not False
        if self.device != "flash":
            return True
        return (
            loader.type in (None, LoaderType.PFLASH)
            and self.mode == ("stateless" if loader.stateless is True else "split")
            and loader.readonly is not False
            and self.format in _FORMATS
            and loader.format in (None, self.format)
            and (self.mode != "split" or self.template_format in _FORMATS)
        )


class SupportedFirmware(NamedTuple):
    """What firmware a machine type may have.

    :ivar secure: some of it needs SMM, so a loader may be ``secure``.
    :ivar images: images, each with the template of its variables.
    """

    interfaces: tuple[Firmware, ...]
    secure: bool
    images: tuple[tuple[str, str | None], ...]


class FirmwareCatalog:
    """The images a host has.

    :param folders: folders of descriptors, those that mask others last.
    :ivar nvram: folder of what guests' firmware keeps.
    :param pairs: images known by their path, each with the template of its variables (``nvram`` of ``qemu.conf``).
    """

    def __init__(self, folders: Sequence[Path], nvram: str, pairs: Sequence[str] = FIRMWARE_PAIRS) -> None:
        self._folders = list(folders)
        self.nvram = nvram
        self._pairs = dict(pair.split(":", 1) for pair in pairs)
        self._read: tuple[list[int], list[Descriptor]] | None = None

    @classmethod
    def of_host(
        cls,
        nvram: str,
        *,
        root: Path = Path("/"),
        config: Path | None = None,
        pairs: Sequence[str] = FIRMWARE_PAIRS,
    ) -> FirmwareCatalog:
        """The images below a root folder.

        :param config: the user's configuration folder, where descriptors for a session are.
        """
        return cls(descriptor_folders("firmware", root=root, config=config), nvram, pairs)

    def descriptors(self) -> list[Descriptor]:
        """Every usable descriptor, in the order they are tried. Read again when a folder has changed."""
        stamps = [_changed(folder) for folder in self._folders]
        if self._read is None or self._read[0] != stamps:
            self._read = (stamps, list(self._load()))
        return self._read[1]

    def _load(self) -> Iterator[Descriptor]:
        for path in descriptor_files(self._folders):
            try:
                yield Descriptor.parse(path.read_text(encoding="utf-8"))
            except (OSError, ValueError):
                # One broken package must not keep the others' images from being found, as in libvirt.
                continue

    def supported(self, arch: Arch, machine: str) -> SupportedFirmware:
        """What there is for a machine type (``<os>`` of domain capabilities)."""
        found = [descriptor for descriptor in self.descriptors() if descriptor.runs_on(arch, machine)]
        interfaces = {interface for descriptor in found for interface in descriptor.interfaces}
        pairs = dict.fromkeys((one.path, one.template) for one in found if one.device in ("flash", "memory"))
        return SupportedFirmware(
            tuple(firmware for firmware in Firmware if _INTERFACES[firmware] in interfaces),
            any("requires-smm" in descriptor.features for descriptor in found),
            tuple(pairs),
        )

    def complete(self, domain: Domain, *, abi_update: bool) -> None:
        """Fill in a domain's firmware: image, template, variables.

        :param abi_update: the domain is new: formats and file names may be today's.
        :raises VirtError: there is no image that suits.
        """
        os_ = domain.os
        assert os_ is not None
        loader, automatic = os_.loader, os_.firmware is not None
        if not automatic and (loader is None or loader.type is LoaderType.ROM):
            return
        chosen = next((descriptor for descriptor in self.descriptors() if descriptor.suits(domain)), None)
        if chosen is not None:
            _apply(domain, chosen)
        elif automatic:
            raise OperationFailed(
                f"Unable to find '{os_.firmware}' firmware that is compatible with the current configuration"
            )
        elif loader is not None and not self._apply_pair(os_, loader) and loader.format is None:
            loader.format = StorageFormat.RAW  # an image of the user's own
        self._add_variables(domain, abi_update=abi_update)

    def _apply_pair(self, os_: OS, loader: Loader) -> bool:
        """Complete an image that is known by its path alone."""
        if (
            loader.type is not LoaderType.PFLASH
            or loader.readonly is False
            or loader.stateless is True
            or loader.format not in (None, StorageFormat.RAW)
            or loader.path not in self._pairs
        ):
            return False
        loader.readonly, loader.format = True, StorageFormat.RAW
        nvram = os_.nvram = os_.nvram if os_.nvram is not None else NVRAMStore()
        if nvram.template is None:
            nvram.template, nvram.template_format = self._pairs[loader.path], StorageFormat.RAW
        nvram.template_format = nvram.template_format or StorageFormat.RAW
        return True

    def _add_variables(self, domain: Domain, *, abi_update: bool) -> None:
        """Say where the firmware keeps its variables."""
        assert domain.os is not None
        loader, nvram = domain.os.loader, domain.os.nvram
        if (
            loader is None
            or loader.type is not LoaderType.PFLASH
            or loader.readonly is not True
            or loader.stateless is True
        ):
            return
        if nvram is not None and not _is_empty(nvram):
            nvram.format = nvram.format or loader.format
            return
        template = nvram.template if nvram is not None else None
        template_format = nvram.template_format if nvram is not None else None
        image_format = template_format or loader.format
        suffix = ""
        if image_format is StorageFormat.RAW:
            suffix = ".raw" if abi_update and template is not None and template.endswith(".raw") else ".fd"
        elif image_format is StorageFormat.QCOW2:
            suffix = ".qcow2"
        domain.os.nvram = NVRAMStore(
            template=template,
            template_format=template_format,
            format=image_format,
            path=f"{self.nvram}/{domain.name}_VARS{suffix}",
        )


def _changed(folder: Path) -> int:
    try:
        return os.stat(folder).st_mtime_ns
    except OSError:
        return 0


def _is_empty(nvram: NVRAMStore) -> bool:
    return nvram.path is None if nvram.type is None else nvram.source is None


def _apply(domain: Domain, chosen: Descriptor) -> None:
    """Write a chosen image into a domain."""
    os_ = domain.os
    assert os_ is not None
    if chosen.device == "kernel":
        os_.kernel = chosen.path
    else:
        loader = os_.loader = os_.loader if os_.loader is not None else Loader()
        loader.path = chosen.path
        if chosen.device == "memory":
            loader.type = LoaderType.ROM
        else:
            loader.type, loader.readonly = LoaderType.PFLASH, True
            loader.format = StorageFormat(chosen.format)
            if chosen.template is not None:
                _set_template(os_, chosen)
    if "requires-smm" in chosen.features:
        domain.features = domain.features if domain.features is not None else Features()
        domain.features.smm = domain.features.smm if domain.features.smm is not None else SMM()
        domain.features.smm.state = True
        if os_.loader is not None:
            os_.loader.secure = True
    if os_.firmware is None:
        known = {interface: firmware for firmware, interface in _INTERFACES.items()}
        os_.firmware = next((known[name] for name in chosen.interfaces if name in known), None)
    if os_.firmware is not None:
        os_.firmware_features = list(_features(os_, chosen))


def _set_template(os_: OS, chosen: Descriptor) -> None:
    """Variables that are elsewhere cannot be made from a template."""
    nvram = os_.nvram = os_.nvram if os_.nvram is not None else NVRAMStore()
    local = nvram.type in _LOCAL
    nvram.template = chosen.template if local else None
    nvram.template_format = StorageFormat(chosen.template_format) if local and chosen.template_format else None


def _features(os_: OS, chosen: Descriptor) -> Iterator[FirmwareFeature]:
    loader = os_.loader
    flash = loader is not None and loader.type is LoaderType.PFLASH and loader.stateless is not True
    # Of variables that are elsewhere nobody knows what keys they hold.
    if not flash or (os_.nvram is not None and os_.nvram.template is not None):
        name = FirmwareFeatureName.ENROLLED_KEYS
        yield FirmwareFeature(name=name, enabled=name in chosen.features)
    name = FirmwareFeatureName.SECURE_BOOT
    yield FirmwareFeature(name=name, enabled=name in chosen.features)
