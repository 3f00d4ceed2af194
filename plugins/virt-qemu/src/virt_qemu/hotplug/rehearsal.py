"""What the first device that joins a guest needs is loaded before it comes: modules, and the functions that are
generated on their first use. Devices of the common kinds are made ready up to where QEMU would be told.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import TYPE_CHECKING

from virt_qemu.status import format_status
from virtcore.driver.toolkit.configuration.devices import load_device
from virtcore.model.domain.devices import Devices
from virtcore.model.domain.document import reading_mode
from virtcore.model.domain.rules.context import ParseFlag
from virtcore.xml.reader import parse_part

if TYPE_CHECKING:
    from virt_qemu.hotplug.session import Session

__all__ = ["rehearse"]

_SAMPLES = (
    """<disk type='file'><driver name='qemu' type='raw'/><source file='/'/><backingStore/>
    <target dev='vdzz' bus='virtio'/></disk>""",
    """<interface type='network'><mac address='52:54:00:00:00:00'/><source network='default'/><model type='virtio'/>
    </interface>""",
)


def rehearse(session: Session) -> Iterator[None]:
    """Load it, in steps between which others may have their turn. Nothing is changed.

    :raises VirtError: such devices cannot join this guest.
    """
    from virt_qemu.hotplug.attach import plug  # noqa: F401  # with all that it imports
    from virt_qemu.rules.addresses import assign_address
    from virt_qemu.rules.aliases import assign_alias

    yield
    context = session.context(ParseFlag.INACTIVE | ParseFlag.ABI_UPDATE)
    for xml in _SAMPLES:
        parse_part(xml, Devices, mode=reading_mode(context.flags), keep=False)
        yield
        loaded = load_device(xml, session.domain, session.rules, context)
        yield
        joined = session.joined(loaded)
        assign_address(session.domain, joined, loaded.device, session.capabilities)
        assign_alias(session.domain, loaded.field, loaded.device)
        yield
        status = copy.copy(session.guest.status)
        status.domain = joined
        format_status(status)
        yield
