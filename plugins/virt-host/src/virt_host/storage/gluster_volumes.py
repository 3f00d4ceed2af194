"""Volumes of Gluster servers, as the program ``gluster`` tells of them."""

from __future__ import annotations

import logging

from virt_host.description.program import finish_program
from virt_host.tools import find_tool

__all__ = ["volume_names"]

_ASKING = 60.0
"""Seconds that a server has to tell what volumes it has."""


async def volume_names(host: str) -> list[str]:
    """The volumes of a server; none where the program is not installed, or the server does not tell."""
    program = find_tool("gluster")
    if program is None:
        return []
    done = await finish_program(
        [program, "--xml", "--log-file=/dev/null", "volume", "info", "all", f"--remote-host={host}"], limit=_ASKING
    )
    if done.status:
        logging.getLogger("virtcore").warning("gluster tells nothing of host '%s': %s", host, done.errors.strip())
        return []
    return _names(done.output)


def _names(text: str) -> list[str]:
    from virtcore.xml.document import document

    return [element.text or "" for element in document(text, "(gluster volume info)").iterfind(".//volume/name")]
