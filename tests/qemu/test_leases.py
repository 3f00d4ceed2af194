"""What two guests must not have at once: images and leases."""

from __future__ import annotations

from pathlib import Path

import pytest
from guest_image import guest_xml

import virtcore
from virt_qemu.settings import parse
from virtcore.enums import DomainCreateFlags, DomainDeviceModifyFlags as Modify
from virtcore.errors import InternalError, ResourceBusy, SystemError, VirtError

PAUSED = DomainCreateFlags.START_PAUSED


@pytest.fixture
def locking(root):
    """A connection whose driver locks."""
    (root / "etc").mkdir(exist_ok=True)
    (root / "etc" / "qemu.conf").write_text('lock_manager = "lockd"\n')
    with virtcore.connect(f"qemu:///embed?root={root}") as connection:
        yield connection


def disk(path: Path, rest: str = "") -> str:
    return f"""<disk type='file'><driver name='qemu' type='raw'/><source file='{path}'/><target dev='vda'/>{rest}
      </disk>"""


def lease(rest: str = "") -> str:
    return f"<lease><lockspace>space</lockspace><key>one</key><target path='/leases'{rest}/></lease>"


@pytest.fixture
def image(tmp_path) -> Path:
    path = tmp_path / "image"
    path.write_bytes(bytes(1 << 20))
    return path


def test_an_image_has_one_guest_at_a_time(locking, boot, image):
    first = locking.create_domain(guest_xml("first", *boot, devices=disk(image)))
    link = image.with_name("link")
    link.symlink_to(image)
    with pytest.raises(VirtError) as caught:  # QEMU's own lock may be the first to say so
        locking.create_domain(guest_xml("second", *boot, devices=disk(link)))
    assert "locked" in str(caught.value) or 'Failed to get "write" lock' in str(caught.value)
    first.destroy()
    locking.create_domain(guest_xml("second", *boot, devices=disk(link))).destroy()


def test_leases_go_while_a_guest_stands_still(locking, boot, root):
    first = locking.create_domain(guest_xml("first", *boot, devices=lease()))
    with pytest.raises(ResourceBusy, match="Lockspace resource 'one' is locked"):
        locking.create_domain(guest_xml("second", *boot, devices=lease()))
    assert not list((root / "run" / "qemu").glob("domain-2*")), "nothing is left of it"
    first.suspend()
    second = locking.create_domain(guest_xml("second", *boot, devices=lease()))
    with pytest.raises(ResourceBusy, match="Lockspace resource 'one' is locked"):
        first.resume()
    second.destroy()
    first.resume()
    paused = locking.create_domain(guest_xml("third", *boot, devices=lease()), PAUSED)
    with pytest.raises(ResourceBusy):
        paused.resume()
    first.destroy()
    paused.resume()
    paused.destroy()
    with pytest.raises(InternalError, match="Offset must be zero for this lock manager"):
        locking.create_domain(guest_xml("offset", *boot, devices=lease(" offset='4096'")))


def test_what_comes_and_goes_is_locked_and_let_go(locking, boot, image):
    first, second = (locking.create_domain(guest_xml(name, *boot)) for name in ("first", "second"))
    first.attach_device(lease(), Modify.LIVE)
    with pytest.raises(ResourceBusy, match="Lockspace resource 'one' is locked"):
        second.attach_device(lease(), Modify.LIVE)
    assert "<lease>" not in second.xml()
    first.detach_device(lease(), Modify.LIVE)
    second.attach_device(lease(), Modify.LIVE)
    with pytest.raises(ResourceBusy):
        first.attach_device(lease(), Modify.LIVE)
    second.suspend()
    first.attach_device(lease(), Modify.LIVE)
    first.destroy()
    second.resume()
    third = locking.create_domain(guest_xml("third", *boot))
    second.attach_device(disk(image), Modify.LIVE)
    with pytest.raises(ResourceBusy, match=f"Lockspace resource '{image}' is locked"):
        third.attach_device(disk(image), Modify.LIVE)
    with pytest.raises(VirtError):  # QEMU does not open it twice
        second.attach_device(disk(image).replace("vda", "vdb"), Modify.LIVE)
    with pytest.raises(ResourceBusy, match=f"Lockspace resource '{image}' is locked"):
        third.attach_device(disk(image), Modify.LIVE)


def test_shared_and_readonly_disks(locking, boot, image):
    shared = disk(image, "<shareable/>")
    guests = [locking.create_domain(guest_xml(name, *boot, devices=shared)) for name in ("one", "two")]
    with pytest.raises(VirtError):
        locking.create_domain(guest_xml("alone", *boot, devices=disk(image)))
    for guest in guests:
        guest.destroy()


def test_locks_are_kept_by_those_who_outlive_us(root, boot, locking):
    locking.create_domain(guest_xml("stays", *boot, devices=lease()))
    locking.close()
    with virtcore.connect(f"qemu:///embed?root={root}") as again:
        with pytest.raises(ResourceBusy, match="Lockspace resource 'one' is locked"):
            again.create_domain(guest_xml("second", *boot, devices=lease()))
        again.lookup_domain(name="stays").destroy()
        again.create_domain(guest_xml("second", *boot, devices=lease())).destroy()


def test_lock_managers_that_there_are():
    assert parse('lock_manager = "lockd"', "x", privileged=True).lock_manager == "lockd"
    with pytest.raises(SystemError, match="Plugin sanlock not accessible"):
        parse('lock_manager = "sanlock"', "x", privileged=True)
