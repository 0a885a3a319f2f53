"""`check:`: JSON Schema and XSD, made of one file or several, with findings that name paths and hide values."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pipe.errors import SchemaMismatch, TooDeep, Undecodable
from tests.transformers.messages import message, step

SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["id"],
    "additionalProperties": False,
    "properties": {
        "id": {"type": "string", "maxLength": 5},
        "sum": {"type": "number", "minimum": 0, "multipleOf": 0.01},
        "people": {"type": "array", "items": {"$ref": "parts/person.json#/$defs/person"}},
        "code": {"type": "string", "pattern": "^(a+)+$"},
    },
}
PERSON = {"$defs": {"person": {"type": "object", "properties": {"phone": {"$ref": "../phone.json"}}}}}
PHONE = {"type": "string", "pattern": r"^\+380\d{9}$"}
JSON_FILES = {"s/a.json": SCHEMA, "s/parts/person.json": PERSON, "s/phone.json": PHONE}

XSD_FILES = {
    "x/a.xsd": """<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:c="urn:c" elementFormDefault="qualified">
        <xs:include schemaLocation="../y/types.xsd"/><xs:import namespace="urn:c" schemaLocation="c.xsd"/>
        <xs:element name="order"><xs:complexType><xs:sequence>
          <xs:element name="qty" type="xs:int"/><xs:element name="phone" type="phone"/><xs:element ref="c:note"/>
        </xs:sequence></xs:complexType></xs:element></xs:schema>""",
    "y/types.xsd": """<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema">
        <xs:simpleType name="phone"><xs:restriction base="xs:string">
        <xs:pattern value="\\+380[0-9]{9}"/></xs:restriction></xs:simpleType></xs:schema>""",
    "x/c.xsd": """<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" targetNamespace="urn:c">
        <xs:element name="note" type="xs:string"/></xs:schema>""",
}


def checked(path: str, files: dict[str, Any], body: Any) -> Any:
    """The message after a check against these files."""
    texts = {name: text if isinstance(text, str) else json.dumps(text) for name, text in files.items()}
    return step("check", path, read=texts.__getitem__).apply(message(body))


def problems(path: str, files: dict[str, Any], body: Any) -> SchemaMismatch:
    """How a check against these files refuses the body."""
    with pytest.raises(SchemaMismatch) as refused:
        checked(path, files, body)
    return refused.value


def order(qty: str = "5", phone: str = "+380671234567") -> bytes:
    """An order as the XSD has it, but for what is given."""
    return f'<order><qty>{qty}</qty><phone>{phone}</phone><n:note xmlns:n="urn:c">x</n:note></order>'.encode()


@pytest.mark.key("steps.check")
def test_what_fits_passes_unchanged() -> None:
    """A good body goes on as it is, references to other files followed."""
    body = {"id": "a", "people": [{"phone": "+380671234567"}]}
    assert checked("s/a.json", JSON_FILES, body).body is body
    assert checked("x/a.xsd", XSD_FILES, order()).body == order()
    assert checked("x/a.xsd", XSD_FILES, order().decode()).body == order().decode()


def test_every_mistake_is_told_with_its_path_and_without_its_value() -> None:
    """All at once, and nothing personal in the text."""
    error = problems("s/a.json", JSON_FILES, {"sum": -1, "people": [{}, {"phone": "0671234567"}], "x": 1})
    assert "body.people[1].phone" in error.text
    assert '"id" is a required property' in error.text
    assert "body.sum: the value is less than the minimum of 0" in error.text
    assert "0671234567" not in str(error)


def test_many_mistakes_are_told_up_to_ten() -> None:
    """A hostile body cannot make an endless error."""
    error = problems("s/a.json", JSON_FILES, {"id": "a", "people": [{"phone": str(n)} for n in range(1000)]})
    assert error.text.count("body.people") == 10
    assert error.text.endswith("; and more")
    assert len(error.text) < 5000


def test_exact_numbers_are_checked_exactly() -> None:
    """100.10 is a multiple of 0.01, whatever binary fractions say."""
    from decimal import Decimal

    assert checked("s/a.json", JSON_FILES, {"id": "a", "sum": Decimal("100.10")}).body["sum"] == Decimal("100.10")
    assert problems("s/a.json", JSON_FILES, {"id": "a", "sum": Decimal("100.105")}).facts["path"] == "body.sum"


def test_a_pattern_cannot_hang_the_check() -> None:
    """Matching is linear in the text, whatever the schema's pattern is."""
    started = time.monotonic()
    problems("s/a.json", JSON_FILES, {"id": "a", "code": "a" * 100_000 + "b"})
    assert time.monotonic() - started < 2


KEYS = st.sampled_from(["id", "sum", "code", "x"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text("ab+380", max_size=6),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=5,
)


@given(VALUES)
def test_the_verdict_is_that_of_the_reference_validator(body: Any) -> None:
    """Fits or not: as the jsonschema package says."""
    schema = {**SCHEMA, "properties": {**SCHEMA["properties"], "people": {}, "sum": {"type": "number", "minimum": 0}}}
    try:
        checked("a.json", {"a.json": schema}, body)
    except SchemaMismatch:
        fits = False
    else:
        fits = True
    assert fits == jsonschema.Draft202012Validator(schema).is_valid(body)


def test_xsd_mistakes_name_the_place_and_hide_the_value() -> None:
    """Types, facets of an included file and missing elements, each with its XPath."""
    error = problems("x/a.xsd", XSD_FILES, order("zz", "0671234567"))
    assert "/order/qty: Element 'qty': the value is not a valid value of the atomic type 'xs:int'." in error.text
    assert "/order/phone" in error.text
    assert "0671234567" not in error.text
    assert "zz" not in error.text


@pytest.mark.parametrize(
    "raw", [b"<order>", b"", b"{}", b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><order>&x;</order>']
)
def test_xml_that_is_broken_or_has_a_doctype_is_undecodable(raw: bytes) -> None:
    """The same answer as `decode: xml` gives."""
    with pytest.raises(Undecodable):
        checked("x/a.xsd", XSD_FILES, raw)


def test_deep_xml_is_refused() -> None:
    """Also before any `decode`."""
    with pytest.raises(TooDeep):
        checked("x/a.xsd", XSD_FILES, b"<a>" * 200 + b"</a>" * 200)


def test_a_check_on_the_wrong_side_of_decode_says_so() -> None:
    """JSON Schema looks at values, XSD at XML that is still bytes."""
    assert "decode it before" in problems("s/a.json", JSON_FILES, b"{}").text
    assert "before `decode: xml`" in problems("x/a.xsd", XSD_FILES, {"order": {}}).text


@pytest.mark.parametrize(
    ("path", "files", "reason"),
    [
        ("a.txt", {}, "ends in .json"),
        ("a.json", {"a.json": "{"}, "not JSON"),
        ("a.json", {"a.json": {"type": "nonsense"}}, "no JSON Schema"),
        ("a.json", {"a.json": {"$ref": "http://127.0.0.1:9/x.json"}}, "no JSON Schema"),
        ("a.xsd", {"a.xsd": "<a"}, "not XML"),
        ("a.xsd", {"a.xsd": "<a/>"}, "no XML Schema"),
        ("a.xsd", {"a.xsd": XSD_FILES["x/a.xsd"].replace("c.xsd", "http://127.0.0.1:9/c.xsd")}, "from files only"),
    ],
)
def test_a_bad_schema_is_found_when_the_configuration_is_read(path: str, files: dict[str, Any], reason: str) -> None:
    """Neither a message nor the network is needed to see it."""
    files = {"../y/types.xsd": XSD_FILES["y/types.xsd"], **files}
    with pytest.raises(ValidationError, match=reason):
        checked(path, files, {})


def test_files_are_read_beside_the_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a recorder the path is an ordinary one."""
    (tmp_path / "a.json").write_text('{"type": "object"}')
    monkeypatch.chdir(tmp_path)
    assert step("check", "a.json").apply(message({})).body == {}
    with pytest.raises(ValidationError, match="cannot be read"):
        step("check", "b.json")
