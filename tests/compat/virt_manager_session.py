"""What virt-manager shows and does, driven as a screen reader would: virt_manager_session.py URI GUEST LOG.

Run with the system's Python, in a session with a display and D-Bus. Prints what it saw; what the guest really does is
looked up with the binding.
"""

from __future__ import annotations

import subprocess
import sys
import time

import gi

import libvirt

gi.require_version("Atspi", "2.0")
from gi.repository import Atspi  # noqa: E402  # after its version

URI, GUEST, LOG = sys.argv[1:4]
#: Seconds that something may take to be there; nothing is waited for any longer than it takes.
PATIENCE = 60


def until(look):
    """What a function finds, as soon as it finds something."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            found = look()
        except gi.repository.GLib.Error:  # it went while we looked at it
            found = None
        if found:
            return found
        time.sleep(0.1)
    raise SystemExit(f"it never came: {look.__doc__ or look}")


def walk(node, depth=0):
    if node is None or depth > 25:
        return
    yield node
    for at in range(min(node.get_child_count(), 300)):
        yield from walk(node.get_child_at_index(at), depth + 1)


def shown(role, name, sensitive=True):
    """The widget of a role and name that can be seen (and used)."""

    def look():
        desktop = Atspi.get_desktop(0)
        for at in range(desktop.get_child_count()):
            for node in walk(desktop.get_child_at_index(at)):
                if node.get_role_name() == role and node.get_name() == name:
                    states = node.get_state_set()
                    if states.contains(Atspi.StateType.SHOWING) and (
                        not sensitive or states.contains(Atspi.StateType.SENSITIVE)
                    ):
                        return node
        return None

    look.__doc__ = f"{role} {name!r}"
    return until(look)


def press(role, name):
    shown(role, name).do_action(0)


def click(node):
    """With the mouse: an action would only come back when the dialog is closed that it opens."""
    place = node.get_extents(Atspi.CoordType.SCREEN)
    Atspi.generate_mouse_event(place.x + place.width // 2, place.y + place.height // 2, "b1c")


def select(row):
    """With the mouse, again where the window was still being laid out."""

    def look():
        if row.get_state_set().contains(Atspi.StateType.SELECTED):
            return True
        click(row)
        time.sleep(0.3)
        return False

    until(look)


def reaches(state):
    def look():
        return domain.state()[0] == state

    look.__doc__ = f"state {state}"
    until(look)
    print("state", state)


def open_window(*options):
    log = open(LOG, "a", encoding="utf-8")  # noqa: SIM115  # the program's
    return subprocess.Popen(
        ["virt-manager", "--debug", "--no-fork", "--connect", URI, *options], stdout=log, stderr=subprocess.STDOUT
    )


def close(program):
    program.terminate()
    program.wait()


connection = libvirt.open(URI)
domain = connection.lookupByName(GUEST)

# The host's own page, and the list of guests.
program = open_window()
try:
    shown("table cell", f"{GUEST}\nShutoff", sensitive=False)
    print("listed")
finally:
    close(program)
program = open_window("--show-host-summary")
try:
    shown("page tab", "Overview")
    print("host", [one for one in ("Overview", "Virtual Networks", "Storage") if shown("page tab", one)])
finally:
    close(program)

# A guest's life, by its buttons.
program = open_window("--show-domain-console", GUEST)
try:
    press("push button", "Run")
    reaches(libvirt.VIR_DOMAIN_RUNNING)
    press("toggle button", "Pause")
    reaches(libvirt.VIR_DOMAIN_PAUSED)
    press("toggle button", "Pause")
    reaches(libvirt.VIR_DOMAIN_RUNNING)

    # The pages of its hardware.
    press("radio button", "Details")
    table = shown("table", "hw-list")
    rows = until(lambda: [node for node in walk(table) if node.get_role_name() == "table cell" and node.get_name()])
    print("hardware", [row.get_name() for row in rows])
    for row in rows[:12]:  # those that can be seen without scrolling
        select(row)
    press("radio button", "Console")

    press("menu", "Virtual Machine")
    press("menu", "Shut Down")
    click(shown("menu item", "Force Off"))
    press("push button", "Yes")
    reaches(libvirt.VIR_DOMAIN_SHUTOFF)
finally:
    close(program)
