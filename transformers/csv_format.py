"""CSV: a list of objects, everything text. Large files are read as they are asked for, with flat memory."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, overload

from pipe.contract import Blob
from pipe.errors import Undecodable, Unencodable
from transformers.text_format import scalar, without_mark

MEDIA_TYPE = "text/csv"
MAX_FIELD = 1 << 20
"""signs of one field"""

# The module's own limit is one number for the whole process, and at 128 KiB lower than ours.
csv.field_size_limit(MAX_FIELD)

Row = dict[str, str]


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a CSV file is written."""

    delimiter: str = ","
    quote: str = '"'
    charset: str = "utf-8"
    header: bool = True
    columns: tuple[str, ...] = ()
    guard_formulas: bool = False


# --- reading --------------------------------------------------------------------------------------------------------


class Rows(Sequence[Row]):
    """The rows of a file on disk, read anew by each iteration; `[5]` and JSON read as far as they must."""

    def __init__(self, source: Blob, dialect: Dialect) -> None:
        """Reads the whole file once, keeping nothing: a bad line in it is told now. Raises Undecodable."""
        self._source = source
        self._dialect = dialect
        self._count = sum(1 for _ in self)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Row]:
        with self._source.file() as file:
            yield from _rows(file, self._dialect)

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> list[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | list[Row]:
        if isinstance(index, slice):
            start, stop, stride = index.indices(self._count)
            return list(islice(self, start, max(stop, 0), stride)) if stride > 0 else list(self)[index]
        place = index + self._count if index < 0 else index
        if not 0 <= place < self._count:
            raise IndexError(index)
        return next(islice(self, place, None))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or len(other) != len(self):
            return False
        return all(mine == theirs for mine, theirs in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]


def decode(body: bytes | Blob, dialect: Dialect) -> Sequence[Row]:
    """The rows as objects of texts: a list, or for a body on disk `Rows`. Blank lines are passed over.

    Raises Undecodable that names the line: a row with more or fewer fields than the header, a column that stands twice,
    a field over 1 MiB, an open quote, a byte that the charset does not have.
    """
    if isinstance(body, Blob):
        return Rows(body, dialect)
    return list(_rows(io.BytesIO(body), dialect))


def _rows(file: Any, dialect: Dialect) -> Iterator[Row]:
    start = file.tell()
    text = io.TextIOWrapper(file, encoding=without_mark(dialect.charset), newline="")
    reader = csv.reader(text, delimiter=dialect.delimiter, quotechar=dialect.quote, strict=True)
    try:
        columns = _columns(reader, dialect)
        width = len(columns)
        for fields in reader:
            if len(fields) == width:
                yield dict(zip(columns, fields, strict=True))
            elif fields:
                many = f"{len(fields)} field{'s' * (len(fields) != 1)}"
                raise _bad(reader.line_num, f"the row has {many}, but there are {width} columns")
    except csv.Error as error:
        reason = f"a field is longer than {MAX_FIELD} signs" if "limit" in str(error) else str(error)
        raise _bad(reader.line_num, reason) from error
    except UnicodeError as error:
        file.seek(start)
        raise _bad(_line_of_bad_byte(file, dialect.charset), f"this is not {dialect.charset} text ({error})") from error
    finally:
        text.detach()


def _columns(reader: Any, dialect: Dialect) -> tuple[str, ...]:
    if not dialect.header:
        return dialect.columns
    columns = next((tuple(fields) for fields in reader if fields), None)
    if columns is None:
        raise _bad(1, "the file is empty, without even a header")
    for number, name in enumerate(columns, 1):
        if not name.strip():
            raise _bad(reader.line_num, f"column {number} of the header has no name")
        if name in columns[: number - 1]:
            raise _bad(reader.line_num, f"the column `{name[:80]}` stands twice in the header")
    if missing := [name for name in dialect.columns if name not in columns]:
        raise _bad(reader.line_num, f"the header lacks the column `{missing[0]}`")
    return columns


def _bad(line: int, reason: str) -> Undecodable:
    return Undecodable(f"the body is not the CSV that is expected: line {line}: {reason}", path=f"line {line}")


def _line_of_bad_byte(file: Any, charset: str) -> int:
    decoder = codecs.getincrementaldecoder(charset)()
    line = 1
    try:
        while piece := file.read(1):
            line += decoder.decode(piece) == "\n"
    except UnicodeError:
        pass
    return line


# --- writing --------------------------------------------------------------------------------------------------------

_FORMULA = re.compile(r"[=+\-@\t\r]")
_NUMBER = re.compile(r"[+-]?[0-9]+([.,][0-9]+)?")


def encode(value: Any, dialect: Dialect) -> bytes:
    """The objects as CSV with CRLF. Without `columns` these are all keys in the order in which they first appear.

    Raises Unencodable that names row (from 1) and column: a value that is a list or an object, a key that is not among
    the columns, a sign that the charset lacks. null is written as nothing.
    """
    if not isinstance(value, Sequence) or isinstance(value, (str, bytes)):
        raise Unencodable("CSV says a list of objects; this body is none", path="body")
    columns = dialect.columns or _union(value)
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=dialect.delimiter, quotechar=dialect.quote, lineterminator="\r\n", strict=True)
    if dialect.header and columns:
        writer.writerow(columns)
    for number, row in enumerate(value, 1):
        writer.writerow(_fields(row, number, columns, dialect))
    try:
        return out.getvalue().encode(dialect.charset)
    except UnicodeEncodeError as error:
        raise _unsayable(value, columns, dialect, error.object[error.start]) from error


def _union(rows: Iterable[Any]) -> tuple[str, ...]:
    columns: dict[str, None] = {}
    for number, row in enumerate(rows, 1):
        if not isinstance(row, Mapping):
            raise _cannot(number, "", "it is no object")
        columns.update(dict.fromkeys(row))
    for name in columns:
        if not isinstance(name, str) or not name.strip():
            raise Unencodable(f"a column cannot be called {name!r}", path="body")
    return tuple(columns)


def _fields(row: Any, number: int, columns: tuple[str, ...], dialect: Dialect) -> list[str]:
    if not isinstance(row, Mapping):
        raise _cannot(number, "", "it is no object")
    if len(row) > len(columns) or any(name not in columns for name in row):
        extra = next(name for name in row if name not in columns)
        raise _cannot(number, str(extra), "it is not among the columns")
    return [_field(row.get(name), number, name, dialect.guard_formulas) for name in columns]


def _field(value: Any, number: int, column: str, guard: bool) -> str:
    if value is None:
        return ""
    text = value if type(value) is str else scalar(value)
    if text is None:
        raise _cannot(number, column, f"{type(value).__name__} has no form in CSV")
    if len(text) > MAX_FIELD:
        raise _cannot(number, column, f"it is longer than {MAX_FIELD} signs")
    if guard and _FORMULA.match(text) and not _NUMBER.fullmatch(text):
        return f"'{text}"
    return text


def _cannot(row: int, column: str, reason: str) -> Unencodable:
    path = f"body[{row - 1}].{column}".rstrip(".")
    return Unencodable(f"CSV cannot say row {row}{f', column {column}' if column else ''}: {reason}", path=path)


def _unsayable(rows: Iterable[Mapping[str, Any]], columns: Iterable[str], dialect: Dialect, sign: str) -> Unencodable:
    reason = f"{dialect.charset} has no {sign!r} (U+{ord(sign):04X})"
    for number, row in enumerate(rows, 1):
        for column in columns:
            if sign in (scalar(row.get(column)) or ""):
                return _cannot(number, column, reason)
    return Unencodable(f"CSV cannot say the header: {reason}", path="body")
