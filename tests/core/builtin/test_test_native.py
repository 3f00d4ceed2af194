"""Native formats through a connection that has none of its own."""

from __future__ import annotations

import pytest

import virtcore
from virtcore.errors import InvalidArg, NoSupport, VirtError

VMX = 'config.version = "8"\nvirtualHW.version = "4"\ndisplayName = "guest"\nmemsize = "64"\n'


def test_what_plugins_know_is_translated():
    with virtcore.connect("test:///default") as connection:
        xml = connection.xml_from_native("vmware-vmx", VMX)
        assert xml.startswith("<domain type='vmware'")
        assert "<name>guest</name>" in xml
        assert 'displayName = "guest"' in connection.xml_to_native("vmware-vmx", xml)
        with pytest.raises(InvalidArg, match="unsupported config type nonsense"):
            connection.xml_from_native("nonsense", VMX)
        with pytest.raises(NoSupport):
            connection.xml_to_native("lxc-tools", xml)
        with pytest.raises(VirtError):
            connection.xml_from_native("vmware-vmx", "config.version = ")
        with pytest.raises(VirtError, match="unsupported flags"):
            connection.xml_from_native("vmware-vmx", VMX, 1)
