"""VMX files as domains."""

from __future__ import annotations

import pytest

from virt_esx.vmx import DatastoreFiles, VMXContext, read_vmx
from virtcore.errors import VirtError
from virtcore.model.domain.document import format_domain
from virtcore.model.domain.interface import VDSInterfaceSource
from vmx_files import ON_ESX, devices, to_xml, vmx


def test_a_small_machine() -> None:
    domain = read_vmx(
        vmx(
            'guestOS = "rhel7-64"',
            'uuid.bios = "56 4d 9b ef ac d9 b4 e0-c8 f0 ae a8 b9 10 35 15"',
            'memsize = "64"',
            'sched.mem.max = "unlimited"',
            'sched.mem.minsize = "128"',
            'numvcpus = "6"',
            'cpuid.coresPerSocket = "3"',
            'sched.cpu.affinity = "0, 2 ,4,5,6,7"',
            'sched.cpu.shares = "HIGH"',
            'smbios.reflectHost = "TRUE"',
            'firmware = "efi"',
        ),
        ON_ESX,
    )
    text = format_domain(domain)
    for row in (
        "<uuid>564d9bef-acd9-b4e0-c8f0-aea8b9103515</uuid>",
        "<memory unit='KiB'>65536</memory>",
        "<currentMemory unit='KiB'>65536</currentMemory>",
        "<min_guarantee unit='KiB'>65536</min_guarantee>",
        "<vcpu placement='static' cpuset='0,2,4-7'>6</vcpu>",
        "<shares>12000</shares>",
        "<os firmware='efi'>",
        "<type arch='x86_64'>hvm</type>",
        "<smbios mode='host'/>",
        "<topology sockets='2' dies='1' clusters='1' cores='3' threads='1'/>",
        "<model type='vmvga' vram='4096' primary='yes'/>",
    ):
        assert row in text, row


def test_names_and_texts_are_unescaped_and_decoded() -> None:
    text = 'displayName = "caf%c3%a9 %2f |22x|22"\nannotation = "a|0Ab %41"\n'
    domain = read_vmx(text + 'config.version = "8"\nvirtualHW.version = "4"', ON_ESX)
    assert (domain.name, domain.description) == ('café / "x"', "a\nb %41")
    head = '.encoding = "windows-1252"\nconfig.version = "8"\nvirtualHW.version = "4"\ndisplayName = "caf'
    assert read_vmx(head.encode() + b'\xe9"', ON_ESX).name == "café"


def test_where_a_machine_is_stands_in_its_namespace() -> None:
    text = to_xml(context=VMXContext(datacenter_path="a & b/dc", moref="vm-7"))
    assert "<vmware:datacenterpath>a &amp; b/dc</vmware:datacenterpath>\n  <vmware:moref>vm-7</vmware:moref>" in text


def test_scsi_adapters_up_to_the_last_in_use() -> None:
    found = devices(
        'scsi0.virtualDev = "pvscsi"',  # but not present
        'scsi1.present = "true"',
        'scsi1.virtualDev = "LSILogic"',
        'scsi1:8.present = "true"',
        'scsi1:8.fileName = "a.vmdk"',
        'scsi2.present = "true"',
    )
    assert "<target dev='sdw' bus='scsi'/>" in found
    assert "<address type='drive' controller='1' bus='0' target='0' unit='8'/>" in found
    assert found.endswith("<controller type='scsi' index='0'/>\n<controller type='scsi' index='1' model='lsilogic'/>\n")


def test_newer_hardware_has_more_scsi_units() -> None:
    lines = ('scsi1.present = "true"', 'scsi1:20.present = "true"', 'scsi1:20.fileName = "a.vmdk"')
    assert "disk" not in devices(*lines, version=12)
    assert "<target dev='sdce' bus='scsi'/>" in devices(*lines, version=13)


def test_sata_disks_are_on_libvirts_smaller_controllers() -> None:
    found = devices('sata1.present = "true"', 'sata1:0.present = "true"', 'sata1:0.fileName = "a.VMDK"')
    assert "<target dev='sdae' bus='sata'/>" in found
    assert "<address type='drive' controller='5' bus='0' target='0' unit='0'/>" in found
    assert found.count("<controller type='sata'") == 6


@pytest.mark.parametrize(
    ("lines", "row"),
    [
        (('deviceType = "cdrom-image"', 'fileName = "x.iso"'), "<source file='[store] folder/x.iso'/>"),
        (('deviceType = "atapi-cdrom"', 'fileName = "/dev/scd0"'), "<source dev='/dev/scd0'/>"),
        (('deviceType = "atapi-cdrom"', 'fileName = "auto detect"'), "<source startupPolicy='optional'/>"),
        (('deviceType = "cdrom-raw"', 'fileName = "/dev/scd0"'), "<disk type='block' device='lun'>"),
        (('fileName = "emptyBackingString"',), "<disk type='file' device='cdrom'>"),
        (('fileName = "a.vmdk"', 'mode = "Independent-NonPersistent"'), "<transient/>"),
        (('fileName = "a.vmdk"', 'clientDevice = "true"'), ""),
        (('fileName = "a.vmdk"', 'present = "false"'), ""),
    ],
)
def test_ide_drives(lines: tuple[str, ...], row: str) -> None:
    found = devices(*(f"ide1:1.{line}" for line in lines), 'ide1:1.present = "true"')
    if row:
        assert row in found
        assert "<target dev='hdd' bus='ide'/>" in found
    else:
        assert found == ""


def test_scsi_passthrough_is_for_cdroms_only() -> None:
    lines = ('scsi0.present = "true"', 'scsi0:0.present = "true"', 'scsi0:0.deviceType = "scsi-passthru"')
    name = "/vmfs/devices/cdrom/mpx.vmhba32:C0:T0:L0"
    found = devices(*lines, f'scsi0:0.fileName = "{name}"')
    assert f"<source dev='{name}'/>" in found
    assert "device='lun'" in found


def test_floppies_and_shared_folders() -> None:
    found = devices(
        'floppy0.present = "true"',
        'floppy0.fileType = "file"',
        'floppy0.fileName = "/vmfs/volumes/4980-ab/x/y.flp"',
        'floppy1.present = "true"',
        'floppy1.fileType = "device"',
        'floppy1.fileName = "/dev/fd1"',
        'isolation.tools.hgfs.disable = "false"',
        'sharedFolder.maxNum = "4000000000"',
        'sharedFolder3.present = "true"',
        'sharedFolder3.enabled = "true"',
        'sharedFolder3.hostPath = "/h"',
        'sharedFolder3.guestName = "g"',
    )
    assert "<source file='[san] x/y.flp'/>\n  <target dev='fda' bus='fdc'/>" in found
    assert "<source dev='/dev/fd1'/>\n  <target dev='fdb' bus='fdc'/>" in found
    assert "<source dir='/h'/>\n  <target dir='g'/>\n  <readonly/>" in found


def test_network_adapters() -> None:
    found = devices(
        'ethernet0.present = "true"',
        'ethernet0.connectionType = "custom"',
        'ethernet0.networkName = "net"',
        'ethernet0.vnet = "/dev/vmnet1"',
        'ethernet0.virtualDev = "VMXNET"',
        'ethernet0.features = "15"',
        'ethernet0.addressType = "static"',
        'ethernet0.address = "00:50:56:0A:0B:0C"',
        'ethernet0.checkMACAddress = "false"',
        'ethernet123456789.present = "true"',
        'ethernet123456789.connectionType = "nat"',
    )
    assert found == (
        "<interface type='bridge'>\n"
        "  <mac address='00:50:56:0a:0b:0c' type='static' check='no'/>\n"
        "  <source bridge='net'/>\n"
        "  <target dev='/dev/vmnet1'/>\n"
        "  <model type='vmxnet2'/>\n"
        "</interface>\n"
        "<interface type='user'>\n"
        "  <mac address='00:00:00:00:00:00'/>\n"
        "</interface>\n"
    )


def test_a_distributed_switch() -> None:
    domain = read_vmx(
        vmx('ethernet0.present = "true"', 'ethernet0.dvs.switchId = "50 34 26 b2 94 e9 3b 16-1d 68 87 bf ff 4a 54 40"'),
        ON_ESX,
    )
    assert domain.devices is not None
    source = domain.devices.interfaces[0].source
    assert isinstance(source, VDSInterfaceSource)
    assert (source.switchid, source.portid) == ("503426b2-94e9-3b16-1d68-87bfff4a5440", 0)


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        (('fileType = "network"', 'fileName = "tcp4+SSL://h:1"'), "<protocol type='tls'/>"),
        (('fileType = "network"', 'fileName = "tcp://h:1"', 'network.endPoint = "CLIENT"'), "mode='connect'"),
        (('fileType = "network"', 'fileName = "tcp://h"'), "<serial type='null'>"),
        (('fileType = "network"', 'fileName = "no address %"'), "<serial type='null'>"),
        (('fileType = "network"',), "<serial type='null'>"),
        (('fileName = "/dev/ttyS0"',), "<source path='/dev/ttyS0'/>"),
        (('fileType = "file"', 'fileName = "log"'), "<source path='[store] folder/log'/>"),
        (('fileType = "pipe"', 'fileName = "p"'), "<serial type='pipe'>"),
    ],
)
def test_serial_ports(lines: tuple[str, ...], found: str) -> None:
    text = devices('serial3.present = "true"', *(f"serial3.{line}" for line in lines))
    assert found in text
    assert "<target port='3'/>" in text


def test_vnc() -> None:
    text = devices('RemoteDisplay.vnc.enabled = "true"', 'RemoteDisplay.vnc.ip = "1.2.3.4"')
    assert "<graphics type='vnc' port='-1' autoport='yes' listen='1.2.3.4'>" in text


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (('memsize = "6"',), "Expecting VMX entry 'memsize' to be an unsigned integer (multiple of 4) but found 6"),
        (('memsize = "many"',), "Config entry 'memsize' must represent an integer value"),
        (('numvcpus = "0"',), "Expecting VMX entry 'numvcpus' to be an unsigned integer greater than 0 but found 0"),
        (('cpuid.coresPerSocket = "2"',), "VMX entry 'cpuid.coresPerSocket' smaller than 'numvcpus'"),
        (
            ('numvcpus = "3"', 'sched.cpu.affinity = "1,2"'),
            (
                "Expecting VMX entry 'sched.cpu.affinity' to contain at least as many values as 'numvcpus' (3) "
                "but found only 2 value(s)"
            ),
        ),
        (
            ('sched.cpu.affinity = "1,x"',),
            (
                "Expecting VMX entry 'sched.cpu.affinity' to be a comma separated list of unsigned integers but found "
                "'1,x'"
            ),
        ),
        (
            ('sched.cpu.affinity = "16384"',),
            "VMX entry 'sched.cpu.affinity' contains a 16384, this value is too large",
        ),
        (
            ('sched.cpu.shares = "most"',),
            (
                "Expecting VMX entry 'sched.cpu.shares' to be an unsigned integer or 'low', 'normal' or 'high' but "
                "found 'most'"
            ),
        ),
        (('uuid.bios = "56 4d"',), "Could not parse UUID from string '56 4d'"),
        (('annotation = "|4"',), "VMX entry 'annotation' contains invalid escape sequence"),
        (
            ('smbios.reflecthost = "yes"',),
            "Config entry 'smbios.reflecthost' must represent a boolean value (true|false)",
        ),
        (('firmware = "bios"',), "VMX entry 'firmware' has unknown value 'bios'"),
        (
            ('scsi0.present = "true"', 'scsi0.virtualDev = "Other"'),
            (
                "Expecting VMX entry 'scsi0.virtualDev' to be 'buslogic' or 'lsilogic' or 'lsisas1068' or 'pvscsi' but "
                "found 'other'"
            ),
        ),
        (
            ('ide0:0.present = "true"', 'ide0:0.fileName = "x.vmdk"', 'ide0:0.deviceType = "scsi-hardDisk"'),
            "Expecting VMX entry 'ide0:0.deviceType' to be 'ata-hardDisk' or 'disk' but found 'scsi-hardDisk'",
        ),
        (
            ('ide0:0.present = "true"', 'ide0:0.fileName = "x.iso"', 'ide0:0.deviceType = "atapi-cdrom"'),
            "Expecting VMX entry 'ide0:0.deviceType' to be 'cdrom-image' but found 'atapi-cdrom'",
        ),
        (
            ('ide0:0.present = "true"', 'ide0:0.fileName = "x.img"'),
            "Invalid or not yet handled value 'x.img' for VMX entry 'ide0:0.fileName' for device type 'unknown'",
        ),
        (
            ('ide0:0.present = "true"',),
            "Invalid or not yet handled value '<null>' for VMX entry 'ide0:0.fileName' for device type 'unknown'",
        ),
        (('ethernetX.present = "true"',), "failed to parse the index of the VMX key 'ethernetX.present'"),
        (
            ('ethernet0.present = "true"', 'ethernet0.connectionType = "bridged"'),
            "Missing essential config entry 'ethernet0.networkName'",
        ),
        (
            ('ethernet0.present = "true"', 'ethernet0.connectionType = "HostOnly"'),
            "No yet handled value 'HostOnly' for VMX entry 'ethernet0.connectionType'",
        ),
        (
            ('ethernet0.present = "true"', 'ethernet0.connectionType = "other"'),
            "Invalid value 'other' for VMX entry 'ethernet0.connectionType'",
        ),
        (
            ('ethernet0.present = "true"', 'ethernet0.addressType = "odd"'),
            "Expecting VMX entry 'ethernet0.addressType' to be 'generated' or 'static' or 'vpx' but found 'odd'",
        ),
        (
            ('ethernet0.present = "true"', 'ethernet0.generatedAddress = "odd"'),
            "Expecting VMX entry 'ethernet0.generatedAddress' to be MAC address but found 'odd'",
        ),
        (
            ('ethernet0.present = "true"', 'ethernet0.virtualDev = "rtl8139"'),
            (
                "Expecting VMX entry 'ethernet0.virtualDev' to be 'vlance' or 'vmxnet' or 'vmxnet3' or 'e1000' or "
                "'e1000e' but found 'rtl8139'"
            ),
        ),
        (
            ('serial0.present = "true"', 'serial0.fileType = "thinprint"'),
            (
                "Expecting VMX entry 'serial0.fileType' to be 'device', 'file' or 'pipe' or 'network' but found "
                "'thinprint'"
            ),
        ),
        (
            ('serial0.present = "true"', 'serial0.fileType = "network"', 'serial0.fileName = "ftp://h:1"'),
            "VMX entry 'serial0.fileName' contains unsupported scheme 'ftp'",
        ),
        (('parallel0.present = "true"',), "Missing essential config entry 'parallel0.fileType'"),
    ],
)
def test_refused_with_libvirts_words(lines: tuple[str, ...], message: str) -> None:
    with pytest.raises(VirtError) as caught:
        read_vmx(vmx(*lines), ON_ESX)
    assert str(caught.value) == f"internal error: {message}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "internal error: Missing essential config entry 'config.version'"),
        ('config.version = "7"', "internal error: Expecting VMX entry 'config.version' to be 8 but found 7"),
        (
            'config.version = "8"\nvirtualHW.version = "3"',
            "internal error: Expecting VMX entry 'virtualHW.version' to be 4 or higher but found 3",
        ),
        ('config.version = "8"\nvirtualHW.version = "4"', "missing name information"),
        ("config.version = 8", "configuration file syntax error: memory conf:1: numbers not allowed in VMX format"),
        ('config.version = "8', "configuration file syntax error: memory conf:1: unterminated string"),
    ],
)
def test_files_that_are_none(text: str, message: str) -> None:
    with pytest.raises(VirtError) as caught:
        read_vmx(text, ON_ESX)
    assert str(caught.value).startswith(message)


def test_missing_files_are_refused_where_they_have_to_be_there() -> None:
    context = VMXContext(files=DatastoreFiles("s", exists=lambda datastore, path: False))
    head = ('ide0:0.present = "true"',)
    found = devices(*head, 'ide0:0.fileName = "/vmfs/volumes/a/x.iso"', context=context)
    assert "<disk type='file' device='cdrom'>\n  <target" in found
    with pytest.raises(VirtError, match=r"'/vmfs/volumes/a/x\.vmdk' refers to non-existing datastore 'a'"):
        devices(*head, 'ide0:0.fileName = "/vmfs/volumes/a/x.vmdk"', context=context)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("x", "[store] dir/x"),
        ("/vmfs/volumes/4980-ab/a/b", "[san] a/b"),
        ("/vmfs/volumes/4980-abc/b", "[4980-abc] b"),
        ("/vmfs/volumes//other//a/b", "[other] /a/b"),
        ("/usr/lib/x.iso", "/usr/lib/x.iso"),
        (r"C:\VMs\a\b.vmdk", "[win] a/b.vmdk"),
        (r"\\nas1\s\a\b.vmdk", "[nas] a/b.vmdk"),
    ],
)
def test_file_names_are_paths_in_datastores(name: str, path: str) -> None:
    mounts = {"/vmfs/volumes/4980-ab": "san", "C:\\VMs\\": "win", r"\\nas1\s": "nas"}
    files = DatastoreFiles("store", "dir", mounts)
    assert files.read(name, optional=False) == path
    if name.startswith(("C:", "\\")):
        assert files.write(path) == name


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a/b", "Could not handle file name 'a/b'"),
        (r"D:\a", r"Could not handle file name 'D:\a'"),
        (
            "/vmfs/volumes/a",
            "File name '/vmfs/volumes/a' doesn't have expected format '/vmfs/volumes/<datastore>/<path>'",
        ),
    ],
)
def test_file_names_that_mean_nothing(name: str, message: str) -> None:
    with pytest.raises(VirtError) as caught:
        DatastoreFiles("store").read(name, optional=True)
    assert str(caught.value) == f"internal error: {message}"
