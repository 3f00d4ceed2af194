"""Damaged input to every parser: a VirtError (or the ValueError it documents) comes out, soon, or a result.

A sample in each run; ``deep``: more than a million inputs. The seeds are small documents of our own and, where the
corpus is there, documents of it.
"""

from __future__ import annotations

import random
import resource
import time
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import pytest

from property.mutations import mutate
from support import SHARED
from virt_bhyve.native import parse_command_lines
from virt_esx.vmx import DatastoreFiles, VMXContext, read_vmx
from virt_host.description.dmi import parse_dmidecode
from virt_lxc.config import read_config
from virt_xen.config.xl import parse_xl
from virt_xen.config.xm import parse_xm
from virtcore.errors import VirtError
from virtcore.model.backup import load_backup
from virtcore.model.capabilities import Capabilities
from virtcore.model.checkpoint import load_checkpoint
from virtcore.model.cpu import load_cpu, load_cpu_data
from virtcore.model.domain import Domain, load_domain
from virtcore.model.domain.rules import DomainRules
from virtcore.model.domain_capabilities import DomainCapabilities
from virtcore.model.interface import load_interface
from virtcore.model.network import load_network, load_network_port
from virtcore.model.nodedev import load_node_device
from virtcore.model.nwfilter import load_nwfilter, load_nwfilter_binding
from virtcore.model.secret import load_secret
from virtcore.model.snapshot import load_snapshot
from virtcore.model.storage import StoragePoolCapabilities, StoragePoolType, load_storage_pool, load_storage_vol
from virtcore.model.storage.backing import parse_backing
from virtcore.model.storage.image_header import probe_format, read_header
from virtcore.runtime.conf import ConfFile
from virtcore.uri import URI, ConnectionURI
from virtcore.xml import load, parse

#: Seconds one input may take; far above what any needs, also on a busy machine.
LIMIT = 5.0
#: Bytes the whole process may grow by.
MEMORY = 512 * 2**20


class Target(NamedTuple):
    """A parser, seeds of our own, and where the corpus has more."""

    parser: Callable[[bytes], object]
    seeds: tuple[bytes, ...]
    corpus: tuple[str, ...] = ()
    refusals: tuple[type[Exception], ...] = (VirtError,)


def text(parser: Callable[[str], object]) -> Callable[[bytes], object]:
    """Return a parser of bytes that are decoded as files are, whatever they are."""
    return lambda data: parser(data.decode("utf-8", "surrogateescape"))


def image(data: bytes) -> object:
    return probe_format(data), read_header(data)


_DOMAIN = b"""<domain type='kvm'><name>n</name><memory unit='KiB'>1024</memory><vcpu cpuset='0-3,^2'>2</vcpu>
<os><type arch='x86_64' machine='pc'>hvm</type></os><clock offset='utc'/><devices>
<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='/a'/><target dev='vda' bus='virtio'/>
<address type='pci' domain='0x0000' bus='0x00' slot='0x04' function='0x0'/></disk>
<interface type='network'><mac address='52:54:00:00:00:01'/><source network='default'/></interface>
<hostdev mode='subsystem' type='usb'><source><vendor id='0x1234'/><product id='0x5678'/></source></hostdev>
</devices></domain>"""
_NETWORK = b"""<network><name>n</name><ip address='10.0.0.1' prefix='8'>
<dhcp><range start='10.0.0.2' end='10.0.0.9'/></dhcp></ip></network>"""
_FILTER = b"""<filter name='f'><rule action='drop' direction='in'>
<tcp srcipaddr='10.1.2.3' flags='SYN/ALL'/></rule></filter>"""
_UUID = b"<uuid>c7ca6a6a-6b9b-4c8b-9dbe-6a2f0f0f0f0f</uuid>"
_OWNER = b"<owner><name>m</name>" + _UUID + b"</owner><mac address='52:54:00:00:00:01'/>"
_PCI = b"""<device><name>pci_0</name><capability type='pci'><domain>0</domain><bus>1</bus><slot>2</slot>
<function>3</function><product id='0x1'/><vendor id='0x2'/></capability></device>"""
_DMI = b"Handle 0x0001, DMI type 1, 27 bytes\nSystem Information\n\tManufacturer: LENOVO\n\tUUID: 1\n\nHandle 0x0002\n"

TARGETS: dict[str, Target] = {
    "domain": Target(lambda data: load_domain(data, DomainRules()), (_DOMAIN,), ("generic-domain-xml/data/*/*.xml",)),
    "domain-lossless": Target(lambda data: parse(data, Domain), (_DOMAIN,), ("generic-domain-xml/data/*/*.xml",)),
    "network": Target(
        load_network,
        (_NETWORK,),
        ("network-xml/data/*/*.xml",),
    ),
    "networkport": Target(
        load_network_port,
        (b"<networkport>" + _UUID + _OWNER + b"</networkport>",),
        ("networkport-xml/data/*/*.xml",),
    ),
    "nwfilter": Target(
        load_nwfilter,
        (_FILTER,),
        ("nwfilter-xml/data/*/*.xml",),
    ),
    "nwfilterbinding": Target(
        load_nwfilter_binding,
        (b"<filterbinding>" + _OWNER + b"<portdev name='v'/><filterref filter='f'/></filterbinding>",),
        ("nwfilterbinding-xml/data/*/*.xml",),
    ),
    "storagepool": Target(
        load_storage_pool,
        (b"<pool type='dir'><name>p</name><target><path>/p</path></target></pool>",),
        ("storage-pool-xml/data/*/*.xml",),
    ),
    "storagevol": Target(
        lambda data: load_storage_vol(data, StoragePoolType.DIR),
        (b"<volume><name>v</name><capacity unit='G'>1</capacity><target><format type='qcow2'/></target></volume>",),
        ("storage-vol-xml/data/*/*.xml",),
    ),
    "storagepoolcaps": Target(
        lambda data: load(data, StoragePoolCapabilities),
        (b"<storagepoolCapabilities><pool type='dir' supported='yes'/></storagepoolCapabilities>",),
        ("storage-pool-caps/data/*/*.xml",),
    ),
    "nodedev": Target(load_node_device, (_PCI,), ("nodedev-xml/data/nodedevschemadata/*.xml",)),
    "secret": Target(
        load_secret,
        (b"<secret ephemeral='no'><usage type='ceph'><name>c</name></usage></secret>",),
        ("secret-xml/data/*/*.xml",),
    ),
    "interface": Target(
        load_interface,
        (b"<interface type='ethernet' name='eth0'><start mode='onboot'/><mtu size='1500'/></interface>",),
        ("interface-xml/data/*/*.xml",),
    ),
    "snapshot": Target(
        load_snapshot, (b"<domainsnapshot><name>s</name></domainsnapshot>",), ("snapshot-xml/data/*/*.xml",)
    ),
    "checkpoint": Target(
        load_checkpoint, (b"<domaincheckpoint><name>c</name></domaincheckpoint>",), ("checkpoint-xml/data/*/*.xml",)
    ),
    "backup": Target(
        load_backup,
        (b"<domainbackup mode='push'><disks><disk name='vda' type='file'/></disks></domainbackup>",),
        ("backup-xml/data/*/*.xml",),
    ),
    "cpu": Target(load_cpu, (b"<cpu mode='custom'><model>Haswell</model><feature policy='force' name='x'/></cpu>",)),
    "cpudata": Target(load_cpu_data, (b"<cpudata arch='x86'><cpuid eax_in='0x1' eax='0x2'/></cpudata>",)),
    "capabilities": Target(
        lambda data: load(data, Capabilities),
        (b"<capabilities><host><cpu><arch>x86_64</arch></cpu></host></capabilities>",),
        ("schema/data/capabilityschemadata/*.xml",),
    ),
    "domaincaps": Target(
        lambda data: load(data, DomainCapabilities),
        (b"<domainCapabilities><path>/q</path><domain>kvm</domain><arch>x86_64</arch></domainCapabilities>",),
        ("schema/data/domaincapsdata/*.xml",),
    ),
    "vmx": Target(
        lambda data: read_vmx(data, VMXContext(files=DatastoreFiles("datastore", "directory"))),
        (
            (
                b'config.version = "8"\nvirtualHW.version = "4"\nmemsize = "4"\n'
                b'displayName = "n"\nscsi0:0.fileName = "a.vmdk"\n'
            ),
        ),
        ("vmx2xml/data/*/*.vmx",),
    ),
    "xl": Target(
        text(parse_xl),
        (b'name = "n"\nmemory = 512\ndisk = [ "/a,raw,hda,w" ]\nvif = [ "mac=00:16:3e:66:92:9c,bridge=b" ]\n',),
        ("xl-config/data/*/*.cfg",),
    ),
    "xm": Target(
        text(parse_xm), (b'name = "n"\nmemory = 512\ndisk = [ "phy:/a,hda,w" ]\n',), ("xm-config/data/*/*.cfg",)
    ),
    "lxc": Target(
        text(read_config),
        (b"lxc.rootfs = /r\nlxc.utsname = n\nlxc.network.type = veth\nlxc.cgroup.cpuset.cpus = 1,2,5-7\n",),
        ("lxc-conf2xml/data/*/*.config",),
    ),
    "bhyve": Target(
        text(parse_command_lines),
        (b"/usr/sbin/bhyve -c 1 -m 214 -H -P -s 0:0,hostbridge -s 2:0,ahci,hd:/d.img bhyve\n",),
        ("bhyve-argv2xml/data/*/*.args",),
    ),
    "virconf": Target(text(ConfFile.parse), (b"a = 1\nb = [ 'x', \"y\" ]\n# c\n",), ("virconf/data/*/*.conf",)),
    "uri": Target(text(URI.parse), (b"qemu+ssh://root@[::1]:22/system?keyfile=/k&no_tty=1#f",)),
    "connection-uri": Target(text(ConnectionURI.parse), (b"qemu+ssh://root@host:22/system?keyfile=/k", b"xen:///")),
    "image-header": Target(
        image,
        (
            b"QFI\xfb" + bytes([0, 0, 0, 3]) + bytes(range(16)) + bytes(80) + b"base.qcow2",
            b"KDMV" + bytes(60) + b'# Disk DescriptorFile\nparentCID=1\nparentFileNameHint="p.vmdk"\n',
            b"QED\0" + bytes(64),
            b"conectix" + bytes(64),
            b"LUKS\xba\xbe\0\x01" + bytes(200),
        ),
    ),
    "backing-store": Target(
        text(parse_backing),
        (
            b'json:{"driver":"raw","file":{"driver":"nbd","host":"h","port":"1","export":"e"}}',
            b"nbd://host:10809/e",
            b"rbd:pool/image:id=a:key=k:mon_host=h\\:6321",
            b"nbd:unix:/s:exportname=e",
        ),
    ),
    "dmidecode": Target(text(parse_dmidecode), (_DMI,), ("sysinfo/data/*/*.data", "sysinfo/data/*/*sysinfo*")),
}


@cache
def seeds(name: str) -> list[bytes]:
    """Return the seeds of a target: our own, and up to 200 small files of the corpus."""
    found = list(TARGETS[name].seeds)
    for pattern in TARGETS[name].corpus:
        files = sorted((SHARED / "conformance" / "suites").glob(pattern)) if SHARED.is_dir() else []
        found += [path.read_bytes() for path in files[:200] if path.is_file() and path.stat().st_size < 20_000]
    return found


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def fuzz(name: str, count: int, seed: int) -> None:
    """Feed a target so many inputs; the first that is not refused properly, or takes too long, fails the test."""
    target = TARGETS[name]
    rng = random.Random(f"{name}-{seed}")
    before = peak()
    for number in range(count):
        data = mutate(rng, seeds(name))
        began = time.process_time()
        try:
            target.parser(data)
        except target.refusals:
            pass
        except Exception as error:
            error.add_note(f"input {number} of {name}: {data!r}")
            raise
        took = time.process_time() - began
        assert took < LIMIT, f"{took:.1f} s for input {number} of {name}: {data[:2000]!r}"
    grown = peak() - before
    assert grown < MEMORY, f"{name} took {grown >> 20} MiB"


@pytest.mark.parametrize("name", TARGETS)
def test_the_seeds_are_read(name: str) -> None:
    for data in TARGETS[name].seeds:
        TARGETS[name].parser(data)


@pytest.mark.parametrize("name", TARGETS)
def test_damaged_input(name: str) -> None:
    fuzz(name, 150, 0)


@pytest.mark.deep
@pytest.mark.parametrize("name", TARGETS)
def test_much_damaged_input(name: str) -> None:
    fuzz(name, 60_000, random.SystemRandom().randrange(2**32))
