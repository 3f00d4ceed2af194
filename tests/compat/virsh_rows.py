"""The table of virsh's commands: its rows, and what a row prints on two daemons.

``virsh_table/DRIVER.rows`` holds sessions of command lines. A title in brackets begins a session, which leaves nothing
behind; lines after a command that are indented say how the answers of the two daemons relate:

``refused``
    both refuse it, with the same words; a reason may follow a colon
``differs: REASON``
    they answer otherwise, as 11.3 does, or because of what REASON names
``not yet``
    the driver behind virtcored has not got the operation; libvirt's has. With a reason after a colon: or it falls short
``more``
    the other way round
``less: numbers | lines | values``
    numbers are not compared; or the order of lines; or whatever stands after the first word of a line
``less: moment``
    what it tells of comes and goes by itself (devices of the host): both are asked again while they differ

Without a verdict both did it and printed the same. ``FOLDER`` in a line is a folder of the daemon's own with a copy of
``virsh_table/files``, in which ``FOLDER`` is put in as well.
"""

from __future__ import annotations

import difflib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from support import free_port
from virtsh_beside import forgotten

__all__ = [
    "DRIVERS",
    "EXPLAINED",
    "SEEN",
    "VERDICTS",
    "Place",
    "Row",
    "Session",
    "answers",
    "commands_of",
    "in_one_moment",
    "judge",
    "read_table",
    "run_beside",
    "same",
    "spellings",
]

TABLE = Path(__file__).with_name("virsh_table")
DRIVERS = ("test", "qemu")

VERDICTS = {
    "same": "both do it and print the same",
    "refused": "both refuse it, with the same words",
    "differs": "the answers differ, and why is said",
    "not yet": "libvirt's driver has the operation, ours not yet",
    "more": "ours has the operation, libvirt's driver has not",
}

#: As virsh 9.0 misses the end of a job now and then, a session that it hangs in, or takes so many seconds for, is begun
#: again: soon with the test driver, which is quick and forgets what was done, later with real guests.
PATIENCE = {"test": (5, 10, 20, 40, 60), "qemu": (20, 40, 60, 60)}

#: What a session printed at the first place that it was run at, by URI and title.
SEEN: dict[tuple[str, str], list[str]] = {}

_MARK = "@@virsh@@"
_UNSUPPORTED = "this function is not supported by the connection driver"

#: What is never the same twice: times, process numbers, and names made of them.
_PASSING = (
    (r"(CPU time: +|time=)[\d.]+", r"\1#"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?", "#DATE#"),
    (r"(<creationTime>|(?:snapshot|checkpoint|backup) )\d{10}\b", r"\1#TIME#"),
    (r"\b1[7-9]\d{8}\b(\.\d+)?", "#TIME#"),
    (r"(/dev/pts/)\d+", r"\1#"),
    (r"\b[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\b", "#UUID#"),
    (r"52:54:00(:[0-9a-f]{2}){3}", "#MAC#"),
    (r"(<domain type='\w+' id='|\bId: +|domain-)\d+", r"\1#"),
    (r"(?m)^ (Id|\d+) +(Name|walk) ", r" # \2 "),
    (r"-{9,}", "---------"),
    (r"\d+\.\d+Z qemu", "#Z qemu"),
    (r"\blibvirt-\d+\b", "libvirt-#"),
    (r'("type":"tap","fd":")\d+', r"\1#"),
)


#: What 11.3 writes otherwise, or what is no matter of the driver, wherever it occurs; and why.
EXPLAINED = (
    (r"(?s) +<watchdog model='itco' action='reset'(/>|>.*?</watchdog>)\n", "", "9.1 shows the watchdog that q35 has"),
    (r"(?s) +<resource>\n +<partition>/machine</partition>\n +</resource>\n", "", "a daemon without systemd's slices"),
    (r"(?s) +<seclabel type='dynamic' model='dac'.*?</seclabel>\n", "", "guests have the daemon's own user"),
    (r"'/\S+/(domain-#-walk/org\.qemu\.guest_agent\.0)'", r"'CHANNEL/\1'", "sockets of channels, in other folders"),
)


@dataclass
class Row:
    """A command line and what is claimed of it."""

    line: str
    number: int
    verdict: str = "same"
    reason: str = ""
    less: tuple[str, ...] = ()

    @property
    def command(self) -> str:
        return self.line.split()[0]


@dataclass
class Session:
    """Rows that are run one after the other on one connection."""

    title: str
    rows: list[Row] = field(default_factory=list)


@dataclass
class Place:
    """A daemon and a folder for what it reads and writes."""

    uri: str
    folder: Path
    spellings: Mapping[str, str] = field(default_factory=dict)
    """What is called otherwise at this place, and the name for it."""
    port: int = field(default_factory=free_port)
    """Where a guest's display listens."""
    program: tuple[str, ...] = ("virsh",)

    def fill(self, text: str) -> str:
        return text.replace("FOLDER", str(self.folder)).replace("PORT", str(self.port))

    def normal(self, text: str) -> str:
        text = text.replace(str(self.folder), "FOLDER")
        text = re.sub(rf"\b{self.port}\b", "PORT", text)
        text = re.sub(rf"\b127\.0\.0\.1:{self.port - 5900}\b", "127.0.0.1:DISPLAY", text)
        for mine, name in self.spellings.items():
            text = text.replace(mine, name)
        for pattern, replacement in _PASSING:
            text = re.sub(pattern, replacement, text)
        for pattern, replacement, _ in EXPLAINED:
            text = re.sub(pattern, replacement, text)
        return text


def spellings(uri: str) -> dict[str, str]:
    """What stands for the daemon in its answers."""
    return {uri.partition("?socket=")[2]: "SOCKET"}


def read_table(driver: str) -> list[Session]:
    """Read the sessions of a driver."""
    sessions: list[Session] = []
    for number, line in enumerate((TABLE / f"{driver}.rows").read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        if line.startswith("["):
            sessions.append(Session(line.strip("[]")))
        elif not line[0].isspace():
            sessions[-1].rows.append(Row(line, number))
        else:
            row = sessions[-1].rows[-1]
            word, _, rest = line.strip().partition(":")
            if word == "less":
                row.less = tuple(rest.split())
            else:
                assert word in VERDICTS, f"{driver}.rows:{number}: {word}"
                row.verdict, row.reason = word, rest.strip()
    return sessions


def commands_of(sessions: list[Session]) -> dict[str, list[Row]]:
    """Rows by command."""
    found: dict[str, list[Row]] = {}
    for session in sessions:
        for row in session.rows:
            found.setdefault(row.command, []).append(row)
    return found


def judge(row: Row, theirs: str, ours: str) -> str:
    """Say what the answers come to: one of :data:`VERDICTS`, or ``fails``."""
    theirs, ours = _less(row, theirs), _less(row, ours)
    if theirs == ours:
        return "refused" if _is_error(theirs) else "same"
    if _UNSUPPORTED in ours:
        return "not yet"
    if _UNSUPPORTED in theirs:
        return "more"
    # What only has not come yet is refused as above; who answers otherwise has to say why.
    return row.verdict if row.verdict in ("differs", "not yet") and row.reason else "fails"


def _is_error(answer: str) -> bool:
    return re.search("(?m)^error: ", answer) is not None


def _less(row: Row, answer: str) -> str:
    if _is_error(answer):
        return answer
    if "values" in row.less:
        answer = re.sub(r"(?m)^CPU time:.*\n", "", answer)  # only told of what has had some
        answer = re.sub(r"(?m)^(\s*\S+).*$", r"\1", answer)
    if "numbers" in row.less:
        answer = re.sub(r"\d+(\.\d+)?", "#", answer)
        answer = re.sub(r" +", " ", answer)
    if "lines" in row.less:
        answer = "\n".join(sorted(answer.splitlines()))
    return answer


def run_beside(session: Session, theirs: Place, ours: Place) -> Iterator[tuple[Row, str, str]]:
    """Run a session at both places; gives each row and the two answers."""
    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(lambda place: answers(session, place), (theirs, ours))
    SEEN[theirs.uri, session.title] = one
    for row, first, second in zip(session.rows, one, other, strict=True):
        yield row, *in_one_moment(row, (first, second), (theirs, ours))


#: How often two are asked of what comes and goes.
MOMENTS = 8


def in_one_moment(row: Row, printed: tuple[str, str], places: tuple[Place, Place]) -> tuple[str, str]:
    """Two answers to a row; of what comes and goes those of a moment in which it was the same for both, if there was
    one."""
    if "moment" in row.less:
        for _ in range(MOMENTS):
            if same(row, *printed):
                break
            with ThreadPoolExecutor(2) as pool:
                one, other = pool.map(
                    lambda place: _answers(Session("", [row]), place, PATIENCE["qemu"][-1])[0], places
                )
            printed = one, other
    return printed


def same(row: Row, one: str, other: str) -> bool:
    """Whether two answers to a row are the same, less what is not compared of it."""
    return _less(row, one) == _less(row, other)


def answers(session: Session, place: Place) -> list[str]:
    """What the rows of a session print at a place."""
    for attempt, patience in enumerate(PATIENCE[place.uri[:4]]):
        fresh_folder(place)
        if attempt:
            clean(session, place)
        forgotten(place.uri)
        try:
            return _answers(session, place, patience)
        except subprocess.TimeoutExpired as error:
            last = error
    raise last


def _answers(session: Session, place: Place, patience: float) -> list[str]:
    script = f" ; echo '{_MARK}' ; ".join(place.fill(row.line) for row in session.rows)
    printed = _virsh(place, script, patience)
    parts = [part.strip("\n") for part in printed.split(_MARK + "\n")]
    assert len(parts) == len(session.rows), f"virsh ended early:\n{printed}"
    return [place.normal(part) for part in parts]


def clean(session: Session, place: Place) -> None:
    """Take away the guests that a broken session left."""
    names = {match[1] for row in session.rows if (match := re.match(r"(?:destroy|undefine) (\S+)", row.line))}
    for name in sorted(names):
        _virsh(place, f"destroy {name} ; undefine {name} --managed-save --snapshots-metadata --checkpoints-metadata")


def _virsh(place: Place, script: str, patience: float = 60) -> str:
    ran = subprocess.run(
        [*place.program, "-c", place.uri, script],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={
            "LANG": "C",
            "PATH": "/usr/bin:/bin:/usr/sbin:/sbin",
            "HOME": "/dev/null",
            "EDITOR": str(place.folder / "editor"),
        },
        cwd=place.folder,
        check=False,
        timeout=patience,
    )
    return ran.stdout.decode(errors="replace")


def fresh_folder(place: Place) -> None:
    """Give a place its files."""
    shutil.rmtree(place.folder, ignore_errors=True)
    place.folder.mkdir(parents=True)
    for path in (TABLE / "files").iterdir():
        target = place.folder / path.name
        target.write_text(place.fill(path.read_text()))
        if path.suffix == "":
            target.chmod(0o755)
    for name in ("disk.img", "other.img", "cd.iso", "cd2.iso"):
        with (place.folder / name).open("wb") as image:
            os.truncate(image.fileno(), 1 << 20)
    if shutil.which("qemu-img") is not None:
        subprocess.run(
            ["qemu-img", "create", "-q", "-f", "qcow2", str(place.folder / "disk.qcow2"), "4M"], check=True, timeout=60
        )


def difference(theirs: str, ours: str) -> str:
    """How two answers differ."""
    lines = difflib.unified_diff(theirs.splitlines(), ours.splitlines(), "libvirtd", "virtcored", lineterm="", n=1)
    return "\n".join(lines)
