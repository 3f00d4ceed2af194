"""Limits and settings of domains."""

from __future__ import annotations

from virtcore._typing import Final
from virtcore.operations.parameters.declare import ParameterGroup

__all__ = [
    "BANDWIDTH",
    "BLKIO",
    "BLOCK_COPY",
    "BLOCK_IOTUNE",
    "GUEST_VCPUS",
    "IOTHREAD",
    "LAUNCH_SECURITY_INFO",
    "LAUNCH_SECURITY_STATE",
    "MEMORY",
    "NUMA",
    "PERF",
    "PERF_EVENTS",
    "SCHEDULER",
    "TUNABLE",
]

SCHEDULER: Final = ParameterGroup(
    "scheduler",
    "Shares and limits of CPU time; periods and quotas of which a negative one is no limit.",
    """
    cpu_shares       ULLONG  -   weight among all who want CPU time
    global_period    ULLONG  us  period in which the whole domain's quota is measured
    global_quota     LLONG   us  CPU time of the whole domain in a period
    vcpu_period      ULLONG  us  period in which the virtual CPUs' quota is measured
    vcpu_quota       LLONG   us  CPU time of each virtual CPU in a period
    emulator_period  ULLONG  us  period in which the emulator's quota is measured
    emulator_quota   LLONG   us  CPU time of the emulator's threads in a period
    iothread_period  ULLONG  us  period in which the I/O threads' quota is measured
    iothread_quota   LLONG   us  CPU time of each I/O thread in a period
    weight           UINT    -   weight of the credit scheduler
    cap              UINT    %   most CPU time of the credit scheduler, 100 for one CPU; 0 for no limit
    reservation      LLONG   MHz CPU time that is guaranteed
    limit            LLONG   MHz most CPU time; -1 for no limit
    shares           INT     -   weight; -1 for low, -2 for normal, -3 for high
    """,
)

BLKIO: Final = ParameterGroup(
    "block I/O",
    "Weights and limits of I/O on host devices; texts are pairs of path and value, separated by commas.",
    """
    weight                  UINT    -        weight of the domain's I/O, 10 to 1000
    device_weight           STRING  -        weight per device; 0 removes one
    device_read_iops_sec    STRING  1/s      most reads per device; 0 lifts the limit
    device_write_iops_sec   STRING  1/s      most writes per device; 0 lifts the limit
    device_read_bytes_sec   STRING  bytes/s  most bytes read per device; 0 lifts the limit
    device_write_bytes_sec  STRING  bytes/s  most bytes written per device; 0 lifts the limit
    """,
)

MEMORY: Final = ParameterGroup(
    "memory",
    "Memory limits; 9007199254740991 is no limit.",
    """
    hard_limit       ULLONG  KiB  most memory the domain may use
    soft_limit       ULLONG  KiB  memory it is left with when the host runs short
    swap_hard_limit  ULLONG  KiB  most memory and swap space it may use
    min_guarantee    ULLONG  KiB  memory that is guaranteed
    """,
)

NUMA: Final = ParameterGroup(
    "memory placement",
    "Where a guest's memory is on the host.",
    """
    numa_nodeset  STRING  -  host nodes, e.g. 0-1
    numa_mode     INT     -  a DomainNumatuneMemMode
    """,
)

_IO_LIMITS = (
    ("total_bytes_sec", "bytes/s", "bytes read and written"),
    ("read_bytes_sec", "bytes/s", "bytes read"),
    ("write_bytes_sec", "bytes/s", "bytes written"),
    ("total_iops_sec", "1/s", "requests"),
    ("read_iops_sec", "1/s", "reads"),
    ("write_iops_sec", "1/s", "writes"),
)


def _io_limits(prefix: str) -> str:
    lines = []
    for name, unit, what in _IO_LIMITS:
        lines.append(f"{prefix}{name} ULLONG {unit} most {what} on average; 0 for no limit")
        lines.append(f"{prefix}{name}_max ULLONG {unit} most {what} in a burst; 0 for none")
        lines.append(f"{prefix}{name}_max_length ULLONG s how long a burst of {what} may last")
    lines.append(f"{prefix}size_iops_sec ULLONG bytes size up to which a request counts as one; 0 for any")
    lines.append(f"{prefix}group_name STRING - disks of this group share the limits")
    return "\n".join(lines)


BLOCK_IOTUNE: Final = ParameterGroup("disk I/O", "Limits of a disk's I/O.", _io_limits(""))

BANDWIDTH: Final = ParameterGroup(
    "bandwidth",
    "Limits of an interface's bandwidth.",
    """
    inbound.average   UINT  KiB/s  average towards the guest; 0 lifts the limits of this direction
    inbound.peak      UINT  KiB/s  most towards the guest in a burst
    inbound.burst     UINT  KiB    size of a burst towards the guest
    inbound.floor     UINT  KiB/s  guaranteed towards the guest
    outbound.average  UINT  KiB/s  average from the guest; 0 lifts the limits of this direction
    outbound.peak     UINT  KiB/s  most from the guest in a burst
    outbound.burst    UINT  KiB    size of a burst from the guest
    """,
)

IOTHREAD: Final = ParameterGroup(
    "I/O thread",
    "Polling and pool size of an I/O thread.",
    """
    poll_max_ns      ULLONG  ns  longest time that it polls; 0 for none
    poll_grow        UINT    -   factor by which polling grows; 0 for the default
    poll_shrink      UINT    -   factor by which polling shrinks; 0 for the default
    thread_pool_min  INT     -   fewest worker threads
    thread_pool_max  INT     -   most worker threads
    """,
)

#: Name of a performance event -> what it counts.
PERF_EVENTS: Final = {
    "cmt": "use of the last cache level",
    "mbmt": "memory bandwidth of all nodes",
    "mbml": "memory bandwidth of the own node",
    "cache_misses": "misses of the last cache level",
    "cache_references": "accesses to the last cache level",
    "instructions": "instructions",
    "cpu_cycles": "CPU cycles",
    "branch_instructions": "branches",
    "branch_misses": "branches that were predicted wrongly",
    "bus_cycles": "bus cycles",
    "stalled_cycles_frontend": "cycles stalled before decoding",
    "stalled_cycles_backend": "cycles stalled after decoding",
    "ref_cpu_cycles": "CPU cycles at the nominal frequency",
    "cpu_clock": "time of the CPU clock",
    "task_clock": "time of the task clock",
    "page_faults": "page faults",
    "context_switches": "context switches",
    "cpu_migrations": "moves from one host CPU to another",
    "page_faults_min": "page faults without I/O",
    "page_faults_maj": "page faults with I/O",
    "alignment_faults": "alignment faults",
    "emulation_faults": "instructions that were emulated",
}

PERF: Final = ParameterGroup(
    "performance events",
    "Which performance events are counted.",
    "\n".join(f"{name} BOOLEAN - {doc}" for name, doc in PERF_EVENTS.items()),
)

LAUNCH_SECURITY_INFO: Final = ParameterGroup(
    "launch security",
    "Measurement of a protected guest's start, and how it is protected.",
    """
    sev-measurement  STRING  -  measurement of the guest, in base64
    sev-api-major    UINT    -  major version of the firmware's API
    sev-api-minor    UINT    -  minor version of the firmware's API
    sev-build-id     UINT    -  build of the firmware
    sev-policy       UINT    -  policy of the guest
    sev-snp-policy   ULLONG  -  policy of the guest with SEV-SNP
    """,
)

LAUNCH_SECURITY_STATE: Final = ParameterGroup(
    "launch security state",
    "A secret for a protected guest that is paused at its start.",
    """
    sev-secret-header       STRING!  -  header of the secret, in base64
    sev-secret              STRING!  -  the secret, encrypted for the guest, in base64
    sev-secret-set-address  ULLONG   -  address in the guest's memory; by default where its firmware says
    """,
)

BLOCK_COPY: Final = ParameterGroup(
    "block copy",
    "How a disk is mirrored.",
    """
    bandwidth    ULLONG  bytes/s  most bytes copied; 0 for no limit
    granularity  UINT    bytes    size of a unit that is copied when it is dirty, a power of two
    buf-size     ULLONG  bytes    most data on its way
    """,
)

GUEST_VCPUS: Final = ParameterGroup(
    "guest virtual CPUs",
    "Virtual CPUs as the guest sees them, as lists of numbers.",
    """
    vcpus       STRING  -  those there are
    online      STRING  -  those in use
    offlinable  STRING  -  those that can be taken out of use
    """,
)

_TUNABLE_CPU = """
    cputune.vcpupin<vcpu>          STRING  -   host CPUs of a virtual CPU
    cputune.emulatorpin            STRING  -   host CPUs of the emulator's threads
    cputune.iothreadpin<iothread>  STRING  -   host CPUs of an I/O thread
    cputune.cpu_shares             ULLONG  -   weight among all who want CPU time
    cputune.global_period          ULLONG  us  period of the whole domain's quota
    cputune.global_quota           LLONG   us  CPU time of the whole domain in a period
    cputune.vcpu_period            ULLONG  us  period of the virtual CPUs' quota
    cputune.vcpu_quota             LLONG   us  CPU time of each virtual CPU in a period
    cputune.emulator_period        ULLONG  us  period of the emulator's quota
    cputune.emulator_quota         LLONG   us  CPU time of the emulator's threads in a period
    cputune.iothread_period        ULLONG  us  period of the I/O threads' quota
    cputune.iothread_quota         LLONG   us  CPU time of each I/O thread in a period
    blkdeviotune.disk              STRING  -   target of the disk that the limits are of
"""

TUNABLE: Final = ParameterGroup(
    "changed limits", "What an event says of limits that changed.", _TUNABLE_CPU + _io_limits("blkdeviotune.")
)
