"""What the attributes of a filter's rules may say: a value, or the variable that has it (``$IP``, ``$IP[@1]``,
``$IP[2]``).

All are kept as text in libvirt's spelling; a number keeps its base, in which the firewall's commands show it too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from virtcore.model.network.addresses import parse_ip, read_ip, spelled
from virtcore.xml import MAC, Codec
from virtcore.xml.scalars import Unreadable, strtol

__all__ = [
    "ARP_OPCODE",
    "BOOLEAN",
    "COMMENT",
    "DSCP",
    "ENCAP_PROTOCOL",
    "IPSET",
    "IPSET_FLAGS",
    "IPV4",
    "IPV4_MASK",
    "IPV6",
    "IPV6_MASK",
    "IP_PROTOCOL",
    "IP_PROTOCOLS",
    "MAC_ADDRESS",
    "MAC_MASK",
    "MAC_PROTOCOL",
    "STATE",
    "TCP_FLAGS",
    "UINT8",
    "UINT16",
    "UINT16_DECIMAL",
    "UINT32",
    "VLAN_ID",
    "number_of",
]

_VARIABLE = re.compile(r"\$([A-Za-z0-9_]*)(?:\[\s*(@?)\s*\+?([0-9]{1,9})\s*\].*)?", re.DOTALL)
_VARIABLE_PATTERN = r"\$[ ]*[a-zA-Z0-9_]+(\[[ ]*@?[0-9]+[ ]*\])?[ ]*"
_HIGHEST_ITERATOR = 1000

#: Largest comment, in bytes.
_COMMENT_LIMIT = 256


def _read_variable(text: str) -> str:
    """A variable in libvirt's spelling: ``$IP[@0]`` is ``$IP``."""
    found = _VARIABLE.fullmatch(text)
    if found is None:
        raise Unreadable(text)
    name, iterator, number = found.groups()
    if number is None:
        return f"${name}"
    index = int(number)
    if not iterator:
        return f"${name}[{index}]"
    if index > _HIGHEST_ITERATOR:
        raise Unreadable(text)
    return f"${name}[@{index}]" if index else f"${name}"


def _value(read: Callable[[str], str], pattern: str, *others: str) -> Codec[str]:
    """A value, or a variable in its place.

    :param pattern: regular expression of the value for the schema.
    :param others: RELAX NG patterns beside it.
    """
    text = f'<data type="string"><param name="pattern">{_VARIABLE_PATTERN}|{pattern}</param></data>'
    return Codec(
        lambda text: _read_variable(text) if text.startswith("$") else read(text),
        str,
        datatype=f"<choice>{text}{''.join(others)}</choice>" if others else text,
    )


def _decimal(low: int, high: int) -> str:
    """A decimal number, for the schema."""
    limits = f'<param name="minInclusive">{low}</param><param name="maxInclusive">{high}</param>'
    return f'<data type="unsignedInt">{limits}</data>'


# -------------------------------------------------------------------------------------------------------------- numbers


def _unsigned(text: str, base: int, limit: int) -> int | None:
    try:
        minus, value = strtol(text, base)
    except Unreadable:
        return None
    if minus:
        # C's unsigned numbers: -1 is the largest.
        value = value & 0xFFFFFFFF if -value <= 0xFFFFFFFF else limit + 1
    return value if value <= limit else None


def _number(
    bits: int,
    *,
    low: int = 0,
    high: int | None = None,
    names: Mapping[str, int] | None = None,
    hexadecimal: bool = True,
    decimal: bool = False,
) -> Codec[str]:
    """An unsigned number of so many bits, decimal or else hexadecimal.

    :param low: smallest value.
    :param high: largest value.
    :param names: names of numbers, of any case on reading; printed where a number has one.
    :param hexadecimal: whether it may be hexadecimal.
    :param decimal: printed in decimal, however it was written.
    """
    limit = (1 << bits) - 1
    by_name = {name.lower(): number for name, number in (names or {}).items()}
    by_number = {number: name for name, number in (names or {}).items()}

    def read(text: str) -> str:
        value = _unsigned(text, 10, limit)
        base = 10
        if value is None and hexadecimal:
            value, base = _unsigned(text, 16, limit), 16
        if value is None:
            value, base = by_name.get(text.lower()), 16
        if value is None or value < low or value > (limit if high is None else high):
            raise Unreadable(text)
        name: str | None = by_number.get(value)
        if name is not None:
            return name
        return f"{value:#x}" if base == 16 and not decimal else str(value)

    # The smallest number has three digits, so these do have them all.
    digits = f"([{low >> 8:x}-9a-fA-F][0-9a-fA-F]{{2}}|[0-9a-fA-F]{{4}})" if low >= 0x100 else None
    if digits is None:
        length = bits // 4 if high is None else (high.bit_length() + 3) // 4
        digits = f"[0-9a-fA-F]{{1,{length}}}"
        first = (limit if high is None else high) >> 4 * (length - 1)
        if first < 9:
            digits = f"([0-{first}][0-9a-fA-F]{{{length - 1}}}|[0-9a-fA-F]{{1,{length - 1}}})"
    return _value(read, "|".join((f"0x{digits}", *(names or ()))), _decimal(low, limit if high is None else high))


_ETHERTYPES = {"arp": 0x806, "rarp": 0x8035, "ipv4": 0x800, "ipv6": 0x86DD, "vlan": 0x8100}
_ARP_OPCODES = {
    "Request": 1,
    "Reply": 2,
    "Request_Reverse": 3,
    "Reply_Reverse": 4,
    "DRARP_Request": 5,
    "DRARP_Reply": 6,
    "DRARP_Error": 7,
    "InARP_Request": 8,
    "ARP_NAK": 9,
}
#: Numbers of IP protocols that have a name.
IP_PROTOCOLS = {
    "tcp": 6,
    "udp": 17,
    "udplite": 136,
    "esp": 50,
    "ah": 51,
    "icmp": 1,
    "igmp": 2,
    "sctp": 132,
    "icmpv6": 58,
}

_NUMBERS = {**_ETHERTYPES, **_ARP_OPCODES, **IP_PROTOCOLS}


def number_of(text: str) -> int:
    """What a number that a filter's attribute says is, decimal, hexadecimal or by its name."""
    return _NUMBERS[text] if text in _NUMBERS else int(text, 0)


UINT8 = _number(8)
UINT16 = _number(16)
UINT16_DECIMAL = _number(16, hexadecimal=False)
UINT32 = _number(32)
#: Differentiated services code point.
DSCP = _number(8, high=63)
VLAN_ID = _number(16, high=4095)
#: EtherType; smaller numbers are lengths.
MAC_PROTOCOL = _number(16, low=0x600, names=_ETHERTYPES)
ENCAP_PROTOCOL = _number(16, low=0x3C, names=_ETHERTYPES)
ARP_OPCODE = _number(16, names=_ARP_OPCODES, decimal=True)
IP_PROTOCOL = _number(8, names=IP_PROTOCOLS)


# ------------------------------------------------------------------------------------------------------------ addresses


def _address(version: int) -> Callable[[str], str]:
    def read(text: str) -> str:
        address = parse_ip(read_ip(text))
        if version == 4 and address.version == 6 and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        if address.version != version:
            raise Unreadable(text)
        return spelled(address)

    return read


def _mask(version: int) -> Callable[[str], str]:
    """A mask as its number of bits."""
    length = 32 if version == 4 else 128
    read_address = _address(version)

    def read(text: str) -> str:
        bits = _unsigned(text, 10, 0xFFFFFFFF)
        if bits is not None:
            if bits > length:
                raise Unreadable(text)
            return str(bits)
        mask = int(parse_ip(read_address(text)))
        ones = mask.bit_count()
        if mask != ((1 << ones) - 1) << (length - ones):
            raise Unreadable(text)
        return str(ones)

    return read


def _mac_mask(text: str) -> str:
    mask = MAC.read(text)
    bits = int(mask.replace(":", ""), 16)
    ones = bits.bit_count()
    if bits != ((1 << ones) - 1) << (48 - ones):
        raise Unreadable(text)
    return mask


_MAC_PATTERN = "([0-9a-fA-F]{1,2}:){5}[0-9a-fA-F]{1,2}"
_IPV4_PATTERN = r"([0-2]?[0-9]?[0-9]\.){3}[0-2]?[0-9]?[0-9]"
_IPV6_PATTERN = rf"([a-fA-F0-9]{{0,4}}:){{2,7}}([a-fA-F0-9]*)({_IPV4_PATTERN})?"

MAC_ADDRESS = _value(MAC.read, _MAC_PATTERN)
MAC_MASK = _value(_mac_mask, _MAC_PATTERN)
IPV4 = _value(_address(4), _IPV4_PATTERN)
IPV4_MASK = _value(_mask(4), _IPV4_PATTERN, _decimal(0, 32))
IPV6 = _value(_address(6), _IPV6_PATTERN)
IPV6_MASK = _value(_mask(6), _IPV6_PATTERN, _decimal(0, 128))


# ---------------------------------------------------------------------------------------------------------------- words


def _boolean(text: str) -> str:
    return "true" if text in ("true", "1", "yes") else "false"


def _words(text: str, words: tuple[str, ...]) -> set[str]:
    """The words a list has, of any case; commas and blanks between them may be missing."""
    found: set[str] = set()
    rest = text.lstrip(" \t\n\v\f\r,")
    while rest:
        word = next((word for word in words if rest[: len(word)].upper() == word), None)
        if word is None:
            raise Unreadable(text)
        found.add(word)
        rest = rest[len(word) :].lstrip(" \t\n\v\f\r,")
    return found


_STATES = ("NEW", "ESTABLISHED", "RELATED", "INVALID", "NONE")
_FLAGS = ("FIN", "SYN", "RST", "PSH", "ACK", "URG")


def _state(text: str) -> str:
    found = _words(text, _STATES)
    return "NONE" if "NONE" in found else ",".join(state for state in _STATES if state in found)


def _tcp_flags(text: str) -> str:
    mask, slash, flags = text.partition("/")
    if not slash:
        raise Unreadable(text)
    return f"{_flag_set(mask)}/{_flag_set(flags)}"


def _flag_set(text: str) -> str:
    found = _words(text, (*_FLAGS, "ALL", "NONE"))
    named = [flag for flag in _FLAGS if flag in found]
    if "ALL" in found or len(named) == len(_FLAGS):
        return "ALL"
    return ",".join(named) or "NONE"


_IPSET = re.compile(r"[a-zA-Z0-9_.:+ -]{0,31}")
_IPSET_FLAGS = re.compile("(src|dst)(,(src|dst)){0,5}", re.IGNORECASE)


def _ipset(text: str) -> str:
    if _IPSET.fullmatch(text) is None:
        raise Unreadable(text)
    return text


def _ipset_flags(text: str) -> str:
    if _IPSET_FLAGS.fullmatch(text) is None:
        raise Unreadable(text)
    return text.lower()


_FLAGS_PATTERN = "(SYN|ACK|URG|PSH|FIN|RST)(,(SYN|ACK|URG|PSH|FIN|RST))*|ALL|NONE"

BOOLEAN = _value(_boolean, "true|false|yes|no|0|1")
STATE = _value(_state, "(NEW|ESTABLISHED|RELATED|INVALID)(,(NEW|ESTABLISHED|RELATED|INVALID))*|NONE")
TCP_FLAGS = _value(_tcp_flags, f"({_FLAGS_PATTERN})/({_FLAGS_PATTERN})")
IPSET = _value(_ipset, r"[a-zA-Z0-9_\.:\-\+ ]{1,31}")
IPSET_FLAGS = _value(_ipset_flags, "([Ss][Rr][Cc]|[Dd][Ss][Tt])(,([Ss][Rr][Cc]|[Dd][Ss][Tt])){0,5}")
COMMENT = _value(lambda text: text.encode()[:_COMMENT_LIMIT].decode(errors="ignore"), "[^$].*|")
