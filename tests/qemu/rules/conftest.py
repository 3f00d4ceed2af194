"""Small documents through QEMU's rules, with capabilities made by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from virt_qemu.capabilities.model import Accelerator, CPUDefinition, EmulatorCapabilities, Machine
from virt_qemu.namespace import register
from virt_qemu.rules import QemuRules
from virtcore.model.arch import Arch
from virtcore.model.domain.document import load_domain
from virtcore.model.domain.domain import Domain
from virtcore.model.domain.rules import ParseFlag

#: machine of an architecture -> its default CPU's type
_MACHINES = {
    Arch.X86_64: {"pc": "qemu64-x86_64-cpu", "q35": "qemu64-x86_64-cpu"},
    Arch.S390X: {"s390-ccw-virtio": "qemu-s390x-cpu"},
    Arch.PPC64: {"pseries": "power9-cpu"},
    Arch.AARCH64: {"virt": "cortex-a15-arm-cpu"},
    Arch.RISCV64: {"virt": "rv64-riscv-cpu"},
}
_FLAGS = (
    "tcg",
    "kvm",
    "i8042",
    "pcie-root-port",
    "virtio-pci-non-transitional",
    "qemu-xhci",
    "piix3-usb-uhci",
    "VGA",
    "cirrus-vga",
    "vnc",
    "sdl",
    "pc-dimm",
    "nvdimm",
    "spapr-pci-host-bridge",
)

Load = Callable[..., Domain]


def _capabilities(arch: Arch, flags: tuple[str, ...]) -> EmulatorCapabilities:
    machines = [Machine(name=name, default_cpu=cpu, max_cpus=288) for name, cpu in _MACHINES[arch].items()]
    cpus = [CPUDefinition(name=cpu.split("-")[0], type=cpu) for cpu in set(_MACHINES[arch].values())]
    return EmulatorCapabilities(
        binary="/usr/bin/qemu",
        arch=arch,
        version=10_000_000,
        package="",
        flags=frozenset((*_FLAGS, *flags)),
        accelerators={"tcg": Accelerator(machines=machines, cpus=cpus)},
    )


@pytest.fixture
def load() -> Load:
    """``load(devices, arch=..., machine=..., flags=...)``: a complete and valid domain with these devices."""
    register()

    def run(
        devices: str = "",
        *,
        arch: Arch = Arch.X86_64,
        machine: str = "pc",
        kind: str = "qemu",
        flags: tuple[str, ...] = (),
        rest: str = "",
        root: str = "",
        os: str = "",
        os_attributes: str = "",
        new: bool = False,
        **options: object,
    ) -> Domain:
        capabilities = _capabilities(arch, flags)
        rules = QemuRules(lambda _arch: capabilities.binary, lambda _path: capabilities, **options)  # type: ignore[arg-type]
        text = f"""<domain type='{kind}' {root}><name>guest</name>
            <uuid>c7a5fdbd-cdaf-9455-926a-d65c16db1809</uuid><memory>1048576</memory>
            <os {os_attributes}><type arch='{arch}' machine='{machine}'>hvm</type>{os}</os>
            {rest}<devices>{devices}</devices></domain>"""
        reading = ParseFlag.INACTIVE | (ParseFlag.ABI_UPDATE if new else ParseFlag.NONE)
        return load_domain(text, rules, rules.context(reading, arch=arch))

    return run
