"""What is concluded from QEMU's answers, and how long it is kept. Needs no QEMU."""

from __future__ import annotations

import asyncio
import json
import xml.etree.ElementTree as ET

import pytest

from virt_qemu.capabilities import cache as cache_module
from virt_qemu.capabilities.cache import CapabilitiesCache
from virt_qemu.capabilities.derive import derive
from virt_qemu.capabilities.replies import Replies
from virt_qemu.capabilities.schema import Schema
from virtcore.errors import ConfigUnsupported, SystemError
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

    async def probe(path: str) -> Replies:
        nonlocal probes
        probes += 1
        await asyncio.sleep(0.01)
        [replies] = Replies.recorded(recording(version(9, 0), TARGET, MACHINES))
        return replies

    monkeypatch.setattr(cache_module, "probe", probe)

    async def test() -> None:
        first = CapabilitiesCache(tmp_path / "cache")
        assert first.known(str(binary)) is None
        one, other = await asyncio.gather(first.get(str(binary)), first.get(str(binary)))
        assert one is other
        assert probes == 1
        assert first.known(str(binary)) is one
        again = await CapabilitiesCache(tmp_path / "cache").get(str(binary))
        assert probes == 1
        assert again == one
        binary.write_text("#!/bin/sh\nexit\n")
        await CapabilitiesCache(tmp_path / "cache").get(str(binary))
        assert probes == 2
        for damaged in (tmp_path / "cache").iterdir():
            damaged.write_text("{")
        await CapabilitiesCache(tmp_path / "cache").get(str(binary))
        assert probes == 3
        with pytest.raises(SystemError, match="Cannot check QEMU binary /nowhere: No such file or directory"):
            await first.get("/nowhere")

    asyncio.run(test())
