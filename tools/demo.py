"""The main job in one go (``./dev demo``): define a guest, boot it and watch, look at it, shut it down, undefine it.

With QEMU, a kernel and busybox on this host it is a real guest; without them the same is done on ``test:///default``,
and what to install is told.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import virtcore
from virtcore.enums import DomainCreateFlags, DomainEventType
from virtcore.errors import VirtError
from virtcore.operations.events import DomainLifecycleEvent, Event

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "qemu"))

import guest_image  # type: ignore[import-not-found]  # the tests' guest is this demo's

BOOT_LIMIT = 120.0
SHUTDOWN_LIMIT = 60.0


def step(text: str) -> None:
    """Say what happens next."""
    print(f"\n==> {text}", flush=True)


def show_event(event: Event) -> None:
    """Print an event as it comes."""
    if isinstance(event, DomainLifecycleEvent):
        print(f"    [event] {event.domain.name}: {DomainEventType(event.type).name.lower()}", flush=True)


def show_state(connection: virtcore.Connection, domain: virtcore.Domain) -> None:
    """Print state and statistics."""
    state, info = domain.state(), domain.info()
    print(f"    state {state.state.name.lower()}, {info.memory >> 10} MiB, {info.vcpus} vCPU", end="")
    print(f", {info.cpu_time / 1e9:.2f} s of CPU time")
    for row in connection.domain_stats([domain]):
        for name, value in row.params.items():
            print(f"    {name} = {value}")


def watch_boot(domain: virtcore.Domain) -> virtcore.Stream:
    """Show the serial output until the guest is up."""
    stream = domain.open_console()
    domain.resume()
    began = time.monotonic()
    line = ""
    while guest_image.MARKER not in line:
        if "\n" in line:
            done, _, line = line.partition("\n")
            print(f"    | {done.rstrip()}", flush=True)
            continue
        if time.monotonic() - began > BOOT_LIMIT:
            raise SystemExit("the guest did not come up")
        line += stream.read(deadline=BOOT_LIMIT).decode(errors="replace")
    print(f"    | {guest_image.MARKER}")
    print(f"    the guest is up after {time.monotonic() - began:.1f} s")
    return stream


def talk(stream: virtcore.Stream) -> None:
    """Say something to the guest and show its answer."""
    stream.write(b"hello from the host\n")
    answer = ""
    while "guest says" not in answer:
        answer += stream.read(deadline=10).decode(errors="replace")
    print(f"    | {answer[answer.index('guest says') :].splitlines()[0]}")


def press_power_button(domain: virtcore.Domain) -> None:
    """Ask for a shutdown and give the guest a while to follow."""
    domain.shutdown()
    again = time.monotonic() + 10
    while domain.is_active() and time.monotonic() < again:
        time.sleep(0.05)


def real_guest(folder: Path) -> None:
    """The whole life of a real guest."""
    kernel = guest_image.find_kernel()
    assert kernel is not None
    initrd, disk = folder / "initrd.gz", folder / "disk.qcow2"
    step("making a disk image and an initramfs of busybox")
    guest_image.write_initramfs(initrd, kernel)
    guest_image.write_qcow2(disk, 64)
    devices = f"""    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/>
      <source file='{disk}'/>
      <target dev='vda' bus='virtio'/>
    </disk>
    <interface type='user'><model type='virtio'/></interface>
    <serial type='pty'/>"""
    uri = f"qemu:///embed?root={folder / 'root'}"
    step(f"connecting to {uri}: no daemon, everything in this process")
    with virtcore.connect(uri) as connection:
        version = connection.version()
        print(f"    QEMU {version // 1_000_000}.{version // 1000 % 1000}.{version % 1000} on {connection.hostname()}")
        connection.on_event(show_event, DomainLifecycleEvent)
        step("defining a guest: 128 MiB, one CPU, a qcow2 disk, a network interface, a serial port")
        xml = guest_image.guest_xml("demo", kernel, initrd, devices=devices)
        domain = connection.define_domain(xml.replace(" quiet ", " "))  # the kernel may talk
        try:
            step("starting it paused, connecting to its serial port, letting it run")
            domain.create(DomainCreateFlags.START_PAUSED)
            stream = watch_boot(domain)
            talk(stream)
            step("its state and statistics")
            show_state(connection, domain)
            step("suspending and resuming it")
            domain.suspend()
            domain.resume()
            step("pressing its power button")
            end = time.monotonic() + SHUTDOWN_LIMIT
            while domain.is_active() and time.monotonic() < end:
                press_power_button(domain)
            print(f"    {domain.state().state.name.lower()}")
        finally:
            if domain.is_active():
                domain.destroy()
            step("undefining it")
            domain.undefine()


def fake_guest(reason: str) -> None:
    """The same on the test driver."""
    step(f"no real guest here: {reason}")
    print("    on Debian: apt-get install qemu-system-x86 linux-image-cloud-amd64 busybox-static")
    step("connecting to test:///default, a hypervisor that is built in and runs nothing")
    with virtcore.connect("test:///default") as connection:
        connection.on_event(show_event, DomainLifecycleEvent)
        step("defining a guest")
        domain = connection.define_domain(
            "<domain type='test'><name>demo</name><memory unit='MiB'>128</memory><os><type>hvm</type></os></domain>"
        )
        step("starting it")
        domain.create()
        show_state(connection, domain)
        step("suspending, resuming, shutting down, undefining it")
        domain.suspend()
        domain.resume()
        domain.shutdown()
        domain.undefine()


def main() -> int:
    """Run the demo."""
    reason = guest_image.missing()
    try:
        if reason is None:
            with tempfile.TemporaryDirectory(prefix="virtcore-demo-") as folder:
                real_guest(Path(folder))
        else:
            fake_guest(reason)
    except VirtError as error:
        print(f"\nerror: {error}", file=sys.stderr)
        for note in getattr(error, "__notes__", ()):
            print(f"  {note}", file=sys.stderr)
        return 1
    print(
        """
What to try next:
  virtsh -c test:///default list --all           the command line, on the built-in hypervisor
  virtsh -c qemu:///session capabilities         what this host's QEMU can do
  virtcore.connect("qemu:///session")            the same from Python: see README.md
  ./dev test                                     everything that is checked here"""
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
