"""``virtcored.conf``: the daemon's settings, under libvirt's names and in its format."""

# ruff: noqa: RUF009  # _setting() makes dataclass fields

from __future__ import annotations

import dataclasses
import logging
import os
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from virt_remote.server.workers import MOST
from virtcore._tuples import NamedTuple
from virtcore.errors import ConfSyntax, InternalError
from virtcore.runtime import settings as settings_files
from virtcore.runtime.conf import ConfFile

__all__ = ["Places", "Settings"]

log = logging.getLogger("virtcored")


class Places(NamedTuple):
    """Where a daemon keeps its own files.

    :ivar config: folder of ``virtcored.conf``, the policy, users.
    :ivar run: folder of its sockets and its lock.
    :ivar log: folder of its log.
    :ivar pki: what the folders of certificates are in: ``CA`` and ``libvirt``.
    :ivar root: the folder given with ``--root``; None for the host's daemon and users' own.
    :ivar privileged: it is the host's.
    """

    config: Path
    run: Path
    log: Path
    pki: Path
    root: Path | None = None
    privileged: bool = False

    @classmethod
    def below(cls, root: Path) -> Self:
        """Everything below a folder (``--root``)."""
        return cls(root / "etc", root / "run", root / "log", root / "etc" / "pki", root)

    @classmethod
    def usual(cls) -> Self:
        """root's daemon is the host's, others' are their own."""
        if os.geteuid() == 0:
            config, run, logs, pki = map(Path, ("/etc/virtcore", "/run/virtcore", "/var/log/virtcore", "/etc/pki"))
            return cls(config, run, logs, pki, privileged=True)
        from virtcore.driver.toolkit.folders import StateFolders

        own = StateFolders.session("virtcored")
        return cls(own.config.parent, own.run.parent, own.log.parent, Path.home() / ".pki")

    def certificate(self, name: str) -> Path:
        """Where a file of TLS is by default: ``cacert``, ``cacrl``, ``servercert`` or ``serverkey``."""
        if not self.privileged and self.root is None:
            return self.pki / "libvirt" / f"{name}.pem"
        folder = {"cacert": "CA", "cacrl": "CA", "serverkey": "libvirt/private"}.get(name, "libvirt")
        return self.pki / folder / f"{name}.pem"


def _setting(default: Any, doc: str, *, ours: bool = False) -> Any:
    """A setting: its default, and what the documentation says of it.

    :param ours: libvirt has no such setting.
    """
    metadata = {"doc": doc, "ours": ours}
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class Settings:
    """Every setting there is. What has no default of its own (None) depends on the place, as its ``doc`` says."""

    listen_tls: bool = _setting(True, "accept clients by TLS, when started with `--listen`")
    listen_tcp: bool = _setting(False, "accept clients by plain TCP, when started with `--listen`")
    tls_port: str = _setting("16514", "port for TLS, a number or a name of `/etc/services`")
    tcp_port: str = _setting("16509", "port for plain TCP")
    listen_addr: str | None = _setting(None, "address to listen on for both; every one by default")
    unix_sock_group: str | None = _setting(None, "group that owns the read-write and read-only sockets")
    unix_sock_ro_perms: str = _setting("0777", "mode of the read-only socket, octal")
    unix_sock_rw_perms: str | None = _setting(
        None, "mode of the read-write socket: 0777 when polkit decides who may use it, else 0700"
    )
    unix_sock_admin_perms: str = _setting("0700", "mode of the socket for administration")
    unix_sock_dir: str | None = _setting(
        None,
        "folder of the sockets: `/run/virtcore`, a user's own below `$XDG_RUNTIME_DIR`. With `/run/libvirt` programs "
        "that know only libvirtd find virtcored in its place",
    )
    auth_unix_ro: str | None = _setting(
        None, "`none`, `polkit` or `sasl`, for the read-only socket; polkit for the host's daemon where it is installed"
    )
    auth_unix_rw: str | None = _setting(
        None, "the same for the read-write socket; polkit in any case where systemd opens it to everybody"
    )
    auth_tcp: str = _setting("sasl", "`none` or `sasl`, for plain TCP")
    auth_tls: str = _setting("none", "`none` or `sasl`, for TLS, beside the certificate")
    tcp_min_ssf: int = _setting(
        112, "bits of encryption that SASL must bring where the transport has none; 112 or more"
    )
    sasl_allowed_username_list: list[str] | None = _setting(
        None, "patterns of the names of users that may come by SASL; all by default"
    )
    sasl_user_file: str | None = _setting(
        None, "the users that SASL knows, as `virtcored-passwd` keeps them: `users` beside this file", ours=True
    )
    sasl_keytab_file: str | None = _setting(
        None,
        "keys of `libvirt/HOST` for SASL's mechanism GSSAPI: `krb5.tab` beside this file; without one, or without "
        "`virt-remote[gssapi]`, the mechanism is not offered",
        ours=True,
    )
    access_drivers: list[str] = _setting(
        [], "who decides what a client may do, all of them together: `polkit`, `policy`, `nop`; nobody by default"
    )
    access_policy_file: str | None = _setting(
        None, "the policy of access driver `policy`: `access.toml` beside this file", ours=True
    )
    key_file: str | None = _setting(None, "the daemon's private key: `/etc/pki/libvirt/private/serverkey.pem`")
    cert_file: str | None = _setting(None, "the daemon's certificate: `/etc/pki/libvirt/servercert.pem`")
    ca_file: str | None = _setting(None, "certificates of the authorities that sign clients': `/etc/pki/CA/cacert.pem`")
    crl_file: str | None = _setting(None, "certificates that were revoked: `/etc/pki/CA/cacrl.pem`, if it is there")
    tls_no_sanity_certificate: bool = _setting(False, "do not check the daemon's own certificate when it starts")
    tls_no_verify_certificate: bool = _setting(False, "take clients without certificates")
    tls_allowed_dn_list: list[str] | None = _setting(
        None, "patterns of distinguished names in clients' certificates; all by default"
    )
    tls_priority: str | None = _setting(
        None, "versions of TLS, in GnuTLS' words: `NORMAL`, then `:-VERS-TLS1.2` or `:-VERS-TLS1.3`"
    )
    max_clients: int = _setting(5000, "clients at a time")
    max_queued_clients: int = _setting(1000, "clients that may wait to be accepted, on each socket")
    max_anonymous_clients: int = _setting(20, "clients at a time that have not authenticated; 0 for no limit")
    anonymous_timeout: int = _setting(60, "seconds that a client may take to authenticate", ours=True)
    min_workers: int = _setting(5, "calls at a time that the daemon is ready for from the start")
    max_workers: int = _setting(20, "calls at a time that have to wait for something")
    prio_workers: int = _setting(5, "calls at a time beside these, of those that never take long")
    max_client_requests: int = _setting(5, "calls at a time of one client")
    max_pending_memory: int = _setting(
        256 * 1024 * 1024, "bytes that messages may take, of all clients together, before they are whole", ours=True
    )
    admin_min_workers: int = _setting(5, "as `min_workers`, for administration")
    admin_max_workers: int = _setting(20, "as `max_workers`, for administration")
    admin_max_clients: int = _setting(5000, "as `max_clients`, for administration")
    admin_max_queued_clients: int = _setting(20, "as `max_queued_clients`, for administration")
    admin_max_client_requests: int = _setting(5, "as `max_client_requests`, for administration")
    keepalive_interval: int = _setting(5, "seconds of silence after which a client is asked; -1 for never")
    keepalive_count: int = _setting(5, "questions that a client may leave unanswered")
    admin_keepalive_interval: int = _setting(5, "as `keepalive_interval`, for administration")
    admin_keepalive_count: int = _setting(5, "as `keepalive_count`, for administration")
    log_level: int = _setting(2, "least that is logged: 1 debug, 2 information, 3 warnings, 4 errors")
    log_filters: str = _setting("", "other levels for some parts, as `LEVEL:PATTERN ...`; the first that fits decides")
    log_outputs: str | None = _setting(
        None,
        "where to, as `LEVEL:stderr`, `LEVEL:file:PATH`, `LEVEL:syslog:NAME` or `LEVEL:journald`: "
        "`virtcored.log` in the folder for logs, warnings to standard error",
    )
    slow_call_log: int = _setting(5000, "milliseconds after which a call is logged as slow; 0 for never", ours=True)
    audit_logging: bool = _setting(False, "log every call that changes something, with who made it")

    @classmethod
    def load(cls, path: Path, *, required: bool = False) -> Self:
        """Read a file; without one everything is as by default.

        :param required: the file must be there.
        :raises VirtError: it cannot be read, or makes no sense.
        """
        text = settings_files.read_text(path, required=required)
        return cls() if text is None else cls.parse(text, str(path))

    @classmethod
    def parse(cls, text: str, name: str) -> Self:
        """Read a file's text.

        :param name: what errors call it.
        :raises VirtError: it makes no sense.
        """
        conf = ConfFile.parse(text, name)
        kinds = typing.get_type_hints(cls)
        given: dict[str, Any] = {}
        for key in conf.settings():
            if key not in kinds:
                log.warning("%s: setting '%s' is not one of virtcored's", name, key)
                continue
            given[key] = _value(conf, key, kinds[key])
        made = cls(**given)
        made.check(name)
        return made

    def check(self, name: str) -> None:
        """Whether the values make sense together.

        :raises ConfSyntax: they do not.
        """
        if self.tcp_min_ssf < 112:
            raise ConfSyntax(f"{name}: 'tcp_min_ssf' must be >= 112")
        for key, allowed in _AUTHENTICATION.items():
            value = getattr(self, key)
            if value is not None and value not in allowed:
                raise ConfSyntax(f"{name}: {key}: unsupported auth {value}")
        for key in ("unix_sock_ro_perms", "unix_sock_rw_perms", "unix_sock_admin_perms"):
            value = getattr(self, key)
            if value is not None and not (value.isdigit() and set(value) <= set("01234567") and int(value, 8) <= 0o777):
                raise InternalError(f"Failed to parse mode '{value}'")
        for one in dataclasses.fields(self):
            value = getattr(self, one.name)
            if isinstance(value, int) and value < (-1 if one.name.endswith("keepalive_interval") else 0):
                raise ConfSyntax(f"{name}: '{one.name}' must not be negative")
        if not 1 <= self.log_level <= 4:
            raise ConfSyntax(f"{name}: 'log_level' must be between 1 and 4")
        for prefix in ("", "admin_"):
            least, most = getattr(self, f"{prefix}min_workers"), getattr(self, f"{prefix}max_workers")
            if not most > 0 or least > most:
                raise ConfSyntax(f"{name}: '{prefix}min_workers' must not be above '{prefix}max_workers'")
            if most > MOST:
                raise ConfSyntax(f"{name}: '{prefix}max_workers' must not be above {MOST}")
            if not getattr(self, f"{prefix}max_client_requests"):
                raise ConfSyntax(f"{name}: '{prefix}max_client_requests' must not be 0")


_AUTHENTICATION = {
    "auth_unix_ro": ("none", "polkit", "sasl"),
    "auth_unix_rw": ("none", "polkit", "sasl"),
    "auth_tcp": ("none", "sasl"),
    "auth_tls": ("none", "sasl"),
}


def _value(conf: ConfFile, key: str, kind: Any) -> Any:
    """A setting of the kind that it has to be.

    :raises InternalError: it is of another.
    """
    if isinstance(kind, types.UnionType):
        kind = next(one for one in typing.get_args(kind) if one is not type(None))
    value = conf.get(key)
    if kind is str:
        # libvirt's ports and modes are strings; numbers are meant the same.
        return conf.string(key) if not isinstance(value, int) else str(value)
    if typing.get_origin(kind) is list:
        return [value] if isinstance(value, str) else conf.strings(key)
    if not isinstance(value, int) or (kind is bool and value not in (0, 1)):
        raise InternalError(f"{conf.name}: expected {'0 or 1' if kind is bool else 'a number'} for '{key}' parameter")
    return bool(value) if kind is bool else value


def example() -> str:
    """A ``virtcored.conf`` that changes nothing and says everything."""
    return settings_files.example(Settings, "virtcored.conf: settings of virtcore's daemon")
