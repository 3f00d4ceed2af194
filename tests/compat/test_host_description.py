"""The host as virt-host describes it, beside what the real libvirt's QEMU driver says of the same machine."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from virt_host.description.capabilities import host_capabilities
from virt_host.description.cpu_model import host_cpu
from virt_host.description.cpuid import cpuid_reader
from virt_host.description.cpuinfo import cpu_times, node_info, online_cpus, present_cpus
from virt_host.description.memory import HostMemory
from virt_host.description.tree import HostTree
from virtcore.model.arch import host_arch
from virtcore.model.capabilities import Capabilities, format_capabilities
from virtcore.model.cpu import HostCPU, expand_cpu_features, load_host_cpu

#: The features libvirt's release knows.
FEATURES = Path("/usr/share/libvirt/cpu_map/x86_features.xml")


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URI of libvirt's QEMU driver in virsh itself; it looks at QEMU once."""
    root = tmp_path_factory.mktemp("embedded")
    yield f"qemu:///embed?root={root}"
    shutil.rmtree(root, ignore_errors=True)


@pytest.fixture(scope="module")
def theirs(virsh: Callable[..., Any], embedded: str) -> etree._Element:
    """``<host>`` of the real libvirt."""
    said = virsh(embedded, "capabilities", check=False)
    if said.returncode:
        pytest.skip(f"libvirt's QEMU driver cannot be embedded here: {said.stderr.strip()}")
    host = etree.fromstring(said.stdout).find("host")
    assert host is not None
    return host


@pytest.fixture(scope="module")
def ours() -> etree._Element:
    tree = HostTree()
    printed = format_capabilities(
        Capabilities(host=host_capabilities(tree, host_arch(), cpu=host_cpu(tree, host_arch())))
    )
    host = etree.fromstring(printed).find("host")
    assert host is not None
    return host


def features(cpu: etree._Element) -> set[str]:
    """All there are, those of the model too."""
    described = load_host_cpu(etree.tostring(cpu))
    assert isinstance(described, HostCPU)
    expand_cpu_features(described.arch, described)
    return {feature.name for feature in described.features}


def test_processor(theirs: etree._Element, ours: etree._Element) -> None:
    if cpuid_reader() is None:
        pytest.skip("the processor cannot be asked here")
    there, here = theirs.find("cpu"), ours.find("cpu")
    assert there is not None
    assert here is not None
    for name in ("microcode", "signature", "counter", "maxphysaddr"):
        wanted, got = there.find(name), here.find(name)
        if wanted is not None:
            assert got is not None, name
            assert dict(got.attrib) == dict(wanted.attrib)
    assert here.findtext("vendor") == there.findtext("vendor")
    assert features(there) <= features(here)
    if FEATURES.exists():
        # What is only ours came with later releases, which look into more registers.
        known = {node.get("name") for node in etree.parse(FEATURES).iter("feature") if node.find("msr") is None}
        assert not (features(here) - features(there)) & known


def test_cells(theirs: etree._Element, ours: etree._Element) -> None:
    def places(host: etree._Element) -> list[list[str | None]]:
        # Releases before 10.1 say nothing of clusters.
        names = ("id", "socket_id", "die_id", "core_id", "siblings")
        return [[cpu.get(name) for name in names] for cpu in host.iterfind("topology/cells/cell/cpus/cpu")]

    def distances(host: etree._Element) -> list[dict[Any, Any]]:
        return [dict(node.attrib) for node in host.iterfind("topology/cells/cell/distances/sibling")]

    assert places(ours) == places(theirs)
    assert distances(ours) == distances(theirs)
    assert [node.get("size") for node in ours.iterfind("topology/cells/cell/pages")] == [
        node.get("size") for node in theirs.iterfind("topology/cells/cell/pages")
    ]


def test_caches(theirs: etree._Element, ours: etree._Element) -> None:
    # Older releases left out what is below the third level (11.3 prints it: suite host-capabilities).
    def banks(host: etree._Element) -> list[dict[Any, Any]]:
        return [dict(bank.attrib) for bank in host.iterfind("cache/bank") if int(bank.get("level", "0")) > 2]

    assert banks(ours) == banks(theirs)


def test_statistics(virsh: Callable[..., Any], theirs: etree._Element, embedded: str) -> None:
    said = virsh(embedded, "nodecpumap").stdout
    values = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in said.splitlines())}
    assert values["CPUs online"] == str(len(online_cpus(HostTree())))
    assert values["CPUs present"] == str(len(present_cpus(HostTree())))
    said = virsh(embedded, "nodecpustats").stdout
    names = [line.partition(":")[0].strip() for line in said.splitlines()]
    times = cpu_times(HostTree())
    assert times is not None
    assert sorted(names) == sorted([*("system" if name == "kernel" else name for name in times)])
    said = virsh(embedded, "nodememstats").stdout
    assert [line.partition(":")[0].strip() for line in said.splitlines()] == list(HostMemory(HostTree()).statistics())


def test_node_information(virsh: Callable[..., Any], theirs: etree._Element, embedded: str) -> None:
    said = virsh(embedded, "nodeinfo").stdout
    values = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in said.splitlines())}
    info = node_info(HostTree(), host_arch())
    assert values["CPU(s)"] == str(info.cpus)
    assert values["CPU socket(s)"] == str(info.sockets)
    assert values["Core(s) per socket"] == str(info.cores)
    assert values["Thread(s) per core"] == str(info.threads)
    assert values["NUMA cell(s)"] == str(info.nodes)
