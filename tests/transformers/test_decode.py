"""`decode:` and `encode:` as routes use them: formats by word or with settings, content types, charsets."""

from __future__ import annotations

import hashlib
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from pydantic import ValidationError

from pipe.contract import Blob
from pipe.errors import PipeError, Undecodable, Unencodable, WrongMediaType
from tests.transformers.messages import PLAIN, message, run, step


@pytest.mark.key("steps.decode")
def test_each_format_is_named_by_its_word() -> None:
    """`decode: json` and its like need no settings."""
    assert run("decode", "json", b'{"a": 1}') == {"a": 1}
    assert run("decode", "xml", b"<a><b>1</b></a>") == {"a": {"b": "1"}}
    assert run("decode", "csv", b"a,b\n1,2\n") == [{"a": "1", "b": "2"}]
    assert run("decode", "text", "Привіт".encode()) == "Привіт"
    assert run("decode", "bytes", b"\x00\xff") == b"\x00\xff"


@pytest.mark.key(
    "steps.decode.csv",
    "steps.decode.csv.delimiter",
    "steps.decode.csv.charset",
    "steps.decode.xml",
    "steps.decode.xml.lists",
    "steps.decode.json",
    "steps.decode.text",
    "steps.decode.text.charset",
    "steps.encode.xml",
    "steps.encode.xml.root",
    "steps.encode.xml.declaration",
    "steps.encode.csv",
    "steps.encode.csv.columns",
    "steps.encode.csv.delimiter",
)
def test_each_format_takes_settings() -> None:
    """A map with one format holds its settings."""
    raw = "ім'я;сума\r\nІван;1\r\n".encode("windows-1251")
    assert run("decode", {"csv": {"delimiter": ";", "charset": "windows-1251"}}, raw) == [{"ім'я": "Іван", "сума": "1"}]
    assert run("decode", {"xml": {"lists": ["a.b"]}}, b"<a><b>1</b></a>") == {"a": {"b": ["1"]}}
    assert run("decode", {"json": {}}, b"[]") == []
    assert run("decode", {"text": {"charset": "koi8-u"}}, "ї".encode("koi8-u")) == "ї"
    assert run("encode", {"xml": {"root": "r", "declaration": False}}, {"a": 1, "b": 2}) == b"<r><a>1</a><b>2</b></r>"
    assert run("encode", {"csv": {"columns": ["b", "a"], "delimiter": ";"}}, [{"a": 1, "b": 2}]) == b"b;a\r\n2;1\r\n"


@pytest.mark.parametrize(
    "config",
    [
        "yaml", {}, {"json": {}, "xml": {}}, {"csv": {"delimiter": ";;"}}, {"csv": {"charset": "x-none"}},
        {"csv": {"charset": "base64"}}, {"csv": {"header": False}}, {"csv": {"delimiter": '"'}},
        {"csv": {"columns": ["a", "a"]}}, {"xml": {"depth": 129}}, {"xml": {"list": ["a"]}}, {"json": {"x": 1}}, 5,
    ],
)  # fmt: skip
def test_wrong_settings_are_refused_when_the_configuration_is_read(config: Any) -> None:
    """A mistake is found by lint, not by a message."""
    with pytest.raises(ValidationError):
        step("decode", config)


@pytest.mark.parametrize(
    ("format", "content_type"),
    [
        ("json", "application/xml"), ("json", "text/csv"), ("json", "multipart/form-data; boundary=x"),
        ("json", "text/html"),
        ("xml", "application/json; charset=utf-8"), ("xml", "application/problem+json"), ("csv", "image/png"),
        ("csv", "application/soap+xml"), ("json", "Application/XML"),
    ],
)  # fmt: skip
def test_another_declared_format_is_refused(format: str, content_type: str) -> None:
    """A sender who says that it is something else is told so, before anything is read."""
    with pytest.raises(WrongMediaType):
        run("decode", format, b"{}", content_type=content_type)


@pytest.mark.parametrize(
    ("format", "content_type"),
    [
        ("json", None), ("json", "application/json"), ("json", "application/vnd.x.v1+json; charset=utf-8"),
        ("json", "text/plain"), ("json", "application/x-www-form-urlencoded"), ("json", "application/octet-stream"),
        ("text", "application/json"), ("bytes", "image/png"),
    ],
)  # fmt: skip
def test_what_is_not_clearly_another_format_is_read(format: str, content_type: str | None) -> None:
    """Nothing declared, something vague, or the right thing."""
    assert run("decode", format, b"{}", content_type=content_type) in ({}, "{}", b"{}")


def test_the_declared_charset_is_obeyed_and_an_unknown_one_refused() -> None:
    """`charset` of the content type counts where the step names none."""
    raw = "a\r\nї\r\n".encode("windows-1251")
    assert run("decode", "csv", raw, content_type="text/csv; charset=windows-1251") == [{"a": "ї"}]
    assert run("decode", "text", "ї".encode("koi8-u"), content_type='text/plain; Charset="KOI8-U"') == "ї"
    document = '<?xml version="1.0"?><a>ї</a>'.encode("windows-1251")
    assert run("decode", "xml", document, content_type="text/xml; charset=windows-1251") == {"a": "ї"}
    with pytest.raises(WrongMediaType):
        run("decode", "text", b"x", content_type="text/plain; charset=x-none")


def test_the_content_type_stays_when_decoded_and_is_set_when_encoded() -> None:
    """Steps after `decode` still know what came; what goes out says what it is."""
    decoded = step("decode", "json").apply(message(b"{}", content_type="application/json"))
    assert decoded.content_type == "application/json"
    types = {
        "json": "application/json", "xml": "application/xml; charset=utf-8",
        "csv": "text/csv; charset=utf-8", "text": "text/plain; charset=utf-8",
    }  # fmt: skip
    bodies: dict[str, Any] = {"json": {}, "xml": {"a": 1}, "csv": [], "text": ""}
    assert {name: step("encode", name).apply(message(bodies[name])).content_type for name in types} == types


def test_text_taken_out_of_a_document_is_decoded_too() -> None:
    """XML within JSON: `map` takes the text, `decode` reads it, whatever the message's own type is."""
    assert run("decode", "xml", "<a>ї</a>", content_type="application/json") == {"a": "ї"}


def test_a_body_on_disk_is_decoded(tmp_path: Path) -> None:
    """Large bodies are read from where they lie."""
    for name, raw, value in (("json", b"[1]", [1]), ("xml", b"<a>1</a>", {"a": "1"}), ("text", b"x", "x")):
        path = tmp_path / name
        path.write_bytes(raw)
        assert run("decode", name, Blob(path, len(raw), hashlib.sha256(raw).hexdigest())) == value


def test_decoding_twice_and_encoding_bytes_are_told_apart() -> None:
    """The error says what to change in the route."""
    with pytest.raises(Undecodable, match="already decoded"):
        run("decode", "json", {"a": 1})
    with pytest.raises(Unencodable, match="decode it first"):
        run("encode", "json", b"x")
    with pytest.raises(Unencodable, match="not bytes"):
        run("encode", "bytes", "x")


def test_text_says_scalars_only() -> None:
    """Numbers in full digits; lists, objects, null, and signs that the charset lacks are refused."""
    assert run("encode", "text", Decimal("1E+2")) == b"100"
    assert run("encode", "text", True) == b"true"
    nothing_of_the_kind: list[Any] = [[], {}, None]
    for body in nothing_of_the_kind:
        with pytest.raises(Unencodable):
            run("encode", "text", body)
    with pytest.raises(Unencodable, match=r"U\+1F600"):
        run("encode", {"text": {"charset": "windows-1251"}}, "😀")
    with pytest.raises(Undecodable) as refused:
        run("decode", "text", b"ab\xff")
    assert refused.value.facts["path"] == "byte 2"


def lossless(value: Any) -> Any:
    """The value as XML keeps it: texts, stripped; null where empty; a list of one is its item, of none nothing."""
    if isinstance(value, dict):
        kept = {name: lossless(part) for name, part in value.items() if part != []}
        return kept or None
    if isinstance(value, list):
        return lossless(value[0]) if len(value) == 1 else [lossless(part) for part in value]
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    text = format(value, "f") if isinstance(value, Decimal) else str(value)
    return text.strip() or None


@given(PLAIN)
def test_values_pass_through_json_and_xml_or_the_field_is_named(value: Any) -> None:
    """JSON to XML to JSON: everything that XML can say comes through, everything else is an error that names it."""
    body = run("decode", "json", run("encode", "json", value))
    try:
        raw = run("encode", {"xml": {"root": "r"}}, body)
    except PipeError as error:
        named = error.facts["path"]
    else:
        named = "body"
        assert run("decode", "xml", raw)["r"] == lossless(body)
    assert named.startswith("body")
