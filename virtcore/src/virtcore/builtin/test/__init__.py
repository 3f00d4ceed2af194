"""The ``test`` driver: guests that exist in this process only, for trying out programs.

``test:///default`` is a host with one domain, shared by the connections of a process; ``test:///path/to/file.xml`` a
host described in a file, for one connection. Reports, refuses and emits what libvirt's driver of that name does.
"""

from __future__ import annotations
