"""Network filters on real taps. To be run in a network namespace of its own only (see ``test_nwfilter_traffic.py``)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from support import comes
from virt_host.links import devices, taps
from virt_host.nwfilter import firewall, leases, ports
from virt_host.nwfilter.service import HostNWFilters
from virt_host.nwfilter.steps import Layer
from virtcore.driver.base import Place
from virtcore.errors import InternalError, OperationInvalid, VirtError
from virtcore.model.nwfilter import FilterBinding, load_nwfilter_binding
from virtcore.runtime.launcher import launcher

GUEST, OTHER = "52:54:00:00:00:01", "52:54:00:00:00:02"
OWNER = "11111111-1111-4111-8111-111111111111"
_BUILT_IN = tuple(f":{chain} " for chain in ("PREROUTING", "POSTROUTING", "INPUT", "FORWARD", "OUTPUT"))
TABLES = ("ebtables-save", "iptables-save", "ip6tables-save")


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


class Wire:
    """A guest's end: what is written to it the guest sends."""

    def __init__(self, name: str) -> None:
        self.name, (self.descriptor,) = taps.open_tap(name, header=False)
        os.set_blocking(self.descriptor, False)
        ip("link", "set", name, "master", "br0", "up")

    def send(self, frame: bytes) -> None:
        os.write(self.descriptor, frame)

    def received(self) -> Iterator[bytes]:
        with contextlib.suppress(BlockingIOError):
            while True:
                yield os.read(self.descriptor, 2048)

    async def gets(self, frame: bytes) -> list[bytes]:
        """What came before a frame that must come."""
        before: list[bytes] = []

        def came() -> bool:
            for each in self.received():
                if each == frame:
                    return True
                before.append(each)
            return False

        await comes(came)
        return before

    def close(self) -> None:
        os.close(self.descriptor)


@pytest.fixture
def wires() -> Iterator[tuple[Wire, Wire]]:
    subprocess.run(["mount", "-t", "sysfs", "sysfs", "/sys"], check=True)
    ip("link", "set", "lo", "up")
    ip("link", "add", "br0", "type", "bridge", "mcast_snooping", "0")
    ip("link", "set", "br0", "up")
    guest, other = Wire("v0"), Wire("v1")
    try:
        yield guest, other
    finally:
        guest.close()
        other.close()
        ip("link", "del", "br0")
        subprocess.run(["umount", "/sys"], check=True)


def mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def arp(sender: str, address: str, *, claimed: str | None = None, target: str = "10.0.0.9") -> bytes:
    """A request; with the sender's MAC address as it is claimed inside."""
    packet = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + mac(claimed or sender) + socket.inet_aton(address)
    return b"\xff" * 6 + mac(sender) + b"\x08\x06" + packet + bytes(6) + socket.inet_aton(target)


def udp(sender: str, source: str, ports: tuple[int, int], payload: bytes, *, to: str = "ff:ff:ff:ff:ff:ff") -> bytes:
    data = struct.pack("!HHHH", *ports, 8 + len(payload), 0) + payload
    addresses = socket.inet_aton(source) + socket.inet_aton("10.0.0.255")
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(data), 0, 0, 64, 17, 0) + addresses
    total = sum(struct.unpack("!10H", header))
    checksum = 0xFFFF - (total & 0xFFFF) - (total >> 16)
    packet = header[:10] + checksum.to_bytes(2) + header[12:] + data
    frame: bytes = mac(to) + mac(sender) + b"\x08\x00" + packet
    return frame


def dhcp(kind: int, *, reply: bool, address: str, lease: int = 3600) -> bytes:
    """A message about the guest."""
    zero = bytes(4)
    own, given = (zero, socket.inet_aton(address)) if reply else (socket.inet_aton(address), zero)
    head = struct.pack("!BBBBIHH", 2 if reply else 1, 1, 6, 0, 7, 0, 0) + own + given + zero + zero + mac(GUEST)
    options = (
        bytes((99, 130, 83, 99, 53, 1, kind, 51, 4)) + struct.pack("!I", lease) + bytes((54, 4, 10, 0, 0, 254, 255))
    )
    message = head.ljust(236, b"\0") + options
    if reply:
        return udp(OTHER, "10.0.0.254", (67, 68), message, to=GUEST)
    return udp(GUEST, address, (68, 67), message)


def binding(name: str, **parameters: str) -> FilterBinding:
    values = "".join(f"<parameter name='{key}' value='{value}'/>" for key, value in parameters.items())
    return load_nwfilter_binding(
        f"<filterbinding><owner><name>g</name><uuid>{OWNER}</uuid></owner><portdev name='v0'/><mac address='{GUEST}'/>"
        f"<filterref filter='{name}'>{values}</filterref></filterbinding>"
    )


def saved() -> str:
    """All rules and the chains that somebody made, without counters."""
    text = "".join(subprocess.run([name], capture_output=True, text=True, check=True).stdout for name in TABLES)
    lines = (line.split(" [")[0] for line in text.splitlines() if line.startswith((":", "-")))
    return "\n".join(line for line in lines if not line.startswith(_BUILT_IN))


@contextlib.asynccontextmanager
async def service(root: Path) -> AsyncIterator[HostNWFilters]:
    filters = HostNWFilters(Place(True, str(root)))
    await filters.open()
    try:
        yield filters
    finally:
        await filters.close()
        launcher().close()


def run(work: Callable[[], Coroutine[None, None, None]]) -> None:
    asyncio.run(work())


# ------------------------------------------------------------------------------------------------------------ the tests


def test_who_is_honest_passes(wires: tuple[Wire, Wire], tmp_path: Path) -> None:
    guest, other = wires

    async def work() -> None:
        async with service(tmp_path) as own:
            empty = saved()
            bound = binding("clean-traffic", IP="10.0.0.1")
            await own.filters.create_binding(bound)
            honest = arp(GUEST, "10.0.0.1")
            for spoofed in (
                arp(OTHER, "10.0.0.1"),
                arp(GUEST, "10.0.0.2"),
                arp(GUEST, "10.0.0.1", claimed=OTHER),
                udp(GUEST, "10.0.0.2", (1, 2), b"x"),
                udp(OTHER, "10.0.0.1", (1, 2), b"x"),
                b"\xff" * 6 + mac(GUEST) + b"\x88\xb5" + bytes(46),
            ):
                guest.send(spoofed)
                guest.send(honest)
                assert spoofed not in await other.gets(honest)
            packet = udp(GUEST, "10.0.0.1", (1, 2), b"x")
            guest.send(packet)
            await other.gets(packet)
            await own.filters.delete_binding(bound)
            spoofed = arp(GUEST, "10.0.0.2")
            guest.send(spoofed)
            await other.gets(spoofed)
            assert saved() == empty

    run(work)


_PACKETS = (
    "<filter name='packets'><rule action='accept' direction='in' priority='100'><tcp dstportstart='22' "
    "comment='a \"quoted\" &apos;comment&apos; \\ of ours'/></rule>"
    "<rule action='drop' direction='out'><udp-ipv6 dstportstart='$P'/></rule>"
    "<rule action='reject' direction='inout' priority='900'><all match='no' srcipaddr='10.0.0.0' srcipmask='8'/></rule>"
    "<filterref filter='clean-traffic'/></filter>"
)


def test_in_one_go_or_command_by_command(
    wires: tuple[Wire, Wire], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work() -> None:
        async with service(tmp_path) as own:
            await own.filters.define(_PACKETS)
            found: list[str] = []
            for restoring in (True, False):
                if not restoring:
                    monkeypatch.setitem(firewall._RESTORING, Layer.FRAMES, ("no-such-program",))
                # First where nothing is, then in place of other rules.
                for address in ("10.0.0.1", "10.0.0.2"):
                    bound = binding("packets", IP=address, P="53")
                    await own.filters.bind(bound)
                    found.append(saved().replace(address, "IP"))
                await own.filters.unbind(bound)
                assert "v0" not in saved()
            assert found[0].count("v0") > 50
            assert found == [found[0]] * 4

    run(work)


def test_a_filter_changes_where_it_is_used(wires: tuple[Wire, Wire], tmp_path: Path) -> None:
    async def work() -> None:
        async with service(tmp_path) as own:
            define = own.filters.define
            await define("<filter name='top'><filterref filter='below'/></filter>")
            with pytest.raises(InternalError, match="referenced filter 'below' is missing"):
                await own.filters.create_binding(binding("top"))
            rule = "<rule action='drop' direction='in'><ip {}ipaddr='${}'/></rule>"
            below = await define(f"<filter name='below'>{rule.format('src', 'A')}</filter>")
            with pytest.raises(InternalError, match=r"unresolvable variables or unavailable list elements: A$"):
                await own.filters.create_binding(binding("top"))
            assert "v0" not in saved()
            bound = binding("top", A="10.9.9.9")
            await own.filters.create_binding(bound)
            assert "--ip-src 10.9.9.9" in saved()
            with pytest.raises(OperationInvalid, match="nwfilter is in use"):
                await own.filters.undefine(below)
            head = f"<filter name='below'><uuid>{below.uuid}</uuid>"
            await define(f"{head}{rule.format('dst', 'A')}</filter>")
            assert "--ip-dst 10.9.9.9" in saved()
            before = saved()
            with pytest.raises(InternalError, match="elements: B"):
                await define(f"{head}{rule.format('dst', 'B')}</filter>")
            assert saved() == before
            assert "dstipaddr='$A'" in own.nwfilter_xml(below.ref)
            await own.filters.delete_binding(bound)
            failed = (
                "Failed to run firewall command ebtables --concurrent -t nat -A libvirt-P-v0 -p ipv4 --ip-destination"
            )
            with pytest.raises(InternalError, match=failed):
                await own.filters.create_binding(binding("top", A="nonsense"))
            assert "v0" not in saved()

    run(work)


def test_a_restart_finds_bindings_again(wires: tuple[Wire, Wire], tmp_path: Path) -> None:
    async def work() -> None:
        async with service(tmp_path) as own:
            await own.filters.create_binding(binding("clean-traffic", IP="10.0.0.1"))
            before = saved()
            allow = own.filters.table.by_name("allow-arp")
            await own.filters.undefine(allow)
        subprocess.run(["ebtables", "-t", "nat", "-F"], check=True)
        async with service(tmp_path) as own:
            (found,) = own.filters.bindings.values()
            assert (found.portdev, found.filterref.parameters[1].name) == ("v0", "MAC")
            assert own.in_use
            await comes(lambda: saved() == before)
            assert own.filters.table.find("allow-arp") is None, "what was undefined does not come back"
            await own.filters.delete_binding(found)
        async with service(tmp_path) as own:
            assert not own.filters.bindings

    run(work)


def test_the_address_is_learned_from_what_the_guest_sends(wires: tuple[Wire, Wire], tmp_path: Path) -> None:
    guest, other = wires

    async def work() -> None:
        async with service(tmp_path) as own:
            bound = binding("clean-traffic")
            await own.filters.create_binding(bound)
            assert f"-s ! {GUEST}" in saved()
            assert "10.0.0.7" not in saved()
            guest.send(arp(OTHER, "10.0.0.8"))
            guest.send(arp(GUEST, "0.0.0.0"))  # a probe: it has none yet
            guest.send(arp(GUEST, "10.0.0.7"))
            await comes(lambda: "--arp-ip-src 10.0.0.7" in saved() and "J-v0" not in saved())
            assert "10.0.0.8" not in saved()
            honest, spoofed = udp(GUEST, "10.0.0.7", (1, 2), b"x"), udp(GUEST, "10.0.0.8", (1, 2), b"x")
            guest.send(spoofed)
            guest.send(honest)
            assert spoofed not in await other.gets(honest)
            await own.filters.delete_binding(bound)
            with pytest.raises(VirtError, match=r"filter 'clean-traffic' learning value 'odd' invalid\."):
                await own.filters.create_binding(binding("clean-traffic", CTRL_IP_LEARNING="odd"))
            with pytest.raises(InternalError, match=r"unavailable list elements: IP$"):
                await own.filters.create_binding(binding("clean-traffic", CTRL_IP_LEARNING="none"))

    run(work)


def test_the_address_is_what_the_server_gave(wires: tuple[Wire, Wire], tmp_path: Path) -> None:
    guest, other = wires

    async def work() -> None:
        bound = binding("clean-traffic", CTRL_IP_LEARNING="dhcp", DHCPSERVER="10.0.0.254")
        async with service(tmp_path) as own:
            await own.filters.create_binding(bound)
            held_back = saved()
            assert "--ip-src 10.0.0.254" in held_back
            guest.send(dhcp(5, reply=True, address="10.0.0.66"))  # a guest is no server
            other.send(dhcp(2, reply=True, address="10.0.0.67"))  # an offer is no lease
            other.send(dhcp(5, reply=True, address="10.0.0.7"))
            await comes(lambda: "--arp-ip-src 10.0.0.7" in saved() and "libvirt-J" not in saved())
            assert "10.0.0.6" not in saved()
        async with service(tmp_path) as own:  # the lease is known after a restart
            await comes(lambda: own.filters._watches and "--arp-ip-src 10.0.0.7" in saved())
            other.send(dhcp(5, reply=True, address="10.0.0.8"))
            await comes(lambda: all(f"--arp-ip-src 10.0.0.{last}" in saved() for last in (7, 8)))
            guest.send(dhcp(7, reply=False, address="10.0.0.7"))
            await comes(lambda: "10.0.0.8" in saved() and "10.0.0.7" not in saved())
            guest.send(dhcp(7, reply=False, address="10.0.0.8"))
            await comes(lambda: saved() == held_back)

    run(work)


def test_a_lease_ends(wires: tuple[Wire, Wire], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, other = wires

    async def work() -> None:
        async with service(tmp_path) as own:
            await own.filters.create_binding(binding("clean-traffic", CTRL_IP_LEARNING="dhcp"))
            held_back = saved()
            other.send(dhcp(5, reply=True, address="10.0.0.7", lease=3600))
            await comes(lambda: "10.0.0.7" in saved())
            watch = own.filters._watches["v0"]
            assert isinstance(watch, ports._Snooping)
            await comes(lambda: watch._timer is not None)
            later = SimpleNamespace(time=lambda: time.time() + 7200)
            monkeypatch.setattr(leases, "time", later)
            monkeypatch.setattr(ports, "time", later)
            watch._ended()
            await comes(lambda: saved() == held_back)
            assert watch._timer is None

    run(work)


def test_a_port_that_goes(wires: tuple[Wire, Wire], tmp_path: Path) -> None:
    async def work() -> None:
        async with service(tmp_path) as own:
            ip("tuntap", "add", "gone", "mode", "tap")
            bound = binding("clean-traffic")
            bound.portdev = "gone"
            await own.filters.create_binding(bound)
            ip("link", "del", "gone")
            assert not devices.exists("gone")
            await own.filters.delete_binding(bound)
            assert "gone" not in saved()
            bound.filterref.filter = "none such"
            await own.filters.create_binding(bound)  # a port that is not there has no rules, as in libvirt
            assert "gone" not in saved()

    run(work)
