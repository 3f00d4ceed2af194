"""Names and passwords for an authentication: from the user's files, else by asking."""

from __future__ import annotations

import os

from virtcore import errors
from virtcore._typing import TYPE_CHECKING, Callable, Final, Mapping, Sequence
from virtcore.driver.opening import config_folder
from virtcore.errors import AuthFailed, ConfSyntax, SystemError
from virtcore.uri import ConnectionURI

if TYPE_CHECKING:
    from virtcore.driver.base import Credential  # with it every operation is loaded

__all__ = ["Asker", "credentials", "look_up"]

#: Answers credentials in order, and may block while the user types; None gives up.
Asker = Callable[["list[Credential]"], Sequence[str] | None]

#: What a kind of credential (``ConnectCredentialType``) is called in the files.
_ITEMS: Final = {1: "username", 2: "authname", 5: "password", 8: "realm"}


def _file(uri: ConnectionURI) -> str | None:
    """The file with credentials: the one that was named, else the first that there is."""
    named = os.environ.get("LIBVIRT_AUTH_FILE") or uri.get("authfile")
    if named:
        return named
    for path in (os.path.join(config_folder(), "auth.conf"), "/etc/libvirt/auth.conf"):
        if os.access(path, os.R_OK):
            return path
    return None


def _groups(path: str) -> dict[str, dict[str, str]]:
    """A file of ``[group]`` headings and ``name=value`` lines.

    :raises SystemError: it cannot be read.
    :raises ConfSyntax: it is malformed; the line is told, never what is on it.
    """
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            lines = file.read().splitlines()
    except OSError as error:
        raise SystemError(f"Failed to open file '{path}': {error.strerror}", domain=errors.ErrorDomain.AUTH) from None
    groups: dict[str, dict[str, str]] = {}
    group: dict[str, str] | None = None
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        if text.startswith("["):
            if not text.endswith("]"):
                raise ConfSyntax(f"{path}:{number}: expecting a terminated group name", domain=errors.ErrorDomain.AUTH)
            group = groups.setdefault(text[1:-1], {})
            continue
        name, equals, value = text.partition("=")
        if group is None or not equals:
            raise ConfSyntax(f"{path}:{number}: expecting an assignment in a group", domain=errors.ErrorDomain.AUTH)
        group[name.strip()] = value.strip()
    return groups


def look_up(uri: ConnectionURI, service: str, host: str) -> Mapping[str, str]:
    """What the user's file says of a service on a host; empty when it says nothing.

    :raises VirtError: the file cannot be read, or refers to what is not there.
    """
    path = _file(uri)
    if path is None:
        return {}
    groups = _groups(path)
    for heading in (f"auth-{service}-{host}", f"auth-{service}-default"):
        if heading in groups:
            name = groups[heading].get("credentials")
            if name is None:
                raise ConfSyntax(
                    f"Missing item 'credentials' in group '{heading}' in '{path}'", domain=errors.ErrorDomain.AUTH
                )
            found = groups.get(f"credentials-{name}")
            if found is None:
                raise ConfSyntax(
                    f"Missing group 'credentials-{name}' referenced from group '{heading}' in '{path}'",
                    domain=errors.ErrorDomain.AUTH,
                )
            return found
    return {}


def credentials(wanted: list[Credential], known: Mapping[str, str], ask: Asker | None) -> list[str]:
    """An answer to each of what an authentication wants: as known from files, the rest asked for in one go.

    :raises AuthFailed: nobody can be asked, or gives up.
    """
    answers: list[str | None] = [known.get(_ITEMS.get(one.type, "")) for one in wanted]
    open_ones = [one for one, answer in zip(wanted, answers, strict=True) if answer is None]
    if open_ones:
        if ask is None:
            raise AuthFailed("No authentication callback available", domain=errors.ErrorDomain.REMOTE)
        given = ask(open_ones)
        if given is None or len(given) != len(open_ones):
            raise AuthFailed("Failed to collect auth credentials", domain=errors.ErrorDomain.REMOTE)
        rest = iter(given)
        return [next(rest) if answer is None else answer for answer in answers]
    return [answer for answer in answers if answer is not None]
