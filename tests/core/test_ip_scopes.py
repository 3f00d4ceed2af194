"""The scope of an IPv6 address."""

from __future__ import annotations

import pytest

from virtcore.model.network.addresses import parse_ip, read_ip
from virtcore.xml.scalars import Unreadable


@pytest.mark.parametrize("text", ["fe80::1%eth0", "fe80:0::1%eth0.5", "2001:db8::1%3"])
def test_an_address_with_a_scope_can_be_calculated_with(text: str) -> None:
    assert read_ip(text).endswith(text.partition("%")[1] + text.partition("%")[2])
    assert parse_ip(read_ip(text)).version == 6


@pytest.mark.parametrize("text", ["fe80::1%", "fe80::1%%", "fe80::1%a%b", "fe80::1%a b", "%eth0", "fe80::1%a/64"])
def test_a_scope_that_names_no_interface_is_refused(text: str) -> None:
    with pytest.raises(Unreadable):
        read_ip(text)
