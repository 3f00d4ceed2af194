"""What ``virtsh -V`` says."""

from __future__ import annotations

__all__ = ["long_version"]


def long_version(version: str) -> str:
    """The installed distributions and the URI schemes they serve."""
    from importlib.metadata import entry_points, version as installed

    drivers = sorted({point.name for point in entry_points(group="virtcore.drivers")})
    transports = sorted({point.name for point in entry_points(group="virtcore.transports")})
    return (
        f"Virsh command line tool of libvirt {version}\n"
        f"virtsh {installed('virt-shell')} on virtcore {installed('virtcore')}\n\n"
        "Installed support for:\n"
        f" Hypervisors: {' '.join(drivers)}\n"
        f" Networking: {' '.join(transports)}\n"
    )
