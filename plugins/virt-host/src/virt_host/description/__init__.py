"""What a Linux host is: processors, memory, caches, firmware tables, read from the kernel's files.

Every function takes a :class:`~virt_host.description.tree.HostTree`, which says where these files are; the default is
the running host.
"""

from __future__ import annotations
