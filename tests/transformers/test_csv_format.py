"""CSV: texts come through unharmed, mistakes name the line, large files are read with flat memory."""

from __future__ import annotations

import hashlib
import tracemalloc
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipe.contract import Blob
from pipe.errors import PipeError, Undecodable, Unencodable
from tests.transformers.messages import JSON_TEXT
from transformers import csv_format, json_format
from transformers.csv_format import Dialect, Rows

NAMES = JSON_TEXT.filter(lambda name: bool(name.strip()) and not name.startswith("\ufeff"))


@st.composite
def tables(draw: st.DrawFn) -> list[dict[str, str]]:
    """Rows that all have the same columns."""
    columns = draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
    return draw(st.lists(st.fixed_dictionaries(dict.fromkeys(columns, JSON_TEXT)), min_size=1, max_size=5))


def blob(path: Path, raw: bytes) -> Blob:
    """These bytes as a body on disk."""
    path.write_bytes(raw)
    return Blob(path, len(raw), hashlib.sha256(raw).hexdigest())


@given(tables(), st.sampled_from([",", ";", "\t", "|"]), st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
def test_what_is_written_is_read_back_equal(rows: list[dict[str, str]], delimiter: str, charset: str) -> None:
    """Quotes, delimiters, line breaks and blanks within fields survive."""
    dialect = Dialect(delimiter=delimiter, charset=charset)
    assert csv_format.decode(csv_format.encode(rows, dialect), dialect) == rows


@given(st.binary() | st.text(alphabet='a,"\r\n;').map(str.encode))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    """Whatever comes, the answer is rows or an error of ours that names a line."""
    try:
        answer: Any = csv_format.decode(raw, Dialect())
    except PipeError as error:
        answer = error.facts["path"]
    assert isinstance(answer, list) or answer.startswith("line ")


@pytest.mark.parametrize("charset", ["windows-1251", "koi8-u", "utf-8", "utf-16"])
def test_ukrainian_text_survives_every_charset(charset: str) -> None:
    """Ґ and ї are in all of them."""
    dialect = Dialect(charset=charset)
    rows = [{"ім'я": "Ґалаґан Їжак"}]
    assert csv_format.decode(csv_format.encode(rows, dialect), dialect) == rows


def test_a_byte_order_mark_is_no_part_of_the_first_column() -> None:
    """Spreadsheets write UTF-8 with a mark; the first column's name is the same with and without it."""
    assert csv_format.decode("\ufeffid,b\r\n1,2\r\n".encode(), Dialect()) == [{"id": "1", "b": "2"}]


def test_everything_is_text_and_blank_lines_are_passed_over() -> None:
    """Nothing is guessed: a number, a date, an `NA` and an empty field are the texts that they are."""
    raw = b"a,b,c\n007,NA,\n\n1e5,2026-11-23,true\n"
    assert csv_format.decode(raw, Dialect()) == [
        {"a": "007", "b": "NA", "c": ""},
        {"a": "1e5", "b": "2026-11-23", "c": "true"},
    ]


def test_a_file_without_header_takes_the_columns_of_the_configuration() -> None:
    """`header: false` with `columns`, both ways."""
    dialect = Dialect(header=False, columns=("a", "b"))
    assert csv_format.decode(b"1,2\n", dialect) == [{"a": "1", "b": "2"}]
    assert csv_format.encode([{"a": "1", "b": "2"}], dialect) == b"1,2\r\n"


BAD = {
    "a field too few": (b"a,b\n1,2\n3\n", "line 3"),
    "a field too many": (b"a,b\n1,2\n3,4,5\n", "line 3"),
    "a column twice": (b"a,b,a\n1,2,3\n", "line 1"),
    "a column without a name": (b"a,,c\n", "line 1"),
    "nothing": (b"", "line 1"),
    "a quote that never closes": (b'a,b\n1,"2\n3,4\n', "line 3"),
    "text after a quote": (b'a,b\n1,"2"x\n', "line 2"),
    "a byte that is not UTF-8": (b"a,b\n1,2\n\xff,4\n", "line 3"),
    "a field over 1 MiB": (b"a,b\n1," + b"x" * ((1 << 20) + 1) + b"\n", "line 2"),
}


@pytest.mark.parametrize(("raw", "path"), BAD.values(), ids=BAD.keys())
def test_a_bad_file_is_refused_naming_the_line(raw: bytes, path: str, tmp_path: Path) -> None:
    """In memory or on disk, the sender is told which line to mend."""
    for body in (raw, blob(tmp_path / "in.csv", raw)):
        with pytest.raises(Undecodable) as refused:
            csv_format.decode(body, Dialect())
        assert refused.value.facts["path"] == path


def test_a_column_that_must_be_there_is_missed_at_once() -> None:
    """`columns` of a file with a header are demanded."""
    with pytest.raises(Undecodable, match="`sum`"):
        csv_format.decode(b"ref\n1\n", Dialect(columns=("ref", "sum")))


def test_a_file_on_disk_is_read_lazily_again_and_again(tmp_path: Path) -> None:
    """Rows iterate anew each time, know their number, take an index and a slice, and become JSON."""
    rows = csv_format.decode(blob(tmp_path / "in.csv", b"n\n" + b"".join(b"%d\n" % n for n in range(100))), Dialect())
    assert isinstance(rows, Rows)
    expected = [{"n": str(n)} for n in range(100)]
    assert [list(rows), list(rows), len(rows)] == [expected, expected, 100]
    assert [rows[0], rows[-1], rows[5:7], rows[::-1]] == [expected[0], expected[-1], expected[5:7], expected[::-1]]
    assert rows == expected
    assert json_format.decode(json_format.encode(rows)) == expected
    with pytest.raises(IndexError):
        rows[100]


def test_a_large_file_takes_flat_memory(tmp_path: Path) -> None:
    """Twenty megabytes are read in less than two."""
    line = b"%d," + b"x" * 190 + b"\n"
    source = blob(tmp_path / "in.csv", b"n,text\n" + b"".join(line % n for n in range(100_000)))
    tracemalloc.start()
    try:
        rows = csv_format.decode(source, Dialect())
        read = sum(1 for _ in rows)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (read, len(rows)) == (100_000, 100_000)
    assert peak < 2 << 20


UNSAYABLE: dict[str, tuple[Any, Dialect, str]] = {
    "a list in a cell": ([{"a": "1"}, {"a": [1]}], Dialect(), "body[1].a"),
    "an object in a cell": ([{"a": {"b": 1}}], Dialect(), "body[0].a"),
    "bytes in a cell": ([{"a": b"x"}], Dialect(), "body[0].a"),
    "NaN": ([{"a": float("nan")}], Dialect(), "body[0].a"),
    "a row that is no object": ([{"a": "1"}, "x"], Dialect(), "body[1]"),
    "no list": ({"a": "1"}, Dialect(), "body"),
    "a key beside the columns": ([{"a": "1", "b": "2"}], Dialect(columns=("a",)), "body[0].b"),
    "a sign that the charset lacks": (
        [{"a": "1"}, {"a": "2", "b": "😀"}],
        Dialect(charset="windows-1251"),
        "body[1].b",
    ),
    "half a character": ([{"a": "\ud800"}], Dialect(), "body[0].a"),
    "a header that the charset lacks": ([{"😀": "1"}], Dialect(charset="windows-1251"), "body"),
    "a column without a name": ([{"": "1"}], Dialect(), "body"),
}


@pytest.mark.parametrize(("value", "dialect", "path"), UNSAYABLE.values(), ids=UNSAYABLE.keys())
def test_what_csv_cannot_say_is_refused_naming_row_and_column(value: Any, dialect: Dialect, path: str) -> None:
    """Nothing is dropped or written as Python shows it."""
    with pytest.raises(Unencodable) as refused:
        csv_format.encode(value, dialect)
    assert refused.value.facts["path"] == path


def test_columns_are_the_union_in_the_order_of_their_first_appearance() -> None:
    """Rows may lack columns; null and missing are nothing, numbers are in full digits."""
    rows = [{"b": 1, "a": None}, {"c": Decimal("1E+3"), "a": True}]
    assert csv_format.encode(rows, Dialect()) == b"b,a,c\r\n1,,\r\n,true,1000\r\n"


def test_no_rows_make_a_header_where_columns_are_named() -> None:
    """An empty list is a file without rows."""
    assert csv_format.encode([], Dialect(columns=("a", "b"))) == b"a,b\r\n"
    assert csv_format.encode([], Dialect()) == b""


@pytest.mark.key("steps.encode.csv.guard_formulas")
def test_formulas_are_guarded_only_where_asked() -> None:
    """Machines get the bytes as they are; files for people get a sign before what a spreadsheet would run."""
    rows = [{"a": text} for text in ("=1+1", "+38067", "-5", "-5+2", "@x", "\tx", "x=1")]
    plain = csv_format.decode(csv_format.encode(rows, Dialect()), Dialect())
    guarded = csv_format.decode(csv_format.encode(rows, Dialect(guard_formulas=True)), Dialect())
    assert plain == rows
    assert [row["a"] for row in guarded] == ["'=1+1", "+38067", "-5", "'-5+2", "'@x", "'\tx", "x=1"]
