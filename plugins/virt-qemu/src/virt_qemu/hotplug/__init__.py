"""Devices that come to, go from and change in running guests.

A device is described once, by :mod:`virt_qemu.command`: a start writes the description as words of a command line, here
it becomes a :class:`~virt_qemu.hotplug.plan.Plan` of commands for QEMU's monitor, each with what undoes it. A plan that
fails half way is undone; what is behind a device that was taken out goes by the same plan, backwards.
"""
