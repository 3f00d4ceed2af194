"""The host's CPUs, as commands that pin something to them need them."""

from __future__ import annotations

from virt_shell.command import CommandError
from virt_shell.numbers import parse_cpus
from virtcore._typing import TYPE_CHECKING

if TYPE_CHECKING:
    from virt_shell.shell import Shell

__all__ = ["host_cpus", "parse_cpulist"]


def parse_cpulist(shell: Shell, text: str) -> frozenset[int]:
    """Host CPUs of a list.

    :raises CommandError: malformed, or beyond what the host has.
    """
    from virtcore.errors import InvalidArg

    count = host_cpus(shell)
    cpus = parse_cpus(text, count)
    if cpus is None:
        raise CommandError(f"Invalid cpulist '{text}'") from InvalidArg(f"Failed to parse bitmap '{text}'")
    if max(cpus) >= count:
        raise CommandError(f"CPU {max(cpus)} in cpulist '{text}' exceed the maxcpu {count}")
    return cpus


def host_cpus(shell: Shell) -> int:
    """How many CPUs the host has, online or not."""
    from virtcore.errors import NoSupport

    try:
        return shell.connection.node_cpu_map().present
    except NoSupport:
        info = shell.connection.node_info()
        return info.nodes * info.sockets * info.cores * info.threads
