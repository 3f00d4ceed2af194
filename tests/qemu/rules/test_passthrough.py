"""The namespace ``qemu:``: any prefix is read, ``qemu:`` is printed, impossible values are refused."""

from __future__ import annotations

from typing import Any

import pytest

from virtcore.errors import InternalError, XMLError
from virtcore.model.domain.document import format_domain

URI = "http://libvirt.org/schemas/domain/qemu/1.0"


def test_any_prefix_is_read_and_qemu_is_printed(load: Any) -> None:
    domain = load(
        root=f"xmlns:q='{URI}'",
        rest="<q:deprecation behavior='crash'/><q:commandline><q:env name='A'/><q:arg value='-x'/></q:commandline>",
    )
    text = format_domain(domain)
    assert f"xmlns:qemu='{URI}'" in text
    assert text.endswith(
        "  <qemu:commandline>\n    <qemu:arg value='-x'/>\n    <qemu:env name='A'/>\n  </qemu:commandline>\n"
        "  <qemu:deprecation behavior='crash'/>\n</domain>\n"
    )


@pytest.mark.parametrize(("name", "problem"), [("1A", "begin with a letter"), ("A-B", "only alphanumerics")])
def test_impossible_variables(load: Any, name: str, problem: str) -> None:
    with pytest.raises(InternalError, match=problem):
        load(root=f"xmlns:q='{URI}'", rest=f"<q:commandline><q:env name='{name}'/></q:commandline>")


@pytest.mark.parametrize(
    ("attributes", "problem"),
    [
        ("name='id' type='string' value='x'", "can't be overridden"),
        ("name='x' type='bool' value='yes'", "invalid value 'yes'"),
        ("name='x' type='unsigned' value='-1'", "invalid value '-1'"),
        ("name='x' type='signed'", "missing 'value'"),
        ("name='x' type='remove' value='1'", "doesn't make sense"),
        ("name='x' type='other' value='1'", "Invalid value for attribute 'type'"),
    ],
)
def test_impossible_overrides(load: Any, attributes: str, problem: str) -> None:
    changed = f"<q:frontend><q:property {attributes}/></q:frontend>"
    text = f"<q:override><q:device alias='ua-x'>{changed}</q:device></q:override>"
    with pytest.raises(XMLError, match=problem):
        load(root=f"xmlns:q='{URI}'", rest=text)
