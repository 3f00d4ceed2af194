"""``test:///path/to/file.xml``."""

from __future__ import annotations

from pathlib import Path

import pytest

import virtcore
from virtcore import errors
from virtcore.enums import DomainMessageType, DomainState

NS = "xmlns:test='http://libvirt.org/schemas/domain/test/1.0'"


def domain(name: str, more: str = "", devices: str = "") -> str:
    return (
        f"<domain type='test' {NS}><name>{name}</name><memory>1024</memory><os><type>hvm</type></os>"
        f"<devices>{devices}</devices>{more}</domain>"
    )


def write(folder: Path, *content: str, name: str = "host.xml") -> str:
    path = folder / name
    path.write_text(f"<node>{''.join(content)}</node>")
    return f"test://{path}"


def test_a_described_host(tmp_path: Path) -> None:
    (tmp_path / "other.xml").write_text(domain("other"))
    uri = write(
        tmp_path,
        "<cpu><nodes>3</nodes><active>50</active><mhz>6000</mhz><model>splitz</model></cpu><memory>8192</memory>",
        domain("shutoff", "<test:runstate>5</test:runstate><test:hasmanagedsave/>"),
        domain("paused", "<test:runstate>3</test:runstate>"),
        domain("transient", "<test:transient/>"),
        "<domain file='other.xml'/>",
    )
    with virtcore.connect(uri) as connection:
        assert connection.node_info() == ("splitz", 8192, 24, 6000, 3, 2, 2, 2)
        assert connection.uri() == uri
        found = {domain.name: domain for domain in connection.list_domains()}
        assert list(found) == ["shutoff", "paused", "transient", "other"]
        assert found["shutoff"].state().state is DomainState.SHUTOFF
        assert found["shutoff"].has_managed_save()
        assert found["paused"].state().state is DomainState.PAUSED
        assert found["other"].state().state is DomainState.RUNNING
        assert not found["transient"].is_persistent()
        assert "test:" not in found["paused"].xml()
        with pytest.raises(errors.OperationInvalid, match="Refusing to undefine while domain managed save image"):
            found["shutoff"].undefine()
        found["shutoff"].create()
        assert not found["shutoff"].has_managed_save()
        found["transient"].destroy()
        assert "<topology>" not in connection.capabilities()
        with virtcore.connect(uri) as other:
            assert len(other.list_domains()) == 4, "a file describes a host for one connection"


def test_warnings_about_a_configuration(tmp_path: Path) -> None:
    cpu = "<cpu mode='custom' match='exact'><model>Deprecated-Test</model></cpu>"
    disk = "<disk type='block' device='lun' rawio='yes'><source dev='/dev/sda'/><target dev='sda' bus='scsi'/></disk>"
    disk += "<disk type='block' device='cdrom'><source dev='/dev/sr0'/><target dev='hdc' bus='ide'/></disk>"
    with virtcore.connect(write(tmp_path, domain("a", cpu, disk))) as connection:
        (one,) = connection.list_domains()
        assert one.messages(DomainMessageType.DEPRECATION) == ["deprecated configuration: CPU model Deprecated-Test"]
        assert one.messages() == [
            "tainted: running with undesirable elevated privileges",
            "tainted: use of host cdrom passthrough",
            "tainted: use of deprecated configuration settings",
            "deprecated configuration: CPU model Deprecated-Test",
        ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("<cpu><nodes>x</nodes></cpu>", "XML error: invalid node cpu nodes value"),
        ("<memory>-1</memory>", "XML error: invalid node memory value"),
        (domain("a", "<test:runstate>9</test:runstate>"), "XML error: runstate '9' out of range'"),
        (domain("a", "<test:runstate>x</test:runstate>"), "XML error: invalid runstate"),
        (
            domain("a", "<test:transient/><test:runstate>5</test:runstate>"),
            "XML error: transient domain cannot have runstate 'shutoff'",
        ),
        (
            domain("a", "<test:hasmanagedsave/>"),
            "XML error: domain with managedsave data can only have runstate 'shutoff'",
        ),
        ("<auth><user/></auth>", "XML error: missing username in /node/auth/user field"),
        ("<domain file='nowhere.xml'/>", "XML error: failed to parse xml document "),
    ],
)
def test_what_is_refused(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(errors.XMLError) as caught:
        virtcore.connect(write(tmp_path, content))
    assert str(caught.value).startswith(message)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(errors.XMLError) as caught:
        virtcore.connect(f"test://{tmp_path}/nowhere.xml")
    assert str(caught.value) == f"XML error: failed to parse xml document '{tmp_path}/nowhere.xml'"


def test_an_external_entity_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("<memory>4711</memory>")
    path = tmp_path / "host.xml"
    path.write_text(f"<!DOCTYPE node [<!ENTITY e SYSTEM '{tmp_path}/secret'>]><node>&e;</node>")
    with virtcore.connect(f"test://{path}") as connection:
        assert connection.node_info().memory != 4711


def test_who_may_connect(tmp_path: Path) -> None:
    uri = write(tmp_path, "<auth><user password='geheim'>rich</user><user>guest</user></auth>")

    def answers(*given: str) -> object:
        left = list(given)
        return lambda credentials: [left.pop(0) for _ in credentials]

    for good in (("rich", "geheim"), ("guest",)):
        virtcore.connect(uri, auth=answers(*good)).close()  # type: ignore[arg-type]
    for bad in (("rich", "wrong"), ("nobody", "geheim")):
        with pytest.raises(errors.AuthFailed, match="see test XML for the correct username/password"):
            virtcore.connect(uri, auth=answers(*bad))  # type: ignore[arg-type]
    with pytest.raises(errors.InvalidArg, match="Missing authentication credentials"):
        virtcore.connect(uri)
