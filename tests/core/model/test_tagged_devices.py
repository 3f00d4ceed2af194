"""Devices that an attribute tells apart: without it, or with a value that names none, they are refused."""

from __future__ import annotations

import pytest

from virtcore.errors import XMLError
from virtcore.model.domain.document import load_domain
from virtcore.model.domain.rules import DomainRules

DOMAIN = """<domain type='test'><name>x</name><memory>1</memory><os><type arch='x86_64'>hvm</type></os>
<devices>{}</devices></domain>"""


@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("<audio id='1'/>", "Missing required attribute 'type' in element 'audio'"),
        ("<audio id='1' type='x'/>", "Invalid value for attribute 'type' in element 'audio': 'x'."),
        ("<smartcard/>", "Missing required attribute 'mode' in element 'smartcard'"),
        ("<smartcard mode='x'/>", "Invalid value for attribute 'mode' in element 'smartcard': 'x'."),
        ("<graphics/>", "Missing required attribute 'type' in element 'graphics'"),
        ("<graphics type='x'/>", "Invalid value for attribute 'type' in element 'graphics': 'x'."),
        ("<memory/>", "Missing required attribute 'model' in element 'memory'"),
        ("<memory model='x'/>", "Invalid value for attribute 'model' in element 'memory': 'x'."),
        ("<controller type='x'/>", "Invalid value for attribute 'type' in element 'controller': 'x'."),
        *(
            (f"<graphics type='{kind}'><listen{given}/></graphics>", message)
            for kind in ("vnc", "spice", "rdp")
            for given, message in (
                ("", "Missing required attribute 'type' in element 'listen'"),
                (" type='x'", "Invalid value for attribute 'type' in element 'listen': 'x'."),
            )
        ),
    ],
)
def test_devices_without_a_known_tag(device: str, message: str) -> None:
    with pytest.raises(XMLError) as caught:
        load_domain(DOMAIN.format(device), DomainRules())
    assert str(caught.value) == f"XML error: {message}"
