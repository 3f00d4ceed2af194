"""TLS of the serving end: its own certificates, versions, names of clients."""

from __future__ import annotations

import shutil
import socket
import ssl
from pathlib import Path

import pytest

from certificates import Authority
from virt_remote.server.daemon import Daemon
from virt_remote.server.settings import Places, Settings
from virt_remote.server.tls import distinguished_name, is_allowed, server_context
from virtcore.errors import ConfigUnsupported, SystemError


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("root")
    authority = Authority(root / "ca")
    authority.server(root / "etc" / "pki")
    authority.issue(root / "expired.pem", root / "expired.key", "/CN=localhost", days=-1)
    Authority(root / "other-ca", "Another").issue(root / "other.pem", root / "other.key", "/CN=localhost")
    return root


def test_good_certificates(pki: Path) -> None:
    context = server_context(Settings(), Places.below(pki))
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    loose = server_context(Settings(tls_no_verify_certificate=True), Places.below(pki))
    assert loose.verify_mode is ssl.CERT_NONE


@pytest.mark.parametrize("name", ["expired", "other"])
def test_its_own_certificate_is_checked(pki: Path, name: str) -> None:
    files = {"cert_file": str(pki / f"{name}.pem"), "key_file": str(pki / f"{name}.key")}
    with pytest.raises(SystemError, match="failed validation against"):
        server_context(Settings(**files), Places.below(pki))  # type: ignore[arg-type]
    server_context(Settings(tls_no_sanity_certificate=True, **files), Places.below(pki))  # type: ignore[arg-type]


def test_files_that_are_not_there_or_do_not_fit(pki: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemError, match=r"Cannot read CA certificate '.*/CA/cacert\.pem': No such file or directory"):
        server_context(Settings(), Places.below(tmp_path))
    with pytest.raises(SystemError, match="Unable to use the certificates"):
        server_context(Settings(key_file=str(pki / "other.key")), Places.below(pki))
    with pytest.raises(SystemError, match="Unable to use the certificates"):
        server_context(Settings(crl_file=str(tmp_path / "nowhere")), Places.below(pki))
    shutil.copy(pki / "etc" / "pki" / "CA" / "cacert.pem", tmp_path / "garbage.pem")
    (tmp_path / "garbage.pem").write_text("garbage")
    with pytest.raises(SystemError, match="Unable to use the certificates"):
        server_context(Settings(ca_file=str(tmp_path / "garbage.pem")), Places.below(pki))


def test_a_socket_that_systemd_hands_over_for_tls_is_served_with_tls(
    pki: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        monkeypatch.setattr("virt_remote.server.daemon.inherited_sockets", lambda: [sock])
        with pytest.raises(SystemError, match="Cannot read CA certificate"):
            Daemon(Places.below(tmp_path))._make_endpoints()
        daemon = Daemon(Places.below(pki))
        daemon._make_endpoints()
        (endpoint,) = daemon.server.endpoints
        assert endpoint.transport == "tls"
        assert endpoint.context is not None


@pytest.mark.parametrize(
    ("priority", "least", "most"),
    [
        ("NORMAL", ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3),
        ("NORMAL:-VERS-TLS1.2", ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_3),
        ("SECURE256:-VERS-ALL:+VERS-TLS1.2", ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2),
        ("NORMAL:!VERS-ALL:+VERS-TLS1.3", ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_3),
        ("NONE:+VERS-TLS1.2", ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2),
        ("@LIBVIRT,SYSTEM", ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3),
        ("NORMAL:-VERS-TLS1.0:!VERS-TLS1.1", ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3),
    ],
)
def test_versions(pki: Path, priority: str, least: ssl.TLSVersion, most: ssl.TLSVersion) -> None:
    context = server_context(Settings(tls_priority=priority), Places.below(pki))
    assert (context.minimum_version, context.maximum_version) == (least, most)


@pytest.mark.parametrize(
    "priority",
    [
        "NORMAL:-VERS-ALL",
        "NORMAL:+VERS-TLS1.3:!VERS-ALL",
        "NONE",
        "NORMAL:+ARCFOUR-128",
        "nonsense",
        "NORMAL:+VERS-TLS1.0",
    ],
)
def test_versions_that_are_not_to_be_had(pki: Path, priority: str) -> None:
    with pytest.raises(ConfigUnsupported, match="Failed to set TLS session priority to"):
        server_context(Settings(tls_priority=priority), Places.below(pki))


def test_names_of_clients() -> None:
    subject = (
        (("countryName", "GB"),),
        (("organizationName", "Example, Ltd"),),
        (("commonName", 'a"b\\c'),),
    )
    assert distinguished_name({"subject": subject}) == r"C=GB,O=Example\, Ltd,CN=a\"b\\c"
    assert is_allowed("C=GB,CN=x", ["C=FR,*", "*,CN=x"])
    assert not is_allowed("C=GB,CN=xy", ["*,CN=x"])
    assert not is_allowed(None, ["*"]), "who has no name fits no pattern"
    assert not is_allowed("C=GB", [])
    assert is_allowed(None, None)
