"""A bootable guest made without any tool: Debian's cloud kernel and a busybox initramfs, and empty disk images.

Shared by the tests of the QEMU driver and ``tools/demo.py``; standard library only.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

MARKER = "VIRTCORE-GUEST-UP"
"""What the guest prints on its serial port when it is up."""

CMDLINE = "console=ttyS0 quiet panic=-1 tsc=unstable no_timer_check nokaslr 8250.nr_uarts=1 random.trust_cpu=on"

_INIT = """#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
exec </dev/ttyS0 >/dev/ttyS0 2>&1
for module in /modules/*; do [ -e "$module" ] && /bin/busybox insmod "$module"; done
# Nobody else watches the power button here.
for event in /sys/class/input/event*; do
  case "$(/bin/busybox cat "$event/device/name")" in
    *Power*)
      # Opened before the marker: what is pressed from then on waits to be read.
      exec 3<"/dev/input/${{event##*/}}"
      ( /bin/busybox dd bs=24 count=1 of=/dev/null <&3 2>/dev/null &&
        echo "power button pressed" && /bin/busybox poweroff -f ) & ;;
  esac
done
case "$(/bin/busybox cat /proc/cmdline)" in
  *" count"*) ( n=0; while :; do n=$((n + 1)); echo "count $n"; /bin/busybox usleep 100000; done ) & ;;
esac
{script}
echo {marker}
while read -r line; do
  case "$line" in
    poweroff) /bin/busybox poweroff -f ;;
    reboot) /bin/busybox reboot -f ;;
    "run "*) eval "${{line#run }}" ;;
    *) echo "guest says: $line" ;;
  esac
done
while :; do /bin/busybox sleep 3600; done
"""


class _Cpio:
    """A writer of newc archives, the kernel's format of an initramfs."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._inode = 0

    def add(self, name: str, mode: int, data: bytes = b"", device: tuple[int, int] = (0, 0)) -> None:
        """Add an entry; ``mode`` includes its type."""
        self._inode += 1
        encoded = name.encode() + b"\0"
        fields = (self._inode, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(encoded), 0)
        head = "070701" + "".join(f"{field:08X}" for field in fields)
        self._pad(head.encode() + encoded)
        self._pad(data)

    def _pad(self, data: bytes) -> None:
        self._parts.append(data + b"\0" * (-len(data) % 4))

    def finish(self) -> bytes:
        """The archive."""
        self.add("TRAILER!!!", 0)
        return b"".join(self._parts)


def find_kernel() -> Path | None:
    """Debian's cloud kernel, or any other in ``/boot``; None where there is none."""
    found = sorted(Path("/boot").glob("vmlinuz-*-cloud-amd64")) or sorted(Path("/boot").glob("vmlinuz-*"))
    return found[-1] if found else None


def find_busybox() -> str | None:
    """A static busybox; None where there is none."""
    return shutil.which("busybox")


def missing() -> str | None:
    """What a real guest needs and this host has not got, as a sentence; None when everything is there."""
    if shutil.which("qemu-system-x86_64") is None:
        return "qemu-system-x86_64 is not installed (Debian: qemu-system-x86)"
    if find_kernel() is None:
        return "there is no kernel in /boot (Debian: linux-image-cloud-amd64)"
    if find_busybox() is None:
        return "busybox is not installed (Debian: busybox-static)"
    return None


def _modules(kernel: Path, names: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Modules the guest needs where they are not built in, each after those it depends on."""
    folder = Path("/lib/modules") / kernel.name.removeprefix("vmlinuz-")
    index = folder / "modules.dep"
    needs = {}
    for line in index.read_text().splitlines() if index.exists() else ():
        module, _, below = line.partition(":")
        needs[Path(module).name.partition(".")[0].replace("-", "_")] = [*reversed(below.split()), module]
    added = set()
    for name in names:
        for module in needs.get(name.replace("-", "_"), ()):
            if module not in added and module.endswith(".ko"):
                added.add(module)
                yield Path(module).name, (folder / module).read_bytes()


def _libraries(program: str) -> Iterator[Path]:
    """The shared libraries of a program, and what loads them."""
    told = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    for word in told.split():
        if word.startswith("/"):
            yield Path(word)


def write_initramfs(
    path: Path,
    kernel: Path | None = None,
    modules: Sequence[str] = (),
    *,
    programs: Sequence[str] = (),
    script: str = "",
) -> None:
    """Write an initramfs that prints :data:`MARKER` on ``ttyS0``, answers lines, and powers off on ``poweroff``.
    With ``count`` on the kernel's command line it counts, from memory.

    :param modules: further modules of the kernel.
    :param programs: paths of programs of this host that are to be in it, with their libraries.
    :param script: what the guest's shell does before it is up.
    """
    busybox = find_busybox()
    assert busybox is not None
    archive = _Cpio()
    for folder in ("bin", "mnt", "dev", "dev/input", "proc", "sys", "modules"):
        archive.add(folder, 0o40755)
    archive.add("dev/console", 0o20600, device=(5, 1))
    archive.add("dev/null", 0o20666, device=(1, 3))
    archive.add("dev/ttyS0", 0o20600, device=(4, 64))
    for number in range(4):
        archive.add(f"dev/input/event{number}", 0o20600, device=(13, 64 + number))
    archive.add("bin/busybox", 0o100755, Path(busybox).read_bytes())
    # The power button's first.
    found = _modules(kernel, ("evdev", "button", *modules)) if kernel is not None else ()
    for number, (name, data) in enumerate(found):
        archive.add(f"modules/{number:02}-{name}", 0o100644, data)
    folders = {"bin", "dev", "proc", "sys"}
    for file in sorted(
        {Path(program) for program in programs} | {one for each in programs for one in _libraries(each)}
    ):
        for parent in reversed(file.parents[:-1]):
            if str(parent)[1:] not in folders:
                folders.add(str(parent)[1:])
                archive.add(str(parent)[1:], 0o40755)
        archive.add(str(file)[1:], 0o100755, file.read_bytes())
    archive.add("init", 0o100755, _INIT.format(marker=MARKER, script=script).encode())
    path.write_bytes(archive.finish())


def write_qcow2(path: Path, mebibytes: int) -> None:
    """Write an empty qcow2 image: header, refcount table and block, L1 table."""
    cluster, size = 65536, mebibytes << 20
    entries = max(1, -(-size // (cluster // 8 * cluster)))
    header = struct.pack(">4sIQIIQIIQQIIQ", b"QFI\xfb", 3, 0, 0, 16, size, 0, entries, 3 * cluster, cluster, 1, 0, 0)
    header += struct.pack(">QQQII", 0, 0, 0, 4, 104) + struct.pack(">II", 0, 0)
    counts = struct.pack(">H", 1) * 4
    clusters = (header, struct.pack(">Q", 2 * cluster), counts, b"")
    path.write_bytes(b"".join(part.ljust(cluster, b"\0") for part in clusters))


def guest_xml(
    name: str, kernel: Path, initrd: Path, *, devices: str = "", domain_type: str = "qemu", cmdline: str = CMDLINE
) -> str:
    """A small guest that boots directly into the initramfs.

    :param devices: further elements of ``<devices>``.
    """
    return f"""<domain type='{domain_type}'>
  <name>{name}</name>
  <memory unit='MiB'>128</memory>
  <vcpu>1</vcpu>
  <os>
    <type arch='x86_64' machine='q35'>hvm</type>
    <kernel>{kernel}</kernel>
    <initrd>{initrd}</initrd>
    <cmdline>{cmdline}</cmdline>
  </os>
  <features><acpi/><apic/></features>
  <devices>
    <controller type='usb' model='none'/>
    <memballoon model='virtio'/>
{devices}
  </devices>
</domain>
"""


def idle_xml(name: str, *devices: str, more: str = "") -> str:
    """A guest whose firmware finds nothing to boot.

    :param devices: elements of ``<devices>``.
    :param more: further elements of the domain.
    """
    return (
        f"<domain type='qemu'><name>{name}</name><memory unit='MiB'>32</memory>{more}"
        "<os><type arch='x86_64' machine='q35'>hvm</type></os>"
        f"<devices><controller type='usb' model='none'/>{''.join(devices)}</devices></domain>"
    )
