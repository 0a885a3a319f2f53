"""XML: equal to xmltodict in both directions, closed to attacks, and clear about what it cannot say."""

from __future__ import annotations

import socket
import tracemalloc
from typing import Any

import pytest
import xmltodict
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from pipe.errors import PipeError, TooDeep, Undecodable, Unencodable
from tests.transformers.messages import XML_NAME, XML_TEXT
from transformers import xml_format

LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | XML_TEXT
KEYS = XML_NAME | XML_NAME.map("@{}".format) | st.just("#text")


def sayable(made: dict[str, Any]) -> dict[str, Any]:
    """Without attributes and texts that are lists or objects, which xmltodict would write as Python shows them."""
    return {key: part for key, part in made.items() if key[0] not in "@#" or not isinstance(part, (dict, list))}


TREES = st.recursive(
    LEAVES,
    lambda inner: st.dictionaries(KEYS, inner | st.lists(inner, max_size=3), max_size=4).map(sayable),
    max_leaves=25,
)
DOCUMENTS = st.dictionaries(XML_NAME, TREES, min_size=1, max_size=1)


def decode(raw: bytes, **options: Any) -> Any:
    """The document read with these options."""
    return xml_format.decode([raw], **options)


@given(DOCUMENTS)
def test_the_writer_equals_xmltodict(document: dict[str, Any]) -> None:
    """What xmltodict would write is written, byte for byte."""
    assert xml_format.encode(document) == xmltodict.unparse(document).encode()


@given(DOCUMENTS)
def test_the_reader_equals_xmltodict(document: dict[str, Any]) -> None:
    """What xmltodict would read is read: attributes, texts, lists."""
    raw = xmltodict.unparse(document).encode()
    assert decode(raw) == xmltodict.parse(raw)


@given(DOCUMENTS, st.data())
def test_lists_equal_xmltodicts_forced_lists(document: dict[str, Any], data: st.DataObject) -> None:
    """A path under `lists` is a list, as with force_list of a function of the path."""
    raw = xmltodict.unparse(document).encode()
    (root,) = document
    inner = document[root] if isinstance(document[root], dict) else {}
    names = [root, *(f"{root}.{name}" for name in inner if name[0] not in "@#")]
    wanted = data.draw(st.sets(st.sampled_from(names)))

    def forced(path: Any, key: str, value: Any) -> bool:
        return ".".join([*(name for name, _ in path), key]) in wanted

    assert decode(raw, lists=wanted) == xmltodict.parse(raw, force_list=forced)


@given(DOCUMENTS)
def test_what_was_read_is_written_and_read_back_equal(document: dict[str, Any]) -> None:
    """XML to values to XML to values changes nothing."""
    once = decode(xml_format.encode(document))
    assert decode(xml_format.encode(once)) == once


@given(st.binary() | st.text(alphabet="<>/a&;!?[]\"'= x#1-").map(str.encode))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    """Whatever comes, the answer is a value or an error of ours."""
    try:
        answer = decode(raw)
    except PipeError as error:
        answer = error.facts
    assert isinstance(answer, dict)
    assert answer


def test_a_carriage_return_in_text_survives() -> None:
    """Unlike xmltodict: a reader turns a bare carriage return into a line feed, so it is written as a reference."""
    value = {"a": "x\r\ny", "b": 1}
    assert decode(xml_format.encode(value, root="r")) == {"r": {"a": "x\r\ny", "b": "1"}}


# --- attacks --------------------------------------------------------------------------------------------------------

LAUGHS = b'<!DOCTYPE a [<!ENTITY b "x"><!ENTITY c "&b;&b;&b;">]><a>&c;</a>'
DOCTYPES = {
    "a billion laughs": LAUGHS,
    "an entity": b'<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>',
    "an external file": b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>',
    "a parameter entity": b'<!DOCTYPE a [<!ENTITY % p SYSTEM "http://127.0.0.1:9/p.dtd"> %p;]><a/>',
    "an external DTD": b'<!DOCTYPE a SYSTEM "http://127.0.0.1:9/a.dtd"><a/>',
    "a bare DOCTYPE": b"<!DOCTYPE a><a/>",
    "a DOCTYPE in UTF-16": '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE a><a/>'.encode("utf-16"),
}


@pytest.mark.parametrize("raw", DOCTYPES.values(), ids=DOCTYPES.keys())
def test_any_doctype_is_refused(raw: bytes) -> None:
    """No entity is ever expanded, because no document may declare one."""
    with pytest.raises(Undecodable, match="DOCTYPE") as refused:
        decode(raw)
    assert refused.value.facts["path"] == "line 1"


def test_nothing_is_fetched() -> None:
    """Neither a stylesheet nor an XInclude nor a schema location makes the reader call anyone."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)
        address = f"http://127.0.0.1:{server.getsockname()[1]}/x"
        raw = (
            f'<?xml-stylesheet href="{address}"?><a xmlns:xi="http://www.w3.org/2001/XInclude" '
            f'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:noNamespaceSchemaLocation="{address}">'
            f'<xi:include href="{address}"/></a>'
        ).encode()
        assert decode(raw)["a"]["xi:include"] == {"@href": address}
        with pytest.raises(TimeoutError):
            server.accept()


@pytest.mark.parametrize(("levels", "limit"), [(65, 64), (100_000, 64), (129, 128)])
def test_more_levels_than_the_limit_are_too_deep(levels: int, limit: int) -> None:
    """Depth is refused at the end of the tag that goes too deep, however much follows."""
    with pytest.raises(TooDeep) as refused:
        decode(b"<a>" * levels + b"</a>" * levels, depth=limit)
    assert refused.value.facts["path"] == f"line 1, column {3 * (limit + 1) + 1}"


BAD = {
    "nothing": (b"", "line 1, column 1"),
    "no root": (b'<?xml version="1.0"?>', "line 1, column 22"),
    "a tag that is not closed": (b"<a>\n<b></a>", "line 2, column 6"),
    "two roots": (b"<a/><b/>", "line 1, column 5"),
    "an entity nobody declared": (b"<a>&nbsp;</a>", "line 1, column 4"),
    "an attribute twice": (b"<a x='1' x='2'/>", "line 1, column 10"),
    "a control character": (b"<a>\x01</a>", "line 1, column 4"),
    "a reference to a control character": (b"<a>&#1;</a>", "line 1, column 4"),
    "bad UTF-8": (b"<a>\xff</a>", "line 1, column 4"),
    "an encoding nobody knows": (b'<?xml version="1.0" encoding="x-none"?><a/>', "line 1"),
    "JSON": (b'{"a": 1}', "line 1, column 1"),
}


@pytest.mark.parametrize(("raw", "path"), BAD.values(), ids=BAD.keys())
def test_what_is_not_well_formed_is_refused_with_its_place(raw: bytes, path: str) -> None:
    """The sender is told line and column."""
    with pytest.raises(Undecodable) as refused:
        decode(raw)
    assert refused.value.facts["path"] == path


# --- charsets and namespaces ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("charset", ["utf-8", "windows-1251", "koi8-u", "utf-16", "iso-8859-5"])
def test_the_charset_of_the_declaration_is_obeyed(charset: str) -> None:
    """Old charsets are read by what the document says of itself."""
    raw = f'<?xml version="1.0" encoding="{charset}"?><a>Привіт</a>'.encode(
        charset if charset != "iso-8859-5" else "iso-8859-5"
    )
    assert decode(raw) == {"a": "Привіт"}


def test_the_charset_of_the_sender_wins() -> None:
    """As RFC 7303 has it: what is declared outside of the document counts."""
    raw = '<?xml version="1.0" encoding="utf-8"?><a>Привіт</a>'.encode("windows-1251")
    assert decode(raw, charset="windows-1251") == {"a": "Привіт"}


def test_prefixes_are_kept_as_written() -> None:
    """Without `namespaces` names are what the sender wrote, declarations are attributes, and both are written back."""
    raw = b'<n:a xmlns:n="urn:1"><n:b x="1">y</n:b></n:a>'
    value = {"n:a": {"@xmlns:n": "urn:1", "n:b": {"@x": "1", "#text": "y"}}}
    assert decode(raw) == value
    assert xml_format.encode(value, declaration=False) == raw


def test_namespaces_give_names_our_prefixes() -> None:
    """With `namespaces` a sender may choose any prefix: names read the same."""
    first = b'<n:a xmlns:n="urn:1" xmlns:o="urn:2"><o:b n:x="1" xml:lang="uk"/></n:a>'
    second = b'<a xmlns="urn:1" xmlns:q="urn:1"><b xmlns="urn:2" q:x="1" xml:lang="uk"/></a>'
    names = {"urn:1": "", "urn:2": "two"}
    assert decode(first, namespaces=names) == {"a": {"two:b": {"@x": "1", "@xml:lang": "uk"}}}
    assert decode(second, namespaces=names) == decode(first, namespaces=names)
    assert decode(first, namespaces=names, lists=["a.two:b"])["a"]["two:b"] == [{"@x": "1", "@xml:lang": "uk"}]


def test_signs_that_the_charset_lacks_become_references() -> None:
    """A document in windows-1251 can still say any sign."""
    raw = xml_format.encode({"a": "Привіт 😀"}, charset="windows-1251")
    assert raw.startswith(b'<?xml version="1.0" encoding="windows-1251"?>')
    assert decode(raw) == {"a": "Привіт 😀"}


def test_a_name_that_the_charset_lacks_is_refused() -> None:
    """A reference cannot stand in a name."""
    with pytest.raises(Unencodable, match="ĝ"):
        xml_format.encode({"a": {"ĝ": "😀"}}, charset="windows-1251")


@given(st.text(st.characters(exclude_characters=":"), max_size=3))
def test_a_name_that_is_written_can_be_read(name: str) -> None:
    """By expat, which has the signs of the fourth edition of XML 1.0, and by lxml, which has those of the fifth."""
    try:
        raw = xml_format.encode({name: None})
    except Unencodable:
        return
    assert decode(raw) == {name: None}
    assert etree.fromstring(raw) is not None


@given(DOCUMENTS, st.text(max_size=9), st.integers(1, 12))
def test_a_large_document_is_written_as_a_small_one(document: dict[str, Any], text: str, large: int) -> None:
    """In pieces of whatever size: the same bytes, or the same words about what cannot be said."""
    (root,) = document
    for value in (document, {root: {"a": text, "b": document}}):
        whole = written(value)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(xml_format, "LARGE", large)
            patch.setattr(xml_format, "MANY", large)
            assert written(value) == whole


@pytest.mark.parametrize("last", [{}, {"@kind": "late"}], ids=["plain", "an attribute at the end"])
def test_a_large_document_takes_its_bytes_and_little_more(last: dict[str, str]) -> None:
    """Five megabytes of small elements: their texts are gone before the next ones come."""
    value = {"rows": {"row": [{"name": "Олена Коваленко", "sum": "12.50"}] * 80_000, **last}}
    tracemalloc.start()
    try:
        raw = xml_format.encode(value)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert raw.startswith(b'<?xml version="1.0" encoding="utf-8"?>\n<rows' + (b' kind="late">' if last else b">"))
    assert peak < len(raw) * 9 / 8 + (2 << 20)  # a buffer grows by an eighth


def written(value: Any) -> bytes | str:
    """The document, or why there is none."""
    try:
        return xml_format.encode(value)
    except Unencodable as error:
        return f"{error.text} {error.facts}"


# --- what XML cannot say ----------------------------------------------------------------------------------------------

UNSAYABLE = {
    "a control character": ({"a": {"b": ["x", "y\x01"]}}, "body.a.b[1]"),
    "NUL in an attribute": ({"a": {"@b": "\x00"}}, "body.a.@b"),
    "half a character": ({"a": "\ud800"}, "body.a"),
    "a name with a blank": ({"a": {"b c": 1}}, "body.a.b c"),
    "a name that starts with a digit": ({"a": {"1": 1}}, "body.a.1"),
    "a colon and nothing else": ({"a": {":": 1}}, "body.a.:"),
    "two colons in a name": ({"a": {"b:c:d": 1}}, "body.a.b:c:d"),
    "an empty name": ({"a": {"": 1}}, "body.a."),
    "a name that breaks out": ({"a": {"b><c": 1}}, "body.a.b><c"),
    "an attribute name that breaks out": ({"a": {'@x="1" y': 1}}, 'body.a.@x="1" y'),
    "a key that is no text": ({"a": {1: 1}}, "body.a.1"),
    "a list in a list": ({"a": {"b": [[1]]}}, "body.a.b"),
    "an object as attribute": ({"a": {"@b": {"c": 1}}}, "body.a.@b"),
    "bytes": ({"a": {"b": b"x"}}, "body.a.b"),
    "NaN": ({"a": float("nan")}, "body.a"),
    "two roots": ({"a": 1, "b": 2}, "body"),
    "a list as root": ({"a": [1, 2]}, "body"),
    "an empty object": ({}, "body"),
    "a list": ([1], "body"),
    "a text": ("a", "body"),
    "dashes in a comment": ({"a": {"#comment": "a -- b"}}, "body.a.#comment"),
}


@pytest.mark.parametrize(("value", "path"), UNSAYABLE.values(), ids=UNSAYABLE.keys())
def test_what_xml_cannot_say_is_refused_naming_the_field(value: Any, path: str) -> None:
    """Nothing is written that no reader could read, and the field at fault is named."""
    with pytest.raises(Unencodable) as refused:
        xml_format.encode(value)
    assert refused.value.facts["path"] == path


def is_char(sign: str) -> bool:
    """Whether XML 1.0 takes it: its production `Char`."""
    return sign in "\t\n\r" or "\x20" <= sign <= "\ud7ff" or "\ue000" <= sign <= "\ufffd" or sign >= "\U00010000"


@given(st.text(max_size=5), st.text(max_size=3), st.data())
def test_exactly_what_xml_cannot_hold_is_refused(before: str, after: str, data: st.DataObject) -> None:
    """Control characters, halves of characters and the two signs that are none; in every charset alike."""
    sign = data.draw(st.sampled_from("a\x00\x08\x0b\x0c\x1f\ud800\udfff\ufffe\uffff\x7f\x85\U0001f600"))
    value = {"a": {"b": before + sign + after}}
    for charset in ("utf-8", "UTF-8", "windows-1251", "utf-16"):
        if all(map(is_char, value["a"]["b"])):
            assert decode(xml_format.encode(value, charset=charset)) == decode(xml_format.encode(value))
            continue
        with pytest.raises(Unencodable) as refused:
            xml_format.encode(value, charset=charset)
        assert refused.value.facts["path"] == "body.a.b"


def test_deep_values_are_refused_and_not_crashed_upon() -> None:
    """A value deeper than any reader takes has no document."""
    value: Any = "x"
    for _ in range(2000):
        value = {"a": value}
    with pytest.raises(Unencodable):
        xml_format.encode(value)
