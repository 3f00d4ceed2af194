"""What bulk statistics and a guest's agent tell."""

from __future__ import annotations

from virtcore._typing import Final
from virtcore.operations.parameters.declare import ParameterGroup
from virtcore.operations.parameters.tuning import PERF_EVENTS

__all__ = ["BLOCK_STATS", "CPU_STATS", "DOMAIN_STATS", "GUEST_INFO"]

BLOCK_STATS: Final = ParameterGroup(
    "disk counters",
    "Counters of a disk.",
    """
    rd_operations      LLONG  -      reads
    rd_bytes           LLONG  bytes  bytes read
    rd_total_times     LLONG  ns     time of reads
    wr_operations      LLONG  -      writes
    wr_bytes           LLONG  bytes  bytes written
    wr_total_times     LLONG  ns     time of writes
    flush_operations   LLONG  -      flushes
    flush_total_times  LLONG  ns     time of flushes
    errs               LLONG  -      errors, where the hypervisor counts them
    """,
)

CPU_STATS: Final = ParameterGroup(
    "CPU time",
    "CPU time of a domain on a host CPU, or on all.",
    """
    cpu_time     ULLONG  ns  all
    vcpu_time    ULLONG  ns  of its virtual CPUs
    user_time    ULLONG  ns  in programs; totals only
    system_time  ULLONG  ns  in the kernel; totals only
    """,
)

_DOMAIN_STATS = """
    state.state    INT  -  state, a DomainState
    state.reason   INT  -  reason for it

    cpu.time                   ULLONG  ns  CPU time
    cpu.user                   ULLONG  ns  in programs
    cpu.system                 ULLONG  ns  in the kernel
    cpu.haltpoll.success.time  ULLONG  ns  polling before a halt that was of use
    cpu.haltpoll.fail.time     ULLONG  ns  polling before a halt that was of none
    cpu.cache.monitor.count                 UINT    -      cache monitors
    cpu.cache.monitor.<n>.name              STRING  -      name of a cache monitor
    cpu.cache.monitor.<n>.vcpus             STRING  -      its virtual CPUs
    cpu.cache.monitor.<n>.bank.count        UINT    -      its cache banks
    cpu.cache.monitor.<n>.bank.<m>.id       UINT    -      number of a bank
    cpu.cache.monitor.<n>.bank.<m>.bytes    ULLONG  bytes  what is used of it

    balloon.current          ULLONG  KiB  memory the guest has
    balloon.maximum          ULLONG  KiB  memory it may have
    balloon.swap_in          ULLONG  KiB  read from swap space
    balloon.swap_out         ULLONG  KiB  written to swap space
    balloon.major_fault      ULLONG  -    page faults with I/O
    balloon.minor_fault      ULLONG  -    page faults without I/O
    balloon.unused           ULLONG  KiB  unused in the guest
    balloon.available        ULLONG  KiB  usable in the guest
    balloon.usable           ULLONG  KiB  what the balloon could take without swapping
    balloon.rss              ULLONG  KiB  resident on the host
    balloon.last-update      ULLONG  s    when the guest told it, since the epoch
    balloon.disk_caches      ULLONG  KiB  in the guest's caches
    balloon.hugetlb_pgalloc  ULLONG  -    huge pages given out in the guest
    balloon.hugetlb_pgfail   ULLONG  -    huge pages that could not be

    vcpu.current     UINT     -   virtual CPUs in use
    vcpu.maximum     UINT     -   most virtual CPUs
    vcpu.<n>.state   INT      -   state, a VcpuState
    vcpu.<n>.time    ULLONG   ns  CPU time
    vcpu.<n>.wait    ULLONG   ns  waiting for I/O
    vcpu.<n>.halted  BOOLEAN  -   whether it is halted
    vcpu.<n>.delay   ULLONG   ns  waiting for a host CPU

    net.count        UINT    -      interfaces
    net.<n>.name     STRING  -      name on the host
    net.<n>.rx.bytes ULLONG  bytes  received
    net.<n>.rx.pkts  ULLONG  -      packets received
    net.<n>.rx.errs  ULLONG  -      errors in receiving
    net.<n>.rx.drop  ULLONG  -      packets dropped in receiving
    net.<n>.tx.bytes ULLONG  bytes  sent
    net.<n>.tx.pkts  ULLONG  -      packets sent
    net.<n>.tx.errs  ULLONG  -      errors in sending
    net.<n>.tx.drop  ULLONG  -      packets dropped in sending

    block.count             UINT    -      disks, and their backing images where these are asked for
    block.<n>.name          STRING  -      target
    block.<n>.path          STRING  -      source
    block.<n>.backingIndex  UINT    -      which of the backing images
    block.<n>.rd.reqs       ULLONG  -      reads
    block.<n>.rd.bytes      ULLONG  bytes  bytes read
    block.<n>.rd.times      ULLONG  ns     time of reads
    block.<n>.wr.reqs       ULLONG  -      writes
    block.<n>.wr.bytes      ULLONG  bytes  bytes written
    block.<n>.wr.times      ULLONG  ns     time of writes
    block.<n>.fl.reqs       ULLONG  -      flushes
    block.<n>.fl.times      ULLONG  ns     time of flushes
    block.<n>.errors        ULLONG  -      errors
    block.<n>.allocation    ULLONG  bytes  offset of the highest sector written
    block.<n>.capacity      ULLONG  bytes  size as the guest sees it
    block.<n>.physical      ULLONG  bytes  size of the container
    block.<n>.threshold     ULLONG  bytes  size at which an event comes

    iothread.count            UINT    -   I/O threads
    iothread.<n>.poll-max-ns  ULLONG  ns  longest time that one polls
    iothread.<n>.poll-grow    UINT    -   factor by which polling grows
    iothread.<n>.poll-shrink  UINT    -   factor by which polling shrinks

    memory.bandwidth.monitor.count                      UINT    -      bandwidth monitors
    memory.bandwidth.monitor.<n>.name                   STRING  -      name of one
    memory.bandwidth.monitor.<n>.vcpus                  STRING  -      its virtual CPUs
    memory.bandwidth.monitor.<n>.node.count             UINT    -      its memory controllers
    memory.bandwidth.monitor.<n>.node.<m>.id            UINT    -      number of a controller
    memory.bandwidth.monitor.<n>.node.<m>.bytes.local   ULLONG  bytes  through it from its own node
    memory.bandwidth.monitor.<n>.node.<m>.bytes.total   ULLONG  bytes  through it from every node

    dirtyrate.calc_status                    INT     -      state of the measurement, a DomainDirtyRateStatus
    dirtyrate.calc_start_time                LLONG   s      when it began, since the host's boot
    dirtyrate.calc_period                    INT     s      how long it takes
    dirtyrate.megabytes_per_second           LLONG   MiB/s  memory that the guest changes
    dirtyrate.calc_mode                      STRING  -      how it was measured
    dirtyrate.vcpu.<n>.megabytes_per_second  ULLONG  MiB/s  memory that a virtual CPU changes
"""

DOMAIN_STATS: Final = ParameterGroup(
    "bulk statistics",
    "Statistics of a domain, group after group. Those below ``vm.`` are the hypervisor's own and may change.",
    "\n".join(line for line in _DOMAIN_STATS.splitlines() if line.strip())
    + "".join(f"\nperf.{name} ULLONG - {doc}" for name, doc in PERF_EVENTS.items()),
)

GUEST_INFO: Final = ParameterGroup(
    "guest",
    "What a guest's agent tells of it.",
    """
    user.count           UINT    -   users logged in
    user.<n>.name        STRING  -   name
    user.<n>.domain      STRING  -   domain, of Windows
    user.<n>.login-time  ULLONG  ms  when they logged in, since the epoch
    os.id                STRING  -   short name of the system
    os.name              STRING  -   name
    os.pretty-name       STRING  -   name for people
    os.version           STRING  -   version
    os.version-id        STRING  -   short version
    os.kernel-release    STRING  -   the kernel's release
    os.kernel-version    STRING  -   the kernel's version
    os.machine           STRING  -   machine
    os.variant           STRING  -   variant
    os.variant-id        STRING  -   short variant
    timezone.name        STRING  -   time zone
    timezone.offset      INT     s   how far east of UTC
    hostname             STRING  -   host name
    fs.count                  UINT    -      file systems
    fs.<n>.mountpoint         STRING  -      where one is mounted
    fs.<n>.name               STRING  -      device in the guest
    fs.<n>.fstype             STRING  -      type
    fs.<n>.total-bytes        ULLONG  bytes  size
    fs.<n>.used-bytes         ULLONG  bytes  used
    fs.<n>.disk.count         UINT    -      disks it is on
    fs.<n>.disk.<m>.alias     STRING  -      target of one
    fs.<n>.disk.<m>.serial    STRING  -      its serial number
    fs.<n>.disk.<m>.device    STRING  -      its device in the guest
    disk.count                     UINT     -  disks and partitions
    disk.<n>.name                  STRING   -  device in the guest
    disk.<n>.partition             BOOLEAN  -  whether it is a partition
    disk.<n>.dependency.count      UINT     -  devices it is made of
    disk.<n>.dependency.<m>.name   STRING   -  one of these
    disk.<n>.serial                STRING   -  serial number
    disk.<n>.alias                 STRING   -  target
    disk.<n>.guest_alias           STRING   -  name the guest gives it
    disk.<n>.guest_bus             STRING   -  bus in the guest
    if.count               UINT    -  interfaces
    if.<n>.name            STRING  -  name in the guest
    if.<n>.hwaddr          STRING  -  MAC address
    if.<n>.addr.count      UINT    -  addresses
    if.<n>.addr.<m>.type   STRING  -  ipv4 or ipv6
    if.<n>.addr.<m>.addr   STRING  -  address
    if.<n>.addr.<m>.prefix UINT    -  length of its prefix
    load.1m   DOUBLE  -  load in the last minute
    load.5m   DOUBLE  -  load in the last five minutes
    load.15m  DOUBLE  -  load in the last fifteen minutes
    """,
)
