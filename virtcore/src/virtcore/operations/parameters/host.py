"""Parameters and statistics of hosts, and who a connection is used by."""

from __future__ import annotations

from virtcore._typing import Final
from virtcore.operations.parameters.declare import ParameterGroup

__all__ = ["IDENTITY", "NODE_CPU", "NODE_MEMORY", "NODE_MEMORY_STATS", "SEV"]

NODE_MEMORY: Final = ParameterGroup(
    "page sharing",
    "How the host shares equal pages of memory; the last four are counters.",
    """
    shm_pages_to_scan         UINT    pages  pages that are looked at before a sleep
    shm_sleep_millisecs       UINT    ms     time of the sleep
    shm_merge_across_nodes    UINT    -      whether pages of different nodes are shared, 0 or 1
    shm_pages_shared          ULLONG  pages  pages in use that stand for several
    shm_pages_sharing         ULLONG  pages  pages saved
    shm_pages_unshared        ULLONG  pages  pages that are looked at again and again
    shm_pages_volatile        ULLONG  pages  pages that change too fast
    shm_full_scans            ULLONG  -      how often all memory was looked at
    """,
)

NODE_CPU: Final = ParameterGroup(
    "host CPU",
    "Time of a host's CPU.",
    """
    kernel       ULLONG  ns  in the kernel
    user         ULLONG  ns  in programs
    idle         ULLONG  ns  idle
    iowait       ULLONG  ns  idle, waiting for I/O
    intr         ULLONG  ns  in interrupts
    utilization  ULLONG  %   how busy it is, where the hypervisor says only that
    """,
)

NODE_MEMORY_STATS: Final = ParameterGroup(
    "host memory",
    "Memory of a host or a NUMA cell.",
    """
    total    ULLONG  KiB  all
    free     ULLONG  KiB  unused
    buffers  ULLONG  KiB  of block devices' buffers; whole host only
    cached   ULLONG  KiB  of files' cache; whole host only
    """,
)

SEV: Final = ParameterGroup(
    "memory encryption",
    "AMD's memory encryption for guests.",
    """
    pdh               STRING  -  the platform's Diffie-Hellman key, in base64
    cert-chain        STRING  -  the platform's certificates, in base64
    cpu0-id           STRING  -  identity of the first CPU, in base64
    cbitpos           UINT    -  the address bit that says that a page is encrypted
    reduced-phys-bits UINT    -  address bits that guests lose
    max-guests        UINT    -  most guests with SEV
    max-es-guests     UINT    -  most guests with SEV-ES
    """,
)

IDENTITY: Final = ParameterGroup(
    "identity",
    "On whose behalf a daemon calls.",
    """
    user-name                STRING  -  name of the user
    group-name               STRING  -  name of the group
    unix-user-id             ULLONG  -  number of the user
    unix-group-id            ULLONG  -  number of the group
    process-id               LLONG   -  number of the process
    process-time             ULLONG  -  when the process began, in clock ticks since boot
    sasl-user-name           STRING  -  name that was proved with SASL
    x509-distinguished-name  STRING  -  name in the client's certificate
    selinux-context          STRING  -  the process's SELinux context
    """,
)
