"""Control groups: what the host's kernel lets the processes of a guest use, in its first and second version."""

from __future__ import annotations

from virt_host.cgroup.group import ControlGroup
from virt_host.cgroup.mounts import CONTROLLERS, PIDS, Mounts, partition_path

__all__ = ["CONTROLLERS", "PIDS", "ControlGroup", "Mounts", "partition_path"]
