"""Certificates for tests of TLS, made by the openssl program."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

__all__ = ["Authority"]


class Authority:
    """A certificate authority in a folder."""

    def __init__(self, folder: Path, name: str = "Test CA") -> None:
        if shutil.which("openssl") is None:
            pytest.skip("openssl is not installed")
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.certificate = folder / "cacert.pem"
        self._key = folder / "cakey.pem"
        extensions = ["-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=keyCertSign,cRLSign"]
        self._openssl(
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
            "-subj", f"/CN={name}", *extensions, "-keyout", str(self._key), "-out", str(self.certificate),
        )  # fmt: skip

    def issue(
        self,
        certificate: Path,
        key: Path,
        subject: str,
        *,
        days: int = 30,
        names: str = "DNS:localhost,IP:127.0.0.1",
    ) -> None:
        """A certificate of a subject (``/C=GB/CN=laptop``), for both ends on this host.

        :param days: how long it holds; below 0 it has expired.
        :param names: what the host may be called.
        """
        for path in (certificate, key):
            path.parent.mkdir(parents=True, exist_ok=True)
        request, extensions = self.folder / "request.pem", self.folder / "extensions"
        extensions.write_text(
            f"subjectAltName={names}\nkeyUsage=digitalSignature,keyEncipherment\n"
            "extendedKeyUsage=serverAuth,clientAuth\nbasicConstraints=CA:FALSE\n"
        )
        self._openssl(
            "req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", subject, "-keyout", str(key), "-out", str(request)
        )
        self._openssl(
            "x509", "-req", "-in", str(request), "-CA", str(self.certificate), "-CAkey", str(self._key),
            "-CAcreateserial", "-days", str(days), "-extfile", str(extensions), "-out", str(certificate),
        )  # fmt: skip

    def server(self, pki: Path) -> None:
        """All that a server needs, in libvirt's layout."""
        (pki / "CA").mkdir(parents=True, exist_ok=True)
        shutil.copy(self.certificate, pki / "CA" / "cacert.pem")
        folder = pki / "libvirt"
        self.issue(folder / "servercert.pem", folder / "private" / "serverkey.pem", "/C=GB/O=Example/CN=localhost")

    def client(self, folder: Path, subject: str = "/C=GB/O=Example/CN=laptop", *, days: int = 30) -> Path:
        """All that a client needs, as ``pkipath=`` wants it."""
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(self.certificate, folder / "cacert.pem")
        self.issue(folder / "clientcert.pem", folder / "clientkey.pem", subject, days=days)
        return folder

    @staticmethod
    def _openssl(*arguments: str) -> None:
        done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
