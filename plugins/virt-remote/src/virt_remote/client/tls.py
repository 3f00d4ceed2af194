"""TLS to a daemon, with certificates on both sides, laid out as the field does it."""

from __future__ import annotations

import os
import ssl

from virt_remote.client.address import Address, privileged
from virt_remote.client.link import Link
from virt_remote.priority import begins_with_level, versions
from virtcore._tuples import NamedTuple
from virtcore._typing import Final
from virtcore.errors import RPC, ErrorDomain, SystemError

__all__ = ["Credentials", "credentials_for", "start_tls"]

_SYSTEM: Final = "/etc/pki"


class Credentials(NamedTuple):
    """Files of a client."""

    ca: str
    #: None where the user has none: then the daemon decides whether it lets anybody in.
    certificate: str | None
    key: str | None
    #: Certificates that were revoked.
    revoked: str | None


def credentials_for(pkipath: str | None) -> Credentials:
    """The files to use: those of one folder, else the user's, else the system's.

    :raises SystemError: the certificate of the authority is missing.
    """
    if pkipath is not None:
        # A folder that was named has everything, or the client's pair not at all.
        found = Credentials(*(os.path.join(pkipath, f"{name}.pem") for name in _NAMES))
        return _present(found)
    system = Credentials(
        f"{_SYSTEM}/CA/cacert.pem",
        f"{_SYSTEM}/libvirt/clientcert.pem",
        f"{_SYSTEM}/libvirt/private/clientkey.pem",
        f"{_SYSTEM}/CA/cacrl.pem",
    )
    if privileged():
        return _present(system)
    folder = os.path.join(os.path.expanduser("~"), ".pki", "libvirt")
    user = Credentials(*(os.path.join(folder, f"{name}.pem") for name in _NAMES))
    pair = all(os.path.exists(path) for path in (user.certificate or "", user.key or ""))
    return _present(
        Credentials(
            user.ca if os.path.exists(user.ca) else system.ca,
            user.certificate if pair else system.certificate,
            user.key if pair else system.key,
            user.revoked if os.path.exists(user.revoked or "") else system.revoked,
        )
    )


_NAMES: Final = ("cacert", "clientcert", "clientkey", "cacrl")


def _present(wanted: Credentials) -> Credentials:
    if not os.path.exists(wanted.ca):
        raise SystemError(
            f"Cannot read CA certificate '{wanted.ca}': No such file or directory", domain=ErrorDomain.RPC
        )
    certificate = wanted.certificate if wanted.certificate and os.path.exists(wanted.certificate) else None
    key = wanted.key if wanted.key and os.path.exists(wanted.key) else None
    for have, lacks, kind, path in (
        (certificate, key, "client key", wanted.key),
        (key, certificate, "client certificate", wanted.certificate),
    ):
        if have is not None and lacks is None:
            raise SystemError(f"Cannot read {kind} '{path}': No such file or directory", domain=ErrorDomain.RPC)
    revoked = wanted.revoked if wanted.revoked and os.path.exists(wanted.revoked) else None
    return Credentials(wanted.ca, certificate, key, revoked)


def _context(address: Address) -> ssl.SSLContext:
    files = credentials_for(address.get("pkipath"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if address.on("no_verify"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    try:
        context.load_verify_locations(files.ca)
        if files.revoked is not None:
            context.load_verify_locations(files.revoked)
            context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    except (OSError, ssl.SSLError) as error:
        raise SystemError(
            f"Unable to set x509 CA certificate: {files.ca}: {_words(error)}", domain=ErrorDomain.RPC
        ) from None
    if files.certificate is not None:
        try:
            context.load_cert_chain(files.certificate, files.key)
        except (OSError, ssl.SSLError) as error:
            raise SystemError(
                f"Unable to set x509 key and certificate: {files.key}, {files.certificate}: {_words(error)}",
                domain=ErrorDomain.RPC,
            ) from None
    priority = address.get("tls_priority")
    if priority is not None:
        _prioritize(context, priority)
    return context


def _prioritize(context: ssl.SSLContext, priority: str) -> None:
    """Narrow a context by a priority string: of GnuTLS's words, versions of the protocol; else OpenSSL's ciphers.

    :raises RPC: the string cannot be understood, or asks for what is not to be had.
    """
    try:
        if begins_with_level(priority):
            context.minimum_version, context.maximum_version = versions(priority)
        else:
            context.set_ciphers(priority)
    except (ValueError, ssl.SSLError):
        raise RPC(f"Failed to set TLS session priority to {priority}", value=priority, domain=ErrorDomain.RPC) from None


def _words(error: OSError) -> str:
    return getattr(error, "verify_message", None) or getattr(error, "reason", None) or error.strerror or str(error)


class TlsLayer:
    """TLS over bytes that others carry."""

    def __init__(self, context: ssl.SSLContext, host: str) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._object = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self.ssf = 0

    def shake(self, data: bytes) -> tuple[bool, bytes]:
        """Take what came during the handshake; whether it is over, and what to send."""
        self._incoming.write(data)
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            return False, self._outgoing.read()
        cipher = self._object.cipher()
        self.ssf = cipher[2] if cipher is not None else 0
        return True, self._outgoing.read()

    def last_words(self) -> bytes:
        """What is to be sent after a failure: the alert."""
        return self._outgoing.read()

    def wrap(self, data: bytes) -> bytes:
        self._object.write(data)
        return self._outgoing.read()

    def unwrap(self, data: bytes) -> bytes:
        self._incoming.write(data)
        parts = []
        try:
            while part := self._object.read(262144):
                parts.append(part)
        except ssl.SSLWantReadError:
            pass  # all that is whole was read
        return b"".join(parts)


def start_tls(link: Link, address: Address, end: float | None) -> None:
    """Have TLS protect a link, and hear whether the daemon accepts our certificate.

    :raises SystemError: a certificate cannot be read.
    :raises RPC: one of the sides does not trust the other.
    """
    layer = TlsLayer(_context(address), address.host)
    data = b""
    while True:
        try:
            done, answer = layer.shake(data)
        except ssl.SSLCertVerificationError as error:
            _say(link, layer.last_words())
            if error.verify_code == 62 or "match" in (error.verify_message or "").lower():
                text = f"Certificate [session] owner does not match the hostname {address.host}"
            else:
                text = f"Certificate failed validation: {_verdict(error)}"
            raise RPC(text, domain=ErrorDomain.RPC) from None
        except ssl.SSLError as error:
            _say(link, layer.last_words())
            raise SystemError(f"TLS handshake failed {_words(error)}", domain=ErrorDomain.RPC) from None
        if answer:
            link.send(answer)
        if done:
            break
        data = link.receive(end)
    link.layers.append(layer)
    # The daemon looks at our certificate after the handshake, and sends one byte when it is content.
    try:
        verdict = layer.unwrap(b"")
        while not verdict:
            verdict = link.receive(end)
    except (SystemError, RPC, ssl.SSLError):
        verdict = b""
    if verdict != b"\1":
        raise RPC(
            "server verification (of our certificate or IP address) failed",
            domain=ErrorDomain.RPC,
            advice="the daemon's log says why",
        )


def _say(link: Link, data: bytes) -> None:
    try:
        link.socket.send(data)
    except OSError:
        pass  # the other side has gone: nobody is left to be told


def _verdict(error: ssl.SSLCertVerificationError) -> str:
    """libvirt's words for why a certificate is not believed."""
    match error.verify_code:
        case 2 | 18 | 19 | 20 | 21:
            return "The certificate hasn't got a known issuer."
        case 23:
            return "The certificate has been revoked."
    return "The certificate is not trusted."
