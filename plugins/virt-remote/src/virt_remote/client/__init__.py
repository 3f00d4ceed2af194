"""The asking end: a driver whose hypervisor is a daemon that speaks libvirt's protocol."""

from __future__ import annotations
