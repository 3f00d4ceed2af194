"""The wire: procedure rows and XDR types as data, and the codecs generated from them.

The ``.wire`` files were carried over by ``tools/carry_over_wire.py``; :mod:`virtcore.operations.procedures` describes
and reads them, :mod:`virtcore.operations.wire.codec` generates the codec of a type on its first use.
"""

from __future__ import annotations
