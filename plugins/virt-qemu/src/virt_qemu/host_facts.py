"""What a host has beside its emulators, as domain capabilities tell it."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

from virt_host.description.cpu_model import address_bits
from virt_host.description.kvm import max_vcpus
from virt_host.description.program import run_program
from virt_host.description.tree import HostTree
from virt_qemu.domain_capabilities import HostFacts, SEVRegisters
from virtcore.errors import InternalError
from virtcore.model.domain.tpm import TPMVersion
from virtcore.runtime.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Callable

    from virt_qemu.firmware import FirmwareCatalog
    from virtcore.model.arch import Arch
    from virtcore.model.cpu.element import HostCPU

__all__ = ["host_facts", "sev_of_host", "tpm_versions"]

_SEV_LEAF = 0x8000001F


async def tpm_versions() -> tuple[TPMVersion, ...] | None:
    """What the host's TPM emulator can be; None where it has none.

    :raises InternalError: its programs cannot be asked.
    """
    programs = [shutil.which(name) for name in ("swtpm", "swtpm_setup", "swtpm_ioctl")]
    setup = programs[1]
    if setup is None or None in programs:
        return None
    said, errors = await run_program([setup, "--print-capabilities"])
    try:
        features = json.loads(said)["features"]
    except (ValueError, KeyError, TypeError):
        raise InternalError(f"{setup} does not tell its features: {errors.strip() or said.strip()}") from None
    return tuple(version for version in TPMVersion if f"tpm-{version}" in features)


def sev_of_host() -> SEVRegisters | None:
    """What the host's processor says of encrypted guests; None where it knows of none."""
    from virt_host.description.cpuid import cpuid_reader

    ask = cpuid_reader()
    if ask is None or ask(0x80000000, 0).eax < _SEV_LEAF:
        return None
    answer = ask(_SEV_LEAF, 0)
    return SEVRegisters(answer.ecx, answer.edx)


async def host_facts(
    tree: HostTree,
    firmware: FirmwareCatalog,
    arch: Arch,
    machine: str,
    cpu: Callable[[], HostCPU | None],
    *,
    rdp: bool = False,
) -> HostFacts:
    """What this host has.

    :param cpu: finds its processor; may block.
    :param rdp: it has a server of RDP.
    :raises InternalError: a program cannot be asked.
    """
    versions = await tpm_versions()
    return await in_thread(
        lambda: HostFacts(
            firmware=firmware.supported(arch, machine),
            tpm_versions=versions,
            device_assignment=tree.has_iommu() and tree.vfio.exists(),
            rdp=rdp,
            cpu=cpu(),
            address_bits=address_bits(tree),
            sev=sev_of_host(),
            max_vcpus=max_vcpus(),
        )
    )
