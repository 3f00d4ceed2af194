"""The processor that a guest really got: what its XML says of it, and what is told to others."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import virtcore
from virt_qemu.capabilities.model import EmulatorCapabilities
from virt_qemu.live_cpu import read_back_cpu
from virtcore.enums import DomainCreateFlags, DomainXMLFlags
from virtcore.errors import ConfigUnsupported, InternalError, OperationFailed, OperationInvalid
from virtcore.model.arch import Arch
from virtcore.model.cpu import GuestCPU, load_guest_cpu
from virtcore.model.cpu.x86_map import x86_map
from virtcore.model.domain import OS, Domain, OSType, OSVariant, VirtType
from virtcore.model.domain.features import Features
from virtcore.xml import parse

PAUSED = DomainCreateFlags.START_PAUSED
NEHALEM = "<cpu match='exact'><model>Nehalem</model><feature policy='require' name='vmx'/></cpu>"


def props(model: str, *more: str, **values: bool) -> dict[str, bool]:
    """What QEMU says that gives a guest all of a model."""
    known = x86_map()
    return dict.fromkeys((*known.names_of(known.require_model(model).features), *more), True) | values


@dataclass
class Talk:
    """A channel that knows two answers."""

    properties: object = field(default_factory=lambda: props("Nehalem", "vmx"))
    unavailable: object = field(default_factory=list)
    asked: list[object] = field(default_factory=list)

    async def execute(self, command: str, arguments: dict[str, object], *, limit: float) -> object:
        self.asked.append((command, arguments))
        if command == "qom-get":
            return self.unavailable
        return {"model": {"name": "it", "props": self.properties}}


FLAGS = frozenset({"cpu-unavailable-features", "query-cpu-model-expansion"})


def read_back(xml: str, talk: Talk, features: str | None = None, flags: frozenset[str] = FLAGS) -> GuestCPU:
    """The processor as it is described afterwards."""
    domain = Domain(type=VirtType.QEMU, name="x", cpu=load_guest_cpu(xml))
    domain.os = OS(type=OSVariant(arch=Arch.X86_64, type=OSType.HVM))
    domain.features = parse(features, Features) if features is not None else None
    emulator = EmulatorCapabilities(
        binary="/bin/qemu", arch=Arch.X86_64, version=0, package="", flags=flags, accelerators={}
    )
    cpus = [{"cpu-index": 0, "qom-path": "/machine/cpu"}]
    asyncio.run(read_back_cpu(talk, domain, emulator, cpus, 1.0))  # type: ignore[arg-type]
    assert domain.cpu is not None
    return domain.cpu


def told(cpu: GuestCPU) -> list[str]:
    return [f"{'-' if each.policy == 'disable' else '+'}{each.name}" for each in cpu.features]


def test_what_came_and_what_did_not() -> None:
    talk = Talk(props("Nehalem", "vmx", "hypervisor", "fxsr-opt", "fxsr_opt"), ["vmx", "sse4.2", "fxsr-opt", ""])
    cpu = read_back(NEHALEM, talk)
    assert told(cpu) == ["-vmx", "-sse4.2", "+hypervisor", "-fxsr_opt"]
    assert cpu.check == "full"
    assert talk.asked == [
        ("query-cpu-model-expansion", {"type": "full", "model": {"name": "Nehalem"}}),
        ("qom-get", {"path": "/machine/cpu", "property": "unavailable-features"}),
    ]


def test_what_was_asked_for_came() -> None:
    cpu = read_back(NEHALEM, Talk())
    assert told(cpu) == ["+vmx"]
    assert cpu.check == "full"


def test_a_full_check() -> None:
    full = NEHALEM.replace("<cpu ", "<cpu check='full' ")
    assert told(read_back(full, Talk())) == ["+vmx"]
    wrong = r"guest CPU doesn't match specification: extra features: hypervisor, missing features: vmx$"
    with pytest.raises(OperationFailed, match=wrong):
        read_back(full, Talk(props("Nehalem", "hypervisor"), ["vmx"]))


def test_processors_that_are_the_host_s() -> None:
    maximum = "<cpu mode='maximum' check='none'><feature policy='require' name='vmx'/></cpu>"
    talk = Talk(props("Nehalem"), ["vmx"])
    assert told(read_back(maximum, talk)) == ["+vmx"]
    assert talk.asked[0] == ("query-cpu-model-expansion", {"type": "full", "model": {"name": "max"}})
    with pytest.raises(OperationFailed, match="missing features: vmx"):
        read_back(maximum.replace("none", "full"), Talk(props("Nehalem"), ["vmx"]))


def test_what_a_guest_cannot_do_without() -> None:
    talk = Talk(props("Nehalem", "hv-relaxed", "hv-stimer", invtsc=True), ["invtsc"])
    with pytest.raises(ConfigUnsupported, match="host doesn't support invariant TSC"):
        read_back(NEHALEM.replace("vmx", "invtsc"), talk)
    for features, what in (
        ("<pvspinlock/>", "paravirtual spinlocks"),
        ("<hyperv><vpindex state='on'/></hyperv>", "hyperv 'vpindex' feature"),
        ("<hyperv><stimer state='on'><direct state='on'/></stimer></hyperv>", "hyperv stimer 'direct' feature"),
    ):
        with pytest.raises(ConfigUnsupported, match=f"host doesn't support {what}"):
            read_back(NEHALEM, talk, f"<features>{features}</features>")
    there = "<relaxed state='on'/><spinlocks state='on' retries='4096'/>"
    read_back(NEHALEM, talk, f"<features><hyperv>{there}</hyperv></features>")


def test_answers_that_are_none() -> None:
    answers: list[object] = [None, []]
    for properties in answers:
        with pytest.raises(InternalError, match="query-cpu-model-expansion reply data was missing 'model'"):
            read_back(NEHALEM, Talk(properties))
    silent = Talk()
    assert told(read_back(NEHALEM, silent, flags=frozenset())) == ["+vmx"]
    assert silent.asked == []


# -- real guests


def guest(name: str, cpu: str, domain_type: str = "qemu") -> str:
    """A guest without a system."""
    return f"""<domain type='{domain_type}'><name>{name}</name><memory unit='MiB'>32</memory><vcpu>1</vcpu>
    <os><type arch='x86_64' machine='pc'>hvm</type></os>{cpu}<devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator><memballoon model='none'/></devices></domain>"""


def cpu_in(text: str) -> str:
    """The processor of a document, without its place in it."""
    found = re.search(r"^( *)<cpu(?: [^>]*?)?(?:/>|>.*?</cpu>)", text, re.S | re.M)
    assert found is not None, text
    return found[0].replace("\n" + found[1], "\n").lstrip()


GOT = """<cpu mode='custom' match='exact' check='full'>
  <model fallback='forbid'>qemu64</model>
  <feature policy='require' name='hypervisor'/>
  <feature policy='require' name='lahf_lm'/>
</cpu>"""
ASKED = """<cpu mode='custom' match='exact' check='none'>
  <model fallback='forbid'>qemu64</model>
</cpu>"""


@pytest.mark.usefixtures("image_tools")
def test_a_guest_of_qemu_s_default(connection: virtcore.Connection, root: Path, tmp_path: Path) -> None:
    domain = connection.define_domain(guest("usual", "<cpu><model fallback='forbid'>qemu64</model></cpu>"))
    defined = cpu_in(domain.xml())
    domain.create(PAUSED)
    try:
        assert cpu_in(domain.xml()) == GOT
        assert cpu_in(domain.xml(DomainXMLFlags.UPDATE_CPU)) == GOT
        assert cpu_in(domain.xml(DomainXMLFlags.MIGRATABLE)) == ASKED
        assert cpu_in(domain.xml(DomainXMLFlags.INACTIVE)) == defined
        [status] = (root / "run/qemu/status").glob("*.xml")
        text = status.read_text()
        assert [cpu_in(text), cpu_in(text[text.index("<domain type") :])] == [ASKED, GOT]
        image = str(tmp_path / "saved")
        domain.save(image)
        assert cpu_in(connection.save_image_xml(image)) == ASKED
        connection.restore(image)
        assert cpu_in(domain.xml()) == GOT
        assert cpu_in(domain.xml(DomainXMLFlags.MIGRATABLE)) == ASKED
    finally:
        domain.destroy()


@pytest.mark.usefixtures("image_tools")
def test_a_guest_that_moves(connection: virtcore.Connection, root: Path, tmp_path: Path) -> None:
    cells = "<numa><cell id='0' cpus='0' memory='32768' unit='KiB'/></numa>"
    cpu = f"<cpu><model fallback='forbid'>qemu64</model>{cells}</cpu>"
    domain = connection.create_domain(guest("mover", cpu), PAUSED)
    here = [cpu_in(domain.xml(flags)) for flags in (0, DomainXMLFlags.MIGRATABLE)]
    assert "<numa>" in here[1]
    assert "hypervisor" not in here[1]
    peer_root = tmp_path / "peer"
    shutil.copytree(root / "cache", peer_root / "cache")
    with virtcore.connect(f"qemu:///embed?root={peer_root}") as peer:
        moved = domain.migrate(peer, {"destination_xml": domain.xml(DomainXMLFlags.MIGRATABLE)})
        try:
            assert [cpu_in(moved.xml(flags)) for flags in (0, DomainXMLFlags.MIGRATABLE)] == here
            # A processor that it does not have there is no other guest's: it is not let go.
            richer = moved.xml(DomainXMLFlags.MIGRATABLE).replace("qemu64", "kvm64")
            with pytest.raises(ConfigUnsupported, match="Target CPU model kvm64 does not match source qemu64"):
                moved.migrate(connection, {"destination_xml": richer})
            back = moved.migrate(connection)
            assert [cpu_in(back.xml(flags)) for flags in (0, DomainXMLFlags.MIGRATABLE)] == here
        finally:
            for each in peer.list_domains():
                each.destroy()
    back.destroy()


@pytest.mark.usefixtures("image_tools")
def test_a_guest_like_its_host(connection: virtcore.Connection) -> None:
    domain = connection.define_domain(guest("like", "<cpu mode='host-model'/>"))
    updated = cpu_in(domain.xml(DomainXMLFlags.UPDATE_CPU))
    assert updated.startswith("<cpu mode='custom' match='exact' check='partial'>\n  <model fallback='allow'>")
    domain.create(PAUSED)
    try:
        # What QEMU says it can give, it gives.
        live = updated.replace("partial", "full").replace("allow", "forbid")
        assert cpu_in(domain.xml()) == live
        # Whoever takes it is told the processor beside.
        assert cpu_in(domain.xml(DomainXMLFlags.MIGRATABLE)) == "<cpu mode='host-model' check='partial'/>"
        assert cpu_in(domain.xml(DomainXMLFlags.INACTIVE)) == "<cpu mode='host-model' check='partial'/>"
    finally:
        domain.destroy()


@pytest.mark.usefixtures("image_tools")
@pytest.mark.parametrize(
    ("cpu", "message"),
    [
        ("<cpu check='full'><model>qemu64</model></cpu>", "match specification: extra features: hypervisor,lahf_lm$"),
        ("<cpu check='partial'><model>Skylake-Server</model></cpu>", "does not provide required features: .*avx512f"),
        ("<cpu><model>Nehalem</model><feature name='invtsc'/></cpu>", "host doesn't support invariant TSC"),
        ("<cpu mode='host-passthrough'/>", "CPU mode 'host-passthrough' for x86_64 qemu domain on .* not supported"),
    ],
)
def test_guests_that_do_not_get_it(
    connection: virtcore.Connection, guests_of: Callable[[], list[int]], cpu: str, message: str
) -> None:
    with pytest.raises(virtcore.VirtError, match=message):
        connection.create_domain(guest("lacking", cpu), PAUSED)
    assert guests_of() == []
    assert connection.list_domains() == []


def test_capabilities_that_are_only_written_down(root: Path) -> None:
    with virtcore.connect(f"qemu:///embed?root={root}") as connection:
        domain = connection.define_domain(guest("noted", "<cpu mode='host-model'/>"))
        updated = domain.xml(DomainXMLFlags.UPDATE_CPU)
    with virtcore.connect(f"qemu:///embed?root={root}") as connection:
        assert connection.lookup_domain("noted").xml(DomainXMLFlags.UPDATE_CPU) == updated
    for file in (root / "cache").rglob("*.xml"):
        file.unlink()
    with virtcore.connect(f"qemu:///embed?root={root}") as connection:
        domain = connection.lookup_domain("noted")
        with pytest.raises(OperationInvalid, match=r"nothing is known of what guests of '.*' can have"):
            domain.xml(DomainXMLFlags.UPDATE_CPU)
