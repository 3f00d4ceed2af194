"""What is left out of a guest's document that an older peer reads: it adds these by itself, or knows them not."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from copy import copy
from typing import TYPE_CHECKING

from virt_qemu.block.tls import network_sources
from virt_qemu.rules.audio import HostAudio, add_default_audio
from virt_qemu.rules.devices import MADE_FOLDER
from virt_qemu.rules.machine import Machine
from virtcore.model.domain.chardev import UnixChardev
from virtcore.model.domain.controller import PCIController, PCIControllerModel, USBController, USBControllerModel
from virtcore.model.domain.input import is_default_keyboard
from virtcore.model.domain.panic import PanicModel
from virtcore.model.domain.watchdog import WatchdogAction, WatchdogModel

if TYPE_CHECKING:
    from virtcore.model.domain import Domain
    from virtcore.model.domain.controller import Controller
    from virtcore.model.domain.devices import Devices
    from virtcore.model.domain.disk import BackingStore, Disk

__all__ = ["make_migratable"]

_USER = "ua-"
#: Panic devices that their machines always have.
_BUILT_IN_PANIC = (PanicModel.S390, PanicModel.PSERIES)


def make_migratable(domain: Domain, audio: HostAudio | None = None) -> None:
    """Take out, in place, what an older peer adds by itself.

    :param audio: what guests may have of this host's sound; None for nothing.
    """
    devices = domain.devices
    if devices is None:
        return
    dropped = [_default_usb(domain, devices), _default_pci(devices)]
    devices.controllers = [each for each in devices.controllers if not any(each is gone for gone in dropped)]
    devices.inputs = [each for each in devices.inputs if not is_default_keyboard(each)]
    built_in = next((panic for panic in devices.panics if panic.model in _BUILT_IN_PANIC), None)
    devices.panics = [panic for panic in devices.panics if panic is not built_in]
    _drop_audio(domain, devices, audio or HostAudio())
    _drop_paths(devices)
    _drop_watchdog(domain, devices)
    for disk in devices.disks:
        _drop_detected(disk)
    for source in network_sources(devices.disks):
        if source.tls_from_config:
            source.tls = None


def _only(controllers: Sequence[Controller], kind: type[Controller]) -> Controller | None:
    found = [each for each in controllers if isinstance(each, kind)]
    if len(found) != 1 or found[0].index not in (0, None) or (found[0].alias or "").startswith(_USER):
        return None
    return found[0]


def _default_usb(domain: Domain, devices: Devices) -> Controller | None:
    """The only USB controller, of a machine that had one before documents did."""
    found = _only(devices.controllers, USBController)
    if not Machine.of(domain).i440fx:
        return None
    model = found.model if isinstance(found, USBController) else None
    return found if model in (None, USBControllerModel.PIIX3_UHCI) else None


def _default_pci(devices: Devices) -> Controller | None:
    found = _only(devices.controllers, PCIController)
    if isinstance(found, PCIController) and found.model is PCIControllerModel.PCI_ROOT and found.pcihole64 is None:
        return found
    return None


def _drop_audio(domain: Domain, devices: Devices, host: HostAudio) -> None:
    """The sound that a guest has which says nothing of it."""
    if len(devices.audios) != 1:
        return
    [told] = devices.audios
    bare, bare_devices = copy(domain), copy(devices)
    bare_devices.audios = []
    bare.devices = bare_devices
    add_default_audio(bare, host)
    if bare_devices.audios == [told]:
        devices.audios = []


def _drop_watchdog(domain: Domain, devices: Devices) -> None:
    """The watchdog that every machine of a kind has."""
    own = [each for each in devices.watchdogs if each.model is not WatchdogModel.ITCO]
    implied = [each for each in devices.watchdogs if each.model is WatchdogModel.ITCO]
    action = own[0].action if own else WatchdogAction.RESET
    if Machine.of(domain).q35 and len(implied) == 1 and implied[0].action is action:
        devices.watchdogs = own


def _drop_detected(disk: Disk) -> None:
    """What is below a disk's images, where only these told of it."""
    link: Disk | BackingStore | None = disk
    while link is not None:
        if link.backing_store is not None and link.backing_store.detected:
            link.backing_store = None
        link = link.backing_store


def _drop_paths(devices: Devices) -> None:
    """Sockets of channels that the driver made."""
    for channel in devices.channels:
        source = channel.source
        if not isinstance(source, UnixChardev) or source.source is None or source.source.path is None:
            continue
        if MADE_FOLDER(posixpath.dirname(source.source.path)):
            source.source = None
