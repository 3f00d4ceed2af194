"""Configurations of xl and xm, by the public function and by part: what is read, written, refused."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

import virtcore
from virt_xen.config.disk_syntax import parse_disk
from virt_xen.config.xl import format_xl, parse_xl
from virt_xen.config.xm import format_xm, parse_xm
from virt_xen.namespace import register
from virt_xen.rules import XenRules
from virtcore.errors import ConfSyntax, NoNetwork, VirtError
from virtcore.model.domain.document import format_domain, load_domain
from virtcore.model.domain.domain import Domain

register()

HVM = 'name = "g"\nuuid = "00000000-0000-0000-0000-000000000001"\nbuilder = "hvm"\nkernel = "/k"\n'
PV = 'name = "g"\nuuid = "00000000-0000-0000-0000-000000000001"\n'

EVERYTHING = r"""# a comment
name = "everything"
uuid = "00000000-0000-0000-0000-000000000001"
type = "hvm"
memory = 100
maxmem = "200"
vcpus = 2
maxvcpus = 4
cpus = "0-3,^2"
tsc_mode = "native_paravirt"
passthrough = "share_pt"
rtc_timeoffset = -3600
localtime = 1
hpet = 0
spice = 1
spicehost = "0.0.0.0"
spiceport = 5905
spicepasswd = "x"
spiceagent_mouse = 1
spice_clipboard_sharing = 1
vif = [ "mac=00:16:3e:66:92:9c, bridge=br0:1:2,script=vif-openvswitch,rate=10Mb/s@50ms,vifname=v0",
        "type=vif,mac=00:16:3e:66:92:9d",
        "mac=00:16:3e:66:92:9e,bridge=br1.4,script=x,ip=1.2.3.4 ::1" ]
pci = [ "00:1b.0,permissive=1", "0001:00:1c.1,permissive=0,msitranslate=1" ]
disk = [ "phy:/dev/a,hda,w", "tap:aio:/x,hdb:cdrom,r", "vdev=sda,format=vhd,target=/a,b=c", "/x.qcow2,qcow2,xvda,!",
  "vdev=xvdb,backendtype=qdisk,target=rbd:p/i:mon_host=[2001\\:db8\\:\\:1]\\:33\\;h2" ]
serial = ["none", "pty", "udp:1.2.3.4:5@:6", "telnet:h:1,server,nowait", "unix:/x,server"]
usbdev = ["hostbus=1,hostaddr=a"]
usbctrl = ["version=1,ports=4", "type=pv"]
usbdevice = ["tablet","keyboard","foo"]
soundhw = "all"
channel = ["connection=pty,name=a", "connection=socket,path=/p,name=b"]
vnuma = [ ["pnode=0","size=100","vcpus=0-1","vdistances=10,20"], ["pnode=1","size=100","vcpus=2-3","vdistances=20,10"] ]
nestedhvm = 0
cpuid = "host,sse3=k,tm=0"
on_crash = "coredump-restart"
device_model_args = [ "-x", "a b" ]
max_grant_frames = 64
"""


def test_everything_survives_the_way_through_xml() -> None:
    xml = virtcore.convert(EVERYTHING, from_format="xen-xl")
    for part in (
        "<vcpu placement='static' cpuset='0-1,3' current='2'>4</vcpu>",
        "<passthrough state='on' mode='share_pt'/>",
        "<feature policy='disable' name='vmx'/>",
        "<feature policy='optional' name='pni'/>",
        "<clock offset='variable' adjustment='-3600' basis='localtime'>",
        "<timer name='tsc' present='yes' mode='paravirt'/>",
        "<timer name='hpet' present='no'/>",
        "<host name='2001:db8::1' port='33'/>",
        "<source file='/a,b=c'/>",
        "<vlan trunk='yes'>",
        "<virtualport type='openvswitch'/>",
        "<outbound average='1280'/>",
        "<address bus='1' device='10'/>",
        "<controller type='usb' index='0' model='qusb1' ports='4'/>",
        "<controller type='xenbus' index='0' maxGrantFrames='64'/>",
        "<source writeFiltering='no'>",
        "<xen:arg value='a b'/>",
    ):
        assert part in xml
    text = virtcore.convert(xml, to_format="xen-xl")
    again = virtcore.convert(text, from_format="xen-xl")
    assert again == xml
    assert virtcore.convert(again, to_format="xen-xl") == text


def test_xm_survives_the_way_through_xml() -> None:
    text = HVM + 'disk = [ "phy:/dev/a,ioemu:hda,w", "tap:qcow2:/b,xvda,w!", ",hdc:cdrom,r", "nonsense" ]\nsdl = 1\n'
    written = format_xm(parse_xm(text))
    assert 'disk = [ "phy:/dev/a,hda,w", "tap:qcow2:/b,xvda,!", ",hdc:cdrom,r" ]' in written
    assert "sdl = 1\nvnc = 0\n" in written


def test_names_translate_between_the_formats() -> None:
    xl = virtcore.convert(PV + 'disk = [ "file:/a,xvda,w" ]\nextra = "x"\n', from_format="xen-xm", to_format="xen-xl")
    assert 'cmdline = "x"' in xl
    assert "format=raw,vdev=xvda,access=rw,backendtype=qdisk,target=/a" in xl


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/a,raw,xvda,w", ("/a", "raw", "xvda", True, False, None)),
        ("/a,,xvda,,", ("/a", "raw", "xvda", True, False, None)),
        ("  /a, qcow2, xvda, ro", ("/a", "qcow2", "xvda", False, False, None)),
        ("vdev=hdc,access=rw,devtype=cdrom", (None, "empty", "hdc", False, True, None)),
        (",,hdc,,cdrom", (None, "empty", "hdc", False, True, None)),
        ("format=qed,backendtype=tap,vdev=a,target=/x,y=z", ("/x,y=z", "qed", "a", True, False, "tap")),
        ("file:/a,hda:cdrom,r", ("/a", None, "hda", False, True, None)),
        ("tap:qcow2:/a,hda,w", ("/a", "qcow2", "hda", True, False, None)),
        ("/a,raw,xvda,w!,direct-io-safe,discard", ("/a", "raw", "xvda", True, False, None)),
        ("script=block-x,vdev=xvda,target=a", ("a", None, "xvda", True, False, None)),
    ],
)
def test_the_syntax_of_disks(text: str, expected: tuple[str | bool | None, ...]) -> None:
    spec = parse_disk(text)
    assert (spec.target, spec.format, spec.vdev, spec.readwrite, spec.cdrom, spec.backend) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/a",
        "/a,raw",
        "/a,nonsense,xvda",
        "/a,raw,xvda,x",
        "/a,raw,xvda,w,more",
        "/a,raw,xvda:x",
        "/a,raw,vdev=xvda,nonsense=1",
        "vdev=xvda",
        "vdev=xvda,vdev=xvdb,target=/a",
        "format=raw,format=qcow,vdev=a,target=/a",
        "foo:/a,hda,w",
        "/a=b,raw,xvda",
        "backendtype=foo,vdev=a,target=/a",
        "devtype=tape,vdev=a,target=/a",
    ],
)
def test_disks_that_are_none(text: str) -> None:
    with pytest.raises(ConfSyntax):
        parse_disk(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("memory = 5", "config value name was missing"),
        ("name = 5", "memory conf: expected a string for 'name' parameter"),
        (PV.replace("-0000-", "-00-"), "00000000-00-0000-00-000000000001 not parseable"),
        (PV + 'type = "x"', "type x is not supported"),
        (PV + "memory = -1", "config value memory was malformed"),
        (PV + 'memory = "x"', "config value memory was malformed"),
        (PV + "localtime = []", "config value localtime was malformed"),
        (PV + "vcpus = 0", "domain config can't have 0 maximum vCPUs"),
        (PV + "vcpus = 3\nmaxvcpus = 2", "maximum vCPU count must not be less than current vCPU count"),
        (PV + 'cpus = "x"', "Failed to parse bitmap 'x'"),
        (PV + 'on_crash = "x"', "unexpected value x for on_crash"),
        (PV + 'vif = [ "mac=x" ]', "malformed mac address 'x'"),
        (PV + 'vif = [ "rate=x" ]', "Invalid rate 'x' specified"),
        (PV + 'vif = [ "model=0123456789" ]', "Model 0123456789 too big for destination"),
        (PV + 'vif = [ "ip=x" ]', "Failed to parse IP address: 'x'"),
        (PV + 'pci = [ "00:1b" ]', "Malformed PCI address 00:1b"),
        (PV + 'pci = [ "00:1b.0,x" ]', "Malformed PCI options x"),
        (PV + 'cpuid = "0:eax=1"', "cpuid starting with 0:eax=1 is not supported, only libxl format is"),
        (PV + 'cpuid = "host,x"', "Invalid libxl cpuid key=value element: x"),
        (PV + 'cpuid = "host,x=y"', "Invalid libxl cpuid value: x=y"),
        (PV + 'passthrough = "x"', "Invalid passthrough mode x"),
        (PV + 'vfb = [ "vncdisplay=x" ]', "invalid vncdisplay value 'x'"),
        (PV + 'vnuma = [ [ "pnode=1", "size=1", "vcpus=0" ] ]', "vnuma vnode 0 contains invalid pnode value '1'"),
        (PV + 'vnuma = [ [ "pnode=0", "size=1" ] ]', "Incomplete vnuma configuration for vnode 0"),
        (PV + 'vnuma = [ [ "x" ] ]', "vnuma vnode invalid format 'x'"),
        (PV + 'vnuma = [ [ "x=1" ] ]', "Invalid vnuma configuration for vnode 0"),
        (
            PV + 'vnuma = [ [ "pnode=0", "size=1", "vcpus=0-1" ] ]',
            "vnuma configuration contains 2 vcpus, which is greater than 1 maxvcpus",
        ),
        (
            PV + 'vnuma = [ [ "pnode=0", "vdistances=10,20" ] ]',
            "vnuma pnode 0 configured 'vdistances=10,20' (count 2) doesn't fit the number of specified vnodes 1",
        ),
        (HVM + 'serial = "x:y"', "unknown chr device type 'x'"),
        (HVM + 'serial = "tcp:y"', "malformed char device string"),
        (HVM + "usbdevice = 5", "config value usbdevice was malformed"),
        (HVM + 'soundhw = "0123456789"', "Sound model 0123456789 too big for destination"),
        (HVM + "spice = 1", "config value spicepasswd was missing"),
        ("name", "memory conf:1: expecting an assignment"),
        ('name = "\ud800"', "character U+D800 on line 1 of the configuration is no text"),
    ],
)
def test_what_xl_configurations_may_not_say(text: str, message: str) -> None:
    with pytest.raises(VirtError) as caught:
        virtcore.convert(text, from_format="xen-xl")
    assert str(caught.value).endswith(message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HVM + 'serial = [ "pty" ]', "Multiple serial devices are not supported by xen-xm"),
        (HVM.replace("kernel", "kernal"), "config value kernel was missing"),
        (PV + "disk = [ 5 ]", "memory conf: expected a string list for 'disk' parameter"),
    ],
)
def test_what_xm_configurations_may_not_say(text: str, message: str) -> None:
    with pytest.raises(VirtError) as caught:
        virtcore.convert(text, from_format="xen-xm")
    assert str(caught.value).endswith(message)


def document(devices: str = "", *, top: str = "<clock offset='utc'/>", kind: str = "hvm") -> str:
    return (
        f"<domain type='xen'><name>g</name><memory unit='MiB'>64</memory>{top}<os><type>{kind}</type></os>"
        f"<devices>{devices}</devices></domain>"
    )


@pytest.mark.parametrize(
    ("xml", "message"),
    [
        (document("<interface type='user'/>"), "Unsupported net type 'user'"),
        (document("<interface type='network'><source network='n'/></interface>"), "Network not found: n"),
        (document("<serial type='nmdm'><source master='a' slave='b'/></serial>"), "unsupported chr device type 'nmdm'"),
        (document("<controller type='usb' model='ehci'/>"), "unsupported usb model"),
        (document(top="<clock offset='utc' adjustment='reset'/>"), "unsupported clock adjustment='reset'"),
        (document(top="<clock offset='variable'/>", kind="linux"), "unsupported clock offset='variable'"),
        (document(top="<clock><timer name='pit'/></clock>"), "unsupported timer type (name) 'pit'"),
        (document(top="<clock><timer name='hpet'/></clock>", kind="linux"), "unsupported timer type (name) 'hpet'"),
        (
            document("<disk><source file='/a'/><target dev='hda'/><transient/></disk>"),
            "transient disks not supported yet",
        ),
        (
            document("<disk type='network'><source protocol='nbd'><host name='h'/></source><target dev='hda'/></disk>"),
            "Unsupported network block protocol 'nbd'",
        ),
        (document("<emulator>/a'\"</emulator>"), "string '/a'\"' cannot be written in a configuration file"),
        (
            document("<interface type='bridge'><source bridge='a,script=/evil'/></interface>"),
            "',' not allowed in bridge 'a,script=/evil'",
        ),
    ],
)
def test_what_has_no_word_in_xl(xml: str, message: str) -> None:
    with pytest.raises(VirtError) as caught:
        virtcore.convert(xml, to_format="xen-xl")
    assert str(caught.value).endswith(message)


def test_bridges_of_networks_come_from_whoever_knows_them() -> None:
    xml = document("<interface type='network'><mac address='00:16:3e:00:00:01'/><source network='n'/></interface>")
    domain = load_domain(xml, XenRules())
    vif = 'vif = [ "mac=00:16:3e:00:00:01,bridge=virbr7,script=vif-bridge" ]'
    assert vif in format_xl(domain, {"n": "virbr7"}.__getitem__)
    assert vif in format_xm(domain, {"n": "virbr7"}.__getitem__)
    with pytest.raises(NoNetwork):
        format_xm(domain)


@pytest.mark.parametrize("parse", [parse_xl, parse_xm])
def test_only_libvirt_errors_come_out_of_broken_text(parse: Callable[[str], Domain]) -> None:
    text = EVERYTHING if parse is parse_xl else HVM + 'disk = [ "tap:aio:/a,hda:cdrom,r" ]\nvif = [ "mac=00:16" ]\n'
    chaos = random.Random(2)
    for end in range(0, len(text), 7):
        _survive(parse, text[:end])
    for _ in range(600):
        letters = list(text)
        for _ in range(chaos.randint(1, 4)):
            letters[chaos.randrange(len(letters))] = chaos.choice("'\"\\\n\r\t ,:=-[]/.\x00\x07\ufffeé9A@")
        _survive(parse, "".join(letters))
    lines = text.split("\n")
    for _ in range(300):
        line = chaos.randrange(len(lines))
        name = lines[line].split("=")[0]
        value = chaos.choice(["[]", "[[[]]]", "-1", "99999999999", '""', '","', '"="', "[ 1, [ ] ]", '[ "=,=" ]'])
        _survive(parse, "\n".join([*lines[:line], f"{name}= {value}", *lines[line + 1 :]]))


def test_absurd_sizes_are_no_trouble() -> None:
    _survive(parse_xl, PV + "x = " + "[" * 100_000)
    _survive(parse_xl, PV + 'disk = [ "' + "a," * 200_000 + '" ]')
    _survive(parse_xl, HVM + "serial = [ " + '"none",' * 100_000 + '"pty" ]')
    _survive(parse_xl, PV + 'cpus = "0-4294967295"')
    _survive(parse_xl, PV + 'cpuid = "host,' + "a=1," * 20_000 + 'b=1"')


def _survive(parse: Callable[[str], Domain], text: str) -> None:
    """Reads a text; what comes of it is a domain that can be read again, or a libvirt error."""
    try:
        domain = parse(text)
        load_domain(format_domain(domain), XenRules())
    except VirtError:
        pass
