"""Values and XML: what a schema says becomes plain values and comes back as the same XML."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from adapters.soap.message import build, check_schema, received, values_of
from adapters.soap.service import Operation, Port, Service
from adapters.soap.xml import written
from pipe.errors import SchemaMismatch, TooDeep, Undecodable, Unencodable
from tests.adapters.soap_bench import APPEAL, T, envelope, service

C = "urn:example:common"
MINISTRY = "ministry/service.wsdl"


def operation(name: str, path: str = "appeals.wsdl") -> tuple[Service, Port, Operation]:
    """A service, the port that speaks the operation, and the operation."""
    made = service(path)
    found = made.operation(name)
    assert found is not None
    return made, *found


def read(name: str, body: str, path: str = "appeals.wsdl") -> Any:
    """The values of a body written by hand, once it was held against the schema."""
    made, _, meant = operation(name, path)
    message = received(envelope(body), "text/xml")
    check_schema(message, made.small)
    return values_of(message, meant.input, made)


def write(name: str, value: Any, path: str = "appeals.wsdl") -> Any:
    """The first element of the body that these values make."""
    made, port, meant = operation(name, path)
    return build(made, port.version, meant.input, value, made.small).envelope[-1][0]


def again(name: str, value: Any, path: str = "appeals.wsdl") -> Any:
    """The values after they went through XML."""
    made, port, meant = operation(name, path)
    raw = written(build(made, port.version, meant.input, value, made.small).envelope)
    message = received(raw, "text/xml")
    check_schema(message, made.small)
    return values_of(message, meant.input, made)


FULL = f"""
<t:Register xmlns:t="{T}" xmlns:c="{C}" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" urgent="1">
  <t:id> 1 </t:id>
  <t:applicant xsi:type="c:Official" c:checked="false">
    <c:name lang="uk">Олена</c:name><c:office>x</c:office>
  </t:applicant>
  <t:email>a@b.example</t:email><t:due xsi:nil="true"/><t:sum>100.10</t:sum>
  <t:tag> a  b </t:tag><t:tag>c</t:tag>
  <c:dog><c:legs>4</c:legs><c:barks>true</c:barks></c:dog><t:scan>aGk=
  </t:scan>
</t:Register>"""


def test_a_message_becomes_plain_values() -> None:
    """Attributes, choice, nil, lists, substitution groups, derived types: each in its plain form, every digit kept."""
    assert read("Register", FULL) == {
        "@urgent": True,
        "id": " 1 ",
        "applicant": {
            "@xsi:type": "Official", "@checked": False, "name": {"@lang": "uk", "#text": "Олена"}, "office": "x",
        },
        "email": "a@b.example",
        "due": None,
        "sum": Decimal("100.10"),
        "tag": ["a b", "c"],
        "dog": [{"legs": 4, "barks": True}],
        "scan": "aGk=",
    }  # fmt: skip


def test_what_was_read_is_written_as_it_was() -> None:
    """The same values make a message that reads the same."""
    values = read("Register", FULL)
    assert again("Register", values) == values


def test_fields_are_put_into_the_order_of_the_schema() -> None:
    """A map's order has no meaning; the schema's has."""
    element = write("Register", dict(reversed(list(APPEAL.items()))))
    assert [etree.QName(child).localname for child in element] == ["id", "applicant", "phone", "due"]


def test_null_is_left_out_where_it_may_and_nil_where_it_must() -> None:
    """`text` is optional, `due` nillable."""
    element = write("Register", {**APPEAL, "text": None})
    assert element.find(f"{{{T}}}text") is None
    assert element.find(f"{{{T}}}due").get("{http://www.w3.org/2001/XMLSchema-instance}nil") == "true"


@pytest.mark.parametrize(
    ("change", "place", "text"),
    [
        ({"phone": "067"}, "Register/phone", "pattern"),
        ({"id": None}, "body.id", "null"),
        ({"txt": "x"}, "body", "Did you mean `text`?"),
        ({"email": "a@b.example"}, "body", "no place here"),
        ({"sum": "much"}, "Register/sum", "decimal"),
        ({"sum": {"a": 1}}, "body.sum", "should be a number; it is an object"),
        ({"applicant": "Olena"}, "body.applicant", "should be an object"),
        ({"applicant": {"name": {"#text": "x", "@lng": "uk"}}}, "body.applicant.name", "Did you mean `@lang`?"),
        ({"applicant": {"@xsi:type": "Cat", "name": {"#text": "x"}}}, "body.applicant", "no type `Cat`"),
        ({"text": "a\x00b"}, "body.text", "XML cannot say"),
        ({"dog": [{"legs": 4}]}, "Register/dog", "barks"),
    ],
)
def test_values_that_do_not_fit_are_refused_with_their_place(change: dict[str, Any], place: str, text: str) -> None:
    """Nothing leaves that the partner's schema would refuse, and the text says where."""
    with pytest.raises(Unencodable, match=text) as caught:
        write("Register", {**APPEAL, **change})
    assert caught.value.facts["path"] == place


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("<t:id> 1 </t:id>", ""),
        ("100.10", "zz"),
        ("<t:email>a@b.example</t:email>", "<t:email>a</t:email><t:phone>+380671234567</t:phone>"),
        ('urgent="1"', 'urgent="maybe"'),
        ('urgent="1"', 'urgency="1"'),
        ("<c:barks>true</c:barks>", ""),
        ("c:Official", "c:Animal"),
        ("<t:id>", "<id>"),
    ],
)
def test_messages_that_do_not_fit_are_refused(old: str, new: str) -> None:
    """What zeep would take for None is a mismatch here."""
    assert old in FULL
    with pytest.raises((SchemaMismatch, Undecodable)):
        read("Register", FULL.replace(old, new))


def test_a_refusal_does_not_tell_the_value() -> None:
    """Values may be personal."""
    with pytest.raises(SchemaMismatch) as caught:
        read("Register", FULL.replace("100.10", "canary"))
    assert "canary" not in caught.value.text
    assert "Register/sum" in caught.value.text


def test_an_abstract_type_needs_the_name_of_a_real_one() -> None:
    """`@xsi:type` says which."""
    assert again("Find", {"@xsi:type": "ByName", "name": {"#text": "Олена"}, "limit": 5})["limit"] == 5
    with pytest.raises(Unencodable, match="abstract"):
        write("Find", {"limit": 5})


def test_rpc_has_a_wrapper_that_no_schema_declares() -> None:
    """It is named for the operation, in the binding's namespace; its parts have none."""
    values = {"ref": "1", "sum": Decimal("10.50"), "account": {"iban": "UA1"}}
    element = write("Pay", values, "payments_rpc.wsdl")
    assert (element.tag, [child.tag for child in element]) == (
        "{urn:example:payments}Pay", ["ref", "sum", "account"],
    )  # fmt: skip
    assert again("Pay", values, "payments_rpc.wsdl") == values


def test_the_ministry_is_understood() -> None:
    """Imports in circles, abstract types of another namespace, repeated groups, lists, xml:lang, unqualified forms."""
    values = {
        "@mode": ["x", "y"],
        "@lang": "uk",
        "criterion": {"@xsi:type": "ByCode", "code": "1234567890"},
        "field": ["a", "b"],
        "format": [None, "x"],
        "from": 1,
        "count": 2,
    }
    element = write("getPerson", values, MINISTRY)
    assert [child.tag for child in element] == ["criterion", "field", "format", "field", "format", "from", "count"]
    assert again("getPerson", values, MINISTRY) == values


def test_two_types_of_one_name_are_told_apart() -> None:
    """A name that is not unique is written in full."""
    full = "{http://registry.example/person}ByName"
    values = {"criterion": {"@xsi:type": full, "name": "Олена", "born": "1990"}}
    assert again("getPerson", values, MINISTRY) == {
        "criterion": {"@xsi:type": "ByName", "name": "Олена", "born": "1990"}
    }


def test_all_takes_any_order() -> None:
    """xs:all."""
    q = "http://registry.example/queries"
    assert read("getPersonOld", f'<q:getPersonOld xmlns:q="{q}"><b>2</b><a>1</a></q:getPersonOld>', MINISTRY) == {
        "a": 1, "b": 2,
    }  # fmt: skip


def test_what_a_schema_leaves_open_keeps_its_full_name() -> None:
    """xs:any, xs:anyType, xs:anyAttribute and mixed text come through and go back."""
    made, port, meant = operation("getPerson", MINISTRY)
    assert meant.output is not None
    values = {
        "Person": [
            {
                "@version": 12,
                "@{urn:more}note": "n",
                "code": "1234567890",
                "child": [{"{urn:x}name": "a", "@id": "7"}, "text"],
                "balance": Decimal("1000000000000000000.01"),
                "ratio": "INF",
                "kind": "{urn:x}y",
                "#text": "remark",
            }
        ],
        "missing": ["a", "b"],
        "{urn:extra}more": {"{urn:extra}deep": "1"},
    }
    raw = written(build(made, port.version, meant.output, values, made.small).envelope)
    assert values_of(received(raw, "text/xml"), meant.output, made) == values


NUMBERS = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**30), max_value=10**30, places=6)
TEXTS = st.text(st.characters(blacklist_categories=["Cs", "Cc"], blacklist_characters="\ufffe\uffff"), max_size=30)


@settings(max_examples=100, deadline=None)
@given(text=TEXTS, tags=st.lists(TEXTS.map(lambda text: " ".join(text.split())), max_size=4), number=NUMBERS)
def test_any_text_and_number_comes_back(text: str, tags: list[str], number: Decimal) -> None:
    """Whatever Unicode and however many digits."""
    values = {**APPEAL, "text": text, "sum": number, **({"tag": tags} if tags else {})}
    assert again("Register", values) == values


def test_a_whole_number_beyond_64_bits_stays_text() -> None:
    """No JSON reader would keep its digits."""
    made, port, meant = operation("getPerson", MINISTRY)
    assert meant.output is not None
    values = {"Person": [{"@version": "123456789012345678901234567890", "code": "1234567890"}]}
    raw = written(build(made, port.version, meant.output, values, made.small).envelope)
    assert values_of(received(raw, "text/xml"), meant.output, made) == values


@pytest.mark.parametrize(
    "body",
    [
        b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>',
        b'<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]><lolz>&b;</lolz>',
        b"<a><b></a>",
        b"",
        b"{}",
        b'<?xml version="1.0" encoding="x-nobody"?><a/>',
    ],
)
def test_what_is_no_harmless_xml_is_refused(body: bytes) -> None:
    """A DOCTYPE in any form, and what is not well made."""
    with pytest.raises(Undecodable):
        received(body, "text/xml")


def test_more_than_128_levels_are_refused() -> None:
    """However small the message is."""
    with pytest.raises(TooDeep):
        received(envelope("<a>" * 127 + "</a>" * 127), "text/xml")
