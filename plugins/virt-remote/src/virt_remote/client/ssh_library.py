"""Over ssh without a program: paramiko, for the schemes ``+libssh`` and ``+libssh2`` and where there is no ``ssh``."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from shlex import quote

from virt_remote.client import far_side
from virt_remote.client.address import Address
from virt_remote.client.credentials import Asker, credentials, look_up
from virt_remote.client.link import Link, await_start, carry, reason_of
from virtcore._typing import TYPE_CHECKING, Any, Final
from virtcore.driver.base import Credential
from virtcore.driver.opening import config_folder
from virtcore.enums.host import ConnectCredentialType
from virtcore.errors import AuthFailed, ErrorDomain, InvalidArg, SystemError

if TYPE_CHECKING:
    import paramiko

__all__ = ["library_ssh"]

_METHODS: Final = ("agent", "privkey", "password", "keyboard-interactive")
_VERIFY: Final = ("normal", "auto", "ignore")
#: Keys that are tried when none is named, below ~/.ssh.
_KEYS: Final = ("id_ed25519", "id_ecdsa", "id_rsa")
_TIMEOUT: Final = 30.0


def library_ssh(address: Address, ask: Asker | None, end: float | None) -> Link:
    """Connect and find a way to the daemon's socket.

    :raises AuthFailed: the host is not the one it was, or does not let us in.
    :raises SystemError: no way leads to the daemon; the error tells all that were tried.
    """
    transport = _connect(address, ask, end)
    try:
        return _channel(address, transport, end)
    except BaseException:
        transport.close()
        raise


def _seconds(end: float | None) -> float:
    return _TIMEOUT if end is None else max(end - time.monotonic(), 0.01)


def _connect(address: Address, ask: Asker | None, end: float | None) -> paramiko.Transport:
    import socket

    import paramiko

    host, port, user, identities = address.host, address.port or 22, address.uri.user, []
    if address.transport == "ssh":  # stands for the program: what the user configured for it counts
        settings = _user_settings(host)
        host = str(settings.get("hostname", host))
        port = address.port or int(settings.get("port", "22"))
        user = user or settings.get("user")
        identities = list(settings.get("identityfile", []))
    user = user or "root"
    try:
        sock = socket.create_connection((host, port), timeout=_seconds(end))
    except OSError as error:
        raise SystemError(
            f"unable to connect to server at '{host}:{port}': {reason_of(error)}", domain=ErrorDomain.RPC
        ) from None
    sock.settimeout(None)
    transport = paramiko.Transport(sock)
    try:
        try:
            transport.start_client(timeout=_seconds(end))
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise SystemError(f"SSH session handshake failed: {error}", domain=ErrorDomain.SSH) from None
        _check_host(address, transport, host, port, ask)
        _authenticate(address, transport, user, identities, ask)
    except BaseException:
        transport.close()
        raise
    return transport


def _user_settings(host: str) -> dict[str, str]:
    import paramiko

    path = os.path.expanduser("~/.ssh/config")
    try:
        settings = paramiko.SSHConfig.from_path(path)
    except FileNotFoundError:
        return {}
    found = settings.lookup(host)
    if "proxyjump" in found or "proxycommand" in found:
        raise InvalidArg(
            f"{path} reaches '{host}' through another host, which only the program ssh does: it is not installed",
            domain=ErrorDomain.SSH,
        )
    return dict(found)


# -- is it the host that it was


def _check_host(address: Address, transport: paramiko.Transport, host: str, port: int, ask: Asker | None) -> None:
    import paramiko

    how = address.get("known_hosts_verify") or ("ignore" if address.on("no_verify") else "normal")
    if how not in _VERIFY:
        raise InvalidArg(f"Invalid host key verification method: '{how}'", value=how, domain=ErrorDomain.SSH)
    if how == "ignore":
        return
    path = address.get("known_hosts") or (
        os.path.expanduser("~/.ssh/known_hosts")
        if address.transport == "ssh"
        else os.path.join(config_folder(), "known_hosts")
    )
    key = transport.get_remote_server_key()
    name = host if port == 22 else f"[{host}]:{port}"
    known = paramiko.HostKeys()
    if os.path.exists(path):
        known.load(path)
    entries = known.lookup(name)
    if entries is not None and key.get_name() in entries:
        if known.check(name, key):
            return
        raise AuthFailed(
            f"!!! SSH HOST KEY VERIFICATION FAILED !!!: Identity of host '{host}:{port}' differs from stored identity. "
            f"Please verify the new host key '{_print(key)}' to avoid possible man in the middle attack. The key is "
            f"stored in '{path}'.",
            domain=ErrorDomain.SSH,
        )
    if how == "normal":
        question = f"Accept SSH host key with hash '{_print(key)}' for host '{host}:{port}' (yes/no)?"
        (answer,) = credentials([Credential(ConnectCredentialType.ECHOPROMPT, question, None, None)], {}, ask)
        if answer.strip().lower() not in ("y", "yes"):
            raise AuthFailed(f"SSH host key for '{host}' ({_print(key)}) was not accepted", domain=ErrorDomain.SSH)
    os.makedirs(os.path.dirname(path) or ".", mode=0o700, exist_ok=True)
    with open(path, "a", encoding="ascii") as file:
        file.write(f"{name} {key.get_name()} {key.get_base64()}\n")


def _print(key: paramiko.PKey) -> str:
    import base64
    import hashlib

    return "SHA256:" + base64.b64encode(hashlib.sha256(key.asbytes()).digest()).decode("ascii").rstrip("=")


# -- who we are


def _authenticate(
    address: Address, transport: paramiko.Transport, user: str, identities: list[str], ask: Asker | None
) -> None:
    import paramiko

    methods = [name.strip() for name in (address.get("sshauth") or ",".join(_METHODS)).split(",")]
    for name in methods:
        if name not in _METHODS:
            raise InvalidArg(f"Invalid authentication method: '{name}'", value=name, domain=ErrorDomain.SSH)
    keyfile = address.get("keyfile")
    files = [keyfile] if keyfile else identities or [os.path.expanduser(f"~/.ssh/{name}") for name in _KEYS]
    tried = []
    for name in methods:
        try:
            match name:
                case "agent":
                    done = any(_offer(transport, user, key) for key in paramiko.Agent().get_keys())
                case "privkey":
                    done = any(
                        _offer(transport, user, key)
                        for path in files
                        if (key := _load(path, ask, named=path == keyfile)) is not None
                    )
                case "password":
                    done = _by_password(address, transport, user, ask)
                case _:
                    done = _by_questions(transport, user, ask)
        except paramiko.BadAuthenticationType:
            tried.append(f"{name}: not offered")
            continue
        except paramiko.AuthenticationException:
            done = False
        except paramiko.SSHException as error:
            raise SystemError(f"SSH authentication failed: {error}", domain=ErrorDomain.SSH) from None
        if done:
            return
        tried.append(f"{name}: refused")
    raise AuthFailed(
        "None of the requested authentication methods are supported by the server"
        if all(row.endswith("not offered") for row in tried)
        else "All provided authentication methods with credentials were rejected by the server",
        domain=ErrorDomain.SSH,
        advice=f"user '{user}': {', '.join(tried)}",
    )


def _offer(transport: paramiko.Transport, user: str, key: paramiko.PKey) -> bool:
    import paramiko

    try:
        return not transport.auth_publickey(user, key) and transport.is_authenticated()
    except paramiko.BadAuthenticationType:
        raise
    except paramiko.AuthenticationException:
        return False  # the next one may be it


def _load(path: str, ask: Asker | None, *, named: bool) -> paramiko.PKey | None:
    import paramiko

    path = os.path.expanduser(path)
    if not os.path.exists(path):
        if named:
            raise AuthFailed(f"error while reading private key '{path}'", domain=ErrorDomain.SSH)
        return None
    try:
        return paramiko.PKey.from_path(path)
    except (paramiko.PasswordRequiredException, TypeError):  # its library's word for a missing passphrase
        if ask is None:
            if named:
                raise AuthFailed(f"the passphrase of '{path}' cannot be asked for", domain=ErrorDomain.SSH) from None
            return None
        (passphrase,) = credentials(
            [Credential(ConnectCredentialType.NOECHOPROMPT, f"Passphrase for key '{path}'", None, None)], {}, ask
        )
        try:
            return paramiko.PKey.from_path(path, passphrase)
        except (paramiko.SSHException, ValueError):
            raise AuthFailed(
                f"error while opening private key '{path}', wrong passphrase?", domain=ErrorDomain.SSH
            ) from None
    except (paramiko.SSHException, paramiko.pkey.UnknownKeyType, OSError, ValueError):
        raise AuthFailed(f"error while reading private key '{path}'", domain=ErrorDomain.SSH) from None


def _by_password(address: Address, transport: paramiko.Transport, user: str, ask: Asker | None) -> bool:
    known = look_up(address.uri, "ssh", address.host)
    if ask is None and "password" not in known:
        return False
    wanted = Credential(
        ConnectCredentialType.PASSPHRASE, f"Enter {user}'s password for {address.host}", address.host, None
    )
    (password,) = credentials([wanted], known, ask)
    return not transport.auth_password(user, password) and transport.is_authenticated()


def _by_questions(transport: paramiko.Transport, user: str, ask: Asker | None) -> bool:
    if ask is None:
        return False

    def answer(title: str, instruction: str, prompts: list[tuple[str, bool]]) -> list[str]:
        kinds = ConnectCredentialType
        wanted = [
            Credential(kinds.ECHOPROMPT if echo else kinds.NOECHOPROMPT, prompt.rstrip(": "), instruction or None, None)
            for prompt, echo in prompts
        ]
        return credentials(wanted, {}, ask) if wanted else []

    return not transport.auth_interactive(user, answer) and transport.is_authenticated()


# -- the way to the socket


def _channel(address: Address, transport: paramiko.Transport, end: float | None) -> Link:
    """virt-ssh-helper, the socket itself, netcat, our relay: the first that leads to a daemon."""
    proxy = address.proxy
    ways = []
    if proxy in ("auto", "native"):
        ways.append(("virt-ssh-helper", far_side.helper(address)))
    if proxy == "auto" or (proxy == "netcat" and address.get("netcat") is None):
        ways.append((f"forwarding of the socket '{address.path}'", ""))
    if proxy in ("auto", "netcat"):
        ways.append((address.get("netcat") or "nc", far_side.netcat(address)))
        ways.append(("a relay in python3", far_side.relay(address)))
    tried = []
    for what, command in ways:
        link = None
        try:
            link = _run(transport, command, end) if command else _forward(transport, address.path or "", end)
            await_start(link, end)
        except SystemError as error:
            if link is not None:
                link.close()
            tried.append(f"{what}: {str(error.detail).removeprefix('End of file while reading data: ')}")
            continue
        link.also_close(transport.close)
        return link
    raise SystemError(f"cannot reach the daemon on '{address.host}': {'; '.join(tried)}", domain=ErrorDomain.RPC)


def _run(transport: paramiko.Transport, command: str, end: float | None) -> Link:
    """A command on the far side."""
    channel = _open(transport, "session", None, end)
    complaints = bytearray()

    def complaint() -> str:
        while data := channel.recv_stderr(4096):
            complaints.extend(data)
            del complaints[:-4096]
        return complaints.decode("utf-8", "replace").strip()

    channel.exec_command(f"sh -c {quote(command)}")
    return _carried(channel, complaint)


def _forward(transport: paramiko.Transport, path: str, end: float | None) -> Link:
    """The socket itself, which sshd connects to."""
    return _carried(_open(transport, "direct-streamlocal@openssh.com", path, end), None)


def _open(transport: paramiko.Transport, kind: str, path: str | None, end: float | None) -> paramiko.Channel:
    import paramiko

    try:
        if path is None:
            return transport.open_session(timeout=_seconds(end))
        return _open_streamlocal(transport, path, _seconds(end))
    except (paramiko.SSHException, EOFError) as error:
        raise SystemError(str(error) or "the connection ended", domain=ErrorDomain.SSH) from None


def _open_streamlocal(transport: paramiko.Transport, path: str, seconds: float) -> paramiko.Channel:
    """A channel to a socket on the far side (OpenSSH's PROTOCOL, 2.4), a kind that paramiko does not know of.

    Of the request for one it writes the beginning; the rest is added on the way out. Other threads may send meanwhile,
    for channels that end.
    """
    from paramiko.common import cMSG_CHANNEL_OPEN

    inner: Any = transport
    send: Callable[[paramiko.Message], None] = inner._send_user_message

    def complete(message: paramiko.Message) -> None:
        if message.asbytes().startswith(cMSG_CHANNEL_OPEN):
            message.add_string(path)
            message.add_string("")  # reserved
            message.add_int(0)
        send(message)

    inner._send_user_message = complete
    try:
        return transport.open_channel("direct-streamlocal@openssh.com", timeout=seconds)
    finally:
        inner._send_user_message = send


def _carried(channel: paramiko.Channel, complaint: Callable[[], str] | None) -> Link:
    sock, close = carry(lambda: channel.recv(65536), channel.sendall, channel.shutdown_write)

    def end() -> None:
        close()
        channel.close()

    return Link(sock, secure=True, on_close=end, complaint=complaint)
