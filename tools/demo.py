"""The main job, shown: define a guest, start it, look at it, shut it down, undefine it. ``./dev demo`` runs this.

Without the means for a real guest it runs on ``test:///default`` and says what to install for one.
"""

from __future__ import annotations

import glob
import shutil
import sys

import virtcore
from virtcore.enums import DomainEventType, DomainState
from virtcore.operations.events import DomainLifecycleEvent

NAME = "virtcore-demo"

TEST_XML = f"""
<domain type='test'>
  <name>{NAME}</name>
  <memory unit='MiB'>256</memory>
  <vcpu>2</vcpu>
  <os>
    <type>hvm</type>
  </os>
</domain>
"""


def step(text: str) -> None:
    print(f"\n==> {text}", flush=True)


def show(text: str) -> None:
    print(f"    {text}", flush=True)


def wanting() -> list[str]:
    """Return the Debian packages that are missing for a real guest."""
    parts = {
        "qemu-system-x86": shutil.which("qemu-system-x86_64"),
        "linux-image-cloud-amd64": glob.glob("/boot/vmlinuz-*"),
        "busybox-static": shutil.which("busybox"),
    }
    return [package for package, found in parts.items() if not found]


def walk(uri: str, xml: str) -> None:
    """Take a guest through its life."""
    step(f"open {uri}")
    with virtcore.connect(uri) as connection:
        show(f"{connection.type()} on {connection.hostname()}")

        step(f"define {NAME}")
        domain = connection.define_domain(xml)
        show(f"UUID {domain.uuid}, {len(domain.xml().splitlines())} lines of XML once completed")

        with connection.events(DomainLifecycleEvent) as events:
            step("start")
            domain.create()
            info = domain.info()
            show(f"{DomainState(domain.state().state).name.lower()}, {info.vcpus} vCPUs, {info.memory // 1024} MiB")

            step("statistics")
            for row in connection.domain_stats():
                if row.domain.name == NAME:
                    for key, value in row.params.items():
                        show(f"{key} = {value}")

            step("shut down")
            domain.shutdown()
            for event in events:
                if isinstance(event, DomainLifecycleEvent) and event.domain.name == NAME:
                    show(f"event: {DomainEventType(event.type).name.lower()}")
                    if event.type == DomainEventType.STOPPED:
                        break

        step("undefine")
        domain.undefine()
        show(f"left: {', '.join(sorted(other.name for other in connection.list_domains())) or 'no domains'}")


def main() -> int:
    """Run the demo."""
    walk("test:///default", TEST_XML)
    if missing := wanting():
        step("for a real guest")
        show(f"apt-get install --no-install-recommends {' '.join(missing)}, then ./dev demo again")
    step("what to try next")
    show(".venv/bin/virtsh -c test:///default list --all")
    show("./dev test")
    return 0


if __name__ == "__main__":
    sys.exit(main())
