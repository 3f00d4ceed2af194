"""What names, paths and addresses look like, as regular expressions of the schemas (``pattern=``).

They are the kinds of text that libvirt's documentation of the formats tells apart. Parsers take more; a document that
is checked against its schema must keep to them.
"""

from __future__ import annotations

__all__ = [
    "ABSOLUTE_DIR",
    "ABSOLUTE_PATH",
    "ANY_IP",
    "CSSID",
    "DEVICE_NAME",
    "DEVNO",
    "DISK_NAME",
    "DISK_TARGET",
    "DNS_NAME",
    "FILLED",
    "GENERIC_NAME",
    "IPV4",
    "IPV6",
    "MAC_ADDRESS",
    "OBJECT_NAME",
    "ONE_LINE",
    "POSITIVE",
    "SCSI_WWN",
    "SSID",
    "UINT16",
    "UNICAST_MAC",
    "XML_NAME",
]

#: Anything but nothing.
FILLED = ".+"
#: Anything on one line.
ONE_LINE = "[^\\n]+"
#: A path from the root, of Unix or with a drive letter.
ABSOLUTE_PATH = r"(/|[a-zA-Z]:\\).+"
ABSOLUTE_DIR = "/.*"
#: A name that can be part of a path.
OBJECT_NAME = "[^/\\n]+"
GENERIC_NAME = r"[a-zA-Z0-9_\+\-]+"
#: What the guest calls a disk.
DISK_TARGET = "(ioemu:)?(fd|hd|sd|vd|xvd|ubd)[a-zA-Z0-9_]+"
#: How a domain's disk may be named: by its target or by the path of its image.
DISK_NAME = f"{DISK_TARGET}|{ABSOLUTE_PATH}"
#: A device of the host: its name or path.
DEVICE_NAME = r"[a-zA-Z0-9_\.\-\\:/]+"
DNS_NAME = r"[a-zA-Z0-9\.\-]+"
#: A name of XML without a colon.
XML_NAME = "[a-zA-Z_\u00c0-\ufffd][a-zA-Z0-9_.\\-\u00b7-\ufffd]*"

_OCTET = "((25[0-5])|(2[0-4][0-9])|(1[0-9]{2})|([1-9][0-9])|([0-9]))"
IPV4 = rf"({_OCTET}\.){{3}}{_OCTET}"


def _ipv6() -> str:
    """Groups of hexadecimal digits, of which ``::`` leaves some out; the last two may be an IPv4 address."""
    digits = "[0-9A-Fa-f]{1,4}"
    forms = [f"({digits}:){{7}}{digits}", f"({digits}:){{6}}{IPV4}"]
    for before in range(8):
        head = f"({digits}(:{digits}){{{before - 1}}})?" if before else ""
        after = 7 - before
        tail = [f"({digits}(:{digits}){{0,{after - 1}}})?" if after else ""]
        if after > 1:
            tail.append(f"({digits}:){{0,{after - 2}}}{IPV4}")
        forms += [f"{head}::{each}" for each in tail]
    return "|".join(f"({form})" for form in forms)


IPV6 = _ipv6()
ANY_IP = f"{IPV4}|{IPV6}"
MAC_ADDRESS = "[a-fA-F0-9]{2}(:[a-fA-F0-9]{2}){5}"
UNICAST_MAC = "[a-fA-F0-9][02468aAcCeE](:[a-fA-F0-9]{2}){5}"
SCSI_WWN = "(0x)?[0-9a-fA-F]{16}"

#: A number above zero.
POSITIVE = "0*[1-9][0-9]*"
#: A decimal number of sixteen bits.
UINT16 = "[0-9]{1,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]"
#: Channel subsystem, subchannel set and device number of s390, hexadecimal or decimal.
CSSID = "0x([0-9a-eA-E][0-9a-fA-F]?|[fF][0-9a-eA-E]?)|[0-9]{1,2}|1[0-9]{2}|2[0-4][0-9]|25[0-4]"
SSID = "(0x)?[0-3]"
DEVNO = f"0x[0-9a-fA-F]{{1,4}}|{UINT16}"
