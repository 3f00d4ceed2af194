"""Configuration files of the LXC tools as domains."""

from __future__ import annotations

import contextlib
import random

import pytest
from hypothesis import given, strategies as st

import virtcore
from support import costs_less_than
from virt_lxc.config import read_config
from virt_lxc.rules import LXCRules
from virtcore.errors import VirtError
from virtcore.model.arch import Arch
from virtcore.model.domain.document import format_domain, load_domain

RULES = LXCRules(host=Arch.X86_64)
HEAD = "lxc.uts.name = c\nlxc.rootfs.path = /root\n"


def to_xml(*lines: str) -> str:
    return format_domain(read_config(HEAD + "\n".join(lines) + "\n", RULES))


def test_old_and_new_names_mean_the_same() -> None:
    new = read_config("lxc.uts.name = c\nlxc.rootfs.path = /r\nlxc.tty.max = 1\nlxc.idmap = u 1 0 9\n", RULES)
    old = read_config("lxc.utsname = c\nlxc.rootfs = /r\nlxc.tty = 1\nlxc.id_map = u 1 0 9\n", RULES)
    old.uuid = new.uuid
    assert format_domain(old) == format_domain(new)
    both = read_config("lxc.utsname = old\nlxc.uts.name = new\nlxc.rootfs = /o\nlxc.rootfs.path = /n\n", RULES)
    assert both.name == "new"


@pytest.mark.parametrize(
    ("name", "arch"), [("x86", "i686"), ("amd64", "x86_64"), ("x86_64", "x86_64"), ("i686", "i686"), ("odd", None)]
)
def test_architectures(name: str, arch: str | None) -> None:
    assert (f"<type arch='{arch}'>exe</type>" if arch else "<type>exe</type>") in to_xml(f"lxc.arch = {name}")


def test_mounts() -> None:
    text = to_xml(
        "lxc.mount.entry = proc proc proc defaults 0 0",
        "lxc.mount.entry = sysfs /sys sysfs defaults 0 0",
        "lxc.mount.entry = tmpfs run tmpfs size=3M,ro",
        "lxc.mount.entry =  /home\t/home  none  bind,rw 0 0",
        "lxc.mount.entry = /dev/sdb1 /data ext4 ro",
    )
    assert text.count("<filesystem") == 4
    assert "<source usage='3072' units='KiB'/>\n      <target dir='/run'/>\n      <readonly/>" in text
    assert "<source dir='/home'/>\n      <target dir='/home'/>\n    </filesystem>" in text
    assert "<filesystem type='block' accessmode='passthrough'>\n      <source dev='/dev/sdb1'/>" in text
    assert "<source dev='/dev/vg/lv'/>" in format_domain(
        read_config("lxc.utsname = c\nlxc.rootfs = /dev/vg/lv\n", RULES)
    )


def test_networks_by_number() -> None:
    text = to_xml(
        "lxc.net.3.type = veth",
        "lxc.net.0.type = macvlan",
        "lxc.net.0.link = eth0",
        "lxc.net.0.macvlan.mode = bridge",
        "lxc.net.3.flags = up",
        "lxc.net.3.hwaddr = 00:16:3e:xx:xx:xx",
        "lxc.net.3.ipv4.address = 10.1.2.3/8",
        "lxc.net.3.ipv6.address = 2001:DB8::1/64",
        "lxc.net.7.type = empty",
    )
    assert "<interface type='ethernet'>\n      <mac address='00:00:00:00:00:00'/>\n      <ip address='10.1.2.3'" in text
    assert "<ip address='2001:db8::1' family='ipv6' prefix='64'/>\n      <link state='up'/>" in text
    assert text.index("type='ethernet'") < text.index("type='direct'")
    assert "<source dev='eth0' mode='bridge'/>\n      <link state='down'/>" in text
    assert text.count("<interface") == 2
    assert "privnet" not in text


def test_networks_one_after_the_other() -> None:
    text = to_xml(
        "lxc.network.type = veth",
        "lxc.network.link = br0",
        "lxc.network.name = eth0",
        "lxc.network.type = vlan",
        "lxc.network.link = eth1",
        "lxc.network.vlan.id = 17",
        "lxc.network.type = none",
    )
    assert "<source bridge='br0'/>\n      <guest dev='eth0'/>" in text
    assert "<interface>eth1.17</interface>" in text


def test_resources() -> None:
    text = to_xml(
        "lxc.cgroup.memory.limit_in_bytes = 2G",
        "lxc.cgroup.memory.soft_limit_in_bytes = 1GB",
        "lxc.cgroup.memory.memsw.limit_in_bytes = 18446744073709551615",
        "lxc.cgroup.cpu.shares = 5",
        "lxc.cgroup.cpu.cfs_quota_us = -1",
        "lxc.cgroup.cpuset.cpus = 1-3,^2",
        "lxc.cgroup.cpuset.mems = 0",
        "lxc.cgroup.blkio.weight = 500",
        "lxc.cgroup.blkio.device_weight = 8:0 100",
        "lxc.cgroup.blkio.throttle.write_bps_device = 8:0  4096",
        "lxc.cgroup.blkio.throttle.read_iops_device = 8:16 7",
        "lxc.cgroup.blkio.throttle.unheard_of = 8:32 7",
        "lxc.cap.drop = mknod nonsense net_raw policy",
    )
    for row in (
        "<memory unit='KiB'>2097152</memory>",
        "<hard_limit unit='KiB'>2097152</hard_limit>",
        "<soft_limit unit='KiB'>976562</soft_limit>",
        "<vcpu placement='static' cpuset='1,3'>1</vcpu>",
        "<quota>-1</quota>",
        "<memory mode='strict' nodeset='0'/>",
        (
            "<weight>500</weight>\n    <device>\n      <path>/dev/block/8:0</path>\n      <weight>100</weight>\n"
            "      <write_bytes_sec>4096</write_bytes_sec>\n    </device>"
        ),
        "<path>/dev/block/8:16</path>\n      <read_iops_sec>7</read_iops_sec>",
        "<capabilities policy='allow'>\n      <mknod state='off'/>\n      <net_raw state='off'/>\n    </capabilities>",
    ):
        assert row in text, row
    assert "8:32" not in text
    assert "swap_hard_limit" not in text


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("lxc.mount = /fstab", "lxc.mount.fstab or lxc.mount found, use lxc.mount.entry lines instead"),
        ("lxc.mount.fstab = /fstab", "lxc.mount.fstab or lxc.mount found, use lxc.mount.entry lines instead"),
        ("lxc.mount.entry = tmpfs run tmpfs mode=0755", "missing tmpfs size, set the size option"),
        ("lxc.mount.entry = tmpfs run tmpfs size=10%", "can't convert relative size: '10%'"),
        ("lxc.mount.entry = tmpfs run tmpfs size=10Q", "failed to convert size: '10Q'"),
        ("lxc.mount.entry = a b c", "invalid lxc.mount.entry: 'a b c'"),
        ("lxc.cgroup.memory.limit_in_bytes = x", "failed to convert size: 'x'"),
        ("lxc.cgroup.memory.limit_in_bytes = 99999999999E", "failed to convert size: '99999999999E'"),
        ("lxc.cgroup.memory.limit_in_bytes = 1", "Memory size must be specified via <memory>"),
        ("lxc.cgroup.cpu.shares = x", "failed to parse integer: 'x'"),
        ("lxc.cgroup.cpuset.cpus = x", "Failed to parse bitmap 'x'"),
        ("lxc.cgroup.blkio.weight = x", "failed to parse integer: 'x'"),
        ("lxc.cgroup.blkio.device_weight = 8:0", "invalid lxc.cgroup.blkio.device_weight value: '8:0'"),
        ("lxc.cgroup.blkio.device_weight = 8:0 x", "failed to parse device weight: 'x'"),
        ("lxc.cgroup.blkio.throttle.read_bps_device = 8:0 x", "failed to parse read_bps_device: 'x'"),
        ("lxc.tty.max = x", "failed to parse int: 'x'"),
        ("lxc.idmap = u 1 2", "invalid lxc.idmap: 'u 1 2'"),
        ("lxc.id_map = x 1 2 3", "invalid lxc.id_map: 'x 1 2 3'"),
        ("lxc.idmap = u 1 2 4294967296", "invalid lxc.idmap: 'u 1 2 4294967296'"),
        ("lxc.net.0.type = phys", "Missing 'link' attribute for NIC"),
        ("lxc.net.0.type = macvlan", "a network of type macvlan needs a link"),
        ("lxc.net.0.ipv4.address = 1.2.3.4", "Invalid CIDR address: '1.2.3.4'"),
        ("lxc.net.0.ipv4.address = ::1/64", "Invalid CIDR address: '::1/64'"),
        ("lxc.net.0.type = veth\nlxc.net.0.ipv4.gateway = auto", "Bad gateway address 'auto' in route definition"),
        ("lxc.net.0.type = veth\nlxc.net.0.ipv6.gateway = 1.2.3.4", "ipv6 specified for non-IPv6 gateway address"),
        ("lxc.net.0.mtu = 1500", "unhandled network setting 'lxc.net.0.mtu'"),
        ("lxc.net.x.type = veth", "unhandled network setting 'lxc.net.x.type'"),
        ("lxc.network.link = br0", "unhandled network setting 'lxc.network.link'"),
        ("lxc.arch = s390x", "could not find capabilities for ostype=exe arch=s390x domaintype=lxc "),
    ],
)
def test_refused(line: str, message: str) -> None:
    with pytest.raises(VirtError) as caught:
        to_xml(line)
    assert message in str(caught.value)


@pytest.mark.parametrize("text", ["", "lxc.uts.name = c\n", "lxc.rootfs = /r\n", "lxc.uts.name = a/b\nlxc.rootfs = /r"])
def test_a_container_has_name_and_root(text: str) -> None:
    with pytest.raises(VirtError):
        read_config(text, RULES)


def test_what_is_read_is_a_document() -> None:
    text = to_xml("lxc.net.0.type = veth", "lxc.net.0.hwaddr = 00:16:3e:00:00:01", "lxc.tty.max = 2")
    assert format_domain(load_domain(text, RULES, RULES.context(arch=Arch.X86_64))) == text.replace(
        "<type>", "<type arch='x86_64'>"
    )


def test_conversion_without_a_connection() -> None:
    assert "<name>c</name>" in virtcore.convert(HEAD, from_format="lxc-tools")
    with pytest.raises(VirtError, match="virConnectDomainXMLToNative"):
        virtcore.convert("<domain/>", to_format="lxc-tools")


# ---------------------------------------------------------------------------------------------------------- odd input

WHOLE = HEAD + (
    "lxc.arch = x86\nlxc.mount.entry = tmpfs run tmpfs size=8m,ro 0 0\nlxc.net.0.type = veth\nlxc.net.0.link = br\n"
    "lxc.net.0.ipv4.address = 10.0.0.2/8\nlxc.net.0.ipv4.gateway = 10.0.0.1\nlxc.tty.max = 2\nlxc.idmap = u 1 0 9\n"
    "lxc.cgroup.memory.limit_in_bytes = 1G\nlxc.cgroup.cpuset.cpus = 0-1\nlxc.cgroup.blkio.device_weight = 8:0 9\n"
    "lxc.cap.drop = mknod\n"
)


def attempt(text: str) -> None:
    """Whatever it is, it is a container that can be printed, or an error of ours."""
    with contextlib.suppress(VirtError):
        format_domain(read_config(text, RULES))


def test_truncated_and_changed_anywhere() -> None:
    format_domain(read_config(WHOLE, RULES))
    for end in range(len(WHOLE)):
        attempt(WHOLE[:end])
    chance = random.Random(3)
    for _ in range(1500):
        data = list(WHOLE)
        for _ in range(chance.randrange(1, 5)):
            data[chance.randrange(len(data))] = chr(chance.choice((chance.randrange(128), chance.randrange(0x3000))))
        attempt("".join(data))


@given(st.text())
def test_any_text(text: str) -> None:
    attempt(text)
    attempt(HEAD + text)
    attempt(HEAD + "lxc.mount.entry = " + text.replace("\n", " "))


def test_huge_files_and_numbers_cost_what_they_weigh() -> None:
    with costs_less_than(20):
        attempt(HEAD + "".join(f"lxc.net.{n}.type = veth\n" for n in range(5_000)))
        attempt(HEAD + "".join(f"lxc.cgroup.blkio.device_weight = 8:{n} 7\n" for n in range(10_000)))
        for line in (
            "lxc.tty.max = 2147483647",
            "lxc.net.18446744073709551615.type = veth",
            "lxc.tty.max = " + "9" * 100_000,
        ):
            attempt(f"{HEAD}lxc.{line}\n")
        attempt(HEAD + "lxc.mount.entry = " + "x " * 200_000)
