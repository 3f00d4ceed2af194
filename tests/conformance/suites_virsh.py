"""Adapter of suite ``virsh``: the command line program, run as a user would."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any


def virsh(case: Any) -> str:
    """Output and error of one run in one stream, with the exit status when it is not 0."""
    with tempfile.TemporaryDirectory(prefix="libvirt_virshtest_", dir="/tmp") as scratch:
        pipe = str(Path(scratch, "pipe"))

        def place(text: str) -> str:
            return text.replace("@COMMON@", case.common_dir).replace("@PIPE@", pipe)

        words = [place(word) for word in case.params["argv"]]
        if "append_script" in case.params:
            words.append(place(case.text(case.params["append_script"])))
        kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "PYTHONPATH")}
        env = {**kept, "LANG": "C", **{name: place(value) for name, value in (case.params.get("env") or {}).items()}}
        feeder = None
        if "pipe" in case.params:
            os.mkfifo(pipe)
            content = " " * case.params["pipe"]["leading_spaces"] + case.text(case.params["pipe"]["then"])
            feeder = threading.Thread(target=lambda: Path(pipe).write_text(content), daemon=True)
            feeder.start()
        program = [sys.executable, "-m", "virt_shell"]
        if case.params.get("not_as_root") and os.geteuid() == 0:
            program = ["unshare", "--user", *program]  # root there is nobody here, with root's files at hand
        ran = subprocess.run(
            [*program, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=env,
            check=False,
        )
        if feeder is not None:
            feeder.join(60)
    text = ran.stdout.decode("utf-8", "surrogateescape")
    return text + (f"\n## Exit code: {ran.returncode}\n" if ran.returncode else "")
