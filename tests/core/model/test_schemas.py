"""The schemas of all kinds of documents, and what fields say to them."""

from __future__ import annotations

from enum import StrEnum

import pytest
from lxml import etree

from virtcore.model.schemas import SCHEMAS, document_classes, document_schema, schema_for_root
from virtcore.xml import attribute, child, children, element, inherited, leaf, schema
from virtcore.xml.declare import declaration


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_every_kind_has_a_schema_that_is_found_by_its_root(name: str) -> None:
    etree.RelaxNG(etree.fromstring(document_schema(name).encode()))
    assert {schema_for_root(declaration(cls).name or "") for cls in document_classes(name)} == {name}


def test_foreign_namespaces_are_open_where_plugins_hang() -> None:
    network = "<network xmlns:x='urn:x'><name>n</name><x:any y='1'><x:z/></x:any></network>"
    closed, opened = (
        etree.RelaxNG(etree.fromstring(document_schema("network", foreign=foreign).encode()))
        for foreign in (False, True)
    )
    assert not closed.validate(etree.fromstring(network))
    assert opened.validate(etree.fromstring(network))
    assert not opened.validate(etree.fromstring(network.replace("x:any", "any")))


@pytest.mark.parametrize("address", ["10.0.0.1", "::", "fe80::1", "1:2:3:4:5:6:7:8", "1::8", "::ffff:10.0.0.1"])
def test_addresses_of_any_spelling_fit(address: str) -> None:
    checked = etree.RelaxNG(etree.fromstring(document_schema("network").encode()))
    text = f"<network><name>n</name><ip address='{address}'/></network>"
    assert checked.validate(etree.fromstring(text))
    assert not checked.validate(etree.fromstring(text.replace(address, f"{address}::1.2.3")))


class Kind(StrEnum):
    OAK = "oak"
    STEEL = "steel"
    GLASS = "glass"


@element("door")
class Door:
    width: int | None = attribute(demanded=True)


@element("glass", undocumented=("colour",))
class GlassDoor(Door):
    colour: str | None = attribute()
    _door = inherited()


@element("shelf", root=True)
class Shelf:
    """A shelf."""

    kind: Kind | None = attribute()
    finish: Kind | None = attribute(values_beside={Kind.STEEL: {"kind": (Kind.STEEL,)}})
    polish: str | None = attribute(only={"kind": (Kind.OAK, None)})
    maker: str | None = leaf(demanded={"kind": (Kind.STEEL,)})
    doors: list[Door | GlassDoor] = children(single=True)
    total: int | None = leaf(exclusive="load/total")
    left: int | None = leaf(exclusive="load/split", demanded=True)
    right: int | None = leaf(exclusive="load/split")
    lock: Door | None = child("lock", single=False)


@pytest.mark.parametrize(
    ("accepted", "document"),
    [
        (True, "<shelf/>"),
        (True, "<shelf><door width='3'/></shelf>"),
        (False, "<shelf><door/></shelf>"),
        (False, "<shelf><door width='3'/><door width='3'/></shelf>"),
        (True, "<shelf><lock width='3'/><lock width='3'/></shelf>"),
        (True, "<shelf><glass width='3'/></shelf>"),
        (False, "<shelf><glass width='3' colour='red'/></shelf>"),
        (True, "<shelf polish='wax'/>"),
        (True, "<shelf kind='oak' polish='wax' finish='glass'/>"),
        (False, "<shelf kind='glass' polish='wax'/>"),
        (False, "<shelf kind='steel'/>"),
        (True, "<shelf kind='steel' finish='steel'><maker>m</maker></shelf>"),
        (False, "<shelf kind='oak' finish='steel'/>"),
        (True, "<shelf><total>3</total></shelf>"),
        (True, "<shelf><left>1</left><right>2</right></shelf>"),
        (False, "<shelf><right>2</right></shelf>"),
        (False, "<shelf><total>3</total><left>1</left></shelf>"),
    ],
)
def test_what_the_schema_demands_beyond_the_parser(accepted: bool, document: str) -> None:
    grammar = etree.RelaxNG(etree.fromstring(schema(Shelf).encode()))
    assert grammar.validate(etree.fromstring(document)) is accepted


def test_documents_of_a_part() -> None:
    grammar = etree.RelaxNG(etree.fromstring(schema(parts_of=Shelf).encode()))
    assert grammar.validate(etree.fromstring("<door width='3'/>"))
    assert not grammar.validate(etree.fromstring("<shelf/>"))


def test_status_files_have_private_data_and_need_less() -> None:
    grammar = etree.RelaxNG(etree.fromstring(schema(Shelf, status=True).encode()))
    assert grammar.validate(etree.fromstring("<shelf><door/><privateData><x/></privateData></shelf>"))
