"""A small invented vocabulary with every mechanism of the engine in it; tests of the engine share it."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from virtcore.errors import ErrorCode, XMLError
from virtcore.xml import (
    CPU_SET,
    HEX,
    INT,
    MAC,
    OCTAL,
    ON_OFF,
    ULONG,
    UUID,
    YES_NO,
    CpuSet,
    Extras,
    Mode,
    Namespace,
    attribute,
    child,
    children,
    element,
    extras,
    flag,
    flags,
    inherited,
    inline,
    leaf,
    namespaces,
    pretty_size,
    printed,
    register_namespace,
    scaled,
    text,
    union,
    verbatim,
)


class BoxType(StrEnum):
    FILE = "file"
    BLOCK = "block"
    NET = "net"


class Colour(StrEnum):
    DEFAULT = "default"
    RED = "red"
    GREEN = "green"


class Bank(StrEnum):
    SHA1 = "sha1"
    SHA256 = "sha256"
    SM3 = "sm3"


@element("source", tag=BoxType.FILE)
class FileSource:
    file: str | None = attribute()
    mode: int | None = attribute(codec=OCTAL("%04o"))


@element("source", tag=BoxType.BLOCK)
class BlockSource:
    dev: str | None = attribute()


@element("host")
class Host:
    name: str | None = attribute()
    port: int | None = attribute(minimum=1, maximum=65535)


@element("source", tag=BoxType.NET)
class NetSource:
    hosts: list[Host] = children()


@element("address", tag="pci")
class PciAddress:
    domain: int | None = attribute(codec=HEX("0x%04x"))
    slot: int | None = attribute(codec=HEX("0x%02x"))


@element("address", tag={"usb", "ccid"})
class BusAddress:
    type: str | None = attribute()
    bus: int | None = attribute()
    port: str | None = attribute()


if TYPE_CHECKING:
    Address = PciAddress | BusAddress
else:
    Address = "PciAddress | BusAddress"


@element(None)
class Device:
    alias: str | None = attribute("name", within="alias", unless=Mode.INACTIVE, read=Mode.LIVE)
    address: Address | None = union(tag="@type", invalid="unknown address type '{value}'", missing="no address type")


@element("box")
class Box(Device):
    type: BoxType | None = attribute()
    colour: Colour | None = attribute(excluded=(Colour.DEFAULT,))
    source: FileSource | BlockSource | NetSource | None = union(tag="type", default=BoxType.FILE)
    index: int | None = attribute(only={"type": (BoxType.BLOCK,)})
    serial: str | None = leaf()
    secret: str | None = leaf(secret=True)
    readonly: bool = flag(exclusive="access")
    shareable: bool = flag(exclusive="access")
    limit: int | None = leaf(codec=pretty_size("B"))
    _device = inherited()
    backing: Box | None = child("backing")
    extra: Extras | None = extras()


@element(None, tag="vnc")
class Vnc:
    port: int | None = attribute(codec=INT, omit=-1)
    passwd: str | None = attribute(secret=True)
    share: bool | None = leaf(codec=YES_NO)


@element(None, tag="spice")
class Spice:
    tls_port: int | None = attribute("tlsPort", codec=INT)


@element("screen")
class Screen:
    type: str | None = attribute(required=True)
    body: Vnc | Spice | None = union(tag="type", inline=True)
    compression: bool | None = attribute("compression", within="zlib", codec=ON_OFF)
    listens: list[str] = attribute("address", within="listen")
    _listen = printed(lambda self: self.listens[0] if self.listens else None, "listen")
    extra: Extras | None = extras()


@element(None)
class Boot:
    order: int | None = attribute(within="boot", nonzero=True)
    tries: int | None = leaf("tries")


@element("card", tag=("host", "usb"))
class UsbCard:
    vendor: int | None = attribute(codec=HEX("0x%04x"))


@element("card", tag=("host", "pci"))
class PciCard:
    boot: Boot | None = inline()


@element("size")
class Size:
    slots: int | None = attribute()
    value: int | None = text(codec=scaled("KiB", xpath="./size[1]"))


@element("features", empty="open", unknown="unexpected feature '{name}'", unknown_code=ErrorCode.CONFIG_UNSUPPORTED)
class Features:
    acpi: bool = flag()
    colour: Colour | None = leaf(repeat="last")
    mode: str | None = leaf(repeat="refuse", repeated="only one mode is supported")


@element("rule")
class Rule:
    action: str | None = attribute(
        required=True, missing="rule needs {name}", missing_code=ErrorCode.CONFIG_UNSUPPORTED
    )


@element("include")
class Include:
    name: str | None = attribute(synonyms=("filter",))


def reject_bad_name(machine: Machine) -> None:
    if machine.name == "bad":
        raise XMLError("that name is bad")


@element("machine", root=True, after_parse=reject_bad_name)
class Machine:
    type: str | None = attribute(required=True)
    id: int | None = attribute(codec=INT, unless=Mode.INACTIVE)
    name: str | None = leaf(required=True)
    uuid: str | None = leaf(codec=UUID)
    title: str | None = leaf(blank=True)
    metadata: str | None = verbatim()
    size: Size | None = child()
    cpus: CpuSet | None = leaf(codec=CPU_SET)
    big: int | None = leaf(codec=ULONG)
    mac: str | None = attribute("address", within="mac", codec=MAC)
    vmport: bool | None = attribute("state", within="switches/vmport", codec=ON_OFF)
    hap: bool = flag(within="switches")
    boots: list[str] = attribute("dev", within="os/boot")
    banks: list[Bank] = flags(within="banks")
    vendor: str | None = leaf("entry", entry=("name", "vendor"))
    product: str | None = leaf("entry", entry=("name", "product"))
    features: Features | None = child()
    keys: list[str] = leaf("key")
    rules: list[Rule | Include] = children()
    boxes: list[Box] = children(within="devices")
    screens: list[Screen] = children(within="devices")
    cards: list[UsbCard | PciCard] = children(tag=("@mode", "@type"), default=("host", "usb"))
    spaces: list[object] = namespaces(point="test-machine")
    extra: Extras | None = extras()


TEST = Namespace("t", "http://example.org/test", "test-machine")


@element("arg")
class Arg:
    value: str | None = attribute()


@element("commandline", ns=TEST)
class CommandLine:
    args: list[Arg] = children()
    note: str | None = leaf()


register_namespace(TEST, CommandLine)

FULL = """\
<machine type='kvm' id='3' xmlns:t='http://example.org/test'>
  <name>a&amp;b</name>
  <uuid>c7a5fdbd-cdaf-9455-926a-d65c16db1809</uuid>
  <title></title>
  <metadata>
    <a:b xmlns:a="urn:a">text<c/></a:b>
    <!-- kept -->
  </metadata>
  <size slots='2' unit='KiB'>5120</size>
  <cpus>0-3,7</cpus>
  <big>18446744073709551615</big>
  <mac address='52:54:00:0a:0b:0c'/>
  <switches>
    <vmport state='on'/>
    <hap/>
  </switches>
  <os>
    <boot dev='hd'/>
    <boot dev='network'/>
  </os>
  <banks>
    <sha1/>
    <sm3/>
  </banks>
  <entry name='vendor'>V</entry>
  <entry name='product'>P</entry>
  <features>
    <acpi/>
    <colour>red</colour>
  </features>
  <key>k1</key>
  <key>k2</key>
  <rule action='drop'/>
  <include name='x'/>
  <rule action='accept'/>
  <devices>
    <box type='net' colour='red'>
      <source>
        <host name='h' port='80'/>
      </source>
      <serial>s</serial>
      <secret>geheim</secret>
      <readonly/>
      <limit unit='GiB'>3</limit>
      <alias name='box0'/>
      <address type='pci' domain='0x0000' slot='0x1f'/>
      <backing type='block' index='1'>
        <source dev='/dev/b'/>
      </backing>
    </box>
    <box>
      <source file='/f' mode='0600'/>
      <address type='ccid' bus='1'/>
    </box>
    <screen type='vnc' port='5900' passwd='pw' listen='::1'>
      <share>yes</share>
      <zlib compression='off'/>
      <listen address='::1'/>
    </screen>
    <screen type='spice' tlsPort='1'/>
    <screen type='other'/>
  </devices>
  <card mode='host' type='usb' vendor='0x1234'/>
  <card mode='host' type='pci'>
    <boot order='1'/>
    <tries>2</tries>
  </card>
  <t:commandline>
    <t:arg value='-x'/>
    <t:note>n</t:note>
  </t:commandline>
</machine>
"""
