"""Lines of listings: the one that machines were meant to read (MLSD), and those that people were (LIST)."""

from __future__ import annotations

import re
from calendar import timegm
from typing import Literal, NamedTuple

_MONTHS = {name: number for number, name in enumerate(b"jan feb mar apr may jun jul aug sep oct nov dec".split(), 1)}
_MONTH = rb"[A-Za-z\x80-\xff.]{3,12}"
"""as the server's country writes it, in whatever charset"""
# Every part is bounded: whoever writes these lines is not our friend.
_UNIX = re.compile(
    rb"(?P<kind>[-dlbcps])[-rwxsStTlL]{9}[+.@]?\s{1,20}\d{1,10}\s{1,20}\S{1,80}\s{1,40}(?:\S.{0,80}?\s{1,40})??"
    rb"(?P<size>\d{1,20})\s{1,20}"
    rb"(?:(?P<month>" + _MONTH + rb")\s{1,4}(?P<day>\d{1,2})|(?P<first>\d{1,2})\s{1,4}(?P<named>" + _MONTH + rb"))"
    rb"\s{1,4}(?:(?P<hour>\d{1,2}):(?P<minute>\d\d)|(?P<year>\d{4})) (?P<name>.{1,1024})"
)
_WINDOWS = re.compile(
    rb"(?P<month>\d\d)-(?P<day>\d\d)-(?P<year>\d{2}|\d{4})\s{1,8}(?P<hour>\d\d):(?P<minute>\d\d)(?P<half>[AP]M)?\s{1,40}"
    rb"(?:(?P<folder><(?:DIR|JUNCTION)>)|(?P<size>[\d,]{1,20}))\s{1,40}(?P<name>.{1,1024})"
)
NANO = 10**9


class Line(NamedTuple):
    """One name of a folder."""

    name: bytes
    kind: Literal["file", "folder", "other"]
    size: int
    modified: int
    """nanoseconds since 1970"""


def mlsx(line: bytes) -> Line | None:
    """A line of MLSD, `type=file;size=3;modify=20261127093000; name`. None for the folder itself, and for no line."""
    facts, space, name = line.rstrip(b"\r\n").lstrip(b" ").partition(b" ")
    known = dict(fact.lower().split(b"=", 1) for fact in facts.split(b";") if b"=" in fact)
    kind = known.get(b"type", b"")
    if not space or kind in {b"", b"cdir", b"pdir"}:
        return None
    size = known.get(b"size", b"0")[:20]
    modified = stamp(known.get(b"modify", b""))
    which: Literal["file", "folder", "other"] = "file" if kind == b"file" else "folder" if kind == b"dir" else "other"
    return Line(name, which, int(size) if size.isdigit() else 0, modified or 0)


def stamp(text: bytes) -> int | None:
    """`20261127093000` or `20261127093000.123` of MDTM and MLSD, in UTC; None where it is none."""
    found = re.fullmatch(rb"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(?:\.(\d{1,9}))?", text.strip())
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(part) for part in found.groups()[:6])
    fraction = int((found[7] or b"0").ljust(9, b"0"))
    seconds = _seconds(year, month, day, hour, minute, second)
    return None if seconds is None else seconds * NANO + fraction


def _seconds(year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0) -> int | None:
    """Since 1970; None for a day that there is not, such as the year 0 of servers that know no time."""
    try:
        return timegm((year, month, day, hour, minute, second, 0, 0, 0))
    except ValueError:
        return None


def is_name(line: bytes) -> bool:
    """Whether a line of LIST should have named something: it is no sum and not empty."""
    return bool(line.strip()) and not line.lower().startswith(b"total ")


def listed(line: bytes, now: tuple[int, int, int]) -> Line | None:
    """A line of LIST as Unix and Windows servers write it; `now` is today as (year, month, day). None for no line.

    Its time has minutes at best and no zone, so it serves to compare two looks and no more.
    """
    line = line.rstrip(b"\r\n")
    if (found := _UNIX.fullmatch(line)) is not None:
        kind: Literal["file", "folder", "other"] = {b"-": "file", b"d": "folder"}.get(found["kind"], "other")  # type: ignore[assignment]
        return Line(found["name"], kind, int(found["size"]), _unix_time(found, now))
    if (found := _WINDOWS.fullmatch(line)) is not None:
        size = int((found["size"] or b"0").replace(b",", b""))
        return Line(found["name"], "folder" if found["folder"] else "file", size, _windows_time(found))
    return None


def _unix_time(found: re.Match[bytes], now: tuple[int, int, int]) -> int:
    # An unknown month serves as well: the time is only held against that of another look.
    month = _MONTHS.get((found["month"] or found["named"]).lower()[:3], 1)
    day = int(found["day"] or found["first"])
    if found["year"]:
        return (_seconds(int(found["year"]), month, day) or 0) * NANO
    # Without a year it is of the last twelve months; a day ahead is a server's clock or zone.
    year = now[0] if (month, day) <= (now[1], now[2] + 1) else now[0] - 1
    if (now[1], now[2]) == (12, 31) and (month, day) == (1, 1):
        year = now[0] + 1
    return (_seconds(year, month, day, int(found["hour"]), int(found["minute"])) or 0) * NANO


def _windows_time(found: re.Match[bytes]) -> int:
    year, hour = int(found["year"]), int(found["hour"])
    if year < 100:
        year += 2000 if year < 70 else 1900
    if found["half"]:
        hour = hour % 12 + (12 if found["half"] == b"PM" else 0)
    seconds = _seconds(year, int(found["month"]), int(found["day"]), hour, int(found["minute"]))
    return (seconds or 0) * NANO
