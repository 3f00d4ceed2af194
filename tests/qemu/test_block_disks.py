"""Disks of real guests: sizes, counters, contents, limits, errors, and what is told of them."""

from __future__ import annotations

import re

import pytest
from block_guest import (
    KIB,
    MIB,
    disk_xml,
    execute,
    guest_writes,
    make_image,
    make_luks_image,
    run,
    write,
)
from guest_image import idle_xml

from support import eventually
from virtcore.enums import DomainCreateFlags, DomainEventIOErrorAction, DomainPausedReason, DomainState
from virtcore.errors import (
    ArgumentUnsupported,
    ConfigUnsupported,
    InternalError,
    InvalidArg,
    NoSecret,
    OperationFailed,
    OperationInvalid,
    OperationUnsupported,
    SystemError,
)
from virtcore.operations.events import (
    DomainBlockThresholdEvent,
    DomainIOErrorReasonEvent,
    DomainTunableEvent,
)
from virtcore.operations.parameters import BLOCK_IOTUNE

LIVE, CONFIG = 1, 2


pytestmark = pytest.mark.usefixtures("image_tools")


@pytest.fixture
def images(tmp_path):
    base = make_image(tmp_path / "base.qcow2")
    raw = make_image(tmp_path / "raw.img", MIB, format="raw")
    write(raw, 7, 4 * KIB, 4 * KIB, "raw")
    return make_image(tmp_path / "top.qcow2", base=base), raw


@pytest.fixture
def guest(connection, images):
    devices = disk_xml(images[0]), disk_xml(images[1], "vdb", format="raw")
    domain = connection.define_domain(idle_xml("disks", *devices))
    domain.create(DomainCreateFlags.START_PAUSED)
    return domain


def tune(**values):
    return BLOCK_IOTUNE.typed(values)


def test_sizes_on_and_off(guest, images):
    live = guest.block_info("vda")
    assert live.capacity == 4 * MIB
    assert live.physical == images[0].stat().st_size
    assert live.allocation == images[0].stat().st_blocks * 512
    assert guest.block_info(str(images[1])) == (MIB, images[1].stat().st_blocks * 512, MIB)
    guest.destroy()
    assert guest.block_info("vda").capacity == 4 * MIB
    assert guest.block_info("vdb") == (MIB, images[1].stat().st_blocks * 512, MIB)
    images[1].unlink()
    with pytest.raises(SystemError, match="No such file or directory"):
        guest.block_info("vdb")
    with pytest.raises(InvalidArg, match="invalid path vdz not assigned to domain"):
        guest.block_info("vdz")


def test_counters(guest):
    assert {value for _, value in guest.block_stats("vda").items()} == {0}
    guest.resume()  # the firmware looks for a system
    eventually(lambda: guest.block_stats("vda")["rd_bytes"])
    guest.suspend()
    each = [guest.block_stats(name)["rd_bytes"] for name in ("vda", "vdb")]
    assert guest.block_stats("")["rd_bytes"] == sum(each)  # of all disks
    with pytest.raises(InvalidArg, match="invalid path: vdz"):
        guest.block_stats("vdz")


def test_contents(guest):
    assert guest.block_peek("vdb", 4 * KIB - 1, 3) == b"\0\7\7"
    with pytest.raises(OperationUnsupported, match="peeking is only supported for disk with 'raw' format not 'qcow2'"):
        guest.block_peek("vda", 0, 1)


def test_larger(guest, images):
    guest.block_resize("vda", 8 * KIB)  # in KiB
    assert guest.block_info("vda").capacity == 8 * MIB
    guest.block_resize("vdb", 2 * MIB, 1)
    assert guest.block_info("vdb")[::2] == (2 * MIB, 2 * MIB)
    with pytest.raises(OperationInvalid, match="supported only with 'raw' local block-based disks"):
        guest.block_resize("vda", 0, 2)
    guest.destroy()
    assert '"virtual-size": 8388608' in run("qemu-img", "info", "--output=json", images[0])


def test_thresholds(connection, guest, images):
    events = []
    connection.on_event(events.append, DomainBlockThresholdEvent)
    guest.set_block_threshold("vda", 512 * KIB)
    guest_writes(guest, 1, MIB, 2 * MIB)
    eventually(lambda: len(events) >= 2)
    assert [(event.dev, event.path, event.threshold) for event in events] == [
        ("vda", str(images[0]), 512 * KIB),
        ("vda[2]", str(images[0]), 512 * KIB),
    ]
    assert events[0].excess > 0
    guest.set_block_threshold("vdb[1]", 64 * KIB)
    guest_writes(guest, 1, 512 * KIB, 64 * KIB, "virtio-disk1")
    eventually(lambda: len(events) > 2)
    assert [event.dev for event in events[2:]] == ["vdb[1]"]
    for dev, message in (("vdz", "failed to find disk 'vdz'"), ("vda[x", "failed to parse block device 'vda[x'")):
        with pytest.raises(InvalidArg, match=re.escape(message)):
            guest.set_block_threshold(dev, 1)
    with pytest.raises(InvalidArg, match=re.escape("failed to find disk 'vda[9]'")):
        guest.set_block_threshold("vda[9]", 1)


@pytest.mark.parametrize(("policy", "action"), [("stop", "PAUSE"), ("report", "REPORT")])
def test_errors(connection, tmp_path, policy, action):
    image = make_image(tmp_path / "raw.img", MIB, format="raw")
    xml = disk_xml(image, format="raw").replace("type='raw'", f"type='raw' error_policy='{policy}'")
    domain = connection.define_domain(idle_xml("errors", xml))
    domain.create()
    events = []
    connection.on_event(events.append, DomainIOErrorReasonEvent)
    # QEMU has no way to let a real device's request fail, so the event is told as QEMU tells it.
    from block_guest import state

    obj = state().domains.by_uuid(domain.uuid)
    data = {"device": "", "node-name": "libvirt-1-format", "operation": "write", "action": policy, "nospace": True}
    _deliver(obj, "BLOCK_IO_ERROR", data)
    eventually(lambda: events)
    [event] = events
    assert (event.source_path, event.alias, event.reason) == (str(image), "virtio-disk0", "enospc")
    assert event.action == DomainEventIOErrorAction[action]
    if policy == "stop":
        eventually(lambda: domain.state() == (DomainState.PAUSED, DomainPausedReason.IOERROR))
    assert domain.disk_errors() == []


def _deliver(obj, name, data):
    from block_guest import state

    from virt_qemu.guest import guest_of
    from virt_qemu.monitor import Event
    from virtcore.runtime.loop import core_loop

    core_loop().loop.call_soon_threadsafe(state()._on_event, obj, guest_of(obj), Event(name, data, 0.0))


def limits(domain, device="virtio-disk0"):
    [row] = [row for row in execute(domain, "query-block") if device in row["qdev"]]
    return row["inserted"]


def test_limits_while_it_runs(connection, guest):
    events = []
    connection.on_event(events.append, DomainTunableEvent)
    guest.set_block_iotune("vda", tune(total_bytes_sec=1 << 20, total_bytes_sec_max=1 << 21, read_iops_sec=50), LIVE)
    found = limits(guest)
    assert (found["bps"], found["bps_max"], found["iops_rd"]) == (1 << 20, 1 << 21, 50)
    assert dict(guest.block_iotune("vda", LIVE).items())["total_bytes_sec"] == 1 << 20
    assert "<total_bytes_sec>1048576</total_bytes_sec>" in guest.xml()
    assert "iotune" not in guest.xml(2)
    eventually(lambda: events)
    assert dict(events[0].params.items())["blkdeviotune.disk"] == "vda"
    with pytest.raises(
        ConfigUnsupported, match="value 'total_bytes_sec_max' cannot be set if 'total_bytes_sec' is not"
    ):
        guest.set_block_iotune("vda", tune(read_bytes_sec=1 << 19), LIVE)  # by which the total of before is lifted
    guest.set_block_iotune("vda", tune(read_bytes_sec=1 << 19, total_bytes_sec_max=0), LIVE | CONFIG)
    assert (limits(guest)["bps"], limits(guest)["bps_rd"], limits(guest)["iops_rd"]) == (0, 1 << 19, 50)
    assert "<read_bytes_sec>524288</read_bytes_sec>" in guest.xml(2)
    guest.destroy()
    guest.create(DomainCreateFlags.START_PAUSED)
    assert limits(guest)["bps_rd"] == 1 << 19
    with pytest.raises(InvalidArg, match="total and read/write of bytes_sec cannot be set at the same time"):
        guest.set_block_iotune("vda", tune(total_bytes_sec=1, read_bytes_sec=1), LIVE)
    with pytest.raises(
        ConfigUnsupported, match="value 'total_iops_sec_max' cannot be set if 'total_iops_sec' is not set"
    ):
        guest.set_block_iotune("vda", tune(total_iops_sec_max=5), LIVE)
    with pytest.raises(ArgumentUnsupported, match="must be no more than 1000000000000000"):
        guest.set_block_iotune("vda", tune(total_iops_sec=10**16), LIVE)
    assert limits(guest)["bps_rd"] == 1 << 19


def test_disks_of_a_group_have_the_same_limits(guest):
    guest.set_block_iotune("vda", tune(total_iops_sec=100, group_name="both"), LIVE)
    guest.set_block_iotune("vdb", tune(total_iops_sec=200, group_name="both"), LIVE)
    assert limits(guest)["iops"] == limits(guest, "virtio-disk1")["iops"] == 200
    assert guest.block_iotune("vda", LIVE)["total_iops_sec"] == 200


def test_throttle_groups(connection, images):
    group = "<throttlegroup><total_iops_sec>100</total_iops_sec><group_name>g</group_name></throttlegroup>"
    group = f"<throttlegroups>{group}</throttlegroups>"
    disk = disk_xml(images[0], more="<throttlefilters><throttlefilter group='g'/></throttlefilters>")
    domain = connection.define_domain(idle_xml("throttled", disk, more=group))
    domain.create(DomainCreateFlags.START_PAUSED)

    def told(name):
        return execute(domain, "qom-get", {"path": f"/objects/throttle-{name}", "property": "limits"})

    assert told("g")["iops-total"] == 100
    assert limits(domain)["node-name"] == "libvirt-3-filter"
    domain.set_throttle_group("g", tune(read_iops_sec=30), LIVE)
    assert (told("g")["iops-total"], told("g")["iops-read"]) == (0, 30)
    domain.set_throttle_group("new", tune(total_bytes_sec=4096), LIVE)
    assert told("new")["bps-total"] == 4096
    domain.del_throttle_group("new", LIVE)
    with pytest.raises(InternalError):
        told("new")
    with pytest.raises(OperationFailed, match="throttlegroup 'g' is still being used by disk vda"):
        domain.del_throttle_group("g", LIVE)
    with pytest.raises(InvalidArg, match="throttlegroup 'h' was not found in the domain config"):
        domain.del_throttle_group("h", LIVE)


def test_secrets_of_disks(connection, tmp_path):
    """A LUKS image and an encrypted qcow2 are opened with what the host keeps."""
    secret = connection.define_secret("<secret private='yes'><usage type='volume'><volume>/x</volume></usage></secret>")
    secret.set_value(b"letmein")
    key = "--object", "secret,id=k,data=letmein"
    luks = make_luks_image(tmp_path / "luks.img", "luks", "letmein")
    qcow2 = make_luks_image(tmp_path / "luks.qcow2", "qcow2", "letmein")
    by_uuid = f"<encryption format='luks'><secret type='passphrase' uuid='{secret.uuid}'/></encryption>"
    by_usage = "<encryption format='luks'><secret type='passphrase' usage='/x'/></encryption>"
    disks = (
        disk_xml(luks, format="raw").replace("/><target", f">{by_uuid}</source><target"),
        disk_xml(qcow2, "vdb").replace("/><target", f">{by_usage}</source><target"),
    )
    domain = connection.define_domain(idle_xml("sealed", *disks))
    domain.create(DomainCreateFlags.START_PAUSED)
    for number in (0, 1):
        guest_writes(domain, 5, 0, 4 * KIB, f"virtio-disk{number}")
    domain.destroy()
    assert b"letmein" not in b"".join(path.read_bytes() for path in tmp_path.rglob("*.log"))
    for path, driver in ((luks, "luks"), (qcow2, "qcow2")):
        name = "key-secret" if driver == "luks" else "encrypt.key-secret"
        told = run(
            "qemu-io", *key, "--image-opts", f"driver={driver},file.filename={path},{name}=k", "-c", "read -P 5 0 4k"
        )
        assert "verification failed" not in told
    secret.undefine()
    with pytest.raises(NoSecret, match="no secret with matching uuid"):
        domain.create()


def test_a_disk_on_an_nbd_server(connection, tmp_path):
    import subprocess

    image = make_image(tmp_path / "served.raw", MIB, format="raw")
    socket = tmp_path / "nbd.sock"
    server = subprocess.Popen(
        ["qemu-nbd", "--persistent", "-f", "raw", "-k", str(socket), "-x", "it", str(image)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        eventually(socket.exists)
        disk = (
            "<disk type='network' device='disk'><driver name='qemu' type='raw'/><source protocol='nbd' name='it'>"
            f"<host transport='unix' socket='{socket}'/></source><target dev='vda' bus='virtio'/></disk>"
        )
        domain = connection.define_domain(idle_xml("network", disk))
        domain.create(DomainCreateFlags.START_PAUSED)
        guest_writes(domain, 6, 0, 4 * KIB)
        assert domain.block_info("vda").capacity == MIB
        domain.destroy()
    finally:
        server.terminate()
        server.wait()
    assert image.read_bytes()[: 4 * KIB] == b"\6" * 4 * KIB
