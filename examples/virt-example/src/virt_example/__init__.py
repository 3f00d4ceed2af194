"""A complete driver for virtcore, to start from.

Its guests are processes that do nothing but live. They run on when the program that started them ends, and are found
again.
"""

from __future__ import annotations
