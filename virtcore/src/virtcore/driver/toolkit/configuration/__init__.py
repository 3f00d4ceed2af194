"""Changes of a domain's configuration, part by part: functions that read or change a
:class:`~virtcore.model.domain.Domain`, or refuse in libvirt's words and leave it unusable to the caller, who works on a
copy (:meth:`~virtcore.driver.toolkit.reconfigure.ReconfigurableState.reconfigure`)."""

from __future__ import annotations
