"""Absurd but well-formed domains: answered at once, and cost grows with the document only."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from domain_documents import document, load
from support import costs_less_than, processor_time
from virtcore.errors import VirtError

MANY = 4294967295


@pytest.mark.parametrize(
    "given",
    [
        document(f"<vcpus><vcpu id='{MANY - 1}' enabled='yes'/></vcpus>", vcpu=f"<vcpu>{MANY}</vcpu>"),
        document(f"<iothreads>{MANY}</iothreads><iothreadids><iothread id='1'/></iothreadids>"),
        document("<cputune><vcpupin vcpu='0' cpuset='0-4000000000'/></cputune>"),
        document(memory="<memory unit='EiB'>16</memory>"),
        document(memory="<memory>" + "9" * 5000 + "</memory>"),
        document("<cpu><topology sockets='65536' cores='65536' threads='2'/></cpu>"),
        document(name=f"<name>{'/' * 10000}</name>"),
        document(
            "<devices><disk><source file='/x'/><target dev='sda'/>"
            "<address type='drive' controller='4000000000'/></disk></devices>"
        ),
        document("<devices><disk><source file='/x'/><target dev='sdzzzzzz'/></disk></devices>"),
    ],
)
def test_refused_at_once(given: str) -> None:
    with costs_less_than(1), pytest.raises(VirtError):
        load(given)


@pytest.mark.parametrize(
    "given",
    [
        document(f"<iothreads>{MANY}</iothreads><cputune><iothreadpin iothread='7' cpuset='1'/></cputune>"),
        document(
            "<cputune><cachetune vcpus='0-16383'><cache id='0' level='3' type='both' size='1'/></cachetune></cputune>",
            vcpu=f"<vcpu>{MANY}</vcpu>",
        ),
    ],
)
def test_large_numbers_cost_nothing(given: str) -> None:
    with costs_less_than(1):
        load(given)


def _cells(count: int) -> str:
    cells = "".join(f"<cell id='{n}' cpus='{n}' memory='1'/>" for n in range(count))
    return document(f"<cpu><numa>{cells}</numa></cpu>", vcpu=f"<vcpu>{count}</vcpu>")


def _pages(count: int) -> str:
    pages = "".join(f"<page size='{n + 1}' nodeset='{n}'/>" for n in range(count))
    return _cells(count).replace("<cpu>", f"<memoryBacking><hugepages>{pages}</hugepages></memoryBacking><cpu>")


def _tunes(count: int) -> str:
    tunes = "".join(f"<memorytune vcpus='{n}'><node id='0' bandwidth='10'/></memorytune>" for n in range(count))
    return document(f"<cputune>{tunes}</cputune>", vcpu=f"<vcpu>{count}</vcpu>")


def _audios(count: int) -> str:
    return document("<devices>" + "".join(f"<audio id='{n}' type='none'/>" for n in range(1, count + 1)) + "</devices>")


def _modules(count: int) -> str:
    modules = "".join(
        f"<memory model='dimm'><target><size>1</size></target>"
        f"<address type='dimm' slot='{n}' base='{0x100000000 + n * 1024:#x}'/></memory>"
        for n in range(count)
    )
    return document("<maxMemory slots='9'>2097152</maxMemory>", f"<devices>{modules}</devices>")


def _devices(device: Callable[[int, int], str]) -> Callable[[int], str]:
    return lambda count: document("<devices>" + "".join(device(n, count) for n in range(count)) + "</devices>")


def _name(number: int) -> str:
    return (_name(number // 26 - 1) if number >= 26 else "") + chr(ord("a") + number % 26)


_disks = _devices(
    lambda n, count: f"<disk><source file='/{n}'/><target dev='sd{_name(count - n)}' bus='scsi'/></disk>",
)
_hostdevs = _devices(
    lambda n, _: (
        f"<hostdev mode='subsystem' type='scsi'><source><adapter name='scsi_host0'/>"
        f"<address bus='0' target='{n}' unit='0'/></source></hostdev>"
    ),
)
_controllers = _devices(lambda n, count: f"<controller type='scsi' index='{count - n}'/><controller type='usb'/>")
_channels = _devices(
    lambda n, _: (
        f"<channel type='pty'><target type='virtio' name='{n}'/>"
        f"<address type='virtio-serial' controller='{n}' bus='0' port='1'/></channel>"
    ),
)
_ports = _devices(lambda n, _: "<serial type='pty'/><smartcard mode='host'/>")


@pytest.mark.parametrize(
    "make",
    [_cells, _pages, _tunes, _audios, _modules, _disks, _hostdevs, _controllers, _channels, _ports],
)
def test_cost_is_linear(make: Callable[[int], str]) -> None:
    def seconds(count: int) -> float:
        given = make(count)
        best = 60.0
        for _ in range(2):
            best = min(best, processor_time(lambda: load(given)))
        return best

    # Eight times as much may take eight times as long and half of that again on a busy machine, not 64 times.
    assert seconds(4000) < 24 * max(seconds(500), 0.004)
