"""The command line, piece by piece. Needs no QEMU."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from virt_qemu.capabilities.model import Accelerator, EmulatorCapabilities, Machine
from virt_qemu.command import Builder, build
from virt_qemu.command.line import escape
from virt_qemu.namespace import register
from virt_qemu.prepare import DisplayDefaults, decide
from virt_qemu.rules import QemuRules
from virt_qemu.rules.aliases import assign_aliases
from virt_qemu.sealing import seal
from virt_qemu.variables import prepare_variables
from virtcore.errors import ConfigUnsupported, SystemError
from virtcore.model.arch import Arch
from virtcore.model.domain.document import load_domain
from virtcore.model.domain.graphics import SpiceGraphics
from virtcore.model.domain.rules import ParseFlag

FLAGS = {
    "tcg",
    "device.json+hotplug",
    "netdev.json",
    "seccomp-sandbox",
    "pcie-root-port",
    "virtio-net",
    "smp-dies",
    "dmi-to-pci-bridge",
    "pci-bridge",
    "pcie-pci-bridge",
    "netdev.user",
    "virtio-scsi-pci",
    "piix3-usb-uhci",
    "vnc",
    "VGA",
    "blockjob.backing-mask-protocol",
    "virtio-blk-vhost-vdpa",
}


def capabilities(*flags: str) -> EmulatorCapabilities:
    machines = [
        Machine(name="pc-q35-9.0", alias="q35", max_cpus=288, default_ram_id="pc.ram", acpi=True),
        Machine(name="pc-i440fx-9.0", alias="pc", max_cpus=255, default_ram_id="pc.ram", acpi=True),
    ]
    return EmulatorCapabilities(
        binary="/bin/qemu",
        arch=Arch.X86_64,
        version=9_000_000,
        package="",
        flags=frozenset(FLAGS | set(flags)),
        accelerators={"tcg": Accelerator(machines=machines)},
    )


if TYPE_CHECKING:
    from virt_qemu.command.line import Resources


class Host:
    """Hands out descriptor numbers and remembers for what."""

    def __init__(self) -> None:
        self.opened: list[tuple[str, str]] = []

    def _open(self, what: str, path: str) -> int:
        self.opened.append((what, path))
        return 10 + len(self.opened)

    def listen(self, path: str) -> int:
        return self._open("listen", path)

    def vdpa(self, path: str) -> int:
        return self._open("vdpa", path)

    def vhost_scsi(self) -> int:
        return self._open("vhost-scsi", "")

    def output(self, path: str, append: bool) -> int:
        return self._open("append" if append else "write", path)

    def log(self, path: str, append: bool) -> int:
        return self._open("log", path)

    def is_cdrom(self, path: str) -> bool:
        return path == "/dev/sr0"


def loaded(
    devices: str = "",
    *,
    rest: str = "",
    os: str = "",
    name: str = "g",
    machine: str = "q35",
    flags: tuple[str, ...] = (),
):
    """A small guest, as it is defined."""
    known = capabilities(*flags)
    xml = f"""<domain type='qemu'><name>{name}</name><memory unit='KiB'>131000</memory><vcpu>2</vcpu>
    <os><type arch='x86_64' machine='{machine}'>hvm</type>{os}</os>{rest}
    <devices><emulator>/bin/qemu</emulator><controller type='usb' model='none'/><memballoon model='none'/>{devices}
    </devices></domain>"""
    rules = QemuRules(lambda arch: "/bin/qemu", lambda path: known)
    parsing = ParseFlag.INACTIVE | ParseFlag.ABI_UPDATE
    return load_domain(xml, rules, rules.context(parsing, arch=Arch.X86_64))


def command(devices: str = "", *, host: Host | None = None, key: bytes | None = None, **parts: Any):
    """Options of a small guest as (option, value) pairs."""
    domain, known = loaded(devices, **parts), capabilities()
    assign_aliases(domain)
    # What these devices need of a host.
    resources = cast("Resources", host or Host())
    builder = Builder(domain=domain, capabilities=known, resources=resources, state_folder="/run/g", monitor=3, key=key)
    argv = build(builder, {"PATH": "/bin"})
    assert argv[0] == "/bin/qemu"
    assert builder.environment["LC_ALL"] == "C"
    pairs = []
    words = argv[1:]
    while words:
        option = words.pop(0)
        pairs.append((option, words.pop(0) if words and not words[0].startswith("-") else None))
    return pairs


def devices_of(pairs) -> dict[str, dict]:
    return {props.get("id", props["driver"]): props for props in (json.loads(v) for o, v in pairs if o == "-device")}


def test_commas_stay_in_their_value():
    assert escape("a,b=c") == "a,,b=c"
    pairs = command(name="x,debug-threads=off,y")
    assert ("-name", "guest=x,,debug-threads=off,,y,debug-threads=on") in pairs
    host = Host()
    pairs = command(
        """<disk type='file'><driver name='qemu' type='qcow2'/><source file='/i/a,b="c.img'/><target dev='vda'/></disk>
        <serial type='dev'><source path='/dev/ttyS0,id=x'/></serial>
        <serial type='unix'><source mode='bind' path='/s,server=off'/></serial>""",
        host=host,
    )
    nodes = [json.loads(value) for option, value in pairs if option == "-blockdev"]
    assert nodes[0]["filename"] == '/i/a,b="c.img'
    assert ("-chardev", "serial,id=charserial0,path=/dev/ttyS0,,id=x") in pairs
    assert host.opened == [("listen", "/s,server=off")]
    assert ("-chardev", "socket,id=charserial1,fd=11,server=on,wait=off") in pairs


def test_memory_is_whole_mebibytes():
    pairs = dict(command())
    assert pairs["-m"] == "size=131072k"
    assert pairs["-smp"] == "2,sockets=2,cores=1,threads=1"
    assert pairs["-machine"].startswith("pc-q35-9.0,usb=off,dump-guest-core=off,memory-backend=pc.ram")


def test_layers_of_disks_and_boot_order():
    pairs = command(
        """<disk type='file' device='cdrom'><source file='/c.iso'/><target dev='sda' bus='sata'/><readonly/></disk>
        <disk type='block' device='disk'><driver name='qemu' type='raw' cache='none' io='native'/>
          <source dev='/dev/x'/><target dev='vda' bus='virtio'/></disk>
        <disk type='file'><driver name='qemu' type='qcow2' discard='unmap'/><source file='/top'/>
          <backingStore type='file'><format type='raw'/><source file='/base'/><backingStore/></backingStore>
          <target dev='vdb' bus='virtio'/></disk>"""
    )
    nodes = {each["node-name"]: each for each in (json.loads(v) for o, v in pairs if o == "-blockdev")}
    assert nodes["libvirt-1-format"]["backing"] == "libvirt-2-storage"
    assert nodes["libvirt-1-format"]["discard"] == "unmap"
    assert nodes["libvirt-2-storage"]["read-only"] is True
    assert nodes["libvirt-3-storage"] == {
        "driver": "host_device",
        "filename": "/dev/x",
        "aio": "native",
        "node-name": "libvirt-3-storage",
        "read-only": False,
        "cache": {"direct": True, "no-flush": False},
    }
    assert nodes["libvirt-4-storage"]["read-only"] is True
    found = devices_of(pairs)
    assert found["virtio-disk0"]["bootindex"] == 1
    assert "bootindex" not in found["virtio-disk1"]
    assert found["sata0-0-0"]["bus"] == "ide.0"


def test_network_and_files():
    host = Host()
    pairs = command(
        """<interface type='user'><mac address='52:54:00:00:00:01'/><model type='virtio'/></interface>
        <serial type='file'><source path='/out' append='on'/><log file='/log'/></serial>""",
        host=host,
    )
    assert ("-netdev", '{"type":"user","id":"hostnet0"}') in pairs
    found = devices_of(pairs)
    assert found["net0"]["mac"] == "52:54:00:00:00:01"
    assert ("-add-fd", "set=0,fd=11,opaque=serial0-source") in pairs
    assert (
        "-chardev",
        "file,id=charserial0,path=/dev/fdset/0,append=on,logfile=/dev/fdset/1,logappend=on",
    ) in pairs
    assert host.opened == [("append", "/out"), ("log", "/log")]


def test_cells_have_memory_of_their_own():
    cpu = "<cpu><numa><cell id='0' cpus='0-1' memory='1' unit='GiB' memAccess='shared'/></numa></cpu>"
    pairs = command(rest=cpu)
    assert ("-numa", "node,nodeid=0,cpus=0-1,memdev=ram-node0") in pairs
    backend = next(json.loads(value) for _, value in pairs if value and '"ram-node0"' in value)
    assert backend["qom-type"] == "memory-backend-file"
    assert backend["share"] is True
    assert "memory-backend=" not in dict(pairs)["-machine"]


def test_images_on_the_network():
    pairs = command(
        """<disk type='network'><source protocol='nbd' name='x'><host name='h'/></source><target dev='vda'/></disk>
        <disk type='network'><source protocol='rbd' name='pool/ns/image'><host name='m'/><snapshot name='s'/></source>
        <target dev='vdb'/></disk>
        <disk type='network'><source protocol='iscsi' name='iqn.x/3'><host name='::1'/></source>
        <target dev='vdc'/></disk>
        """
    )
    nodes = {node["driver"]: node for node in (json.loads(value) for option, value in pairs if option == "-blockdev")}
    assert nodes["nbd"]["server"] == {"type": "inet", "host": "h", "port": "10809"}
    assert (nodes["rbd"]["pool"], nodes["rbd"]["namespace"], nodes["rbd"]["image"]) == ("pool", "ns", "image")
    assert nodes["rbd"]["snapshot"] == "s"
    assert (nodes["iscsi"]["portal"], nodes["iscsi"]["target"], nodes["iscsi"]["lun"]) == ("[::1]:3260", "iqn.x", 3)


def test_images_on_vdpa_devices_are_handed_over():
    host = Host()
    source = "<driver name='qemu' cache='none'/><source dev='/dev/vhost-vdpa-0'/>"
    disk = f"<disk type='vhostvdpa'>{source}<target dev='vda'/></disk>"
    pairs = command(disk, host=host, rest="<memoryBacking><access mode='shared'/></memoryBacking>")
    assert ("vdpa", "/dev/vhost-vdpa-0") in host.opened
    [handed] = [value for option, value in pairs if option == "-add-fd"]
    assert handed == "set=0,fd=11,opaque=libvirt-1-storage-vdpa"
    [node] = [json.loads(value) for option, value in pairs if option == "-blockdev"]
    assert (node["driver"], node["path"]) == ("virtio-blk-vhost-vdpa", "/dev/fdset/0")


def test_flash_holds_firmware_and_its_variables():
    pairs = command(
        rest="<features><acpi/></features>",
        os="<loader type='pflash' readonly='yes'>/fw.fd</loader><nvram>/v.fd</nvram>",
    )
    nodes = [json.loads(value) for option, value in pairs if option == "-blockdev"]
    assert [(node["node-name"], node["read-only"]) for node in nodes if "read-only" in node] == [
        ("libvirt-pflash0-format", True),
        ("libvirt-pflash1-storage", False),
    ]
    assert "pflash0=libvirt-pflash0-format,pflash1=libvirt-pflash1-storage" in dict(pairs)["-machine"]


def test_variables_are_made_from_their_template(tmp_path):
    template, variables = tmp_path / "template.fd", tmp_path / "nvram" / "v.fd"
    template.write_bytes(b"empty")
    os = f"""<loader type='pflash' readonly='yes' format='raw'>/fw.fd</loader>
    <nvram template='{template}' templateFormat='raw' format='raw'>{variables}</nvram>"""
    domain = loaded(os=os, rest="<features><acpi/></features>")
    prepare_variables(domain)
    assert variables.read_bytes() == b"empty"
    variables.write_bytes(b"mine")
    prepare_variables(domain)
    assert variables.read_bytes() == b"mine"
    variables.unlink()
    template.unlink()
    with pytest.raises(SystemError):
        prepare_variables(domain)


def test_secrets_are_sealed_and_never_spelled():
    key, vector = bytes(range(32)), bytes(range(100, 116))
    sealed = base64.b64decode(seal(key, vector, b"open sesame 16 b"))
    opened = Cipher(algorithms.AES(key), modes.CBC(vector)).decryptor().update(sealed)
    assert opened == b"open sesame 16 b" + bytes([16]) * 16
    disk = """<disk type='network'><source protocol='https' name='x'><host name='h'/>
    <cookies><cookie name='session'>hidden</cookie></cookies></source><target dev='vda'/></disk>"""
    pairs = command(disk, key=key)
    secret = next(json.loads(value) for option, value in pairs if option == "-object" and "httpcookie" in value)
    opened = Cipher(algorithms.AES(key), modes.CBC(base64.b64decode(secret["iv"]))).decryptor()
    assert opened.update(base64.b64decode(secret["data"])).startswith(b"session=hidden")
    assert not any(value is not None and "hidden" in value for _, value in pairs)
    with pytest.raises(ConfigUnsupported):
        command(disk)


def test_properties_that_the_user_gives_a_device():
    register()
    override = """<qemu:override xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'><qemu:device alias='ua-d'>
    <qemu:frontend><qemu:property name='serial' type='remove'/><qemu:property name='x' type='signed' value='-3'/>
    </qemu:frontend></qemu:device></qemu:override>"""
    disk = """<disk type='file'><source file='/x'/><target dev='vda'/><serial>s</serial><alias name='ua-d'/></disk>"""
    found = devices_of(command(disk, rest=override))["ua-d"]
    assert found["x"] == -3
    assert "serial" not in found


def test_cards_in_slots_are_drives_of_the_old_kind() -> None:
    card = "<disk type='network'><driver name='qemu' type='qcow2'/><source protocol='nbd' name='e'><host name='h'/>"
    pairs = dict(command(card + "</source><target dev='sdb' bus='sd'/></disk>"))
    assert pairs["-drive"] == (
        "file.driver=nbd,file.server.type=inet,file.server.host=h,file.server.port=10809,file.export=e,"
        "format=qcow2,if=sd,index=1"
    )


def test_groups_of_limits_stand_before_what_uses_them_with_every_limit() -> None:
    group = (
        "<throttlegroups><throttlegroup><read_bytes_sec>5</read_bytes_sec><group_name>g</group_name></throttlegroup>"
    )
    pairs = command("", rest=group + "</throttlegroups>")
    options = [option for option, _ in pairs]
    [(place, limits)] = [
        (n, json.loads(value)["limits"]) for n, (_, value) in enumerate(pairs) if "throttle-g" in (value or "")
    ]
    assert limits["bps-read"] == 5
    assert limits["iops-total-max"] == 0
    assert options.index("-smp") < place < options.index("-uuid")


@pytest.mark.parametrize(
    ("display", "tls", "ports"),
    [
        ("autoport='yes'", True, (1, 2)),
        ("autoport='yes'", False, (1, None)),
        ("autoport='yes' defaultMode='secure'", True, (None, 2)),
        ("port='7' tlsPort='-1'", True, (7, 2)),
    ],
)
def test_encrypted_ports_of_spice(display: str, tls: bool, ports: tuple[int | None, int | None]) -> None:
    known = capabilities("spice")
    rules = QemuRules(lambda arch: None, lambda path: known)
    text = f"""<domain type='qemu'><name>x</name><memory>9999</memory><os><type arch='x86_64' machine='q35'>hvm</type>
        </os><devices><emulator>/bin/qemu</emulator><graphics type='spice' {display}/></devices></domain>"""
    domain = load_domain(text, rules, rules.context(ParseFlag.INACTIVE, arch=Arch.X86_64))
    displays = DisplayDefaults(spice_tls=tls)
    decide(domain, Path("/f"), lambda _: 1, known, displays=displays, spice_tls_port=lambda _: 2)
    assert domain.devices is not None
    [graphics] = domain.devices.graphics
    assert isinstance(graphics, SpiceGraphics)
    assert (graphics.port, graphics.tls_port) == ports


def test_displays_of_one_kind() -> None:
    with pytest.raises(ConfigUnsupported, match="only 1 graphics device of each type"):
        command("<graphics type='vnc' port='5901'/><graphics type='vnc' port='5902'/>")


def test_hyperv_panics_need_no_other_enlightenment() -> None:
    assert dict(command("<panic model='hyperv'/>"))["-cpu"] == "qemu64,hv-crash"


def test_switches_that_are_off_are_said() -> None:
    audio = "<audio id='1' type='oss' tryMMap='no'/><graphics type='dbus'><gl enable='no'/></graphics>"
    pairs = command(audio, flags=("display-dbus",))
    assert json.loads(dict(pairs)["-audiodev"]) == {"id": "audio1", "driver": "oss", "try-mmap": False}
    assert dict(pairs)["-display"] == "dbus,gl=off"
    share = "<filesystem accessmode='mapped'><source dir='/a'/><target dir='t'/><readonly/></filesystem>"
    assert dict(command(share))["-fsdev"] == "local,security_model=mapped,id=fsdev-fs0,path=/a,readonly"
