"""Jobs: progress, saving, migration."""

from __future__ import annotations

from virtcore._typing import Final
from virtcore.operations.parameters.declare import ParameterGroup

__all__ = ["JOB", "MIGRATION", "SAVE"]

JOB: Final = ParameterGroup(
    "job",
    "Progress of a domain's job. Totals are all kinds of data together.",
    """
    operation                 INT      -        what the job does, a DomainJobOperation
    time_elapsed              ULLONG   ms       since it began
    time_elapsed_net          ULLONG   ms       of that on the network, without what differs between two clocks
    time_remaining            ULLONG   ms       until it will probably end
    downtime                  ULLONG   ms       for which the guest stands or stood still
    downtime_net              ULLONG   ms       of that on the network
    setup_time                ULLONG   ms       before the first data
    data_total                ULLONG   bytes    all data
    data_processed            ULLONG   bytes    data done
    data_remaining            ULLONG   bytes    data left
    memory_total              ULLONG   bytes    the guest's memory
    memory_processed          ULLONG   bytes    memory done
    memory_remaining          ULLONG   bytes    memory left
    memory_constant           ULLONG   pages    pages of one repeated value
    memory_normal             ULLONG   pages    pages sent as they are
    memory_normal_bytes       ULLONG   bytes    size of these
    memory_bps                ULLONG   bytes/s  speed of memory
    memory_dirty_rate         ULLONG   pages/s  pages the guest changes
    memory_page_size          ULLONG   bytes    size of a page
    memory_iteration          ULLONG   -        passes over the memory
    memory_postcopy_requests  ULLONG   -        pages that the destination asked for
    disk_total                ULLONG   bytes    the guest's disks
    disk_processed            ULLONG   bytes    disks done
    disk_remaining            ULLONG   bytes    disks left
    disk_bps                  ULLONG   bytes/s  speed of disks
    disk_temp_used            ULLONG   bytes    room used in a backup's scratch files
    disk_temp_total           ULLONG   bytes    room in a backup's scratch files
    compression_cache         ULLONG   bytes    size of the cache for compression
    compression_bytes         ULLONG   bytes    compressed data sent
    compression_pages         ULLONG   pages    compressed pages sent
    compression_cache_misses  ULLONG   pages    pages that were not in the cache
    compression_overflow      ULLONG   pages    pages that grew by compression
    auto_converge_throttle    INT      %        by how much the guest is slowed down
    vfio_data_transferred     ULLONG   bytes    state of passed-through devices
    success                   BOOLEAN  -        whether it succeeded; of ended jobs
    errmsg                    STRING   -        what it failed with; of ended jobs
    """,
)

SAVE: Final = ParameterGroup(
    "save",
    "How a guest is saved into a file and started from it.",
    """
    file               STRING  -  path on the host
    dxml               STRING  -  XML in place of the guest's own
    image_format       STRING  -  format of the file; only for saving
    parallel.channels  INT     -  how many threads write or read
    """,
)

MIGRATION: Final = ParameterGroup(
    "migration",
    "How a guest is migrated.",
    """
    migrate_uri                  STRING   -        where the destination listens
    destination_name             STRING   -        its name at the destination
    destination_xml              STRING   -        its XML at the destination while it runs
    persistent_xml               STRING   -        its definition at the destination
    bandwidth                    ULLONG   MiB/s    most data sent
    bandwidth.postcopy           ULLONG   MiB/s    most data sent after the switch to post-copy
    bandwidth.avail.switchover   ULLONG   bytes/s  bandwidth that is counted on at the end
    graphics_uri                 STRING   -        where clients of its graphics go
    listen_address               STRING   -        address that the destination listens on
    migrate_disks                STRING+  -        target of a disk that is copied; none for all that are not shared
    migrate_disks_detect_zeroes  STRING+  -        target of a disk whose zeroes are looked for
    disks_port                   INT      -        port for copying disks
    disks_uri                    STRING   -        where disks are copied to
    compression                  STRING+  -        a method of compression
    compression.mt.level         INT      -        level of method mt, 0 to 9
    compression.mt.threads       INT      -        threads that compress
    compression.mt.dthreads      INT      -        threads that decompress
    compression.xbzrle.cache     ULLONG   bytes    size of method xbzrle's cache
    compression.zlib.level       INT      -        level of method zlib, 0 to 9
    compression.zstd.level       INT      -        level of method zstd, 0 to 20
    auto_converge.initial        INT      %        by how much the guest is slowed down at first
    auto_converge.increment      INT      %        by how much more then
    parallel.connections         INT      -        connections for parallel migration
    tls.destination              STRING   -        name in the destination's certificate
    """,
)
