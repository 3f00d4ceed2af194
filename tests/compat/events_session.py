"""Run with the system's Python: events, streams and what else an event loop drives, through the real libvirt binding.

``events_session.py LOOP DRIVER URI FOLDER``; prints what it saw as JSON. LOOP is ``default``, libvirt's own loop in a
thread, ``asyncio``, ``libvirtaio``'s, or ``closing-SECONDS``: then it says that it is connected, and why it is no more;
a daemon that is silent for about so long is gone.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import threading
import time
from collections.abc import Callable

import libvirt

UUID = "88888888-0000-1111-2222-333333333333"
NETWORK_UUID = "88888888-0000-1111-2222-444444444444"
POOL_UUID = "88888888-0000-1111-2222-555555555555"
SECRET_UUID = "88888888-0000-1111-2222-666666666666"

GUESTS = {
    "test": f"""
<domain type='test'><name>seen</name><uuid>{UUID}</uuid><memory>65536</memory><vcpu current='1'>2</vcpu>
<os><type>hvm</type></os>
<devices><disk type='file'><source file='/seen'/><target dev='vda'/></disk><console type='pty'/></devices></domain>
""",
    "qemu": f"""
<domain type='qemu'><name>seen</name><uuid>{UUID}</uuid><memory unit='MiB'>64</memory><vcpu current='1'>2</vcpu>
<os><type arch='x86_64' machine='pc'>hvm</type></os><features><acpi/></features>
<devices><disk type='file'><source file='FOLDER/disk'/><target dev='vda' bus='virtio'/></disk>
<disk type='file' device='cdrom'><source file='FOLDER/one'/><target dev='hdc' bus='ide'/></disk>
<interface type='user'><mac address='52:54:00:88:00:01'/><model type='virtio'/></interface>
<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
<serial type='pty'/><memballoon model='virtio'/></devices></domain>
""",
}
NETWORK = f"<network><name>seen</name><uuid>{NETWORK_UUID}</uuid><bridge name='virseen0'/></network>"
POOL = f"<pool type='dir'><name>seen</name><uuid>{POOL_UUID}</uuid><target><path>FOLDER/pool</path></target></pool>"
VOLUME = "<volume><name>seen</name><capacity>1048576</capacity><target><format type='raw'/></target></volume>"
SECRET = f"<secret private='no'><uuid>{SECRET_UUID}</uuid><usage type='volume'><volume>/seen</volume></usage></secret>"
DEVICE = (
    "<device><parent>scsi_host1</parent><capability type='scsi_host'><capability type='fc_host'>"
    "<wwnn>2000000012340000</wwnn><wwpn>1000000012340000</wwpn></capability></capability></device>"
)
#: The last that is done: when its events have come, all others have.
LAST = "<domain type='DRIVER'><name>last</name><memory>65536</memory><os><type>hvm</type></os></domain>"
DISK = "<disk type='file'><source file='FOLDER/two'/><target dev='vdb' bus='virtio'/><alias name='ua-two'/></disk>"

#: What comes or not as QEMU's own events race, and what is measured.
FLEETING = {"AGENT_LIFECYCLE", "RTC_CHANGE", "BALLOON_CHANGE"}


def constants(prefix: str) -> dict[int, str]:
    found = {
        value: name.removeprefix(prefix)
        for name, value in vars(libvirt).items()
        if name.startswith(prefix) and isinstance(value, int)
    }
    return {number: name for number, name in found.items() if number < 1000}


class Watch:
    """Every event there is, as it comes."""

    def __init__(self, connection: libvirt.virConnect) -> None:
        self.connection = connection
        self.seen: list[list] = []
        self.refused: list[str] = []
        self.callbacks: list[tuple[Callable, int]] = []
        for kind, register, deregister in (
            ("VIR_DOMAIN_EVENT_ID_", "domainEventRegisterAny", "domainEventDeregisterAny"),
            ("VIR_NETWORK_EVENT_ID_", "networkEventRegisterAny", "networkEventDeregisterAny"),
            ("VIR_STORAGE_POOL_EVENT_ID_", "storagePoolEventRegisterAny", "storagePoolEventDeregisterAny"),
            ("VIR_NODE_DEVICE_EVENT_ID_", "nodeDeviceEventRegisterAny", "nodeDeviceEventDeregisterAny"),
            ("VIR_SECRET_EVENT_ID_", "secretEventRegisterAny", "secretEventDeregisterAny"),
        ):
            for number, name in sorted(constants(kind).items()):
                told = self.teller(kind.split("_")[1].lower(), name)
                try:
                    identity = getattr(connection, register)(None, number, told, None)
                except libvirt.libvirtError as error:
                    self.refused.append(f"{kind}{name}: {error.get_error_message()}")
                else:
                    self.callbacks.append((getattr(connection, deregister), identity))

    def teller(self, kind: str, name: str) -> Callable:
        def told(connection: object, source: object, *details: object) -> None:
            who = source.name() if hasattr(source, "name") else source.UUIDString()
            self.seen.append([kind, name, who, *(repr(detail) for detail in details[:-1])])

        return told

    def end(self) -> None:
        for deregister, identity in self.callbacks:
            deregister(identity)


class Session:
    """What is done while events are watched."""

    def __init__(self, driver: str, uri: str, folder: str, blocking: bool) -> None:
        self.driver = driver
        self.blocking = blocking
        self.folder = folder
        self.connection = libvirt.open(uri)
        self.out: dict = {}

    def attempt(self, name: str, action: Callable[[], object]) -> object:
        """Do it and keep the answer, or what is said against it."""
        try:
            answer = action()
        except libvirt.libvirtError as error:
            self.out[name] = f"{error.get_error_code()}: {error.get_error_message()}"
            return None
        plain = (int, str, list, dict, tuple, bytes, type(None))
        self.out[name] = repr(answer) if isinstance(answer, plain) else "done"
        return answer

    def settle(self, unsettled: Callable[[], bool]) -> None:
        """Wait until something has come to its end, for as long as that may take."""
        end = time.monotonic() + 60
        while unsettled() and time.monotonic() < end:
            time.sleep(0.05)

    def more_events(self) -> bool:
        """Whether some are still to come."""
        return ["domain", "LIFECYCLE", "last", "1", "0"] not in self.watch.seen

    def fill(self, text: str) -> str:
        return text.replace("FOLDER", self.folder)

    def work(self) -> None:
        self.watch = Watch(self.connection)
        self.domains()
        self.networks()
        self.pools()
        self.secrets()
        self.devices()
        self.connection.defineXML(LAST.replace("DRIVER", self.driver)).undefine()

    def events(self) -> None:
        """What came; then keepalive begins, and whoever wants to know is told when the connection is gone."""
        self.watch.end()
        self.out["refused"] = sorted(self.watch.refused)
        self.out["events"] = sorted(
            [event for event in self.watch.seen if event[1] not in FLEETING and event[2] != "last"],
            key=lambda event: event[0],
        )
        self.reasons: list[int] = []
        self.connection.registerCloseCallback(lambda connection, reason, opaque: self.reasons.append(reason), None)
        self.attempt("keepalive", lambda: self.connection.setKeepAlive(1, 60))

    def end(self) -> None:
        self.out["alive"] = self.connection.isAlive()
        self.connection.unregisterCloseCallback()
        gc.collect()  # streams and their callbacks refer to each other, and to the connection
        left = self.connection.close()
        self.out["closed"] = [left if self.blocking else 0, self.reasons]

    def domains(self) -> None:
        attempt = self.attempt
        domain = attempt("define", lambda: self.connection.defineXML(self.fill(GUESTS[self.driver])))
        attempt("define again", lambda: self.connection.defineXML(self.fill(GUESTS[self.driver])))
        attempt("start", domain.create)
        attempt("suspend", domain.suspend)
        attempt("resume", domain.resume)
        attempt("title", lambda: domain.setMetadata(libvirt.VIR_DOMAIN_METADATA_TITLE, "t", None, None, 3))
        attempt(
            "metadata",
            lambda: domain.setMetadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, "<a/>", "k", "urn:seen", 1),
        )
        attempt("pin", lambda: domain.pinVcpuFlags(0, (True,), 1))
        attempt("emulator", lambda: domain.pinEmulator((True,), 1))
        attempt("vcpus", lambda: domain.setVcpusFlags(2, 1))
        attempt("memory", lambda: domain.setMemoryFlags(40000, 1))
        attempt("iotune", lambda: domain.setBlockIoTune("vda", {"total_bytes_sec": 10**7}, 1))
        attempt("attach", lambda: domain.attachDeviceFlags(self.fill(DISK), 1))
        attempt("detach", lambda: domain.detachDeviceAlias("ua-two", 1))
        attempt("reset", domain.reset)
        self.settle(lambda: "ua-two" in domain.XMLDesc())  # what the guest would not give away goes with the reset
        attempt("agent", lambda: domain.fsInfo())
        self.screenshot(domain)
        attempt("save", lambda: domain.save(f"{self.folder}/saved"))
        attempt("restore", lambda: self.connection.restore(f"{self.folder}/saved"))
        attempt("managed save", domain.managedSave)
        attempt("start again", domain.create)
        attempt("job", lambda: domain.jobStats(libvirt.VIR_DOMAIN_JOB_STATS_COMPLETED)["type"])
        attempt("destroy", domain.destroy)
        attempt("undefine", lambda: domain.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE))
        attempt("gone", domain.info)

    def screenshot(self, domain: libvirt.virDomain) -> None:
        stream = self.connection.newStream()
        taken = self.attempt("screenshot", lambda: domain.screenshot(stream, 0))
        if taken is None:
            stream.abort()
            return
        picture = bytearray()
        stream.recvAll(lambda stream, data, opaque: picture.extend(data), None)
        stream.finish()
        self.out["picture"] = bytes(picture[:2]).hex()

    def networks(self) -> None:
        network = self.attempt("define network", lambda: self.connection.networkDefineXML(NETWORK))
        if network is None:
            return
        if self.driver == "test":
            self.attempt("start network", network.create)
            self.attempt("stop network", network.destroy)
        self.attempt("undefine network", network.undefine)

    def pools(self) -> None:
        pool = self.attempt("define pool", lambda: self.connection.storagePoolDefineXML(self.fill(POOL)))
        if pool is None:
            return
        for name in ("build", "create", "refresh"):
            self.attempt(f"{name} pool", getattr(pool, name))
        volume = self.attempt("create volume", lambda: pool.createXML(VOLUME))
        self.volume(volume)
        self.attempt("delete volume", volume.delete)
        for name in ("destroy", "delete", "undefine"):
            self.attempt(f"{name} pool", getattr(pool, name))

    def volume(self, volume: libvirt.virStorageVol) -> None:
        """Data up and down, plain and with holes."""
        data = b"begin" + bytes(400000) + b"end"
        done = self.transfer("upload", lambda stream: volume.upload(stream, 0, len(data)), data)
        if not done:
            return
        got = self.receive("download", lambda stream: volume.download(stream, 0, len(data)))
        self.out["same data"] = got == data
        sparse = libvirt.VIR_STORAGE_VOL_DOWNLOAD_SPARSE_STREAM
        stream = self.connection.newStream()
        volume.download(stream, 0, 0, sparse)
        parts: list[list[int]] = []
        whole = bytearray()

        def hole(stream: object, length: int, opaque: object) -> None:
            whole.extend(bytes(length))
            parts.append([length])

        stream.sparseRecvAll(lambda stream, data, opaque: whole.extend(data), hole, None)
        stream.finish()
        self.out["holes"] = [bytes(whole[: len(data)]) == data, len(whole)]
        self.send_sparsely(volume)

    def send_sparsely(self, volume: libvirt.virStorageVol) -> None:
        sections = [b"x" * 1000, 300000, b"y" * 1000, 5000]
        stream = self.connection.newStream()
        volume.upload(stream, 0, 0, libvirt.VIR_STORAGE_VOL_UPLOAD_SPARSE_STREAM)
        rest = list(sections)

        def data(stream: object, wanted: int, opaque: object) -> bytes:
            if not rest or isinstance(rest[0], int):
                return b""
            taken, rest[0] = rest[0][:wanted], rest[0][wanted:]
            if not rest[0]:
                del rest[0]
            return taken

        def holes(stream: object, opaque: object) -> tuple[bool, int]:
            if not rest:
                return False, 0
            return (False, rest[0]) if isinstance(rest[0], int) else (True, len(rest[0]))

        def skip(stream: object, length: int, opaque: object) -> int:
            assert rest[0] == length
            del rest[0]
            return 0

        stream.sparseSendAll(data, holes, skip, None)
        stream.finish()
        got = self.receive("sparse", lambda stream: volume.download(stream, 0, 0))
        wanted = b"".join(part if isinstance(part, bytes) else bytes(part) for part in sections)
        self.out["sparsely sent"] = got[: len(wanted)] == wanted

    def transfer(self, name: str, begin: Callable, data: bytes) -> bool:
        stream = self.connection.newStream()
        if self.attempt(name, lambda: begin(stream)) is None:
            stream.abort()
            return False
        rest = bytearray(data)

        def more(stream: object, wanted: int, opaque: object) -> bytes:
            taken = bytes(rest[:wanted])
            del rest[:wanted]
            return taken

        stream.sendAll(more, None)
        stream.finish()
        return True

    def receive(self, name: str, begin: Callable) -> bytes:
        """Read; with callbacks of the event loop, as programs do that wait for other things, too, where the library
        does not keep the connection open for ever because of them: ``libvirtaio`` would wait for it."""
        got = bytearray()
        if self.blocking:
            stream = self.connection.newStream()
            self.attempt(name, lambda: begin(stream))
            stream.recvAll(lambda stream, data, opaque: got.extend(data), None)
            stream.finish()
            return bytes(got)
        stream = self.connection.newStream(libvirt.VIR_STREAM_NONBLOCK)
        self.attempt(name, lambda: begin(stream))
        ended = threading.Event()

        def readable(stream: libvirt.virStream, events: int, opaque: object) -> None:
            while True:
                data = stream.recv(65536)
                if data == -2:
                    return
                got.extend(data)
                if not data:
                    stream.eventRemoveCallback()
                    ended.set()
                    return

        stream.eventAddCallback(libvirt.VIR_STREAM_EVENT_READABLE, readable, None)
        assert ended.wait(60), "the stream did not end"
        stream.finish()
        return bytes(got)

    def secrets(self) -> None:
        secret = self.attempt("define secret", lambda: self.connection.secretDefineXML(SECRET))
        if secret is None:
            return
        self.attempt("set secret", lambda: secret.setValue(b"value"))
        self.attempt("secret", lambda: secret.value())
        self.attempt("undefine secret", secret.undefine)

    def devices(self) -> None:
        device = self.attempt("create device", lambda: self.connection.nodeDeviceCreateXML(DEVICE))
        if device is not None:
            self.attempt("destroy device", device.destroy)


def start_default_loop() -> None:
    libvirt.virEventRegisterDefaultImpl()

    def loop() -> None:
        while True:
            libvirt.virEventRunDefaultImpl()

    threading.Thread(target=loop, daemon=True).start()


def with_default_loop(session_of: Callable[[], Session]) -> dict:
    start_default_loop()
    session = session_of()
    session.work()
    session.settle(session.more_events)
    session.events()
    time.sleep(1.5)
    session.end()
    return session.out


def with_asyncio(session_of: Callable[[], Session]) -> dict:
    import libvirtaio

    async def main() -> dict:
        implementation = libvirtaio.virEventRegisterAsyncIOImpl()
        session = session_of()
        session.work()
        end = time.monotonic() + 60
        while session.more_events() and time.monotonic() < end:
            await asyncio.sleep(0.05)
        session.events()
        await asyncio.sleep(1.5)
        session.end()
        await asyncio.wait_for(implementation.drain(), 60)
        return session.out

    return asyncio.run(main())


def closing(uri: str, patience: int) -> None:
    start_default_loop()
    connection = libvirt.open(uri)
    gone = threading.Event()
    reasons: list[int] = []

    def told(connection: object, reason: int, opaque: object) -> None:
        reasons.append(reason)
        gone.set()

    connection.registerCloseCallback(told, None)
    connection.setKeepAlive(1, patience)
    print("connected", flush=True)
    gone.wait(120)
    print(constants("VIR_CONNECT_CLOSE_REASON_")[reasons[0]], connection.isAlive(), flush=True)


if __name__ == "__main__":
    libvirt.registerErrorHandler(lambda context, error: None, None)
    kind, driver, uri, folder = sys.argv[1:]
    kind, _, patience = kind.partition("-")
    for name, size in (("disk", 1 << 20), ("one", 4096), ("two", 4096)):
        with open(f"{folder}/{name}", "wb") as image:
            image.truncate(size)
    if kind == "closing":
        closing(uri, int(patience))
        raise SystemExit
    run = with_asyncio if kind == "asyncio" else with_default_loop
    print(json.dumps(run(lambda: Session(driver, uri, folder, kind == "asyncio"))))
