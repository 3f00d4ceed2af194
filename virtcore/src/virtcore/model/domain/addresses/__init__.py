"""Finding guest addresses: which slots and ports of the guest's buses are taken, and which one comes next.

Hypervisor-neutral; what a machine has built in and in which order devices are placed is each driver's.
"""
