"""From a container's configuration file to a domain (``lxcParseConfigString``).

Where libvirt refuses without a word, the words are ours.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable

from virt_lxc.config.mounts import read_mounts
from virt_lxc.config.networks import read_networks
from virt_lxc.config.resources import read_blkiotune, read_cpuset, read_cputune, read_memtune
from virt_lxc.config.settings import LXCSettings, parse_number
from virt_lxc.rules import LXCRules
from virtcore.errors import ArgumentUnsupported, InternalError
from virtcore.model.arch import Arch
from virtcore.model.domain.chardev import CharacterType, Console, ConsoleTarget, ConsoleTargetType, PTYChardev
from virtcore.model.domain.clock import Clock, ClockOffset
from virtcore.model.domain.cputune import CPUPlacement, VCPUMaximum
from virtcore.model.domain.devices import Devices
from virtcore.model.domain.domain import Domain, LifecycleAction, VirtType
from virtcore.model.domain.features import CapabilitiesPolicy, Features, ProcessCapabilities, StateFeature
from virtcore.model.domain.memory import Memory
from virtcore.model.domain.os import OS, OSType, OSVariant
from virtcore.model.domain.resources import IDMap, IDMapEntry
from virtcore.model.domain.rules import ParseFlag
from virtcore.xml import INT, declaration

__all__ = ["read_config"]

_DEFAULT_MEMORY = 64 * 1024
_MOST_CONSOLES = 65536
# What LXC calls architectures that have another name.
_ARCHS = {"x86": Arch.I686, "amd64": Arch.X86_64}
_IDMAP = re.compile(r"(.)\s*\+?([0-9]+)\s+\+?([0-9]+)\s+\+?([0-9]+)", re.ASCII | re.DOTALL)
_LARGEST_ID = (1 << 32) - 1


def read_config(text: str, rules: LXCRules | None = None, *, new_uuid: Callable[[], uuid.UUID] = uuid.uuid4) -> Domain:
    """Read the configuration of a container.

    :param rules: how the domain is completed; by default as on this host.
    :param new_uuid: where the domain's UUID comes from, which no file has.
    :return: a complete domain. What the file says beyond what a domain can say is left out.
    :raises VirtError: the file is malformed, or says what no domain can say.
    """
    settings = LXCSettings(text)
    rules = rules or LXCRules()
    arch = settings.get("lxc.arch")
    domain = Domain(
        type=VirtType.LXC,
        name=_required(settings, "lxc.uts.name", "lxc.utsname"),
        uuid=str(new_uuid()),
        memory=Memory(size=_DEFAULT_MEMORY),
        # Libvirt's driver gives containers no number of processors; a domain has to have one.
        vcpu=VCPUMaximum(placement=CPUPlacement.STATIC, maximum=1),
        os=OS(type=OSVariant(arch=_arch(arch) if arch is not None else None, type=OSType.EXE), init="/sbin/init"),
        clock=Clock(offset=ClockOffset.UTC),
        on_poweroff=LifecycleAction.DESTROY,
        on_reboot=LifecycleAction.RESTART,
        on_crash=LifecycleAction.DESTROY,
    )
    devices = domain.devices = Devices()
    root = _required(settings, "lxc.rootfs.path", "lxc.rootfs")
    if settings.get("lxc.mount.fstab", "lxc.mount") is not None:
        raise ArgumentUnsupported("lxc.mount.fstab or lxc.mount found, use lxc.mount.entry lines instead")
    devices.filesystems = read_mounts(settings, root)
    has_network = read_networks(settings, devices)
    devices.consoles = _consoles(settings)
    domain.idmap = _idmap(settings)
    read_memtune(settings, domain)
    read_cputune(settings, domain)
    read_cpuset(settings, domain)
    read_blkiotune(settings, domain)
    # Without any network there is the loopback device only.
    domain.features = Features(privnet=not has_network, capabilities=_capabilities(settings))
    completion = rules.context(ParseFlag.ABI_UPDATE)
    completion.parsed = False
    rules.complete(domain, completion)
    return domain


def _required(settings: LXCSettings, name: str, old_name: str) -> str:
    value = settings.get(name, old_name)
    if value is None:
        raise InternalError(f"{name} is missing", advice=f"before LXC 3.0 it was called {old_name}")
    return value


def _arch(name: str) -> Arch | None:
    """None for what libvirt does not know either."""
    try:
        return Arch(name)
    except ValueError:
        return _ARCHS.get(name)


def _consoles(settings: LXCSettings) -> list[Console]:
    written = settings.get("lxc.tty.max", "lxc.tty")
    if written is None:
        return []
    count = parse_number(written, INT, "failed to parse int")
    if count > _MOST_CONSOLES:
        raise InternalError(
            f"failed to parse int: '{written}'", advice=f"at most {_MOST_CONSOLES} consoles are possible"
        )
    return [
        Console(
            type=CharacterType.PTY,
            source=PTYChardev(),
            target=ConsoleTarget(type=ConsoleTargetType.LXC, port=port),
        )
        for port in range(count)
    ]


def _idmap(settings: LXCSettings) -> IDMap | None:
    idmap = IDMap()
    for name, value in settings.each("lxc.idmap", "lxc.id_map"):
        if name not in ("lxc.idmap", "lxc.id_map"):
            continue
        found = _IDMAP.match(value)
        if found is None or any(len(number) > 20 or int(number) > _LARGEST_ID for number in found.groups()[1:]):
            raise InternalError(f"invalid {name}: '{value}'", value=value)
        kind, *numbers = found.groups()
        target, start, count = map(int, numbers)
        if kind not in ("u", "g"):
            raise InternalError(
                f"invalid {name}: '{value}'", value=value, advice="a mapping is of users (u) or groups (g)"
            )
        entries = idmap.uids if kind == "u" else idmap.gids
        entries.append(IDMapEntry(start=start, target=target, count=count))
    # Groups alone libvirt keeps to itself.
    return idmap if idmap.uids else None


def _capabilities(settings: LXCSettings) -> ProcessCapabilities:
    """Everything is allowed but what is dropped."""
    capabilities = ProcessCapabilities(policy=CapabilitiesPolicy.ALLOW)
    known = {field.name for field in declaration(ProcessCapabilities).fields} - {"policy"}
    for name in (settings.get("lxc.cap.drop") or "").split(" "):
        if name in known:
            setattr(capabilities, name, StateFeature(state=False))
    return capabilities
