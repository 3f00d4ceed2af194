"""For tests of programs and drivers: pytest fixtures, faults on demand, documents made from the declarations.

Needs pytest and, for :mod:`virtcore.testing.strategies`, hypothesis; virtcore itself needs neither.
"""

from __future__ import annotations
