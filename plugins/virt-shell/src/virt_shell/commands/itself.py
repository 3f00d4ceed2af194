"""Commands about the shell itself."""

from __future__ import annotations

import os

from virt_shell.command import (
    GROUPS,
    Arguments,
    Command,
    CommandError,
    alias,
    all_commands,
    argv,
    command,
    find_command,
    find_group,
    flag,
    listed_commands,
    string,
)
from virt_shell.shell import Shell
from virt_shell.text import escape_shell, escape_xml, split_list


@command(
    "cd",
    group="virsh",
    help="change the current directory",
    options=[string("dir", "directory to switch to (default: home or else root)", positional=True)],
    connects=False,
)
def cd(shell: Shell, args: Arguments) -> bool:
    target = args.get("dir") or os.path.expanduser("~")
    try:
        os.chdir(target)
    except OSError as problem:
        raise CommandError(f"cd: {problem.strerror}: {target}") from None
    return True


@command("pwd", group="virsh", help="print the current directory", connects=False)
def pwd(shell: Shell, args: Arguments) -> bool:
    shell.out(os.getcwd() + "\n")
    return True


@command(
    "echo",
    group="virsh",
    help="echo arguments. Used for internal testing.",
    description="Echo back arguments, possibly with quoting. Used for internal testing.",
    options=[
        flag("shell", "escape for shell use"),
        flag("xml", "escape for XML use"),
        flag("split", "split each argument on ','; ',,' is an escape sequence"),
        flag("err", "output to stderr"),
        alias("str", "string"),
        alias("hi", "string=hello"),
        string("prefix", "prefix the message"),
        argv("string", "arguments to echo"),
    ],
    connects=False,
)
def echo(shell: Shell, args: Arguments) -> bool:
    for first, second in (("shell", "xml"), ("shell", "split"), ("xml", "split")):
        args.exclusive(first, second)
    prefix = args.get("prefix")
    text = f"{prefix} " if prefix else ""
    for word in args.words("string"):
        if "xml" in args:
            text += escape_xml(word)
        elif "shell" in args:
            text += escape_shell(word)
        elif "split" in args:
            text += "".join(part + "\n" for part in split_list(word))
        else:
            text += word
        text += " "
    text = text.rstrip(" ") if text.strip(" ") == "" else text.removesuffix(" ")
    if text:
        if "err" in args:
            shell.error(text)
        else:
            shell.out(text)
    return True


def _leave(shell: Shell, args: Arguments) -> bool:
    shell.interactive = False
    return True


command("quit", group="virsh", help="quit this interactive terminal", connects=False)(_leave)
command("exit", group="virsh", help="quit this interactive terminal", connects=False)(_leave)


@command(
    "connect",
    group="virsh",
    help="(re)connect to hypervisor",
    description="Connect to a hypervisor in place of the present one; without a URI to the one given at start.",
    options=[
        string("name", "hypervisor connection URI", positional=True, allow_empty=True),
        flag("readonly", "read-only connection"),
    ],
    connects=False,
)
def connect(shell: Shell, args: Arguments) -> bool:
    return shell.connect(args.get("name"), readonly="readonly" in args)


def _synopsis(known: Command) -> str:
    words = [known.name]
    for option in known.options:
        name = option.name
        if option.type == "bool":
            words.append(f"[--{name}]")
        elif option.type in ("string", "int"):
            kind = "number" if option.type == "int" else "string"
            spelled = f"<{name}>" if option.positional else f"--{name} <{kind}>"
            words.append(spelled if option.required else f"[{spelled}]")
        elif option.type == "argv":
            spelled = f"<{name}>" if option.positional else f"--{name} <string>"
            words.append(f"{spelled}..." if option.required else f"[{spelled}]...")
    return " ".join(words)


def command_help(known: Command) -> str:
    """The help page of a command."""
    text = f"  NAME\n    {known.name} - {known.help}\n\n  SYNOPSIS\n    {_synopsis(known)}\n"
    if known.description:
        text += f"\n  DESCRIPTION\n    {known.description}\n"
    if known.options:
        text += "\n  OPTIONS\n"
        for option in known.options:
            if option.type == "alias":
                continue
            spelled = f"[--{option.name}]" if option.positional else f"--{option.name}"
            if option.type != "bool":
                spelled += " <number>" if option.type == "int" else " <string>"
                spelled += "..." if option.type == "argv" else ""
            text += f"    {spelled:<15}  {option.help}\n"
    return text


@command(
    "help",
    group="virsh",
    help="print help",
    description="Print every command, a group's, or the help of one command.",
    options=[
        string(
            "command",
            "Prints global help, command specific help, or help for a group of related commands",
            positional=True,
        )
    ],
    connects=False,
)
def show_help(shell: Shell, args: Arguments) -> bool:
    name = args.get("command")
    if not name:
        shell.out("Grouped commands:\n\n")
        for group in GROUPS:
            shell.out(_group_help(group.keyword, group.title) + "\n")
        return True
    known = find_command(name)
    if known is not None:
        shell.out(command_help(known))
        return True
    group_found = find_group(name)
    if group_found is None:
        raise CommandError(f"command or command group '{name}' doesn't exist")
    shell.out(_group_help(group_found.keyword, group_found.title))
    return True


def _group_help(keyword: str, title: str) -> str:
    rows = [f"    {known.name:<30} {known.help}\n" for known in listed_commands(keyword)]
    return f" {title} (help keyword '{keyword}'):\n" + "".join(rows)


@command(
    "complete",
    group="virsh",
    help="internal command for autocompletion",
    options=[argv("string", "partial string to autocomplete", allow_empty=True)],
    connects=False,
    hidden=True,
)
def complete(shell: Shell, args: Arguments) -> bool:
    from virt_shell.completion import complete_words

    found = complete_words(shell, args.words("string"))
    shell.out("".join(f"{word}\n" for word in found))
    return bool(found)


@command(
    "self-test",
    group="virsh",
    help="internal command for testing virt shells",
    description="Read the declaration of every command.",
    options=[
        flag("completers-missing", "output the list of options which are missing completers"),
        flag("dump-help", "output help for each command"),
    ],
    connects=False,
    hidden=True,
)
def self_test(shell: Shell, args: Arguments) -> bool:
    for known in all_commands():
        if "dump-help" in args:
            shell.out(command_help(known))
        missing = [
            option.name for option in known.options if option.type in ("string", "argv") and not option.completer
        ]
        if "completers-missing" in args and missing:
            shell.out(f"{known.name}: {', '.join(missing)}\n")
    return True
