"""Adapters of the suites of command lines for a host's storage and devices."""

from __future__ import annotations

from typing import Any

from virt_host.nodedev import mdevctl
from virt_host.storage.mount import System, start_command
from virt_host.storage.namespace import register
from virt_host.storage.qemu_img import Image, create_commands
from virtcore.model.nodedev import NodeDevice, NodeDeviceContext, format_node_device, load_node_device
from virtcore.model.storage import VolumeParseFlag, load_storage_pool, load_storage_vol

register()

_FLAGS = {"no-capacity": VolumeParseFlag.NO_CAPACITY, "opt-capacity": VolumeParseFlag.OPT_CAPACITY}


def storage_pool_argv(case: Any) -> list[str]:
    """The command that starts a pool."""
    system = {"any": System.LINUX}.get(case.params["os"]) or System[case.params["os"].upper()]
    programs = {name: case.params[name] for name in ("mount", "vgchange") if name in case.params}
    return start_command(load_storage_pool(case.text("xml")), system, **programs)


def storage_vol_argv(case: Any) -> list[list[str]]:
    """The commands that make a volume's image."""

    def image(pool: str, volume: str, secret: str) -> Image:
        flags = VolumeParseFlag.NONE
        # The input is a volume that there is.
        for name in case.params["parse_flags"] if volume == "xml" else ():
            flags |= _FLAGS[name]
        owner = load_storage_pool(case.text(pool))
        return Image(
            volume=load_storage_vol(case.text(volume), owner, flags=flags), pool=owner, secret=case.params[secret]
        )

    return create_commands(
        image("pool", "xml", "secret_path"),
        image("input_pool", "input_vol", "input_secret_path") if case.has("input_vol") else None,
        preallocate_metadata="prealloc-metadata" in case.params["flags"],
        qemu_img=case.params["tool"],
    )


def nodedev_mdevctl(case: Any) -> Any:
    """The commands for a mediated device, or the devices in a list."""
    params = case.params
    addresses = {each["name"]: each["address"] for each in params["known_devices"] if "address" in each}
    if params["op"] == "parse-json":
        inactive = "inactive" in params["flags"]
        listed = mdevctl.listed_devices(case.text("json"), addresses)
        return "".join(format_node_device(each.device, inactive=inactive) for each in listed)

    def device(role: str) -> NodeDevice:
        context = NodeDeviceContext(create=True, virt_type=params["virt_type"])
        return load_node_device(case.text(role), context=context)

    if params["op"] == "modify":
        commands = [
            mdevctl.modify_command(device(role), addresses, defined="defined" in words, live="live" in words)
            for role, *words in params["commands"]
        ]
    elif params["op"] == "autostart on, then autostart off":
        commands = [mdevctl.autostart_command(device("xml"), autostart) for autostart in (True, False)]
    else:
        commands = [mdevctl.command(mdevctl.Operation[params["op"].upper()], device("xml"), addresses)]
    arguments = [each.arguments for each in commands]
    texts = [each.stdin for each in commands if each.stdin is not None]
    return {"argv": arguments, "stdin": "\n".join(texts)} if texts else arguments
