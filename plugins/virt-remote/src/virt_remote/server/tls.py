"""TLS of the serving end: certificates where libvirt keeps them, clients' certificates checked."""

from __future__ import annotations

import fnmatch
import logging
import os
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from virt_remote.priority import versions
from virt_remote.server.settings import Places, Settings
from virtcore.errors import ConfigUnsupported, ErrorDomain, SystemError

__all__ = ["distinguished_name", "is_allowed", "server_context"]

log = logging.getLogger("virtcored.tls")

#: What the server says inside the channel when it takes the client.
ACCEPTED: Final = b"\x01"


def server_context(settings: Settings, places: Places) -> ssl.SSLContext:
    """What TLS connections are accepted with.

    :raises SystemError: a file cannot be read or makes no sense.
    :raises ConfigUnsupported: ``tls_priority`` wants what is not to be had.
    """
    ca = _file(settings.ca_file, places, "cacert")
    certificate = _file(settings.cert_file, places, "servercert")
    key = _file(settings.key_file, places, "serverkey")
    for path, what in ((ca, "CA certificate"), (certificate, "server certificate"), (key, "server key")):
        if not os.access(path, os.R_OK):
            raise SystemError(f"Cannot read {what} '{path}': {_why(path)}", domain=ErrorDomain.RPC)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.num_tickets = 0  # libvirt's clients take a ticket before the confirmation for a failure
    priority = settings.tls_priority or "NORMAL"
    try:
        context.minimum_version, context.maximum_version = versions(priority)
    except ValueError:
        raise ConfigUnsupported(f"Failed to set TLS session priority to {priority}", domain=ErrorDomain.RPC) from None
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
        context.load_verify_locations(ca)
        crl = _file(settings.crl_file, places, "cacrl")
        if settings.crl_file is not None or crl.exists():
            context.load_verify_locations(crl)
            context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    except (ssl.SSLError, OSError) as error:
        raise SystemError(f"Unable to use the certificates of TLS: {error}", domain=ErrorDomain.RPC) from None
    context.verify_mode = ssl.CERT_NONE if settings.tls_no_verify_certificate else ssl.CERT_REQUIRED
    if not settings.tls_no_sanity_certificate:
        _check_sanity(context, ca, certificate)
    return context


def _file(given: str | None, places: Places, name: str) -> Path:
    return Path(given) if given else places.certificate(name)


def _no_password() -> str:
    raise ssl.SSLError("the key is encrypted, and nobody could be asked for its password")


def _why(path: Path) -> str:
    return "Permission denied" if path.exists() else "No such file or directory"


def _check_sanity(server: ssl.SSLContext, ca: Path, certificate: Path) -> None:
    """Play a client that trusts the same authority: an expired certificate, or one of somebody else's, is found when
    the daemon starts and not by its users.

    :raises SystemError: it is not good.
    """
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.load_verify_locations(ca)
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    asking = client.wrap_bio(back, there)
    before = server.verify_mode
    server.verify_mode = ssl.CERT_NONE
    answering = server.wrap_bio(there, back, server_side=True)
    server.verify_mode = before
    for _ in range(10):
        done = 0
        for end in (asking, answering):
            try:
                end.do_handshake()
                done += 1
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLCertVerificationError as error:
                raise SystemError(
                    f"Our own certificate {certificate} failed validation against {ca}: {error.verify_message}",
                    domain=ErrorDomain.RPC,
                ) from None
        if done == 2:
            return
    raise SystemError(f"Our own certificate {certificate} cannot be used", domain=ErrorDomain.RPC)


_SHORT: Final = {
    "countryName": "C",
    "stateOrProvinceName": "ST",
    "localityName": "L",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "commonName": "CN",
    "emailAddress": "EMAIL",
    "domainComponent": "DC",
    "userId": "UID",
}


def distinguished_name(certificate: dict[str, Any]) -> str:
    """The subject of a certificate, as :meth:`ssl.SSLSocket.getpeercert` gives it, in the form of
    ``tls_allowed_dn_list``: ``C=GB,O=Example,CN=laptop``."""
    parts = []
    for relative in certificate.get("subject", ()):
        for name, value in relative:
            escaped = "".join("\\" + c if c in ',+"\\<>;' else c for c in value)
            parts.append(f"{_SHORT.get(name, name)}={escaped}")
    return ",".join(parts)


def is_allowed(name: str | None, patterns: Sequence[str] | None) -> bool:
    """Whether a name (``tls_allowed_dn_list``, ``sasl_allowed_username_list``) fits one of the patterns; all do when
    there are none."""
    if patterns is None:
        return True
    return name is not None and any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
