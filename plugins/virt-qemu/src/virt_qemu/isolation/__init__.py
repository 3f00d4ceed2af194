"""Guests as another user: who that is, what is theirs while they run, which devices they see.

libvirt's security model ``dac``: a guest's QEMU runs as the user and group of ``qemu.conf``, or of the domain's label;
files it needs are given to them and get their owner back afterwards.
"""

from __future__ import annotations
