"""Generate the manual pages of the programs (plugins/*/man), from their declarations and the documentation.

Usage: python tools/generate_man_pages.py [--check]
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

from roff import Page, bold, escape, section_of
from virt_shell.command import GROUPS, Command, Option, all_commands

ROOT = Path(__file__).resolve().parent.parent
GENERATOR = "tools/generate_man_pages.py"

DAEMON = (ROOT / "docs" / "daemon.md").read_text(encoding="utf-8")
SETTINGS = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")


def page(name: str, section: int, summary: str, plugin: str) -> Page:
    facts = tomllib.loads((ROOT / "plugins" / plugin / "pyproject.toml").read_text(encoding="utf-8"))
    return Page(name, section, summary, facts["project"]["version"], GENERATOR)


def options_of(program: str) -> str:
    """What the documentation says of a program's options: the table behind the line that names it."""
    found = re.search(rf"(?ms)^{program}[ ,].*?\n\n((?:\|.*\n)+)", section_of(SETTINGS, "Options of programs"))
    if found is None:
        raise LookupError(program)
    return found[1]


def see_also(made: Page, *others: tuple[str, int]) -> Page:
    made.heading("SEE ALSO")
    made.text(",\n".join(f"\\fB{escape(name)}\\fR({section})" for name, section in others))
    return made


def usage(option: Option) -> str:
    """An option as it is typed."""
    name = bold(f"--{option.name}")
    if option.type == "bool":
        return name
    value = {"int": "number", "argv": "string ..."}.get(option.type, "string")
    return f"{name} \\fI{value}\\fR"


def synopsis(command: Command) -> str:
    words = [bold(command.name)]
    for option in command.options:
        if option.type != "alias":
            words.append(usage(option) if option.required else f"[{usage(option)}]")
    return " ".join(words)


def virtsh() -> Page:
    made = page("virtsh", 1, "manage guests, and the host they run on", "virt-shell")
    made.heading("SYNOPSIS")
    made.text(f"{bold('virtsh')} [\\fIoption\\fR ...] [\\fIcommand\\fR [\\fIargument\\fR ...]]", ".br")
    made.text(f"{bold('virtsh')} [\\fIoption\\fR ...] \\fIstring\\fR")
    made.heading("DESCRIPTION")
    made.text(
        "virtsh is the command line of virtcore. Its commands, their options and what they print are virsh\\(aqs.",
        "With a command it carries that out and ends. One argument may hold several commands, with semicolons between.",
        "Without any it reads commands from the terminal, completes them, and keeps a history.",
    )
    made.heading("OPTIONS")
    made.markdown(options_of("virtsh"))
    made.heading("COMMANDS")
    made.text("An option may be given in any order; one whose name is left out is taken for the next that can be.")
    for group in GROUPS:
        made.subheading(group.title)
        for command in all_commands():
            if command.group == group.keyword and not command.hidden:
                describe(made, command)
    made.heading("ENVIRONMENT")
    made.markdown(section_of(SETTINGS, "Environment"))
    made.heading("FILES")
    made.markdown(section_of(SETTINGS, "Files"))
    made.heading("EXIT STATUS")
    made.text("0 when the last command did what it was told, else 1.")
    return see_also(made, ("virsh", 1), ("virt-xml-validate", 1), ("virtcored", 8))


def describe(made: Page, command: Command) -> None:
    made.item(synopsis(command), *map(escape, (command.description or command.help).splitlines()))
    shown = [option for option in command.options if option.type != "alias" and option.help]
    if shown:
        made.text(".RS")
        for option in shown:
            made.item(usage(option), escape(" ".join(option.help.split())))
        made.text(".RE")


def virtcored() -> Page:
    made = page("virtcored", 8, "daemon that speaks libvirt's protocol", "virt-remote")
    made.heading("SYNOPSIS")
    made.text(f"{bold('virtcored')} [\\fIoption\\fR ...]")
    made.heading("DESCRIPTION")
    made.markdown(DAEMON.partition("\n")[2].partition("\n## ")[0])
    for title in re.findall(r"(?m)^## (.*)", DAEMON):
        made.heading(title.upper())
        made.markdown(section_of(DAEMON, title))
    made.heading("ENVIRONMENT")
    made.markdown(section_of(SETTINGS, "Environment"))
    return see_also(made, ("virtcored.conf", 5), ("virtcored-passwd", 8), ("virtsh", 1), ("libvirtd", 8))


def settings() -> Page:
    made = page("virtcored.conf", 5, "settings of virtcore's daemon", "virt-remote")
    made.heading("DESCRIPTION")
    made.markdown(section_of(SETTINGS, "virtcored.conf"))
    return see_also(made, ("virtcored", 8))


def passwords() -> Page:
    made = page("virtcored-passwd", 8, "passwords of users who come to virtcored by SASL", "virt-remote")
    made.heading("SYNOPSIS")
    made.text(f"{bold('virtcored-passwd')} [\\fIoption\\fR ...] \\fIuser\\fR", ".br")
    made.text(f"{bold('virtcored-passwd')} [\\fIoption\\fR ...] {bold('--list')}")
    made.heading("DESCRIPTION")
    made.text(
        "Sets the password of a user: it is asked for, or read from standard input.",
        "The daemon keeps no password, but what proves it, and reads the file anew when it has changed.",
    )
    made.heading("OPTIONS")
    made.markdown(options_of("virtcored-passwd"))
    return see_also(made, ("virtcored", 8), ("virtcored.conf", 5))


def ssh_helper() -> Page:
    made = page("virt-ssh-helper", 1, "carries libvirt's protocol over ssh to a daemon's socket", "virt-remote")
    made.heading("SYNOPSIS")
    made.text(f"{bold('virt-ssh-helper')} [{bold('--readonly')}] \\fIURI\\fR")
    made.heading("DESCRIPTION")
    made.text(
        "Clients from afar run it over ssh. It carries standard input and output to and from the socket of the daemon",
        "that serves the URI on this host, and starts a user\\(aqs own daemon where it does not run.",
    )
    made.heading("OPTIONS")
    for name, meaning in (
        ("--readonly, -r", "use the read-only socket"),
        ("--version, -V", "print the version, and end"),
        ("--help, -h", "print the usage, and end"),
    ):
        made.item(bold(name), escape(meaning))
    return see_also(made, ("virtcored", 8), ("ssh", 1))


def validate() -> Page:
    made = page("virt-xml-validate", 1, "does a document keep to the format of its kind?", "virt-shell")
    made.heading("SYNOPSIS")
    made.text(f"{bold('virt-xml-validate')} \\fIfile\\fR [\\fIschema\\fR]")
    made.heading("DESCRIPTION")
    made.text(
        "Validates a document against virtcore\\(aqs schema of its kind, which follows from the root element,",
        "or against the schema that is named: domain, network, storagepool, ...",
        "The schemas know the namespaces of the plugins that are installed. A file \\- is standard input.",
    )
    made.heading("OPTIONS")
    made.item(bold("--version, -V"), "print the version, and end")
    made.item(bold("--help, -h"), "print the usage, and end")
    made.heading("EXIT STATUS")
    for status, meaning in (
        ("0", "the document keeps to it"),
        ("1", "wrong arguments, or no XML"),
        ("2", "there is no such file"),
        ("3", "it does not keep to it, or its kind has no schema"),
        ("4", "there is no such schema"),
    ):
        made.item(status, escape(meaning))
    return see_also(made, ("virtsh", 1))


PAGES: dict[str, Callable[[], Page]] = {
    "virt-shell/man/virtsh.1": virtsh,
    "virt-shell/man/virt-xml-validate.1": validate,
    "virt-remote/man/virtcored.8": virtcored,
    "virt-remote/man/virtcored.conf.5": settings,
    "virt-remote/man/virtcored-passwd.8": passwords,
    "virt-remote/man/virt-ssh-helper.1": ssh_helper,
}


def main() -> int:
    """Write the pages, or with --check compare them."""
    stale = []
    for name, make in PAGES.items():
        path = ROOT / "plugins" / name
        text = str(make())
        if "--check" not in sys.argv[1:]:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        elif not path.is_file() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
    if stale:
        print(f"{', '.join(stale)}: out of date, run ./dev gen")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
