"""Xen's configuration files: ``xl`` (:mod:`.xl`) and the older ``xm`` (:mod:`.xm`), both ways.

Each of the other modules has one part of the configuration, in both directions, for both formats.
"""
