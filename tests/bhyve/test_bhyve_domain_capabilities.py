"""What guests of a bhyve without UEFI and without a screen can have: next to nothing to choose."""

from __future__ import annotations

from virt_bhyve.capabilities import ALL, BhyveCapabilities
from virt_bhyve.domain_capabilities import domain_capabilities
from virtcore.model.arch import Arch
from virtcore.model.domain_capabilities import format_domain_capabilities


def test_an_old_bhyve() -> None:
    text = format_domain_capabilities(domain_capabilities(BhyveCapabilities(), Arch.X86_64, firmware=["/fw"]))
    assert "<loader supported='no'/>" in text
    assert "<graphics supported='no'/>\n    <video supported='no'/>" in text
    new = format_domain_capabilities(domain_capabilities(ALL, Arch.X86_64, firmware=["/fw"]))
    assert "<loader supported='yes'>\n      <value>/fw</value>" in new
