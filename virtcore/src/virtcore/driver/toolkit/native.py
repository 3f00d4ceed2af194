"""Native configuration formats for a driver that has none of its own: those of every installed plugin."""

from __future__ import annotations

from virtcore.driver.toolkit.checks import check_flags
from virtcore.operations.connection_guests import GuestOperations

__all__ = ["NativeFormatsDriver"]


class NativeFormatsDriver(GuestOperations):
    """``virConnectDomainXMLFromNative`` and sibling, as :func:`virtcore.convert` does it. Mixed in before the driver's
    base."""

    def connection_xml_from_native(self, native_format: str, native_config: str, flags: int = 0) -> str:
        from virtcore.driver.native import convert

        check_flags(flags, 0, "connection_xml_from_native")
        return convert(native_config, from_format=native_format)

    def connection_xml_to_native(self, native_format: str, xml: str, flags: int = 0) -> str:
        from virtcore.driver.native import convert

        check_flags(flags, 0, "connection_xml_to_native")
        return convert(xml, to_format=native_format)
