"""QEMU's block layer as values: images, the nodes they become, what creates them, and the bitmaps in them.

Everything here is a function of its arguments; the command line and the monitor are given the same objects.
"""
