"""format(parse(format(x))) == format(x) for every kind of document, and every element class below."""

from __future__ import annotations

import re

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from lxml import etree

from virtcore.errors import VirtError
from virtcore.model.backup import Backup
from virtcore.model.capabilities import Capabilities
from virtcore.model.checkpoint import Checkpoint
from virtcore.model.domain import Domain
from virtcore.model.domain_capabilities import DomainCapabilities
from virtcore.model.interface import HostInterface
from virtcore.model.network import Network, NetworkPort
from virtcore.model.nodedev import NodeDevice
from virtcore.model.nwfilter import Filter, FilterBinding
from virtcore.model.secret import Secret
from virtcore.model.snapshot import Snapshot
from virtcore.model.storage import StoragePool, StoragePoolCapabilities, Volume
from virtcore.testing.strategies import documents
from virtcore.xml import Mode, format, parse, schema
from virtcore.xml.declare import declaration
from virtcore.xml.reference import walk

MODE = Mode.SECURE | Mode.LIVE

#: A CPU set with exclusions may be empty; libvirt prints an empty one and does not read it back.
EXCLUDING = re.compile(r"[>\",] *\^")

#: Every kind of document there is.
DOCUMENTS: tuple[type, ...] = (
    Domain,
    Snapshot,
    Checkpoint,
    Backup,
    StoragePool,
    StoragePoolCapabilities,
    Volume,
    Secret,
    HostInterface,
    NodeDevice,
    Capabilities,
    DomainCapabilities,
    Network,
    NetworkPort,
    Filter,
    FilterBinding,
)

CLASSES = list(dict.fromkeys(cls for document in DOCUMENTS for cls in walk(document) if declaration(cls).name))


def check(cls: type, text: str) -> None:
    if EXCLUDING.search(text):
        return
    try:
        first: object = parse(text, cls)
        written = format(first, MODE)
        second: object = parse(written, cls)
    except VirtError:
        return  # the schema does not say everything; members of unions need the tag that their parent has
    assert format(second, MODE) == written


@settings(max_examples=25, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(st.data())
def test_documents(data: st.DataObject) -> None:
    cls = data.draw(st.sampled_from(DOCUMENTS))
    check(cls, data.draw(documents(cls)))


@settings(max_examples=250, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(st.data())
def test_any_element(data: st.DataObject) -> None:
    cls = data.draw(st.sampled_from(CLASSES))
    check(cls, data.draw(documents(cls)))


@pytest.mark.deep
@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
@settings(suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow], max_examples=100)
@given(st.data())
def test_every_element(cls: type, data: st.DataObject) -> None:
    check(cls, data.draw(documents(cls)))


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_documents_follow_the_schema(data: st.DataObject) -> None:
    cls = data.draw(st.sampled_from(DOCUMENTS))
    grammar = etree.RelaxNG(etree.fromstring(schema(cls).encode()))
    grammar.assertValid(etree.fromstring(data.draw(documents(cls))))
