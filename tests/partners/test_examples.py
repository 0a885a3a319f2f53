"""Examples out of schemas and tests: each fits what it is an example of."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from adapters.soap.config import service_at
from adapters.soap.files import read_wsdl
from adapters.soap.message import build
from partners.examples import least, shape_of
from partners.patterns import sample
from partners.soap_examples import example
from pipe.contract import Expression, Template
from pipe.errors import Unencodable
from tests.docs.pages import ROOT

WSDLS = [*sorted((ROOT / "tests" / "adapters" / "wsdl").rglob("*.wsdl")), ROOT / "partners" / "civil.wsdl"]
HEAD = """<definitions xmlns="http://schemas.xmlsoap.org/wsdl/" xmlns:t="urn:t" targetNamespace="urn:t"
  xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:soap="http://schemas.xmlsoap.org/wsdl/soap/"><types>
  <xs:schema targetNamespace="urn:t" xmlns:t="urn:t" elementFormDefault="qualified">
  <xs:element name="Ask"><xs:complexType/></xs:element>"""
TAIL = """</xs:schema></types>
<message name="in"><part name="p" element="t:Ask"/></message>
<message name="out"><part name="p" element="t:Told"/></message>
<portType name="P"><operation name="Ask"><input message="t:in"/><output message="t:out"/></operation></portType>
<binding name="B" type="t:P"><soap:binding transport="http://schemas.xmlsoap.org/soap/http"/>
<operation name="Ask"><soap:operation soapAction="a"/><input><soap:body use="literal"/></input>
<output><soap:body use="literal"/></output></operation></binding>
<service name="S"><port name="P" binding="t:B"><soap:address location="http://x.example/"/></port></service></definitions>"""


def made_of(schema: str) -> Any:
    """The example of `Told` in this schema, which has been held against it."""
    wsdl = read_wsdl("t.wsdl", lambda path: HEAD + schema + TAIL if path == "t.wsdl" else missing(path))
    service = service_at(wsdl, None, None)
    port = service.ports[0]
    shape = port.operations["Ask"].output
    assert shape is not None
    value = example(service, port, shape)
    build(service, port.version, shape, value, service.small)
    return value


def found(path: Path) -> str:
    """Its text."""
    return path.read_text(encoding="utf-8") if path.exists() else missing(path.name)


def missing(path: str) -> str:
    """No such file."""
    raise ValueError(path)


@pytest.mark.parametrize("path", WSDLS, ids=lambda path: path.name)
def test_every_message_of_every_wsdl_has_an_example(path: Path) -> None:
    """Requests and replies, rpc and document, both versions of SOAP."""
    wsdl = read_wsdl(path.name, lambda name: found(path.parent / name))
    count = 0
    for name in wsdl.services:
        service = service_at(wsdl, name, None)
        for port in service.ports:
            for operation in port.operations.values():
                for shape in filter(None, (operation.input, operation.output)):
                    build(service, port.version, shape, example(service, port, shape), service.small)
                    count += 1
    assert count or not wsdl.services


def test_facets_choices_lists_and_what_contains_itself() -> None:
    """One type of everything that schemas limit values by."""
    value = made_of("""<xs:element name="Told"><xs:complexType><xs:sequence>
      <xs:element name="code"><xs:simpleType><xs:restriction base="xs:string">
        <xs:pattern value="[A-Z]{2}\\d{6}(-x)?"/></xs:restriction></xs:simpleType></xs:element>
      <xs:element name="ipn"><xs:simpleType><xs:restriction base="xs:string">
        <xs:length value="10"/></xs:restriction></xs:simpleType></xs:element>
      <xs:element name="short"><xs:simpleType><xs:restriction base="xs:string">
        <xs:maxLength value="2"/></xs:restriction></xs:simpleType></xs:element>
      <xs:element name="age"><xs:simpleType><xs:restriction base="xs:int">
        <xs:minInclusive value="18"/></xs:restriction></xs:simpleType></xs:element>
      <xs:element name="below"><xs:simpleType><xs:restriction base="xs:decimal">
        <xs:maxExclusive value="0"/></xs:restriction></xs:simpleType></xs:element>
      <xs:element name="born" type="xs:date"/><xs:element name="at" type="xs:dateTime"/>
      <xs:element name="scan" type="xs:base64Binary"/><xs:element name="hash" type="xs:hexBinary"/>
      <xs:choice><xs:element name="one" type="xs:string"/><xs:element name="other" type="xs:string"/></xs:choice>
      <xs:element name="line" type="t:Line" minOccurs="2" maxOccurs="unbounded"/>
      <xs:element name="tree" type="t:Tree" minOccurs="0"/>
    </xs:sequence><xs:attribute name="state" use="required"><xs:simpleType><xs:restriction base="xs:string">
      <xs:enumeration value="open"/></xs:restriction></xs:simpleType></xs:attribute></xs:complexType></xs:element>
    <xs:complexType name="Line"><xs:simpleContent><xs:extension base="xs:decimal">
      <xs:attribute name="currency" type="xs:NMTOKEN"/></xs:extension></xs:simpleContent></xs:complexType>
    <xs:complexType name="Tree"><xs:sequence>
      <xs:element name="leaf" type="t:Tree" minOccurs="0"/></xs:sequence></xs:complexType>""")
    assert value["code"] == "AA111111"
    assert (len(value["ipn"]), value["short"], value["age"], value["below"]) == (10, "te", 18, -1)
    assert (value["born"], value["@state"], len(value["line"])) == ("2026-01-15", "open", 2)
    assert "one" in value
    assert "other" not in value


def test_where_no_example_is_found_that_is_said() -> None:
    """A type that only its heirs may be used of."""
    with pytest.raises(Unencodable, match="no example was found that fits"):
        made_of(
            '<xs:element name="Told" type="t:Base"/><xs:complexType name="Base" abstract="true"><xs:sequence>'
            '<xs:element name="a" type="xs:string"/></xs:sequence></xs:complexType>'
        )


@pytest.mark.parametrize(
    "pattern",
    [
        r"\d{10}", r"[A-Z]{2}\d{6}", r"\+380\d{9}", r"(a|b)c+", r"[^a]x?", r"\d{1,3}(\.\d{2})?", r"UA[0-9]{27}", r"a*",
        r"[\d-]{3}", r"\w+@\w+\.ua", r".{4}", r"(\d{4}-){2}\d",
    ],
)  # fmt: skip
def test_a_sample_fits_its_pattern(pattern: str) -> None:
    """The shortest of what usual patterns take."""
    assert re.fullmatch(pattern, sample(pattern))


@pytest.mark.parametrize(
    ("success", "body"),
    [
        ("body.state == 'ok'", {"state": "ok"}),
        ("body.a.b == `true` && body.n == `7`", {"a": {"b": True}, "n": 7}),
        ("status == `200`", {}),
        ("length(body.items) > `0`", {}),
    ],
)
def test_the_least_that_success_takes(success: str, body: dict[str, Any]) -> None:
    """Comparisons with texts and numbers; anything else is for a test to say."""
    assert least(Expression(success)) == body


def test_a_template_means_one_segment_for_each_value() -> None:
    """Whatever the value; and what stands plainly stands plainly."""
    shape = shape_of(Template("/a.b/${params.id}/x-${message.id}"))
    assert shape.fullmatch("/a.b/7%20/x-1")
    assert not shape.fullmatch("/a.b/7/8/x-1")
    assert not shape.fullmatch("/aXb/7/x-1")
