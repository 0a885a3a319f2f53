"""JSON: what is refused, where, and that numbers and texts come through unharmed."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipe.errors import PipeError, TooDeep, Undecodable, Unencodable
from tests.transformers.messages import JSON_TEXT, PLAIN
from transformers import json_format, json_pieces, json_quick

Read = Callable[[bytes], Any]


def in_pieces(raw: bytes) -> Any:
    """Read as a large body is, in pieces that split signs and marks."""
    return json_format.decode_pieces(lambda: (raw[at : at + 1] for at in range(len(raw))))


def in_small_windows(raw: bytes) -> Any:
    """The same, each value as if it were a large one."""
    return json_format.decode_pieces(lambda: (raw[at : at + 3] for at in range(0, len(raw), 3)), window=5)


READERS = [json_format.decode, json_format.strictly, in_pieces, in_small_windows]


@pytest.fixture(params=READERS, ids=["quick", "strict", "pieces", "small windows"])
def read(request: pytest.FixtureRequest) -> Read:
    """The reader with its quick way, without, and piece by piece."""
    chosen: Read = request.param
    return chosen


BAD = {
    "a key twice": (b'{"a": 1, "a": 2}', "a"),
    "a key twice by an escape": (b'{"a": 1, "\\u0061": 2}', "a"),
    "a key twice deep inside": (b'[{"x": {"b": 1, "c": 2, "b": 3}}]', "b"),
    "NaN": (b'{"a": NaN}', "NaN"),
    "Infinity": (b"[Infinity]", "Infinity"),
    "minus Infinity": (b"[-Infinity]", "-Infinity"),
    "a number beyond all": (b"[1e999]", "1e999"),
    "a number below all": (b"[1e-999999999]", "1e-999999999"),
    "a whole number over 64 bits": (b"[18446744073709551616]", "18446744073709551616"),
    "a whole number under 64 bits": (b"[-9223372036854775809]", "-9223372036854775809"),
    "5000 digits": (b"[" + b"9" * 5000 + b"]", "9" * 24),
    "a lone high surrogate": (b'["ab\\ud800"]', "character 4"),
    "a lone low surrogate": (b'["\\udc00"]', "character 2"),
    "surrogates the wrong way round": (b'["\\udc00\\ud800"]', "character 2"),
    "two high surrogates": (b'["\\ud800\\ud800\\udc00"]', "character 2"),
    "a lone surrogate in a key": (b'{"\\ud800": 1}', "character 2"),
    "bad UTF-8": (b'{"a": "\xff"}', "byte 7"),
    "overlong UTF-8": (b'["\xc0\xaf"]', "byte 2"),
    "a surrogate in UTF-8": (b'["\xed\xa0\x80"]', "byte 2"),
    "a byte order mark": (b"\xef\xbb\xbf{}", "byte 0"),
    "UTF-16": ('{"a": 1}'.encode("utf-16-le"), "byte 0"),
    "UTF-16 with a mark": ('{"a": 1}'.encode("utf-16"), "byte 0"),
    "more after the end": (b"{} {}", "line 1, column 4"),
    "nothing": (b"", "line 1, column 1"),
    "blanks only": (b" \n ", "line 2, column 2"),
    "an end too early": (b'{"a": ', "line 1, column 7"),
    "a comma too many": (b"[1,]", "line 1, column 4"),
    "single quotes": (b"{'a': 1}", "line 1, column 2"),
    "a comment": (b"[1] // one", "line 1, column 5"),
    "a line break in a text": (b'["a\nb"]', "line 1, column 4"),
    "a zero before a number": (b"[01]", "line 1, column 3"),
    "a plus before a number": (b"[+1]", "line 1, column 2"),
}


@pytest.mark.parametrize(("raw", "path"), BAD.values(), ids=BAD.keys())
def test_what_is_not_strictly_json_is_refused_with_its_place(read: Read, raw: bytes, path: str) -> None:
    """Nothing that two readers could take differently gets in, and the sender is told where it stands."""
    with pytest.raises(Undecodable) as refused:
        read(raw)
    assert refused.value.facts["path"] == path


@pytest.mark.parametrize("raw", [b"[" * 65 + b"]" * 65, b'{"a":' * 65 + b"1" + b"}" * 65, b"[" * 100_000])
def test_more_than_64_levels_are_too_deep(read: Read, raw: bytes) -> None:
    """Deep nesting is refused whether it is closed or not, and never breaks the reader."""
    with pytest.raises(TooDeep) as refused:
        read(raw)
    assert refused.value.facts["path"].startswith("character ")


def test_64_levels_are_not_too_deep_and_brackets_in_text_do_not_count(read: Read) -> None:
    """The limit counts levels, not brackets."""
    deepest = b"[" * 64 + b"]" * 64
    assert json.loads(deepest) == read(deepest)
    assert read(b'["' + b"[" * 500 + b'"]') == ["[" * 500]
    assert read(b"[" + b"[]," * 500 + b"[]]") == [[]] * 501


def test_numbers_keep_every_digit(read: Read) -> None:
    """100.10 stays 100.10, long fractions stay long, whole numbers stay whole: money is not rounded."""
    raw = b'{"sum":100.10,"rate":0.123456789012345678901,"n":12345678901234567890,"big":1E+5,"minus":-0.50}'
    value = read(raw)
    assert value["sum"] == Decimal("100.10")
    assert type(value["n"]) is int
    assert json_format.encode(value) == raw


def test_pairs_of_surrogates_are_one_sign(read: Read) -> None:
    """An emoji written in escapes is read as the emoji; an escaped backslash before `ud800` is no surrogate."""
    assert read(b'["\\ud83d\\ude00", "\\\\ud800"]') == ["😀", "\\ud800"]


@given(PLAIN)
def test_what_is_written_is_read_back_equal(value: Any) -> None:
    """Nothing that messages hold is changed by writing and reading it."""
    assert json_format.decode(json_format.encode(value)) == value


@given(st.binary() | st.text(alphabet='{}[]",:0123456789.eE-+\\ud8nalreft \n').map(str.encode))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    """Whatever comes, the answer is a value or an error of ours; what is read agrees with the standard library."""
    try:
        value = json_format.decode(raw)
    except PipeError:
        return
    assert value == json.loads(raw, parse_float=Decimal)


# --- the quick way equals the strict one ------------------------------------------------------------------------------

KEYS = st.sampled_from(['"a"', '"b"', '"\\u0061"', '"a:"', '":"', '"\\u003a"', '"\\u003A"', '""', '"\\ud800"', '"ї"'])
NUMBERS = st.sampled_from([
    "0", "-0", "7", "-1", "0.5", "1.0", "-0.0", "1e2", "1E-2", "1e999", "1e-400", "01", "1.", "NaN", "-Infinity",
    "9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809",
    "18446744073709551615", "18446744073709551616", "9" * 19, "9" * 20, "9" * 400, "0." + "1" * 101,
])  # fmt: skip
WRITTEN_TEXTS = (
    JSON_TEXT.map(json.dumps)
    | JSON_TEXT.map(lambda text: json.dumps(text, ensure_ascii=False))
    | st.sampled_from(
        ['"12:30"', '"a:b:c"', '"\\u003a"', '"\\ud83d\\ude00"', '"\\ude00\\ud83d"', '"\\\\u003a:"', '"\\":"']
    )
)
GAPS = st.sampled_from(["", "", " ", "\n", "\t", "\x0b"])


def written(parts: list[tuple[str, str, str]]) -> str:
    """An object in JSON of gaps, keys and values: no key is kept from standing twice."""
    return "{" + ",".join(f"{gap}{key}{gap}:{gap}{value}{gap}" for gap, key, value in parts) + "}"


JSON = st.recursive(
    NUMBERS | WRITTEN_TEXTS | st.sampled_from(["true", "false", "null"]),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda parts: f"[{','.join(parts)}]")
        | st.lists(st.tuples(GAPS, KEYS, inner), max_size=4).map(written)
        | st.tuples(inner, st.integers(61, 66)).map(lambda deep: "[" * deep[1] + deep[0] + "]" * deep[1])
    ),
    max_leaves=8,
)


def outcome(read: Read, raw: bytes) -> tuple[str, Any]:
    """The value with all its types, or the error with all that it says."""
    try:
        return "read", repr(read(raw))
    except PipeError as error:
        return type(error).__name__, (error.text, error.facts)


@given(JSON.map(str.encode))
def test_the_quick_way_reads_and_refuses_as_the_strict_one(raw: bytes) -> None:
    """Keys that stand twice, numbers of all sizes, escapes, depths: values, their types and errors are the same."""
    strict = outcome(json_format.strictly, raw)
    assert [outcome(read, raw) for read in READERS] == [strict] * len(READERS)


@given(JSON.map(str.encode), st.data())
def test_the_quick_way_takes_damaged_texts_as_the_strict_one(raw: bytes, data: st.DataObject) -> None:
    """A byte lost, doubled or put in anywhere changes nothing about that."""
    at = data.draw(st.integers(0, len(raw)))
    put = data.draw(st.sampled_from([b"", b":", b'"', b"\\", b",", b"\x00", b"\xff", b"{", b"1", b"\xef\xbb\xbf"]))
    damaged = raw[:at] + put + raw[at + data.draw(st.integers(0, 2)) :]
    strict = outcome(json_format.strictly, damaged)
    assert [outcome(read, damaged) for read in READERS] == [strict] * len(READERS)


EVERYDAY = [
    b'{"a": {"b": [1, "x", null, true]}}',
    b'{"at":"12:30:05","url":"http://a.example"}',
    b'[{"a":1},{"a":2}]',
    b"5",
]


@pytest.mark.parametrize("raw", EVERYDAY)
def test_everyday_messages_go_the_quick_way(raw: bytes) -> None:
    """Nested objects, times and addresses with their colons, rows with the same keys: it is sure of all."""
    assert json_quick.decode(raw, 64) == json.loads(raw)


ROWS = orjson.dumps({"a": [{"b": [n, {"c": "x, y}, {z"}], "d": "ї" * n} for n in range(40)], "e": list(range(99))})


@pytest.mark.parametrize("raw", [*EVERYDAY, ROWS, b"[1.5, -0.10,\n2e3 , true]", b'"' + b"a" * 400 + b'"'])
@pytest.mark.parametrize("window", [1, 5, 64, 4096])
def test_a_large_body_is_read_in_windows_and_not_as_a_whole(raw: bytes, window: int) -> None:
    """Nothing of it sends the reader back to the beginning, whatever the window cuts through."""
    pieces = [raw[at : at + 7] for at in range(0, len(raw), 7)]
    value = json_pieces.decode(pieces, json_format._SCAN, pytest.fail, 64, window=window)
    assert value == json_format.strictly(raw)


def test_a_large_body_takes_its_values_and_no_copy_of_its_text() -> None:
    """Three megabytes of small objects: beside what is made of them there is never more than a window or two."""
    row = orjson.dumps({"name": "Олена Коваленко", "sum": 12.5, "paid": True})
    raw = b'{"rows":[%b]}' % b",".join([row] * 50_000)
    tracemalloc.start()
    try:
        value = json_format.decode_pieces(lambda: (raw[at : at + 65536] for at in range(0, len(raw), 65536)))
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(value["rows"]) == 50_000
    assert peak - kept < 1 << 20


UNSURE = {
    "a key twice": b'{"a":1,"a":2}',
    "a key twice whose colon a text makes up for": b'{"a":1,"a":"\\u003a"}',
    "a key twice below": b'{"b":[{"a":1,"a":1}]}',
    "a fraction": b'{"a":[1.5]}',
    "a fraction alone": b"1.5",
    "a whole number over 64 bits": b"[18446744073709551616]",
    "three levels": b'[[{"a":1}]]',
    "no JSON": b"{",
    "a long text": b'"' + b"a" * json_quick.MAX_LENGTH + b'"',
}


@pytest.mark.parametrize("raw", UNSURE.values(), ids=UNSURE.keys())
def test_what_the_quick_reader_cannot_prove_it_leaves_to_the_strict_one(raw: bytes) -> None:
    """It never guesses; of long texts it keeps off, because they would hold up all other messages."""
    with pytest.raises(json_quick.Unsure):
        json_quick.decode(raw, 2)


# --- writing ----------------------------------------------------------------------------------------------------------

UNSAYABLE = {
    "NaN": ({"a": [1, float("nan")]}, "body.a[1]"),
    "infinity": ({"a": {"b": float("inf")}}, "body.a.b"),
    "a Decimal that is no number": ([Decimal("NaN")], "body[0]"),
    "bytes": ({"a": b"x"}, "body.a"),
    "a key that is no text": ({"a": {1: 2}}, "body.a"),
    "a lone surrogate": ({"a": "\ud800"}, "body.a"),
    "a lone surrogate in a key": ({"\ud800": 1}, "body"),
    "a number over 64 bits": ({"n": 2**64}, "body.n"),
    "an object of Python": ({"a": object()}, "body.a"),
}


@pytest.mark.parametrize(("value", "path"), UNSAYABLE.values(), ids=UNSAYABLE.keys())
def test_what_json_cannot_say_is_refused_naming_the_field(value: Any, path: str) -> None:
    """Nothing turns into null or breaks halfway: the field that is at fault is named."""
    with pytest.raises(Unencodable) as refused:
        json_format.encode(value)
    assert refused.value.facts["path"] == path


def test_what_holds_itself_is_refused() -> None:
    """A list within itself has no end in JSON."""
    value: list[Any] = []
    value.append(value)
    with pytest.raises(Unencodable):
        json_format.encode(value)
