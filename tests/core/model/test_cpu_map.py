"""The CPU map: complete, of the form its tool writes, and cheap to use."""

from __future__ import annotations

import importlib.util
import json
from types import ModuleType
from typing import Any

import pytest

from support import ROOT, SHARED, costs_less_than
from virtcore.model.arch import Arch
from virtcore.model.cpu import compare_cpu, load_guest_cpu, load_host_cpu
from virtcore.model.cpu.map import MapFile, map_file
from virtcore.model.cpu.x86_map import Signature, X86Map, x86_map

FACTS = SHARED / "facts/cpu-map.json"

needs_facts = pytest.mark.skipif(not FACTS.exists(), reason="the facts are not beside the project")


def _tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("carry_over_cpu_map", ROOT / "tools/carry_over_cpu_map.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@needs_facts
@pytest.mark.parametrize("arch", ["x86", "arm", "ppc64"])
def test_the_tool_writes_what_is_checked_in(arch: str) -> None:
    tool = _tool()
    facts = json.loads(FACTS.read_text())
    written = (tool.TARGET / f"{arch}.map").read_text()
    assert tool.text_of(arch, facts["arches"][arch], facts["source"]["version"]) == written


@needs_facts
def test_models_have_the_features_of_the_facts() -> None:
    facts: dict[str, Any] = json.loads(FACTS.read_text())["arches"]["x86"]
    known = x86_map()
    assert known.model_names() == list(facts["models"])
    assert known.names == [row["name"] for row in facts["features"]]
    for name, row in facts["models"].items():
        source = facts["models"][row["base"]] if "base" in row else row
        model = known.model(name)
        assert model is not None
        assert set(known.names_of(model.features)) == {*source.get("features", ()), *source.get("vmx_features", ())}
        assert set(model.removed) == set(source.get("removed", ()))
        assert set(model.added) == set(source.get("added", ()))
        assert model.vendor == source.get("vendor")
        assert (model.decode_host, model.decode_guest) == (row["decode"]["host"], row["decode"]["guest"])
        assert len(model.signatures) == len(source.get("signatures", ()))


def test_signatures() -> None:
    signature = Signature.from_register(0x00050654)
    assert signature == (6, 85, 4)
    assert signature.register() == 0x00050654
    assert Signature(25, 1, 0).register() == 0x00A00F10
    cascadelake = x86_map().model("Cascadelake-Server")
    assert cascadelake is not None
    assert [step for step in range(16) if cascadelake.matches(Signature(6, 85, step))] == [5, 6, 7]
    assert cascadelake.signatures[0].example() == (6, 85, 5)


def test_a_version_is_another_name() -> None:
    known = x86_map()
    version, model = known.model("Nehalem-v2"), known.model("Nehalem-IBRS")
    assert version is not None
    assert model is not None
    assert version.alias_of == "Nehalem-IBRS"
    assert (version.features, version.signatures, version.vendor) == (model.features, model.signatures, model.vendor)
    assert (version.decode_host, version.decode_guest) == (True, False)
    assert known.canonical("Nehalem-IBRS") == "Nehalem-v2"
    assert known.canonical("Nehalem-v2") is None


def test_names_with_blanks() -> None:
    assert "ThunderX2 99xx" in map_file("arm").models


def test_comparing_reads_only_the_models_it_needs() -> None:
    own = X86Map(MapFile("feature a 0x1.0x0/ecx 0\nmodel x +a\nmodel broken like=missing\n"))
    assert own.require_model("x").features == 1
    with pytest.raises(KeyError):
        own.models()


def test_speed() -> None:
    """Generous limits: a map that is parsed whole for each comparison would miss them by far."""
    host = load_host_cpu("<cpu><arch>x86_64</arch><model>SapphireRapids</model><vendor>Intel</vendor></cpu>")
    guest = load_guest_cpu("<cpu match='exact'><model>Nehalem</model></cpu>")
    with costs_less_than(0.1):
        fresh = X86Map(map_file("x86"))
        fresh.require_model("SapphireRapids")
    compare_cpu(Arch.X86_64, host, guest)
    with costs_less_than(0.1):
        for _ in range(100):
            compare_cpu(Arch.X86_64, host, guest)
