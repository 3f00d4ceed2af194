"""Commands on secrets."""

from __future__ import annotations

import base64
import re
import sys

from virt_shell.command import Arguments, CommandError, command, flag, string
from virt_shell.events import Printers
from virt_shell.objects import VALIDATE, ObjectKind, named_by
from virt_shell.shell import Shell
from virt_shell.text import pick, read_bytes

SECRET = ObjectKind(
    module=__name__,
    option="secret",
    noun="secret",
    group="secret",
    prefix="secret-",
    help="secret UUID",
    lookup="lookup_secret",
    keys=("uuid",),
    completer=named_by("list_secrets", attribute="uuid"),
    identity="uuid",
)

SECRET.making(
    "define",
    help="define or modify a secret from an XML file",
    description="Define a secret, or change the definition of one; its value is set separately.",
    done="Secret {name} created",
    failed="Failed to set attributes from {file}",
    method="define_secret",
    file_help="file containing secret attributes in XML",
    options=[VALIDATE],
    flags=lambda args: int("validate" in args),
)
SECRET.dumping(help="secret attributes in XML", description="Print a secret's XML, without its value.")
SECRET.acting(
    "undefine",
    help="undefine a secret",
    description="Remove a secret and its value.",
    done="Secret {name} deleted",
    failed="Failed to delete secret {name}",
    act=lambda secret, args: secret.undefine(),
)

_USAGES = ("none", "volume", "ceph", "iscsi", "tls", "vtpm")
#: option of ``secret-list`` -> bit of ConnectListAllSecretsFlags
_FILTERS = {"ephemeral": 1, "no-ephemeral": 2, "private": 4, "no-private": 8}

SECRET.listing(
    help="list secrets",
    description="Print the secrets there are.",
    failed="Failed to list secrets",
    method="list_secrets",
    options=[
        flag("ephemeral", "list ephemeral secrets"),
        flag("no-ephemeral", "list non-ephemeral secrets"),
        flag("private", "list private secrets"),
        flag("no-private", "list non-private secrets"),
    ],
    flags=lambda args: sum(bit for option, bit in _FILTERS.items() if option in args),
    columns={
        "UUID": lambda secret: secret.uuid,
        "Usage": lambda secret: (
            f"{pick(_USAGES, secret.usage_type, 'unknown')} {secret.usage_id}" if secret.usage_type else "Unused"
        ),
    },
)

#: virsh reads no longer values from a file, in bytes.
_MAX_VALUE = 1024


@command(
    "secret-set-value",
    group="secret",
    help="set a secret value",
    description="Set a secret's value, which is base64 unless it is said to be plain.",
    options=[
        SECRET.named(),
        string("file", "read secret from file"),
        flag("plain", "read the secret from file without converting from base64"),
        flag("interactive", "read the secret from the terminal"),
        string("base64", "base64-encoded secret value", unwanted_positional=True),
    ],
)
def set_value(shell: Shell, args: Arguments) -> bool:
    for first, second in (
        ("file", "base64"),
        ("plain", "base64"),
        ("interactive", "base64"),
        ("interactive", "plain"),
        ("interactive", "file"),
    ):
        args.exclusive(first, second)
    secret = SECRET.find(shell, args)
    plain = "plain" in args
    encoded, path = args.get("base64"), args.get("file")
    if encoded is not None:
        shell.error("Passing secret value as command-line argument is insecure!")
        value = encoded.encode("utf-8", "surrogateescape")
    elif path is not None:
        value = read_bytes(path, _MAX_VALUE)
    elif "interactive" in args:
        value, plain = _ask(shell), True
    else:
        raise CommandError("Input secret value is missing")
    with shell.failing("Failed to set secret value"):
        secret.set_value(value if plain else _decode(value))
    shell.extra("Secret value set\n")
    return True


def _ask(shell: Shell) -> bytes:
    """What the user types without seeing it, or the next line where no terminal is."""
    prompt = "Enter new value for secret:"
    if sys.stdin.isatty():
        from getpass import getpass

        value = getpass(prompt)
    else:
        shell.out(prompt)
        value = sys.stdin.readline().removesuffix("\n")
    if not value:
        raise CommandError("Failed to read secret")
    return value.encode("utf-8", "surrogateescape")


def _decode(encoded: bytes) -> bytes:
    """Base64 as virsh reads it: what is no digit is passed over, what does not fill a group of four left out."""
    digits = re.sub(rb"[^A-Za-z0-9+/=]", b"", encoded)
    groups = [digits[at : at + 4] for at in range(0, len(digits) - len(digits) % 4, 4)]
    return b"".join(base64.b64decode(group.replace(b"=", b"A"))[: 3 - group[2:].count(b"=")] for group in groups)


@command(
    "secret-get-value",
    group="secret",
    help="Output a secret value",
    description="Print a secret's value, as base64 unless asked for as it is.",
    options=[SECRET.named(), flag("plain", "get value without converting to base64")],
)
def get_value(shell: Shell, args: Arguments) -> bool:
    value = SECRET.find(shell, args).value()
    if "plain" in args:
        shell.out_bytes(value)
    else:
        shell.out(base64.b64encode(value).decode())
    return True


_LIFECYCLE = ("Defined", "Undefined")

EVENTS: Printers = {
    "lifecycle": (
        "SecretLifecycleEvent",
        lambda event: f"event 'lifecycle' for secret {event.secret.uuid}: {pick(_LIFECYCLE, event.type, 'unknown')}",
    ),
    "value-changed": (
        "SecretValueChangedEvent",
        lambda event: f"event 'value-changed' for secret {event.secret.uuid}",
    ),
}
SECRET.watching(
    EVENTS,
    help="Secret Events",
    filter_help="filter by secret name or uuid",
    attribute="secret",
    called="secret",
)
