"""The users that SASL knows: a file with a line for each, and the program that sets their passwords.

A line is ``NAME:scram-sha-256:ITERATIONS:SALT:STORED-KEY:SERVER-KEY:DIGEST``, binary parts in base64. Nothing in it is
a password; DIGEST, for old clients, is only there when it was asked for and is as good as one.
"""

from __future__ import annotations

import base64
import contextlib
import hmac
import os
import secrets
import sys
import tempfile
from pathlib import Path

from virt_remote.sasl import ITERATIONS, Credentials, SaslError, credentials, prepare
from virtcore.errors import ConfSyntax

__all__ = ["UserFile", "main"]

_KIND = "scram-sha-256"


class UserFile:
    """The file of users, read anew when it changed.

    :param path: it need not be there: then there are no users.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._users: dict[str, Credentials] = {}
        self._seen: tuple[int, int, int] | None = None
        self._secret = secrets.token_bytes(32)

    def find(self, user: str) -> Credentials | None:
        """A user's credentials; None when there is no such user.

        :raises ConfSyntax: the file makes no sense.
        """
        self._read()
        return self._users.get(user)

    def salt_of(self, user: str) -> bytes:
        """A salt for a user that is not there, always the same while the daemon runs."""
        return hmac.digest(self._secret, user.encode("utf-8", "surrogatepass"), "sha256")[:16]

    def names(self) -> list[str]:
        """Every user."""
        self._read()
        return sorted(self._users)

    def set(self, user: str, password: str, *, digest: bool = False, iterations: int = ITERATIONS) -> None:
        """Set a user's password.

        :param digest: for old clients too, which know DIGEST-MD5 only.
        :raises SaslError: the name or password has characters that are not allowed.
        """
        name = prepare(user)
        if not name or ":" in name or not password:
            raise SaslError("a name or password is empty, or a name has a colon")
        self._read()
        self._users[name] = credentials(name, password, iterations=iterations, digest=digest)
        self._write()

    def remove(self, user: str) -> None:
        """Forget a user.

        :raises KeyError: there is no such user.
        """
        self._read()
        del self._users[prepare(user)]
        self._write()

    def _read(self) -> None:
        try:
            facts = self.path.stat()
        except (FileNotFoundError, NotADirectoryError):
            self._users, self._seen = {}, None
            return
        seen = (facts.st_ino, facts.st_mtime_ns, facts.st_size)
        if seen != self._seen:
            self._users = _parsed(self.path.read_text(encoding="utf-8"), self.path)
            self._seen = seen

    def _write(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        handle, temporary = tempfile.mkstemp(dir=self.path.parent, prefix=".users")  # of mode 0600
        try:
            with open(handle, "w", encoding="utf-8") as file:
                file.writelines(_line(name, known) for name, known in sorted(self._users.items()))
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, self.path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
            raise
        self._seen = None


def _line(name: str, known: Credentials) -> str:
    binary = (known.salt, known.stored_key, known.server_key, known.digest or b"")
    parts = [base64.b64encode(part).decode() for part in binary]
    return ":".join([name, _KIND, str(known.iterations), *parts]) + "\n"


def _parsed(text: str, path: Path) -> dict[str, Credentials]:
    found = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            name, kind, iterations, *parts = line.split(":")
            salt, stored, server, digest = (base64.b64decode(part, validate=True) for part in parts)
            if kind != _KIND or len(stored) != 32 or len(server) != 32:
                raise ValueError
            found[name] = Credentials(salt, int(iterations), stored, server, digest or None)
        except ValueError:
            raise ConfSyntax(f"{path}:{number}: not a line of a file of users") from None  # and not what it says
    return found


def main(arguments: list[str] | None = None) -> int:
    """The program ``virtcored-passwd``: sets and removes passwords of SASL."""
    import argparse
    import getpass

    from virt_remote.server.settings import Places

    parser = argparse.ArgumentParser(
        prog="virtcored-passwd", description="passwords of users who come to virtcored by SASL"
    )
    place = parser.add_mutually_exclusive_group()
    place.add_argument("--root", type=Path, metavar="DIR", help="of the daemon that was started with it")
    place.add_argument("--file", type=Path, metavar="FILE", help="the file of users (setting sasl_user_file)")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--delete", "-d", action="store_true", help="remove the user")
    what.add_argument("--list", "-l", action="store_true", help="list users")
    parser.add_argument(
        "--digest", action="store_true", help="let old clients in, too, which know only DIGEST-MD5; plain TCP needs it"
    )
    parser.add_argument("user", nargs="?", help="whose password to set: it is asked for, or read from standard input")
    options = parser.parse_args(arguments)
    places = Places.usual() if options.root is None else Places.below(options.root.absolute())
    users = UserFile(options.file or places.config / "users")
    if options.list:
        print(*users.names(), sep="\n")
        return 0
    if options.user is None:
        parser.error("which user?")
    try:
        if options.delete:
            users.remove(options.user)
        else:
            password = getpass.getpass() if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
            if sys.stdin.isatty() and getpass.getpass("Again: ") != password:
                raise SaslError("the two differ")
            users.set(options.user, password, digest=options.digest)
    except KeyError:
        print(f"virtcored-passwd: there is no user '{options.user}'", file=sys.stderr)
        return 1
    except (SaslError, ConfSyntax, OSError) as error:
        print(f"virtcored-passwd: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
