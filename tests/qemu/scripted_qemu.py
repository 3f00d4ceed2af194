"""A QEMU that is made up: it answers every command, and does as a test tells it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

#: For a fake emulator: take the monitor's connection and greet.
GREET = """
chardev = next(word for word in argv if word.startswith('socket,id=charmonitor'))
number = int(chardev.split('fd=')[1].split(',')[0])
listening = socket.socket(fileno=number)
peer, _ = listening.accept()
version = {"qemu": {"micro": 0, "minor": 2, "major": 7}, "package": ""}
peer.sendall(json.dumps({"QMP": {"version": version, "capabilities": []}}).encode() + b"\\n")
"""

#: Answers every command; what it is to do with one is read from a file before each answer, what it got is written down.
#: As QEMU it refuses what names something that it refused to make; that is not written down.
_BODY = (
    GREET
    + """
model = {'model': {'name': 'qemu64', 'props': {}}}
got = open(FOLDER + '/got', 'a')
def commands():
    text = ''
    while more := peer.recv(65536).decode():
        text = (text + more).lstrip()
        while text:
            try:
                command, end = json.JSONDecoder().raw_decode(text)
            except ValueError:
                break
            text = text[end:].lstrip()
            yield command
def send(document):
    peer.sendall(json.dumps(document).encode() + b'\\n')
def event(name, device):
    send({'event': name, 'data': {'device': device, 'path': ''}, 'timestamp': {'seconds': 1, 'microseconds': 0}})
missing = set()
def said(value):
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return {value} if isinstance(value, str) else set().union(*map(said, parts))
for command in commands():
    name, arguments = command['execute'], command.get('arguments', {})
    made = arguments.get('node-name') or arguments.get('id')
    if not name.endswith(('del', 'remove')) and missing & (said(arguments) - {made}):
        missing.add(made)
        send({'error': {'class': 'GenericError', 'desc': 'there is none'}, 'id': command['id']})
        continue
    got.write(json.dumps([name, arguments]) + '\\n')
    got.flush()
    plan = json.load(open(FOLDER + '/plan'))
    usual = [] if name.startswith(('query-', 'qom-list')) else {}
    usual = model if name == 'query-cpu-model-expansion' else usual
    answer = {'return': plan.get('answers', {}).get(name, usual)}
    number = plan.setdefault('count', 0)
    if plan.get('at') is not None and name not in ('query-fdsets',):
        if number == plan['at']:
            if plan.get('die'):
                sys.exit(1)
            answer = {'error': {'class': plan.get('class', 'GenericError'), 'desc': 'refused by plan'}}
            missing.add(made)
        plan['count'] = number + 1
        json.dump(plan, open(FOLDER + '/plan', 'w'))
    if 'return' in answer:
        missing.discard(made)
    if name == 'device_del' and plan.get('unplug') == 'event':
        event('DEVICE_DELETED', arguments['id'])
    if name == 'device_del' and plan.get('unplug') == 'refuse':
        event('DEVICE_UNPLUG_GUEST_ERROR', arguments['id'])
    send(answer | {key: command[key] for key in command if key == 'id'})
    if name == 'set_link' and plan.get('late'):
        event('DEVICE_DELETED', plan['late'])
"""
)


class Scripted:
    """What such a QEMU is to do, and what it got."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.plan()

    @property
    def body(self) -> str:
        """What it does, for ``fake_emulator``."""
        return _BODY.replace("FOLDER", repr(str(self.folder)))

    def plan(self, **plan: Any) -> None:
        (self.folder / "plan").write_text(json.dumps(plan))

    def commands(self) -> list[tuple[str, dict[str, Any]]]:
        """What it got since it was asked last."""
        lines = (self.folder / "got").read_text().splitlines()
        (self.folder / "got").write_text("")
        return [(name, arguments) for name, arguments in map(json.loads, lines)]
