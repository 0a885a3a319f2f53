"""Lines of listings, as servers of many kinds and countries write them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from adapters.ftp import listing

TODAY = (2026, 11, 27)
NANO = 10**9


def at(*when: int) -> int:
    """A moment in UTC, as listings have it."""
    return int(datetime(*when, tzinfo=UTC).timestamp()) * NANO  # type: ignore[arg-type, misc]


@pytest.mark.parametrize(
    ("line", "name", "size", "modified"),
    [
        ("-rw-r--r--   1 ftp      ftp          1234 Nov 27 09:30 a b.csv", "a b.csv", 1234, at(2026, 11, 27, 9, 30)),
        ("-rw-r--r--   1 ftp  Domain Users     1234 Dec 31 09:30 a.csv", "a.csv", 1234, at(2025, 12, 31, 9, 30)),
        ("-rwxr-xr-x 1 owner group 5 Jan 01  2020 x", "x", 5, at(2020, 1, 1)),
        ("-rw-r--r-- 1 ftp 77 Nov 27 2026 no group", "no group", 77, at(2026, 11, 27)),
        ("-rw-r--r-- 1 ftp ftp 7 15 січ 09:30 звіт.csv", "звіт.csv", 7, None),
        ("-rw-r--r-- 1 ftp ftp 7 янв 15 2026 звіт.csv", "звіт.csv", 7, None),
        ("11-27-26  09:30AM                 1,234 a b.csv", "a b.csv", 1234, at(2026, 11, 27, 9, 30)),
        ("11-27-2026  12:05AM  7 a", "a", 7, at(2026, 11, 27, 0, 5)),
        ("99-99-26  09:30AM  7 a", "a", 7, 0),
        ("-rw-r--r-- 1 ftp ftp 7 Feb 31 2026 a", "a", 7, None),
    ],
)
@pytest.mark.parametrize("charset", ["utf-8", "windows-1251"])
def test_a_line_for_people_is_read(line: str, name: str, size: int, modified: int | None, charset: str) -> None:
    """Names with blanks, groups with blanks, months of other languages, days that there are not."""
    found = listing.listed(line.encode(charset) + b"\r\n", TODAY)
    assert found is not None
    assert (found.name.decode(charset), found.kind, found.size) == (name, "file", size)
    if modified is not None:
        assert found.modified == modified


def test_folders_and_links_are_told_from_files() -> None:
    """Links lead where nobody knows, so they are no files."""
    kinds = [("d", "folder"), ("l", "other"), ("c", "other")]
    for sign, kind in kinds:
        found = listing.listed(f"{sign}rwxr-xr-x 1 a b 5 Nov 27 09:30 x".encode(), TODAY)
        assert found is not None
        assert found.kind == kind
    found = listing.listed(b"11-27-26  09:30AM  <DIR>  done", TODAY)
    assert found is not None
    assert (found.name, found.kind) == (b"done", "folder")


@pytest.mark.parametrize("line", [b"total 12", b"", b"\r\n"])
def test_a_sum_is_no_name(line: bytes) -> None:
    """Nobody is to be told of it."""
    assert listing.listed(line, TODAY) is None
    assert not listing.is_name(line)


@pytest.mark.parametrize(
    ("facts", "modified"),
    [
        ("type=file;size=3;modify=20261127093000;", at(2026, 11, 27, 9, 30)),
        ("Type=file;Size=3;Modify=20261127093000.250;", at(2026, 11, 27, 9, 30) + NANO // 4),
        ("type=file;size=3;modify=00000000000000;", 0),
        ("type=file;size=3;modify=20261399999999;", 0),
        ("type=file;size=3;modify=yesterday;", 0),
        ("type=file;size=3;", 0),
    ],
)
def test_a_line_for_machines_is_read(facts: str, modified: int) -> None:
    """A time that there is not is none, and no defect."""
    found = listing.mlsx(f"{facts} a; b=c.csv\r\n".encode())
    assert found == listing.Line(b"a; b=c.csv", "file", 3, modified)


@pytest.mark.parametrize("filler", [b"1 ", b" ", b"a ", b"7 Nov 27 ", b"ab"])
def test_a_hostile_line_is_no_line(filler: bytes) -> None:
    """However long it is: nothing in it makes the reader go back and forth, which would take hours here."""
    assert listing.listed(b"-rwxr-xr-x 1 a " + filler * 1_000_000, TODAY) is None
