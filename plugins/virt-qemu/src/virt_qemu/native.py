"""Command lines for people: ``virsh domxml-to-native qemu-argv``."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING

from virt_qemu.command import Builder, build
from virt_qemu.host import QemuState
from virt_qemu.prepare import decide
from virt_qemu.resources import HostResources
from virtcore.driver.toolkit import StatefulDriver
from virtcore.errors import InvalidArg
from virtcore.model.domain.interface import EthernetInterfaceSource, Interface, InterfaceType

if TYPE_CHECKING:
    from virtcore.model.domain import Domain

__all__ = ["NativeOperations"]

_FORMAT = "qemu-argv"


class NativeOperations(StatefulDriver[QemuState]):
    """Between domain XML and QEMU's command line; only towards it, as libvirt's driver."""

    async def connection_xml_to_native(self, native_format: str, xml: str, flags: int = 0) -> str:
        self.check_flags(flags, 0, "connection_xml_to_native")
        if native_format != _FORMAT:
            raise InvalidArg(f"unsupported config type {native_format}")
        domain = await self.state.load_new(xml, False)
        assert domain.devices is not None
        assert domain.devices.emulator is not None
        capabilities = await self.state.capabilities.get(domain.devices.emulator)
        folder = self.state.folders.run / f"domain--1-{domain.name[:20]}"
        _by_hand(domain)
        decide(
            domain,
            folder,
            lambda address: 5900,
            capabilities,
            spice_port=lambda address: 5901,
            spice_tls_port=lambda address: 5902,
            displays=self.state.displays,
            image_tls=self.state.image_tls,
        )
        with HostResources() as resources:
            builder = Builder(
                domain=domain,
                capabilities=capabilities,
                resources=resources,
                state_folder=str(folder),
                monitor=-1,
                privileged=self.state.privileged,
                key=bytes(32),  # what is sealed with it opens for nobody: the real one is made at each start
                host=self.state.host_settings,
                standalone=True,
            )
            argv = build(builder, os.environ)
        words = [f"{name}={shlex.quote(value)}" for name, value in builder.environment.items()]
        return " ".join([*words, *map(shlex.quote, argv)]) + "\n"


def _by_hand(domain: Domain) -> None:
    """Leave interfaces to whoever runs the command: each becomes a plain one, on a tap, of the same model."""
    assert domain.devices is not None
    domain.devices.interfaces = [
        Interface(type=InterfaceType.ETHERNET, source=EthernetInterfaceSource(), mac=each.mac, model=each.model)
        for each in domain.devices.interfaces
    ]
