"""Configuration in a hypervisor's own format, to and from domain XML, without a connection.

A plugin answers the hook ``virtcore_native_formats`` with the formats it knows; :func:`convert` finds them by libvirt's
names: ``qemu-argv``, ``xen-xl``, ``xen-xm``, ``vmware-vmx``, ``bhyve-argv``, ``lxc-tools``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from itertools import chain

from virtcore.errors import InternalError, InvalidArg, NoSupport

__all__ = ["XML", "NativeFormat", "convert", "native_formats", "refuse_unprintable"]

XML = "xml"
"""How :func:`convert` calls domain XML, which is no native format."""

#: What no XML document can hold; other control characters are dropped when they are printed.
_UNPRINTABLE = re.compile("[\x00\x1a-\x1f\ud800-\udfff\ufffe\uffff]")

#: Which scheme's distribution brings a format.
_SCHEMES = {"bhyve-argv": "bhyve", "lxc-tools": "lxc", "vmware-vmx": "esx", "xen-xl": "xen", "xen-xm": "xen"}


@dataclass(frozen=True, slots=True, kw_only=True)
class NativeFormat:
    """A configuration format and what a plugin can do with it. Either direction may be missing.

    Both functions take and give text, raise :exc:`VirtError` for whatever is wrong with it, and assume a host where
    nothing is configured; a driver, who knows more, calls what is behind them.

    :param name: libvirt's name of the format.
    :param to_xml: from the format to the XML of an inactive domain (``virConnectDomainXMLFromNative``).
    :param from_xml: from domain XML to the format (``virConnectDomainXMLToNative``).
    """

    name: str
    to_xml: Callable[[str], str] | None = None
    from_xml: Callable[[str], str] | None = None


def native_formats() -> dict[str, NativeFormat]:
    """The formats of every installed plugin, by name.

    :raises InternalError: a plugin cannot be loaded, or two have the same format.
    """
    from virtcore.driver.hooks import manager

    found: dict[str, NativeFormat] = {}
    for native in chain.from_iterable(manager().hook.virtcore_native_formats()):
        if native.name == XML or native.name in found:
            raise InternalError(f"two plugins have the format '{native.name}'")
        found[native.name] = native
    return found


def refuse_unprintable(text: str) -> None:
    """Refuse a configuration that could not be printed as XML: binary data, or text that was decoded wrongly.

    :raises InvalidArg: it has a character that no document can hold.
    """
    found = _UNPRINTABLE.search(text)
    if found is not None:
        line = text.count("\n", 0, found.start()) + 1
        raise InvalidArg(f"character U+{ord(found.group()):04X} on line {line} of the configuration is no text")


def convert(text: str, *, from_format: str = XML, to_format: str = XML) -> str:
    """Translate a domain's configuration between formats; needs no hypervisor.

    From one native format to another the way is through domain XML.

    :param text: the configuration. Bytes of files that are not UTF-8 are the caller's to decode.
    :param from_format: format of the text, as ``vmware-vmx``; ``xml`` is domain XML.
    :param to_format: format that is wanted.
    :return: the configuration in that format; domain XML is that of an inactive domain.
    :raises InvalidArg: no installed plugin has the format, or both are XML.
    :raises NoSupport: the format exists, but not in this direction.
    :raises VirtError: the configuration is malformed, or has what the other format cannot say.
    """
    if from_format == to_format == XML:
        raise InvalidArg("one of the formats must be a native one")
    formats = native_formats()
    read = _direction(formats, from_format, "to_xml", "virConnectDomainXMLFromNative")
    write = _direction(formats, to_format, "from_xml", "virConnectDomainXMLToNative")
    if from_format != XML:
        refuse_unprintable(text)
    return write(read(text))


def _direction(formats: dict[str, NativeFormat], name: str, way: str, function: str) -> Callable[[str], str]:
    """One half of a conversion; none is needed where the format is XML.

    :param way: the field of the format that has the half.
    :param function: libvirt's name for it, in the error where the format has it not.
    """
    if name == XML:
        return str
    if name not in formats:
        raise InvalidArg(f"unsupported config type {name}", value=name, advice=_advice(name, formats))
    half: Callable[[str], str] | None = getattr(formats[name], way)
    if half is None:
        raise NoSupport(function)
    return half


def _advice(name: str, formats: Collection[str]) -> str:
    """What to do about a format that no installed plugin has."""
    if name in _SCHEMES:
        from virtcore._schemes import DISTRIBUTIONS

        return f"pip install {DISTRIBUTIONS[_SCHEMES[name]]}"
    return f"formats of installed plugins: {', '.join(sorted(formats)) or 'none'}"
