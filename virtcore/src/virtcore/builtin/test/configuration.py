"""A host described in a file: ``test:///path/to/file.xml``.

Read are ``<cpu>`` and ``<memory>`` of the host, its domains, networks, pools with their volumes, and devices, and who
may connect. Elements may stand in files of their own, named by a ``file`` attribute relative to the first.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from virtcore.builtin.test.host import DEFAULT_NODE
from virtcore.enums.domain import DomainState
from virtcore.errors import XMLError
from virtcore.operations.values import NodeInfo

if TYPE_CHECKING:
    from lxml.etree import _Element

__all__ = ["Configuration", "ConfiguredDomain", "ConfiguredPool", "read"]

NAMESPACE = "http://libvirt.org/schemas/domain/test/1.0"


class ConfiguredDomain(NamedTuple):
    """A domain of the file: its document, the state it is in, the documents of its snapshots."""

    xml: str
    state: DomainState
    transient: bool
    managed_save: bool
    snapshots: list[str]


class ConfiguredPool(NamedTuple):
    """A storage pool of the file: its document and those of its volumes."""

    xml: str
    volumes: list[str]


class Configuration(NamedTuple):
    """What a file says: the host, its domains, the documents of its other objects, who may connect.

    ``users`` maps names to passwords; None needs no password.
    """

    node: NodeInfo
    domains: list[ConfiguredDomain]
    networks: list[str]
    interfaces: list[str]
    pools: list[ConfiguredPool]
    devices: list[str]
    users: dict[str, str | None]


def read(path: str) -> Configuration:
    """Read a file.

    :raises XMLError: it cannot be read or is no description of a host.
    """
    root = _parse(path, "node")
    return Configuration(
        _node(root),
        [_domain(_included(element, path), path) for element in root.iterfind("domain")],
        _documents(root, path, "network"),
        _documents(root, path, "interface"),
        [_pool(_included(element, path), path) for element in root.iterfind("pool")],
        _documents(root, path, "device"),
        dict(_user(element) for element in root.iterfind("auth/user")),
    )


def _parse(path: str, name: str) -> _Element:
    from lxml import etree

    # No entities, no network, no limits lifted: a description comes from anywhere.
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    try:
        root = etree.parse(path, parser).getroot()
    except (OSError, etree.XMLSyntaxError) as error:
        raise XMLError(f"failed to parse xml document '{path}'", advice=str(error)) from error
    if root.tag != name:
        raise XMLError(f"unexpected root element <{root.tag!s}>, expecting <{name}>")
    return root


def _included(element: _Element, path: str) -> _Element:
    file = element.get("file")
    if file is None:
        return element
    return _parse(os.path.join(os.path.dirname(path), file), str(element.tag))


def _documents(root: _Element, path: str, name: str) -> list[str]:
    from lxml import etree

    found = [_included(element, path) for element in root.iterfind(name)]
    return [etree.tostring(element, encoding="unicode", with_tail=False) for element in found]


def _pool(element: _Element, path: str) -> ConfiguredPool:
    from lxml import etree

    volumes = _documents(element, path, "volume")
    for volume in element.findall("volume"):
        element.remove(volume)
    return ConfiguredPool(etree.tostring(element, encoding="unicode", with_tail=False), volumes)


def _number(root: _Element, path: str, default: int, complaint: str) -> int:
    text = root.findtext(path)
    if text is None or not text.strip():
        return default
    try:
        value = int(text.strip())
    except ValueError:
        value = -1
    if not 0 <= value < 1 << 64:
        raise XMLError(complaint)
    return value


def _node(root: _Element) -> NodeInfo:
    known = DEFAULT_NODE
    nodes, sockets, cores, threads = (
        _number(root, f"cpu/{name}", getattr(known, name), f"invalid node cpu {name} value")
        for name in ("nodes", "sockets", "cores", "threads")
    )
    present = nodes * sockets * cores * threads
    return NodeInfo(
        root.findtext("cpu/model") or known.model,
        _number(root, "memory", known.memory, "invalid node memory value"),
        min(present, _number(root, "cpu/active", present, "invalid node cpu active value")),
        _number(root, "cpu/mhz", known.mhz, "invalid node cpu mhz value"),
        nodes,
        sockets,
        cores,
        threads,
    )


def _domain(element: _Element, path: str) -> ConfiguredDomain:
    from lxml import etree

    text = element.findtext(f"{{{NAMESPACE}}}runstate")
    try:
        number = int(text) if text else int(DomainState.RUNNING)
    except ValueError:
        raise XMLError("invalid runstate") from None
    if number not in DomainState.__members__.values():
        raise XMLError(f"runstate '{number}' out of range'")
    state = DomainState(number)
    transient = element.find(f"{{{NAMESPACE}}}transient") is not None
    managed_save = element.find(f"{{{NAMESPACE}}}hasmanagedsave") is not None
    if transient and state == DomainState.SHUTOFF:
        raise XMLError("transient domain cannot have runstate 'shutoff'")
    if managed_save and state != DomainState.SHUTOFF:
        raise XMLError("domain with managedsave data can only have runstate 'shutoff'")
    snapshots = [_snapshot(found, path) for found in element.findall(f"{{{NAMESPACE}}}domainsnapshot")]
    for foreign in element.findall(f"{{{NAMESPACE}}}*"):
        element.remove(foreign)
    return ConfiguredDomain(
        etree.tostring(element, encoding="unicode", with_tail=False), state, transient, managed_save, snapshots
    )


def _snapshot(element: _Element, path: str) -> str:
    """A snapshot's document, in a file of its own or in place, where only its outermost element has the namespace."""
    from lxml import etree

    file = element.get("file")
    if file is not None:
        element = _parse(os.path.join(os.path.dirname(path), file), "domainsnapshot")
    else:
        element.tag = "domainsnapshot"
    return etree.tostring(element, encoding="unicode", with_tail=False)


def _user(element: _Element) -> tuple[str, str | None]:
    if not element.text:
        raise XMLError("missing username in /node/auth/user field")
    return element.text, element.get("password")
