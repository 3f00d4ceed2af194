"""Commands that reach a guest from outside: keys, signals, pictures of its screen, where its screens are."""

from __future__ import annotations

import os
from collections.abc import Sequence

from virt_shell.command import Arguments, CommandError, argv, command, data, flag, integer, string
from virt_shell.completion import among
from virt_shell.domains import ACTIVE, devices
from virt_shell.numbers import INT, LLONG, UINT
from virt_shell.shell import Shell

#: What sets of key codes are called, in the order of KeycodeSet.
_CODESETS = ("linux", "xt", "atset1", "atset2", "atset3", "os_x", "xt_kbd", "usb", "win32", "qnum")
#: Most keys pressed together.
_MOST_KEYS = 16


def _keys(shell: Shell, args: Arguments) -> Sequence[str]:
    """Names of keys."""
    from virt_shell.keys import key_names

    return key_names()


@command(
    "send-key",
    group="domain",
    help="Send keycodes to the guest",
    description="Press keys of a guest, by number or name.",
    options=[
        ACTIVE,
        string("codeset", "the codeset of keycodes, default:linux", completer=among(*_CODESETS)),
        integer("holdtime", "the time (in milliseconds) how long the keys will be held"),
        argv("keycode", "the key code", required=True, completer=_keys),
    ],
)
def send_key(shell: Shell, args: Arguments) -> bool:
    from virt_shell.keys import key_code

    domain = shell.domain(args)
    codeset = args.get("codeset") or "linux"
    # The name in newer versions, and in older ones.
    known = "qnum" if codeset == "rfb" else codeset
    holdtime = args.number("holdtime", *UINT) or 0
    if known not in _CODESETS:
        raise CommandError(f"unknown codeset: '{codeset}'")
    codes: list[int] = []
    for word in args.words("keycode"):
        if len(codes) == _MOST_KEYS:
            raise CommandError("too many keycodes")
        code = key_code(known, word)
        if code is None:
            raise CommandError(f"invalid keycode: '{word}'")
        codes.append(code)
    domain.send_key(_CODESETS.index(known), holdtime, codes)
    return True


def _signals(shell: Shell, args: Arguments) -> Sequence[str]:
    """Names of signals."""
    from virtcore.enums import DomainProcessSignal

    return [f"SIG{signal.name}" for signal in DomainProcessSignal]


def _signal(text: str) -> int | None:
    """The number of a signal: ``9``, ``kill``, ``sigkill``, ``SIG_KILL``."""
    from virtcore.enums import DomainProcessSignal

    if text.isascii() and text.isdigit():
        return int(text)
    name = text.lower()
    for prefix in ("sig_", "sig"):
        if name.startswith(prefix):
            name = name.removeprefix(prefix)
            break
    return next((int(signal) for signal in DomainProcessSignal if signal.name.lower() == name), None)


@command(
    "send-process-signal",
    group="domain",
    help="Send signals to processes",
    description="Send a signal to a process inside a guest.",
    options=[ACTIVE, data("pid", "the process ID"), data("signame", "the signal number or name", completer=_signals)],
)
def send_process_signal(shell: Shell, args: Arguments) -> bool:
    domain = shell.domain(args)
    pid = args.number("pid", *LLONG) or 0
    name = args.require("signame")
    signal = _signal(name)
    if signal is None:
        raise CommandError(f"malformed signal name: {name}")
    domain.send_process_signal(pid, signal)
    return True


@command(
    "inject-nmi",
    group="domain",
    help="Inject NMI to the guest",
    description="Send a guest a non-maskable interrupt.",
    options=[ACTIVE],
)
def inject_nmi(shell: Shell, args: Arguments) -> bool:
    shell.domain(args).inject_nmi()
    return True


# -- the screen

#: MIME type -> suffix of the file
_SUFFIXES = {"image/png": ".png", "image/x-portable-pixmap": ".ppm"}


@command(
    "screenshot",
    group="domain",
    help="take a screenshot of a current domain console and store it into a file",
    description="Store a picture of a guest's screen.",
    options=[
        ACTIVE,
        string("file", "where to store the screenshot", unwanted_positional=True),
        integer("screen", "ID of a screen to take screenshot of", unwanted_positional=True),
    ],
)
def screenshot(shell: Shell, args: Arguments) -> bool:
    from datetime import UTC, datetime

    domain = shell.domain(args)
    path = args.get("file")
    screen = args.number("screen", *UINT) or 0
    with shell.failing(f"could not take a screenshot of {args.require('domain')}"):
        taken = domain.screenshot(screen)
    if path is None:
        stamp = datetime.now(UTC).strftime("%Y-%m-%d-%H:%M:%S")
        path = f"{domain.name}-{stamp}{_SUFFIXES.get(taken.mime or '', '')}"
    with taken.stream as stream:
        created = not os.path.exists(path)
        try:
            with open(path, "wb") as file:
                for chunk in stream:
                    file.write(chunk)
        except OSError as problem:
            raise CommandError(f"cannot create file {path}: {problem.strerror}") from None
        except BaseException:
            if created:
                os.unlink(path)  # half a picture is none
            raise
    shell.extra(f"Screenshot saved to {path}, with type of {taken.mime}")
    return True


#: Kinds of graphics that are looked for, in this order.
_DISPLAYS = ("vnc", "spice", "rdp", "dbus")
#: Hosts that stand for any address.
_ANYWHERE = ("0.0.0.0", "::", "[::]")


@command(
    "domdisplay",
    group="domain",
    help="domain display connection URI",
    description="Print where a viewer finds a guest's screen.",
    options=[
        ACTIVE,
        flag("include-password", "includes the password into the connection URI if available"),
        string(
            "type",
            'select particular graphical display (e.g. "vnc", "spice", "rdp", "dbus")',
            positional=True,
            completer=among(*_DISPLAYS),
        ),
        flag("all", "show all possible graphical displays"),
    ],
)
def domdisplay(shell: Shell, args: Arguments) -> bool:
    from lxml import etree

    from virtcore.enums import DomainXMLFlags

    domain = shell.domain(args)
    if not domain.is_active():
        raise CommandError("Domain is not running")
    wanted = args.get("type")
    xml = domain.xml(DomainXMLFlags.SECURE if "include-password" in args else 0)
    graphics = etree.fromstring(xml.encode()).findall("devices/graphics")
    found = []
    for kind in _DISPLAYS:
        if wanted not in (None, kind):
            continue
        for element in graphics:
            if element.get("type") == kind:
                uri = _display(element, kind, password="include-password" in args)
                if uri is not None:
                    found.append(uri)
                break
        if found and "all" not in args:
            break
    if not found:
        kind = f" with type '{wanted}'" if wanted is not None else ""
        raise CommandError(f"No graphical display{kind} found")
    shell.out("\n".join(found) + ("\n" if "all" in args else ""))
    return True


def _display(graphics: object, kind: str, *, password: bool) -> str | None:
    """The URI of a display; None when nobody can connect to it."""
    from lxml import etree

    assert isinstance(graphics, etree._Element)
    listen = graphics.find("listen")

    def number(name: str) -> int:
        text = graphics.get(name) or "0"
        return int(text) if text.isdigit() else 0

    if kind == "dbus":
        address = graphics.get("address")
        return address and f"dbus+{address}"
    socket = graphics.get("socket") or (listen.get("socket") if listen is not None else None)
    port, secure = number("port"), number("tlsPort")
    if not (port or secure or socket):
        return None
    secret = graphics.get("passwd") if password else None
    if socket is not None and not (port or secure):
        # A viewer names the way to a socket in front of the path.
        return (
            f"{kind}+unix://{socket}" if kind == "spice" else f"{kind}://{':' + secret + '@' if secret else ''}{socket}"
        )
    host = graphics.get("listen") or (listen.get("address") if listen is not None else None)
    if not host or host in _ANYWHERE:
        host = "localhost"
    elif ":" in host:
        host = f"[{host}]"
    uri = f"{kind}://"
    if kind == "vnc":
        if secret:
            uri += f":{secret}@"
        return f"{uri}{host}:{port - 5900}"
    uri += host + (f":{port}" if port else "")
    parameters = [f"tls-port={secure}"] if secure else []
    if kind == "spice" and secret:
        parameters.append(f"password={secret}")
    return uri + ("?" + "&".join(parameters) if parameters else "")


@command(
    "vncdisplay",
    group="domain",
    help="vnc display",
    description="Print the address and number of a guest's VNC display.",
    options=[ACTIVE],
)
def vncdisplay(shell: Shell, args: Arguments) -> bool:
    domain = shell.domain(args)
    if not domain.is_active():
        raise CommandError("Domain is not running")
    found = devices(domain, "graphics[@type='vnc']")
    port = found[0].get("port") if found else None
    if port is None or not port.isdigit():
        raise CommandError("Failed to get VNC port. Is this domain using VNC?")
    listen = found[0].find("listen")
    host = found[0].get("listen") or (listen.get("address") if listen is not None else None)
    shell.out(f"{'' if host in (None, '0.0.0.0') else host}:{int(port) - 5900}\n")
    return True


@command(
    "ttyconsole",
    group="domain",
    help="tty console",
    description="Print the device of a domain's console.",
    options=[ACTIVE],
)
def ttyconsole(shell: Shell, args: Arguments) -> bool:
    for console in devices(shell.domain(args), "console[@tty]"):
        shell.out(f"{console.get('tty')}\n")
        return True
    return False


@command(
    "domdisplay-reload",
    group="domain",
    help="Reload domain's graphics display certificates",
    description="Have a guest's graphics servers read their certificates again.",
    options=[ACTIVE, integer("type", "graphics display type")],
)
def domdisplay_reload(shell: Shell, args: Arguments) -> bool:
    domain = shell.domain(args)
    kind = args.number("type", *INT) or 0
    if kind < 0:
        raise CommandError("Invalid graphics display type")
    domain.graphics_reload(kind)
    return True
