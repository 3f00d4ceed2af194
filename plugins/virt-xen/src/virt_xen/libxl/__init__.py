"""What Xen's library libxl is given to start a domain, as the JSON it writes and reads itself.

:mod:`.configuration` has all of it, :mod:`.build` what is no device, :mod:`.devices` the devices.
"""

from __future__ import annotations

from virt_xen.libxl.configuration import domain_configuration, format_configuration
from virt_xen.libxl.resources import PlainResources, Resources

__all__ = ["PlainResources", "Resources", "domain_configuration", "format_configuration"]
