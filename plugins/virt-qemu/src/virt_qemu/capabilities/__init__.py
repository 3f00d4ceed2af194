"""What an emulator can do: asked once per binary through QMP, kept under libvirt's names.

``replies`` holds what QEMU said, ``derive`` concludes from it (from live and recorded replies alike), ``probe`` asks a
binary, ``cache`` keeps the conclusions as long as the binary is the same.
"""

from __future__ import annotations
