"""A guest with QEMU's guest agent in it: Debian's program, with what it calls made of busybox."""

from __future__ import annotations

import shutil
from pathlib import Path

import guest_image

CHANNEL = "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>"

_AGENT = "/usr/sbin/qemu-ga"
_SCRIPT = r"""
b=/bin/busybox
$b mount -t devtmpfs dev /dev
$b mkdir -p /run /mnt /root /etc /sbin
echo "root:x:0:0:root:/root:/bin/sh" > /etc/passwd
$b ln -s /bin/busybox /sbin/hwclock
echo '#!/bin/busybox sh' > /sbin/chpasswd
echo '/bin/busybox grep -q "^root:." ' >> /sbin/chpasswd
echo '#!/bin/busybox sh' > /sbin/shutdown
echo 'case " $* " in *" -r "*) /bin/busybox reboot -f;; esac' >> /sbin/shutdown
echo '/bin/busybox poweroff -f' >> /sbin/shutdown
$b chmod 755 /sbin/shutdown /sbin/chpasswd
$b hostname inside
[ -b /dev/vda ] && { $b mke2fs -q /dev/vda >/dev/null 2>&1; $b mount -t ext2 /dev/vda /mnt; }
PATH=/sbin:/usr/sbin:/bin /usr/sbin/qemu-ga -m virtio-serial -p /dev/vport0p1 -t /run -f /run/qga.pid -d
"""


def missing() -> str | None:
    """What such a guest needs and this host has not got, as a sentence; None when everything is there."""
    reason = guest_image.missing()
    if reason is None and (not Path(_AGENT).exists() or shutil.which("ldd") is None):
        return "the guest agent is not installed (Debian: qemu-guest-agent)"
    return reason


def write_initramfs(path: Path, kernel: Path) -> None:
    """Write the initramfs; the guest makes a file system on its disk ``vda``, if it has one, and mounts it."""
    modules = ("virtio_pci", "virtio_console", "virtio_blk")
    guest_image.write_initramfs(path, kernel, modules=modules, programs=(_AGENT,), script=_SCRIPT)
