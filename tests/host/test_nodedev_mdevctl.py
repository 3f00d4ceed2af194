"""Commands for mediated devices: what the reference outputs have no case for."""

from __future__ import annotations

import json

import pytest

from virt_host.nodedev.mdevctl import (
    Operation,
    autostart_command,
    command,
    list_command,
    listed_devices,
    modify_command,
)
from virtcore.errors import ConfigUnsupported, InternalError, XMLError
from virtcore.model.nodedev import MdevCapability, NodeDevice, NodeDeviceContext, load_node_device

UUID = "d069d019-36ea-4111-8f0a-8c9a70e21366"


def device(capability: str, parent: str = "<parent>gpu</parent>") -> NodeDevice:
    document = f"<device><name>d</name>{parent}<capability {capability}</capability></device>"
    return load_node_device(document, context=NodeDeviceContext(create=True))


def mdev(more: str = "", **rest: str) -> NodeDevice:
    return device(f"type='mdev'><type id='t'/>{more}", **rest)


def test_what_starts_by_itself_says_so() -> None:
    made = command(Operation.DEFINE, mdev("<attr name='é' value='\"'/>"), {"gpu": "A"}, autostart=True, mdevctl="/m")
    assert made.arguments == ["/m", "define", "--parent=A", "--jsonfile=/dev/stdin"]
    assert made.stdin == '{"mdev_type":"t","start":"auto","attrs":[{"é":"\\""}]}'


@pytest.mark.parametrize("operation", list(Operation))
def test_only_mediated_devices_are_handled(operation: Operation) -> None:
    with pytest.raises(ConfigUnsupported, match="Unsupported device type"):
        command(operation, device("type='ap_matrix'>"), {"gpu": "A"})


def test_a_new_device_needs_a_parent_that_is_there() -> None:
    with pytest.raises(XMLError, match="cannot create a mediated device without a parent"):
        command(Operation.CREATE, mdev(parent=""), {"gpu": "A"})
    with pytest.raises(InternalError, match="unable to find parent device 'gpu'"):
        command(Operation.DEFINE, mdev(), {"other": "A"})


def test_a_device_there_is_has_a_uuid() -> None:
    for operation in (Operation.START, Operation.STOP, Operation.UNDEFINE):
        with pytest.raises(InternalError):
            command(operation, mdev(), {})
    with pytest.raises(InternalError):
        autostart_command(mdev(), True)
    with pytest.raises(InternalError):
        modify_command(mdev(), {"gpu": "A"}, live=True)


def test_lists_are_of_the_defined_or_of_the_running() -> None:
    assert list_command(defined=True).arguments == ["mdevctl", "list", "--dumpjson", "--defined"]
    assert list_command(defined=False).arguments == ["mdevctl", "list", "--dumpjson"]


def test_a_device_may_be_defined_before_its_parent_is_there() -> None:
    text = json.dumps([{"A": [{UUID: {"mdev_type": "t", "start": "auto"}}], "B": [{UUID: {"mdev_type": "t"}}]}])
    here, nowhere = listed_devices(text, {"gpu": "A", "again": "A"})
    assert [each.device.parent.name for each in (here, nowhere) if each.device.parent] == ["gpu", "computer"]
    assert [each.autostart for each in (here, nowhere)] == [True, False]
    # What was listed can be handled, though its parent is not there.
    assert command(Operation.DEFINE, nowhere.device, {}).arguments[2:] == [
        *("--parent=B", "--jsonfile=/dev/stdin", f"--uuid={UUID}"),
    ]
    assert nowhere.device.capability(MdevCapability) is not None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "mdevctl JSON response contains no devices"),
        ("{}", "mdevctl JSON response contains no devices"),
        ("[{}, {}]", "Unexpected format for mdevctl response"),
        ("[1]", "device list is not an object"),
        ('[{"A": {}}]', "Parent device's JSON object data is not an array"),
        ('[{"A": [{}]}]', "Unable to parse child device"),
        ('[{"A": [{"u": {}}]}]', "Unable to parse child device"),
        ('[{"A": [{"u": {"mdev_type": "t", "attrs": [{"a": "1", "b": "2"}]}}]}]', "Unable to parse child device"),
        ('[{"A": [{"u": {"mdev_type": "t", "attrs": [{"a": 1}]}}]}]', "Unable to parse child device"),
    ],
)
def test_what_is_no_list_is_refused(text: str, message: str) -> None:
    with pytest.raises(InternalError, match=message):
        listed_devices(text, {})
