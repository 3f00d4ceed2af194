"""A guest's console on the terminal."""

from __future__ import annotations

import os
import select
import sys
import termios
import threading
import tty

from virtcore._typing import TYPE_CHECKING
from virtcore.errors import VirtError

if TYPE_CHECKING:
    from virtcore.api.sync import Stream

__all__ = ["converse"]


def converse(stream: Stream, escape: str) -> None:
    """Carry bytes both ways until the escape character, or until the guest's side ends.

    :param escape: a character, or ``^X`` for a control character.
    """
    stop = bytes([ord(escape[1].upper()) ^ 0x40]) if len(escape) == 2 else escape.encode()
    keyboard, screen = sys.stdin.fileno(), sys.stdout.fileno()
    woken, wake = os.pipe()
    failure: list[BaseException] = []

    def show() -> None:
        try:
            while data := stream.read(65536):
                os.write(screen, data)
        except (VirtError, OSError) as problem:  # handed to the main thread, which raises it
            failure.append(problem)
        finally:
            os.write(wake, b"x")

    before = termios.tcgetattr(keyboard)
    tty.setraw(keyboard)
    reader = threading.Thread(target=show, name="virtsh-console", daemon=True)
    reader.start()
    left = False
    try:
        while True:
            ready, _, _ = select.select([keyboard, woken], [], [])
            if woken in ready:
                break
            data = os.read(keyboard, 1024)
            head, found, _ = data.partition(stop)
            if head:
                stream.write(head)
            if found or not data:
                left = True
                break
    finally:
        termios.tcsetattr(keyboard, termios.TCSAFLUSH, before)
        stream.abort()
        reader.join(5)
        if not reader.is_alive():
            os.close(wake)
        os.close(woken)
    if failure and not left:
        raise failure[0]
