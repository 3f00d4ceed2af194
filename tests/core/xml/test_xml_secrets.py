"""Whether a document has secrets is told as printing it twice would tell."""

from __future__ import annotations

import pytest

from virtcore.model.domain import Domain
from virtcore.xml import Mode, format, format_whole, parse

_DOMAIN = "<domain type='qemu'><name>a</name><devices>{}</devices></domain>"
_VNC = "<graphics type='vnc' port='5900'{}><listen type='address' address='::1'/></graphics>"
_HTTP = (
    "<disk type='network'><source protocol='http' name='a'><host name='h'/>{}</source><target dev='vda'/>"
    "<backingStore type='network'><format type='raw'/>"
    "<source protocol='http' name='a'><host name='h'/>{}</source></backingStore></disk>"
)
_COOKIES = "<cookies><cookie name='a'>b</cookie></cookies>"


@pytest.mark.parametrize(
    ("devices", "secret"),
    [
        ("", False),
        (_VNC.format(""), False),
        (_VNC.format(" passwd='geheim'"), True),
        (_VNC.format("") + _VNC.format(" passwd='geheim'"), True),
        (_HTTP.format("", ""), False),
        (_HTTP.format(_COOKIES, ""), True),
        (_HTTP.format("", _COOKIES), True),
    ],
)
def test_secrets_are_found_wherever_they_stand(devices: str, secret: bool) -> None:
    domain = parse(_DOMAIN.format(devices), Domain)
    assert format_whole(domain) == (format(domain, Mode.SECURE), secret)
    assert (format(domain, Mode.SECURE) != format(domain, Mode.NONE)) is secret


def test_what_is_no_element_is_refused() -> None:
    with pytest.raises(TypeError, match="str is not an element class"):
        format_whole("geheim")
