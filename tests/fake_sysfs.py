"""A host's sysfs and udev's database, in a folder: devices of every kind that node devices know."""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["MDEV", "FakeHost", "config_space", "everything", "vpd"]

MDEV = "4b20d080-1b54-4048-85b3-a6a62d165c01"


class FakeHost:
    """The folder, which stands for ``/``."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.write("sys/bus/pci/drivers_probe", "")

    def path(self, path: str) -> Path:
        return self.root / path

    def write(self, path: str, content: str | bytes) -> None:
        file = self.path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)

    def link(self, path: str, target: str) -> None:
        """A relative link, as sysfs has them."""
        file = self.path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.symlink_to(os.path.relpath(self.path(target), file.parent))

    def device(
        self,
        path: str,
        subsystem: str | None = None,
        *,
        uevent: Mapping[str, object] | None = None,
        driver: str | None = None,
        files: Mapping[str, str | bytes] | None = None,
        noted: Sequence[str] = (),
    ) -> str:
        """Make a device.

        :param path: below ``sys/devices``.
        :param subsystem: ``bus/NAME`` or ``class/NAME``.
        :param noted: lines of udev's file about it.
        """
        folder = f"sys/devices/{path}"
        properties = dict(uevent or {})
        if driver is not None:
            properties = {"DRIVER": driver, **properties}
        self.write(f"{folder}/uevent", "".join(f"{key}={value}\n" for key, value in properties.items()))
        for name, content in (files or {}).items():
            self.write(f"{folder}/{name}", content)
        if subsystem is not None:
            kind, name = subsystem.split("/")
            place = f"sys/{subsystem}/devices" if kind == "bus" else f"sys/{subsystem}"
            self.path(place).mkdir(parents=True, exist_ok=True)
            self.link(f"{folder}/subsystem", f"sys/{subsystem}")
            self.link(f"{place}/{os.path.basename(path)}", folder)
            if driver is not None:
                self.path(f"sys/{subsystem}/drivers/{driver}").mkdir(parents=True, exist_ok=True)
                self.link(f"{folder}/driver", f"sys/{subsystem}/drivers/{driver}")
            if noted:
                letter = "b" if name == "block" else "c"
                numbers = f"{properties.get('MAJOR')}:{properties.get('MINOR')}"
                known = f"n{properties['IFINDEX']}" if "IFINDEX" in properties else f"+{name}:{os.path.basename(path)}"
                file = f"{letter}{numbers}" if "MAJOR" in properties else known
                self.write(f"run/udev/data/{file}", "".join(f"{line}\n" for line in noted))
        return folder

    def pci(
        self,
        path: str,
        ids: tuple[int, int],
        class_: int,
        *,
        driver: str | None = None,
        config: bytes = b"",
        group: int | None = None,
        files: Mapping[str, str | bytes] | None = None,
    ) -> str:
        """Make a PCI device; its address is the last part of the path."""
        address = os.path.basename(path)
        vendor, product = ids
        uevent = {"PCI_CLASS": f"{class_:X}", "PCI_ID": f"{vendor:04X}:{product:04X}", "PCI_SLOT_NAME": address}
        own = {
            "vendor": f"0x{vendor:04x}\n",
            "device": f"0x{product:04x}\n",
            "class": f"0x{class_:06x}\n",
            "numa_node": "-1\n",
            "config": config or config_space(),
            "driver_override": "(null)\n",
            **(files or {}),
        }
        folder = self.device(path, "bus/pci", uevent=uevent, driver=driver, files=own)
        if group is not None:
            self.path(f"sys/kernel/iommu_groups/{group}/devices").mkdir(parents=True, exist_ok=True)
            self.link(f"{folder}/iommu_group", f"sys/kernel/iommu_groups/{group}")
            self.link(f"sys/kernel/iommu_groups/{group}/devices/{address}", folder)
        return folder

    def mdev_type(self, parent: str, name: str, title: str | None, instances: int) -> None:
        """Say that a device can be divided.

        :param parent: folder of the device.
        """
        place = f"{parent}/mdev_supported_types/{name}"
        bus = f"sys/class/mdev_bus/{os.path.basename(parent)}"
        if not self.path(bus).is_symlink():
            self.link(bus, parent)
        if title is not None:
            self.write(f"{place}/name", f"{title}\n")
        self.write(f"{place}/device_api", "vfio-pci\n")
        self.write(f"{place}/available_instances", f"{instances}\n")

    def mdev(self, parent: str, kind: str, uuid: str, group: int) -> None:
        """Make a mediated device."""
        folder = self.device(f"{parent.removeprefix('sys/devices/')}/{uuid}", "bus/mdev", driver="vfio_mdev")
        self.link(f"{folder}/mdev_type", f"{parent}/mdev_supported_types/{kind}")
        self.path(f"sys/kernel/iommu_groups/{group}").mkdir(parents=True, exist_ok=True)
        self.link(f"{folder}/iommu_group", f"sys/kernel/iommu_groups/{group}")

    def net(self, path: str, index: int, mac: str, *, type: str | None = None, state: str = "up") -> None:
        """Make a network interface."""
        name = os.path.basename(path)
        uevent = {"INTERFACE": name, "IFINDEX": index, **({"DEVTYPE": type} if type else {})}
        files = {"address": f"{mac}\n", "addr_len": "6\n", "operstate": f"{state}\n", "speed": "10000\n"}
        self.device(path, "class/net", uevent=uevent, files=files)

    def disk(
        self,
        path: str,
        number: tuple[int, int],
        blocks: int,
        *,
        size: int = 512,
        noted: Sequence[str] = (),
        **files: str,
    ) -> None:
        """Make a block device."""
        major, minor = number
        name = os.path.basename(path)
        uevent = {"MAJOR": major, "MINOR": minor, "DEVNAME": name.replace("!", "/"), "DEVTYPE": "disk"}
        own = {"size": f"{blocks}\n", "queue/logical_block_size": f"{size}\n", "removable": "0\n", **files}
        self.device(path, "class/block", uevent=uevent, files=own, noted=noted)

    def scsi_host(self, path: str, files: Mapping[str, str] | None = None) -> None:
        """Make a SCSI host with its classes.

        :param path: below ``sys/devices``; the last part is its name.
        :param files: of its fibre channel part; None where it has none.
        """
        name = os.path.basename(path)
        self.device(path, "bus/scsi", uevent={"DEVTYPE": "scsi_host"})
        self.device(f"{path}/scsi_host/{name}", "class/scsi_host", files={"unique_id": f"{int(name[4:]) + 3}\n"})
        if files is not None:
            self.device(f"{path}/fc_host/{name}", "class/fc_host", files=files)


def config_space(
    *,
    header: int = 0,
    size: int = 256,
    express: int | None = None,
    link: tuple[int, int, int] = (0, 0, 0),
    running: tuple[int, int] = (0, 0),
    power: int | None = None,
    device_capabilities: int = 0,
    buses: tuple[int, int, int] = (0, 0, 0),
) -> bytes:
    """Registers of a PCI device.

    :param express: kind of a device that speaks PCI Express.
    :param link: port, speed and width that it could have.
    :param running: speed and width that it has.
    :param power: its power management register; None without.
    """
    data = bytearray(size)
    data[0x0E] = header
    data[0x18:0x1B] = bytes(buses)
    chain: list[tuple[int, bytes]] = []
    if power is not None:
        chain.append((0x01, struct.pack("<HHH", 3, power, 0)))
    if express is not None:
        port, speed, width = link
        body = struct.pack("<HIHH", express << 4 | 2, device_capabilities, 0, 0)
        body += struct.pack("<IHH", port << 24 | width << 4 | speed, 0, running[1] << 4 | running[0])
        chain.append((0x10, body))
    if chain:
        data[0x06] = 0x10
        data[0x34] = 0x40
    for number, (kind, body) in enumerate(chain):
        place = 0x40 + number * 0x20
        following = place + 0x20 if number + 1 < len(chain) else 0
        data[place : place + 2 + len(body)] = bytes([kind, following]) + body
    return bytes(data)


def vpd(name: str, read_only: Mapping[str, str], read_write: Mapping[str, str], *, sound: bool = True) -> bytes:
    """Vital product data.

    :param sound: its checksum is right.
    """

    def resource(tag: int, body: bytes) -> bytes:
        return struct.pack("<BH", tag, len(body)) + body

    def fields(values: Mapping[str, str]) -> bytes:
        return b"".join(
            key.encode() + bytes([len(value.encode("latin-1"))]) + value.encode("latin-1")
            for key, value in values.items()
        )

    body = fields(read_only)
    before = resource(0x82, name.encode())
    start = struct.pack("<BH", 0x90, len(body) + 3 + 3) + body + b"RV\x03"
    check = -sum(before + start) & 0xFF
    written = fields(read_write) + b"RW\x05\0\0\0\0\0"
    return before + start + bytes([check if sound else check ^ 1, 0, 0]) + resource(0x91, written) + b"\x78" + bytes(20)


def everything(host: FakeHost) -> None:
    """One of every kind."""
    host.device(
        "virtual/dmi/id",
        "class/dmi",
        files={
            "product_name": "ProLiant  \n",
            "sys_vendor": "HPE\n",
            "product_version": "\n",
            "product_serial": "CZ12\x0134\n",
            "product_uuid": "64ad4f80-5dbc-4a2c-8ea9-3ad6f1a7c9be\n",
            "bios_vendor": "HPE\n",
            "bios_version": "U30\n",
            "bios_date": "02/02/2023\n",
        },
    )
    _pci_devices(host)
    _storage(host)
    _usb(host)
    _virtual(host)
    _s390(host)


def _pci_devices(host: FakeHost) -> None:
    host.device("pci0000:00")
    port = "pci0000:00/0000:00:1c.0"
    bridge = config_space(header=1, express=4, link=(3, 3, 4), running=(2, 4), buses=(0, 1, 2), size=4096)
    host.pci(port, (0x8086, 0xA110), 0x060400, driver="pcieport", config=bridge, group=3, files={"numa_node": "0\n"})
    card = host.pci(
        f"{port}/0000:01:00.0",
        (0x8086, 0x1572),
        0x020000,
        driver="i40e",
        config=config_space(express=0, link=(0, 4, 8), running=(3, 8), power=0, device_capabilities=1 << 28, size=4096),
        group=11,
        files={
            "numa_node": "1\n",
            "sriov_totalvfs": "64\n",
            "vpd": vpd("A card", {"PN": "P1 ", "SN": "S1", "EC": "A-1", "MN": "10", "V0": "zero", "VZ": "zed"},
                       {"YA": "tag", "V1": "one", "Y3": "three", "YB": "bee"}),
        },
    )  # fmt: skip
    other = host.pci(f"{port}/0000:01:10.0", (0x8086, 0x154C), 0x020000, group=12, config=config_space(size=4096))
    host.link(f"{card}/virtfn0", other)
    host.link(f"{other}/physfn", card)
    host.net(f"{port}/0000:01:00.0/net/ens1f0", 3, "02:fc:00:00:01:01")
    host.net(f"{port}/0000:01:10.0/net/ens1f0v0", 4, "02:fc:00:00:01:02", state="down")
    graphics = host.pci("pci0000:00/0000:00:02.0", (0x8086, 0x5917), 0x030000, driver="i915", group=0,
                        config=config_space(express=9, size=4096, power=8))  # fmt: skip
    for name, minor in (("card0", 0), ("controlD64", 64), ("renderD128", 128)):
        uevent = {"MAJOR": 226, "MINOR": minor, "DEVNAME": f"dri/{name}", "DEVTYPE": "drm_minor"}
        noted = ["S:dri/by-path/pci-0000:00:02.0-card", "S:dri/aaa", "E:ID_PATH=pci"] if minor == 0 else []
        host.device(f"pci0000:00/0000:00:02.0/drm/{name}", "class/drm", uevent=uevent, noted=noted)
    host.mdev_type(graphics, "i915-GVTg_V5_4", "GVTg_V5_4", 1)
    host.mdev_type(graphics, "i915-GVTg_V5_8", None, 2)
    host.mdev(graphics, "i915-GVTg_V5_4", MDEV, 21)
    host.pci("pci0000:00/0000:00:1f.0", (0x8086, 0xA143), 0x060100, files={"numa_node": "0\n"})
    # What cannot be understood: product data with a wrong checksum, and an unknown kind of header.
    bad = vpd("Bad", {"PN": "1"}, {}, sound=False)
    host.pci("pci0000:00/0000:00:1f.1", (0xFFFF, 0x0001), 0x078000, files={"vpd": bad})
    host.pci("pci0000:00/0000:00:1f.2", (0x8086, 0x0002), 0x078000, config=config_space(header=5))
    for number, data in enumerate(_odd_product_data()):
        host.pci(f"pci0000:00/0000:00:1e.{number}", (0x8086, 0x1000 + number), 0x078000, files={"vpd": data})
    odd = vpd("Odd", {"PN": "a\xe4b", "SN": "<&>'", "XX": "x"}, {"YA": "\x01"})
    host.pci("pci0000:00/0000:00:1f.3", (0x8086, 0x0003), 0x078000, files={"vpd": odd}, config=config_space(power=0))


def _odd_product_data() -> list[bytes]:
    """What devices have that do not keep to the rules."""
    plain = vpd("Bare", {}, {})
    name = b"\x82\x04\x00Name"
    read_write = b"\x91\x06\x00YA\x03tag"
    unchecked = b"\x90\x06\x00PN\x03abc"
    return [
        plain,
        name + read_write + b"\x78",
        name + unchecked + b"\x78",
        plain.replace(b"Bare", b"B\x01re"),
        plain[:-21],
        vpd(
            "Twice", {"PN": "one", "SN": "  two  ", "V_": "x", "Va": "low", "FG": "f", "LC": "l"}, {"Y_": "u", "YZ": ""}
        ),
        vpd("A name, of / odd: (letters)", {"PN": "", "EC": "a" * 200}, {"YA": "x", "VB": "v"}) + bytes(100),
        b"",
    ]


def _storage(host: FakeHost) -> None:
    adapter = "pci0000:00/0000:00:1d.0/0000:02:00.0"
    host.pci("pci0000:00/0000:00:1d.0", (0x8086, 0xA118), 0x060400, config=config_space(header=1, buses=(0, 2, 2)))
    host.pci(adapter, (0x1077, 0x2532), 0x0C0400, driver="qla2xxx")
    host.scsi_host(
        f"{adapter}/host5",
        {
            "node_name": "0x20000000c9848141\n",
            "port_name": "0x10000000c9848141\n",
            "fabric_name": "0x2002000573de9a81\n",
            "vport_create": "",
            "vport_delete": "",
            "max_npiv_vports": "127\n",
            "npiv_vports_inuse": "1\n",
        },
    )
    virtual = {"node_name": "0x20000000c9848142\n", "port_name": "0x10000000c9848142\n"}
    host.scsi_host(f"{adapter}/host5/vport-5:0-1/host7", virtual)
    port = f"{adapter}/host5/rport-5:0-2"
    host.device(port, None)
    host.device(
        f"{port}/fc_remote_ports/rport-5:0-2", "class/fc_remote_ports", files={"port_name": "0x5006016844602198\n"}
    )
    host.device(f"{port}/target5:0:0", "bus/scsi", uevent={"DEVTYPE": "scsi_target"})
    unit = f"{port}/target5:0:0/5:0:0:0"
    host.device(unit, "bus/scsi", uevent={"DEVTYPE": "scsi_device"}, driver="sd",
                files={"type": "0\n", "vendor": "ATA     \n", "model": " DISK 1  \n"})  # fmt: skip
    noted = [
        "S:disk/by-id/scsi-3600",
        "S:disk/by-id/ata-DISK",
        "E:ID_BUS=ata",
        "E:ID_TYPE=disk",
        "E:ID_SERIAL=DISK-1 x",
    ]
    host.disk(f"{unit}/block/sda", (8, 0), 2048, noted=noted)
    host.link(f"sys/devices/{unit}/block/sda/device", f"sys/devices/{unit}")
    uevent = {"MAJOR": 21, "MINOR": 0, "DEVNAME": "sg0"}
    host.device(f"{unit}/scsi_generic/sg0", "class/scsi_generic", uevent=uevent)
    plain = "pci0000:00/0000:00:17.0/ata1/host0"
    host.scsi_host(plain)
    host.device(f"{plain}/target0:0:0", "bus/scsi", uevent={"DEVTYPE": "scsi_target"})
    for lun, kind in ((0, "5"), (1, "1"), (2, "31"), (3, "13")):
        place = f"{plain}/target0:0:0/0:0:0:{lun}"
        host.device(place, "bus/scsi", uevent={"DEVTYPE": "scsi_device"}, files={"type": f"{kind}\n"})
    full = [
        "E:ID_CDROM=1",
        "E:ID_CDROM_MEDIA=1",
        "E:ID_FS_LABEL=Fedora",
        "E:ID_TYPE=cd",
        "E:ID_SERIAL=CD_1",
        "E:ID_BUS=scsi",
    ]
    host.disk(f"{plain}/target0:0:0/0:0:0:0/block/sr0", (11, 0), 1000, size=2048, noted=full, removable="1\n")
    empty = ["E:ID_CDROM=1", "E:ID_TYPE=generic"]
    host.disk(f"{plain}/target0:0:0/0:0:0:0/block/sr1", (11, 1), 0, size=2048, noted=empty, removable="1\n")
    host.disk("platform/floppy.0/block/fd0", (2, 0), 8, noted=["E:ID_DRIVE_FLOPPY=1"], removable="1\n")
    labelled = ["E:ID_DRIVE_FLOPPY=1", "E:ID_FS_LABEL=DOS"]
    host.disk("platform/floppy.0/block/fd1", (2, 1), 2880, noted=labelled, removable="1\n")
    host.disk("platform/mmc0/mmc0:1/block/mmcblk0", (179, 0), 4096, noted=["E:ID_DRIVE_FLASH_SD=1", "E:ID_SERIAL=0x1"])
    host.disk("platform/mmc0/mmc0:1/block/mmcblk1", (179, 1), 4096)
    host.disk("pci0000:00/0000:00:1d.0/nvme/nvme0/nvme0n1", (259, 0), 4096, size=4096, noted=["E:ID_SERIAL=NV 1"])
    host.disk("css0/0.0.0001/0.0.0201/block/dasda", (94, 0), 4096, size=4096, noted=["E:ID_SERIAL=0X0201"])
    host.disk("css0/0.0.0001/0.0.0201/block/dasdb", (94, 4), 4096, size=4096, noted=["E:ID_TYPE=disk"])
    uid = {"device/uid": "IBM.750000000BR4021.4300.21\n"}
    host.disk("css0/0.0.0001/0.0.0201/block/dasdc", (94, 8), 4096, size=4096, noted=["E:ID_SERIAL=0X0201"], **uid)
    host.disk("css0/0.0.0001/0.0.0201/block/dasdd", (94, 12), 4096, size=4096, noted=["E:ID_TYPE=disk"], **uid)
    host.disk("virtual/block/vdz", (254, 0), 64)
    host.disk("virtual/block/loop0", (7, 0), 64)
    host.disk("virtual/block/cciss!c0d0", (104, 0), 64, noted=["E:ID_TYPE=disk"])
    host.disk("virtual/block/odd", (105, 0), 64, noted=["E:ID_TYPE=tape"])
    host.disk("virtual/block/dm-0", (253, 0), 64, noted=["E:ID_TYPE=disk", "S:mapper/x"])
    host.disk(
        "virtual/block/usbfd",
        (8, 16),
        8,
        noted=["E:ID_TYPE=floppy", "E:ID_CDROM_MEDIA=1", "E:DKD_MEDIA_AVAILABLE=1"],
        removable="1\n",
    )
    host.disk("virtual/block/fixed2", (8, 18), 8, noted=["E:ID_TYPE=floppy"])
    host.disk(
        "virtual/block/usbfe",
        (8, 19),
        8,
        noted=["E:ID_TYPE=floppy", "E:ID_CDROM_MEDIA=1", "E:ID_FS_LABEL=A"],
        removable="1\n",
    )
    host.disk("virtual/block/fixed", (8, 17), 8, noted=["E:ID_TYPE=floppy", "E:ID_FS_LABEL=A"])


def _usb(host: FakeHost) -> None:
    hub = "pci0000:00/0000:00:14.0/usb1"
    host.pci("pci0000:00/0000:00:14.0", (0x8086, 0x9D2F), 0x0C0330, driver="xhci_hcd")

    def noted(vendor: str, product: str, *more: str) -> list[str]:
        return [f"E:ID_VENDOR_ID={vendor}", f"E:ID_MODEL_ID={product}", *more]

    def device(path: str, number: int, lines: Sequence[str], **files: str) -> None:
        uevent = {"MAJOR": 189, "MINOR": number - 1, "DEVNAME": f"bus/usb/001/{number:03}", "DEVTYPE": "usb_device",
                  "BUSNUM": "001", "DEVNUM": f"{number:03}"}  # fmt: skip
        host.device(path, "bus/usb", uevent=uevent, driver="usb", files=files, noted=lines)

    device(hub, 1, noted("1d6b", "0002"), manufacturer="Linux xhci-hcd\n", product="xHCI Host Controller\n")
    names = ["E:ID_VENDOR_FROM_DATABASE=Acme & Sons", "E:ID_MODEL_FROM_DATABASE=Stick"]
    device(f"{hub}/1-1", 2, noted("abcd", "0012", *names), manufacturer="x\n", product="y\n")
    device(f"{hub}/1-2", 3, noted("0001", "0002"))
    device(f"{hub}/1-3", 4, [])
    files = {
        "bInterfaceNumber": "0a\n",
        "bInterfaceClass": "08\n",
        "bInterfaceSubClass": "06\n",
        "bInterfaceProtocol": "50\n",
    }
    host.device(
        f"{hub}/1-1/1-1:1.0",
        "bus/usb",
        uevent={"DEVTYPE": "usb_interface", "INTERFACE": "8/6/80"},
        driver="usb-storage",
        files=files,
    )


def _virtual(host: FakeHost) -> None:
    host.net("virtual/net/lo", 1, "00:00:00:00:00:00", state="unknown")
    host.net("virtual/net/br0", 10, "52:54:00:00:00:01", type="bridge")
    host.net("virtual/net/tap0", 11, "52:54:00:00:00:02", state="lowerlayerdown")
    host.net("pci0000:00/0000:00:14.0/net/wlan0", 12, "52:54:00:00:00:03", type="wlan")
    host.net("virtual/net/tun0", 13, "", state="dormant")
    host.device("vdpasim/vdpa0", "bus/vdpa", driver="vhost_vdpa")
    host.device(
        "vdpasim/vdpa0/vhost-vdpa-0", "class/vhost-vdpa", uevent={"MAJOR": 511, "MINOR": 0, "DEVNAME": "vhost-vdpa-0"}
    )
    host.device("vdpasim/vdpa1", "bus/vdpa")
    host.device("vdpasim/vdpa2", "bus/vdpa")
    host.device("vdpasim/vdpa2/vhost-vdpa-2", "class/vhost-vdpa", uevent={"DEVNAME": "null"})
    host.device("virtual/mtty/mtty", "class/mtty")
    host.mdev_type("sys/devices/virtual/mtty/mtty", "mtty-1", "Single port serial", 24)
    host.mdev("sys/devices/virtual/mtty/mtty", "mtty-1", MDEV.replace("5c01", "5c02"), 22)
    uevent = {"MAJOR": 4, "MINOR": 64, "DEVNAME": "ttyS0"}
    host.device("platform/serial8250/tty/ttyS0", "class/tty", uevent=uevent)


def _s390(host: FakeHost) -> None:
    for number, driver, behind in (
        (1, "io_subchannel", "0.0.0201"),
        (2, "vfio_ccw", "none"),
        (3, "chsc_subchannel", "none"),
    ):
        host.device(f"css0/0.0.000{number}", "bus/css", driver=driver, files={"dev_busid": f"{behind}\n"})
    host.mdev_type("sys/devices/css0/0.0.0002", "vfio_ccw-io", "I/O subchannel (Non-QDIO)", 1)
    host.device("css0/0.0.0001/0.0.0201", "bus/ccw", driver="dasd-eckd", files={"online": "1\n"})
    host.device("css0/0.0.0004/0.0.0202", "bus/ccw", files={"online": "0\n"})
    for number in (0, 1, 2):
        host.device(f"css0/0.0.001{number}/0.0.bd0{number}", "bus/ccw", driver="qeth", files={"online": "1\n"})
    files = {"online": "1\n", "card_type": "OSD_1000\n", "chpid": "29\n"}
    uevent = {"DEVTYPE": "qeth_layer2"}
    group = host.device("qeth/0.0.bd00", "bus/ccwgroup", driver="qeth", uevent=uevent, files=files)
    for number in (0, 1, 2):
        member = f"sys/devices/css0/0.0.001{number}/0.0.bd0{number}"
        host.link(f"{group}/cdev{number}", member)
        host.link(f"{member}/group_device", group)
    host.device("ap/card07", "bus/ap", uevent={"DEVTYPE": "ap_card"}, driver="cex4card")
    host.device("ap/card07/07.0038", "bus/ap", uevent={"DEVTYPE": "ap_queue"}, driver="cex4queue")
    host.device("vfio_ap/matrix", "bus/matrix", driver="vfio_ap")
    host.mdev_type("sys/devices/vfio_ap/matrix", "vfio_ap-passthrough", "VFIO AP Passthrough Device", 65536)
