"""Run with the system's Python: a random walk over the test driver's domains; prints what it saw, a line a step, and
the events that came, a line each.

Two walks with the same seed do the same, whatever they see.
"""

from __future__ import annotations

import random
import sys
import threading
import time
from collections.abc import Callable

import libvirt

NAMES = ("d0", "d0", "d1", "d2", "test", "q")
UUID = "6695eb01-f6a4-8304-79aa-97f2502e193"
PARTS = (
    "",
    "<vcpu current='1'>4</vcpu>",
    "<vcpu>3</vcpu><iothreads>2</iothreads>",
    "<vcpu placement='static' cpuset='0-3'>2</vcpu><cputune><vcpupin vcpu='1' cpuset='2'/></cputune>",
    "<vcpu>2</vcpu><vcpus><vcpu id='0' enabled='yes'/><vcpu id='1' enabled='no' hotpluggable='yes'/></vcpus>",
    "<memtune><hard_limit>900</hard_limit></memtune>",
    "<iothreads>3</iothreads><iothreadids><iothread id='7'/></iothreadids>",
    "<numatune><memory mode='preferred' nodeset='1'/></numatune>",
    "<blkiotune><weight>200</weight></blkiotune>",
)
LIFE = ("", "<on_poweroff>restart</on_poweroff>", "<on_reboot>destroy</on_reboot><on_crash>restart</on_crash>")
LIMITED = "<iotune><read_iops_sec>5</read_iops_sec><read_iops_sec_max>9</read_iops_sec_max></iotune>"
DEVICES = (
    "<disk type='file'><source file='/a'/><target dev='vda' bus='virtio'/></disk>",
    "<disk type='file' device='cdrom'><target dev='hdc' bus='ide'/></disk>",
    "<interface type='network'><mac address='52:54:00:00:00:01'/><source network='default'/></interface>",
    "<interface type='user'><mac address='52:54:00:00:00:02'/></interface>",
    "<memballoon model='virtio'/>",
    f"<disk type='block'><source dev='/dev/sdb'/><target dev='sda' bus='scsi'/>{LIMITED}</disk>",
)
BANDWIDTH = [f"{way}.{what}" for way in ("inbound", "outbound") for what in ("average", "peak", "burst")]
LIMITS = ["total_bytes_sec", "read_bytes_sec", "total_bytes_sec_max", "read_bytes_sec_max", "size_iops_sec"]
LIMITS += ["total_iops_sec", "write_iops_sec", "write_iops_sec_max", "total_iops_sec_max", "write_iops_sec_max_length"]
EVENTS = ["cmt", "page_faults", "cpu_cycles"]
MEMORY = ["hard_limit", "soft_limit", "swap_hard_limit"]


class Walk:
    """The steps."""

    def __init__(self, uri: str, seed: int, folder: str) -> None:
        self.random = random.Random(seed)
        self.connection = libvirt.open(uri)
        self.folder = folder
        self.events: list[str] = []
        for kind in (libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, libvirt.VIR_DOMAIN_EVENT_ID_METADATA_CHANGE):
            self.connection.domainEventRegisterAny(None, kind, self.note, None)

    def note(self, connection, domain, first: int, second: object, opaque: object) -> None:
        self.events.append(f"event of {domain.name()}: {first} {second}")

    def of(self, *choices: object):  # whatever they are
        return self.random.choice(choices)

    def flags(self, *more: int) -> int:
        return self.of(0, 0, 0, 1, 2, 3, *more)

    def cpus(self) -> tuple[bool, ...]:
        return tuple(self.random.random() < 0.4 for _ in range(8))

    def some(self, names: list[str], *values: object) -> dict:
        return {name: self.of(*values) for name in self.random.sample(names, self.of(1, 2, 3))}

    def xml(self) -> str:
        number = self.random.randrange(3)
        devices = "".join(self.random.sample(DEVICES, self.random.randrange(5)))
        return (
            f"<domain type='test'><name>d{number}</name><uuid>{UUID}{number}</uuid>"
            f"<memory>{self.of(1024, 4096)}</memory>{self.of(*PARTS)}<os><type>hvm</type></os>{self.of(*LIFE)}"
            f"<devices>{devices}</devices></domain>"
        )

    def file(self) -> str:
        return f"{self.folder}/image{self.random.randrange(2)}"

    def listed(self) -> list:
        found = self.connection.listAllDomains(1 << self.random.randrange(12))
        seen = ("name", "isActive", "isPersistent", "autostart", "hasManagedSaveImage")
        return sorted([getattr(domain, name)() for name in seen] for domain in found)

    def vcpus(self, domain) -> list:
        return [(vcpu[0], vcpu[1], vcpu[3]) for vcpu in domain.vcpus()[0]]

    def numa(self) -> dict:
        nodes, mode = self.of("0", "0-3", "x", "5,^5", "20000"), self.random.randrange(5)
        return self.of({"numa_mode": mode}, {"numa_nodeset": nodes}, {"numa_mode": mode, "numa_nodeset": nodes})

    def blkio(self) -> dict:
        return self.of(
            {"weight": self.of(0, 5, 300)},
            {"device_weight": self.of("/a,5", "/a,0", "/b,7,/a,9", "/a,5,/a,6")},
            {"device_read_bytes_sec": self.of("/a,5000000000", "/c,0", "/b,1")},
        )

    def steps(self) -> dict[str, Callable]:
        of, flags = self.of, self.flags
        disk = lambda: of("vda", "hdc", "/a", "sda", "/dev/sdb")  # noqa: E731
        interface = lambda: of("testnet0", "testnet1", "52:54:00:00:00:01", "52:54:00:00:00:02")  # noqa: E731
        return {
            "start": lambda d: d.create(),
            "destroy": lambda d: d.destroy(),
            "shutdown": lambda d: d.shutdown(),
            "reboot": lambda d: d.reboot(0),
            "suspend": lambda d: d.suspend(),
            "resume": lambda d: d.resume(),
            "undefine": lambda d: d.undefineFlags(of(0, 1, 2, 3, 4)),
            "set memory": lambda d: d.setMemoryFlags(of(0, 5, 1000, 2000, 10**6), flags(4, 6, 8)),
            "set vcpus": lambda d: d.setVcpusFlags(of(0, 1, 2, 3, 4, 5, 40), flags(6, 4, 8)),
            "vcpus count": lambda d: d.vcpusFlags(flags(4, 5, 6, 8)),
            "vcpus": self.vcpus,
            "pin vcpu": lambda d: d.pinVcpu(self.random.randrange(4), self.cpus()),
            "vcpu pins": lambda d: d.vcpuPinInfo(flags()),
            "emulator pin": lambda d: d.emulatorPinInfo(flags(8)),
            "pin emulator": lambda d: d.pinEmulator(self.cpus(), flags()),
            "iothreads": lambda d: d.ioThreadInfo(flags()),
            "add iothread": lambda d: d.addIOThread(self.random.randrange(5), flags()),
            "delete iothread": lambda d: d.delIOThread(self.random.randrange(5), flags()),
            "pin iothread": lambda d: d.pinIOThread(self.random.randrange(4), self.cpus(), flags()),
            "memory limits": lambda d: d.memoryParameters(flags()),
            "set memory limits": lambda d: d.setMemoryParameters(self.some(MEMORY, 0, 10, 500, 1000), flags()),
            "numa": lambda d: d.numaParameters(flags()),
            "set numa": lambda d: d.setNumaParameters(self.numa(), flags()),
            "blkio": lambda d: d.blkioParameters(flags()),
            "set blkio": lambda d: d.setBlkioParameters(self.blkio(), flags()),
            "bandwidth": lambda d: d.interfaceParameters(interface(), flags()),
            "set bandwidth": lambda d: d.setInterfaceParameters(interface(), self.some(BANDWIDTH, 0, 5, 9), flags()),
            "iotune": lambda d: d.blockIoTune(disk(), flags()),
            "set iotune": lambda d: d.setBlockIoTune(disk(), self.some(LIMITS, 0, 5, 9, 20), flags()),
            "perf": lambda d: d.perfEvents(flags()),
            "set perf": lambda d: d.setPerfEvents(self.some(EVENTS, True, False), flags()),
            "xml": lambda d: d.XMLDesc(of(0, 1, 2, 3, 8)),
            "state": lambda d: d.state(),
            "info": lambda d: d.info()[:4],
            "metadata": lambda d: d.metadata(self.random.randrange(3), of(None, None, "u:", "v:"), flags()),
            "set metadata": lambda d: d.setMetadata(
                self.random.randrange(3),
                of("text", "", "<a><b/></a>", "<a/>", None),
                of(None, "k"),
                of(None, "u:", "v:"),
                flags(),
            ),
            "lifecycle": lambda d: d.setLifecycleAction(self.random.randrange(3), self.random.randrange(6), flags()),
            "rename": lambda d: d.rename(of("d0", "d1", "q", "a/b")),
            "managed save": lambda d: d.managedSave(of(0, 0, 2, 4, 6)),
            "managed save remove": lambda d: d.managedSaveRemove(),
            "save": lambda d: d.save(self.file()),
            "dump": lambda d: d.coreDump(f"{self.folder}/core", of(0, 1)),
            "file systems": lambda d: d.fsInfo(),
            "freeze": lambda d: d.fsFreeze(of(None, ["/"], ["/boot", "/"], ["/x"])),
            "thaw": lambda d: d.fsThaw(of(None, ["/"])),
            "time": lambda d: d.getTime(),
            "set time": lambda d: d.setTime({"seconds": of(5, 20000, 40001, 90000)}),
            "control": lambda d: d.controlInfo(),
            "hostname": lambda d: d.hostname(),
            "addresses": lambda d: d.interfaceAddresses(of(0, 1, 2)),
            "errors": lambda d: d.diskErrors(),
            "disk": lambda d: d.blockInfo(disk()),
            "memory statistics": lambda d: d.memoryStats(),
            "CPU statistics": lambda d: d.getCPUStats(of(True, False)),
            "period": lambda d: d.setMemoryStatsPeriod(of(0, 5), flags()),
            "set autostart": lambda d: d.setAutostart(of(0, 1)),
            "facts": lambda d: (
                d.isPersistent(),
                d.isUpdated(),
                d.maxMemory(),
                d.OSType(),
                d.autostart(),
                d.messages(),
            ),
        }

    def go(self, count: int) -> None:
        steps = self.steps()
        others = {
            "define": lambda: self.connection.defineXML(self.xml()).name(),
            "create": lambda: self.connection.createXML(self.xml()).name(),
            "restore": lambda: self.connection.restore(self.file()),
            "saved": lambda: self.connection.saveImageGetXMLDesc(self.file()),
            "list": self.listed,
        }
        for number in range(count):
            name = self.random.choice([*steps, *list(others) * 3])
            state = self.random.getstate()
            try:
                if name in others:
                    seen = repr(others[name]())
                else:
                    seen = repr(steps[name](self.connection.lookupByName(self.of(*NAMES))))
            except libvirt.libvirtError as error:
                seen = f"error {error.get_error_code()}: {error.get_error_message()!r}"
            print(number, name, seen)
            # Whatever came of it, the next step is the same.
            self.random.setstate(state)
            self.random.seed(self.random.random())


def run_events() -> None:
    while True:
        libvirt.virEventRunDefaultImpl()


if __name__ == "__main__":
    libvirt.registerErrorHandler(lambda context, error: None, None)
    libvirt.virEventRegisterDefaultImpl()
    threading.Thread(target=run_events, daemon=True).start()
    walk = Walk(sys.argv[1], int(sys.argv[2]), sys.argv[4])
    walk.go(int(sys.argv[3]))
    last = "<domain type='test'><name>last</name><memory>1024</memory><os><type>hvm</type></os></domain>"
    walk.connection.defineXML(last).undefine()
    end = time.monotonic() + 60
    while "event of last: 1 0" not in walk.events and time.monotonic() < end:  # all others came before it
        time.sleep(0.05)
    print("\n".join(walk.events))
