"""Cloud Hypervisor's domains: defaults, and what is refused in which words."""

from __future__ import annotations

import pytest

from virt_ch.rules import CHCapability, CHRules
from virtcore.errors import VirtError
from virtcore.model.arch import Arch
from virtcore.model.domain.document import format_domain, load_domain
from virtcore.model.domain.domain import VirtType

RULES = CHRules(host=Arch.X86_64, find_emulator=lambda: "/opt/cloud-hypervisor")


def guest(devices: str = "", *, kind: str = "kvm", os: str = "<type arch='x86_64'>hvm</type>") -> str:
    return (
        f"<domain type='{kind}'><name>g</name><memory>1024</memory><os>{os}</os><devices>{devices}</devices></domain>"
    )


def load(text: str, rules: CHRules = RULES) -> str:
    return format_domain(load_domain(text, rules, rules.context(arch=Arch.X86_64)))


def test_the_program_is_found_and_consoles_stay_what_they_are() -> None:
    text = load(guest("<serial type='pty'/><console type='pty'/>"))
    assert "<emulator>/opt/cloud-hypervisor</emulator>" in text
    assert text.count("<console") == text.count("<serial") == 1
    assert "<console" not in load(guest("<serial type='unix'><source mode='bind' path='/x'/></serial>"))
    assert "<alias name='ua-d'/>" in load(
        guest("<disk><source file='/x'/><target dev='vda'/><alias name='ua-d'/></disk>")
    )


def test_hyperv_is_another_way_to_run_guests() -> None:
    rules = CHRules([VirtType.HYPERV], host=Arch.X86_64, find_emulator=lambda: "/ch")
    assert "<domain type='hyperv'>" in load(guest(kind="hyperv"), rules)
    with pytest.raises(VirtError, match="could not find capabilities for arch=x86_64 domaintype=kvm "):
        load(guest(), rules)


@pytest.mark.parametrize(
    ("devices", "message"),
    [
        ("<sound model='ich6'/>", "Cloud-Hypervisor doesn't support 'sound' device"),
        (
            "<watchdog model='i6300esb'/>",
            "Cloud-Hypervisor doesn't support 'watchdog' device",
        ),
        ("<video><model type='vga'/></video>", "Cloud-Hypervisor doesn't support 'video' device"),
        ("<console type='pty'/>" * 2, "internal error: Only a single console can be configured for this domain"),
        ("<serial type='pty'/>" * 2, "internal error: Only a single serial can be configured for this domain"),
        ("<console type='null'/>", "internal error: Console only works in PTY mode"),
        ("<serial type='null'/>", "internal error: Serial only works in UNIX/PTY modes"),
    ],
)
def test_refused(devices: str, message: str) -> None:
    with pytest.raises(VirtError) as caught:
        load(guest(devices))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("devices", "message"),
    [
        (
            "<serial type='pty'/><console type='pty'/>",
            "Only a single console or serial can be configured for this domain",
        ),
        (
            "<serial type='unix'><source path='/x'/></serial>",
            "Unix Socket backend is not supported by this version of ch.",
        ),
    ],
)
def test_older_versions_can_do_less(devices: str, message: str) -> None:
    with pytest.raises(VirtError) as caught:
        load(guest(devices), CHRules(capabilities=CHCapability.NONE, host=Arch.X86_64, find_emulator=lambda: "/ch"))
    assert message in str(caught.value)


def test_without_the_program_there_is_no_guest() -> None:
    rules = CHRules(host=Arch.X86_64, find_emulator=lambda: None)
    with pytest.raises(VirtError, match="No emulator found for cloud-hypervisor"):
        load(guest(), rules)
    assert "<emulator>/mine</emulator>" in load(guest("<emulator>/mine</emulator>"), rules)
