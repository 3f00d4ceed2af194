"""Containers' documents: defaults, their namespace, what is refused."""

from __future__ import annotations

import pytest

from virt_lxc.namespace import register
from virt_lxc.rules import LXCRules
from virtcore.errors import VirtError
from virtcore.model.arch import Arch
from virtcore.model.domain.document import format_domain, load_domain

register()

NAMESPACE = "xmlns:lxc='http://libvirt.org/schemas/domain/lxc/1.0'"


def container(
    devices: str = "", *, rest: str = "", os: str = "<type>exe</type><init>/sbin/init</init>", kind: str = "lxc"
) -> str:
    return (
        f"<domain type='{kind}' {NAMESPACE}><name>c</name><memory>1024</memory><os>{os}</os>"
        f"<devices>{devices}</devices>{rest}</domain>"
    )


def load(text: str, rules: LXCRules | None = None) -> str:
    rules = rules or LXCRules(host=Arch.X86_64)
    return format_domain(load_domain(text, rules, rules.context(arch=Arch.X86_64)))


def test_consoles_and_emulator_have_defaults() -> None:
    text = load(container("<console type='pty'/>"), LXCRules("/bin/lookafter", Arch.X86_64))
    assert "<emulator>/bin/lookafter</emulator>" in text
    assert "<console type='pty'>\n      <target type='lxc' port='0'/>" in text
    assert "<emulator>/mine</emulator>" in load(container("<emulator>/mine</emulator>"))


def test_shared_namespaces_are_printed_in_libvirts_order_the_last_of_each() -> None:
    text = load(
        container(
            rest="<lxc:namespace><lxc:shareuts type='name' value='a&amp;b'/><lxc:sharenet type='netns' value='x'/>"
            "<lxc:sharenet type='pid' value='7'/><lxc:shareipc type='none' value=''/></lxc:namespace>"
        )
    )
    assert text.endswith(
        "  <lxc:namespace>\n    <lxc:sharenet type='pid' value='7'/>\n"
        "    <lxc:shareuts type='name' value='a&amp;b'/>\n  </lxc:namespace>\n</domain>\n"
    )
    assert load(text) == text


def test_a_namespace_element_that_says_nothing_is_forgotten() -> None:
    assert "namespace" not in load(container(rest="<lxc:namespace/>"))


@pytest.mark.parametrize(
    ("inside", "message"),
    [
        ("<lxc:sharemnt type='pid' value='1'/>", "unsupported configuration: unsupported Namespace feature: sharemnt"),
        ("<lxc:sharenet value='1'/>", "internal error: No lxc environment type specified"),
        ("<lxc:sharenet type='pid'/>", "internal error: No lxc environment type specified"),
        ("<lxc:sharenet type='odd' value='1'/>", "internal error: Unknown LXC namespace source 'odd'"),
    ],
)
def test_shared_namespaces_are_refused_in_libvirts_words(inside: str, message: str) -> None:
    with pytest.raises(VirtError) as caught:
        load(container(rest=f"<lxc:namespace>{inside}</lxc:namespace>"))
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (container(os="<type>exe</type>"), "XML error: init binary must be specified"),
        (
            container(os="<type arch='x86_64'>hvm</type>"),
            "invalid argument: could not find capabilities for arch=x86_64 domaintype=lxc ",
        ),
        (
            container(os="<type arch='s390x'>exe</type><init>/i</init>"),
            "invalid argument: could not find capabilities for ostype=exe arch=s390x domaintype=lxc ",
        ),
        (
            container(kind="kvm"),
            "invalid argument: could not find capabilities for ostype=exe arch=x86_64 domaintype=kvm ",
        ),
        (container("<filesystem type='ram'><source/><target dir='/x'/></filesystem>"), "usage"),
    ],
)
def test_what_is_no_container(text: str, message: str) -> None:
    with pytest.raises(VirtError) as caught:
        load(text)
    assert message in str(caught.value)


def test_a_host_runs_its_narrower_kind_too() -> None:
    assert "arch='i686'" in load(container(os="<type arch='i686'>exe</type><init>/i</init>"))
