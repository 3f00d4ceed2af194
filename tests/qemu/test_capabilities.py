"""What is concluded from QEMU's answers, and how long it is kept. Needs no QEMU."""

from __future__ import annotations

import asyncio
import json
import xml.etree.ElementTree as ET

import pytest

from virt_qemu.capabilities import cache as cache_module
from virt_qemu.capabilities.cache import CapabilitiesCache
from virt_qemu.capabilities.derive import derive
from virt_qemu.capabilities.document import format_emulator_capabilities, parse_emulator_capabilities
from virt_qemu.capabilities.model import Accelerator, CPUExpansion, EmulatorCapabilities
from virt_qemu.capabilities.replies import Replies
from virt_qemu.capabilities.schema import Schema
from virtcore.errors import ConfigUnsupported, SystemError, VirtError
from virtcore.model.arch import Arch

SCHEMA = [
    {"name": "blockdev-add", "meta-type": "command", "arg-type": "1", "ret-type": "none"},
    {
        "name": "1",
        "meta-type": "object",
        "members": [{"name": "driver", "type": "2"}, {"name": "id", "type": "str", "default": None}],
        "variants": [{"case": "file", "type": "3"}],
        "features": ["new"],
    },
    {"name": "2", "meta-type": "enum", "members": [{"name": "file"}, {"name": "nvme", "features": ["late"]}]},
    {"name": "3", "meta-type": "object", "members": [{"name": "aio", "type": "[2]"}]},
    {"name": "[2]", "meta-type": "array", "element-type": "2"},
    {"name": "str", "meta-type": "builtin", "json-type": "string"},
]


@pytest.mark.parametrize(
    ("path", "there"),
    [
        ("blockdev-add", True),
        ("blockdev-del", False),
        ("blockdev-add/arg-type/driver", True),
        ("blockdev-add/arg-type/driver/^nvme", True),
        ("blockdev-add/arg-type/driver/^nvme/$late", True),
        ("blockdev-add/arg-type/driver/^file/$late", False),
        ("blockdev-add/arg-type/+file/aio/^file", True),
        ("blockdev-add/arg-type/+nvme", False),
        ("blockdev-add/arg-type/$new", True),
        ("blockdev-add/arg-type/*id", True),
        ("blockdev-add/arg-type/*driver", False),
        ("blockdev-add/arg-type/id/!string", True),
        ("blockdev-add/arg-type/id/!number", False),
    ],
)
def test_paths_into_the_schema(path, there):
    assert Schema(SCHEMA).has(path) is there


def recording(*pairs) -> str:
    documents = []
    for command, reply in (({"execute": "qmp_capabilities"}, {"return": {}}), *pairs):
        documents += [json.dumps(command, indent=2), json.dumps(reply, indent=2)]
    return "\n\n".join(documents)


def version(major: int, minor: int) -> tuple:
    qemu = {"major": major, "minor": minor, "micro": 3}
    return {"execute": "query-version"}, {"return": {"qemu": qemu, "package": "pkg"}}


TARGET = ({"execute": "query-target"}, {"return": {"arch": "x86_64"}})
MACHINES = (
    {"execute": "query-machines"},
    {
        "return": [
            {"name": "none", "cpu-max": 1},
            {"name": "pc-q35-9.0", "alias": "q35", "cpu-max": 288, "default-ram-id": "pc.ram"},
            {"name": "pc-i440fx-9.0", "alias": "pc", "cpu-max": 255, "is-default": True},
        ]
    },
)


def test_machines_and_version():
    [replies] = Replies.recorded(recording(version(9, 0), TARGET, MACHINES))
    found = derive("/bin/qemu", replies)
    assert (found.version, found.package, found.arch) == (9_000_003, "pkg", Arch.X86_64)
    assert found.default_machine() == "pc-i440fx-9.0"
    assert found.canonical_machine("q35") == "pc-q35-9.0"
    assert found.canonical_machine("other") == "other"
    machine = found.machine("q35")
    assert machine is not None
    assert machine.default_ram_id == "pc.ram"
    assert found.machine("none") is None


def test_an_emulator_that_is_too_old():
    [replies] = Replies.recorded(recording(version(6, 1), TARGET, MACHINES))
    with pytest.raises(ConfigUnsupported, match=r"QEMU version >= 6\.2\.0 is required, but 6\.1\.3 found"):
        derive("/bin/qemu", replies)


def test_flags_are_libvirts(shared):
    listing = (shared / "conformance/suites/qemu-caps/cases.jsonl").read_text()
    cases = [json.loads(line) for line in listing.splitlines()]
    wrong = []
    for case in cases:
        text = (shared / "conformance" / case["inputs"]["replies"]).read_text()
        found = derive(case["params"]["binary"], *Replies.recorded(text))
        expected = ET.parse(shared / "conformance/suites/qemu-caps" / case["expected"]["xml"])
        if {str(flag.get("name")) for flag in expected.iterfind("flag")} != found.flags:
            wrong.append(case["id"])
    assert len(cases) - len(wrong) >= 20, wrong


def test_kept_by_identity_probed_once(tmp_path, monkeypatch):
    binary = tmp_path / "qemu"
    binary.write_text("#!/bin/sh\n")
    binary.chmod(0o755)
    probes = 0

    async def probe(path: str, kvm: bool) -> tuple[Replies, Replies | None]:
        nonlocal probes
        probes += 1
        assert not kvm
        await asyncio.sleep(0.01)
        [replies] = Replies.recorded(recording(version(9, 0), TARGET, MACHINES))
        return replies, None

    monkeypatch.setattr(cache_module, "probe", probe)
    monkeypatch.setattr(cache_module, "kvm_usable", lambda: False)

    async def anew() -> EmulatorCapabilities:
        cache = CapabilitiesCache(tmp_path / "cache")
        try:
            return await cache.get(str(binary))
        finally:
            await cache.close()

    async def test() -> None:
        first = CapabilitiesCache(tmp_path / "cache")
        assert first.known(str(binary)) is None
        one, other = await asyncio.gather(first.get(str(binary)), first.get(str(binary)))
        assert one is other
        assert probes == 1
        assert first.known(str(binary)) is one
        await first.close()
        assert await anew() == one
        assert probes == 1
        binary.write_text("#!/bin/sh\nexit\n")
        await anew()
        assert probes == 2
        [kept] = (tmp_path / "cache").iterdir()
        kept.write_text("<qemuCaps>")
        await anew()
        assert probes == 3
        with pytest.raises(SystemError, match="Cannot check QEMU binary /nowhere: No such file or directory"):
            await first.get("/nowhere")

    asyncio.run(test())


KVM = ({"execute": "query-kvm"}, {"return": {"present": True, "enabled": True}})
EXPANSION = {"execute": "query-cpu-model-expansion"}


def expansion(properties: dict, *, model: str = "host", kind: str = "static", **wanted: bool) -> tuple:
    described = {"name": model} | ({"props": wanted} if wanted else {})
    command = EXPANSION | {"arguments": {"type": kind, "model": described}}
    return command, {"return": {"model": {"name": "base", "props": properties}, "deprecated-props": ["old"]}}


def test_an_accelerated_emulator_as_a_document():
    main = recording(
        version(9, 0),
        TARGET,
        KVM,
        MACHINES,
        ({"execute": "query-qmp-schema"}, {"return": [{"name": "query-cpu-definitions", "meta-type": "command"}]}),
        (
            {"execute": "query-cpu-definitions"},
            {
                "return": [
                    {"name": "qemu64", "typename": "qemu64-x86_64-cpu", "unavailable-features": []},
                    {"name": "athlon", "typename": "", "unavailable-features": ["3dnow"], "deprecated": True},
                    {"name": "odd"},
                ]
            },
        ),
        expansion({"aes": True, "invtsc": False, "vmx": False, "family": 6, "vendor": "<&>"}),
        expansion({"aes": True, "invtsc": True, "vmx": False, "family": 6}, migratable=False),
        expansion({"hv-vapic": True, "hv-relaxed": False}, kind="full", migratable=False, **{"hv-passthrough": True}),
        (
            {"execute": "query-sgx-capabilities"},
            {"return": {"flc": True, "sgx1": True, "sgx2": False, "sections": [{"node": 1, "size": 8192}]}},
        ),
    )
    tcg = recording(version(9, 0), TARGET, MACHINES)
    found = derive("/bin/qemu", *Replies.recorded(f"{main}\n\n{tcg}"), microcode=7)
    assert [machine.name for machine in found.accelerators["kvm"].machines] == ["pc-i440fx-9.0", "pc-q35-9.0"]
    assert (
        format_emulator_capabilities(found)
        == """<qemuCaps>
  <emulator>/bin/qemu</emulator>
  <qemuctime>0</qemuctime>
  <selfctime>0</selfctime>
  <selfvers>0</selfvers>
  <flag name='kvm'/>
  <flag name='query-cpu-definitions'/>
  <version>9000003</version>
  <microcodeVersion>7</microcodeVersion>
  <package>pkg</package>
  <arch>x86_64</arch>
  <hostCPU type='kvm' model='base' migratability='yes'>
    <property name='aes' type='boolean' value='true' migratable='yes'/>
    <property name='invtsc' type='boolean' value='true' migratable='no'/>
    <property name='vmx' type='boolean' value='false'/>
    <property name='family' type='number' value='6'/>
    <property name='vendor' type='string' value='&lt;&amp;&gt;'/>
  </hostCPU>
  <cpu type='kvm' name='qemu64' typename='qemu64-x86_64-cpu' usable='yes'/>
  <cpu type='kvm' name='athlon' usable='no' deprecated='yes'>
    <blocker name='3dnow'/>
  </cpu>
  <cpu type='kvm' name='odd'/>
  <machine type='kvm' name='pc-i440fx-9.0' alias='pc' maxCpus='255' default='yes' numaMemSupported='yes'/>
  <machine type='kvm' name='pc-q35-9.0' alias='q35' maxCpus='288' numaMemSupported='yes' defaultRAMid='pc.ram'/>
  <machine type='tcg' name='pc-i440fx-9.0' alias='pc' maxCpus='255' default='yes' numaMemSupported='yes'/>
  <machine type='tcg' name='pc-q35-9.0' alias='q35' maxCpus='288' numaMemSupported='yes' defaultRAMid='pc.ram'/>
  <sgx supported='yes'>
    <flc>yes</flc>
    <sgx1>yes</sgx1>
    <sgx2>no</sgx2>
    <section_size unit='KiB'>8</section_size>
    <sections>
      <section node='1' size='8' unit='KiB'/>
    </sections>
  </sgx>
  <hypervCapabilities supported='yes'>
    <cap name='vapic'/>
  </hypervCapabilities>
</qemuCaps>
"""
    )
    assert parse_emulator_capabilities(format_emulator_capabilities(found)) == found


def test_power_processors_have_libvirts_names():
    target = ({"execute": "query-target"}, {"return": {"arch": "ppc64"}})
    schema = ({"execute": "query-qmp-schema"}, {"return": [{"name": "query-cpu-definitions", "meta-type": "command"}]})
    models = ({"execute": "query-cpu-definitions"}, {"return": [{"name": "power9"}, {"name": "970_v2.2"}]})
    [replies] = Replies.recorded(recording(version(9, 0), target, schema, models))
    found = derive("/bin/qemu", replies)
    assert [cpu.name for cpu in found.accelerators["tcg"].cpus] == ["POWER9", "970_v2.2"]


@pytest.mark.parametrize("text", ["", "<qemuCaps/>", "<other/>"])
def test_what_is_no_document_of_capabilities(text):
    with pytest.raises(VirtError):
        parse_emulator_capabilities(text)


@pytest.mark.parametrize(("kind", "value"), [("number", "many"), ("boolean", "maybe"), ("colour", "red")])
def test_a_property_with_an_impossible_value(kind, value):
    known = EmulatorCapabilities(
        binary="/bin/qemu",
        arch=Arch.X86_64,
        version=0,
        package="",
        flags=frozenset(),
        accelerators={"tcg": Accelerator(host_cpu=CPUExpansion(name="max", properties={"family": 6}))},
    )
    written = format_emulator_capabilities(known)
    spoilt = written.replace("type='number' value='6'", f"type='{kind}' value='{value}'")
    assert spoilt != written
    with pytest.raises(VirtError, match=f"invalid {kind} value for 'family' host CPU model property"):
        parse_emulator_capabilities(spoilt)
