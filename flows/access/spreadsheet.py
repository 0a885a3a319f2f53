"""People from a table and into one: CSV with a preview that says of every line what it would do.

Commands and pages read the same table by it; who may do so is theirs to ask.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from flows.access import organisation, people, words
from flows.access.changes import Actor, Unit
from flows.access.engine import Access, Need
from flows.access.model import Snapshot
from pipe.errors import BadRequest, PipeError
from pipe.refusing import Term, refused

PLACES = ("position", "unit", "group")
COLUMNS = (
    "login", "kind", "name", "email", "phone", "company", "level", "language", "positions", "units", "groups",
)  # fmt: skip
NEEDED = ("login", "name")
MOST = 10_000
"""lines of one table"""
PIECE = 20
"""lines in one transaction, so that messages are not held up"""
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(slots=True)
class Line:
    """One line of the table and what it means."""

    number: int
    login: str = ""
    state: str = "wrong"
    """new, changed, same, wrong"""
    refusal: PipeError | None = None
    """why it is wrong"""
    fields: dict[str, Any] = field(default_factory=dict)
    """that are new or different"""
    appoint: list[tuple[str, str]] = field(default_factory=list)
    withdraw: list[tuple[str, str]] = field(default_factory=list)
    person: str | None = None


@dataclass(frozen=True, slots=True)
class Read:
    """A table as it was read against what is there."""

    lines: list[Line]

    @property
    def to_do(self) -> list[Line]:
        """The lines that change something."""
        return [line for line in self.lines if line.state in {"new", "changed"}]

    def count(self, state: str) -> int:
        """How many lines are in a state."""
        return sum(line.state == state for line in self.lines)


async def read(access: Access, text: str) -> Read:
    """What each line of a table would do. Raises BadRequest where it is no table."""
    return Read(list(_lines(text, access.snapshot, await _present(access))))


async def apply(
    access: Access, by: Actor, table: Read, *needs: Need, progress: Callable[[int, int], None] = lambda done, of: None
) -> int:
    """Does what the lines say, in pieces; returns how many were done. Lines before an error stay; again skips them."""
    done, to_do = 0, table.to_do
    for at in range(0, len(to_do), PIECE):
        piece = to_do[at : at + PIECE]
        await access.change(by, _applying(by, piece), *needs)
        done += len(piece)
        progress(done, len(to_do))
    return done


async def table_of(access: Access, wanted: Callable[[people.Person], bool]) -> tuple[int, str]:
    """How many people, and the table of them that `read` reads; who has left is none of them.

    What a spreadsheet would take for a formula begins with an apostrophe.
    """
    present = await _present(access)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    count = 0
    for person in sorted(present.values(), key=lambda each: each.login):
        known = access.snapshot.person.get(person.id)
        if person.state == "left" or known is None or not wanted(person):
            continue
        columns = [" ".join(sorted(each.of for each in known.memberships if each.kind == kind)) for kind in PLACES]
        row = [getattr(person, name) for name in COLUMNS[: -len(PLACES)]]
        writer.writerow([_safe(value) for value in (*row, *columns)])
        count += 1
    return count, out.getvalue()


async def _present(access: Access) -> dict[str, people.Person]:
    everyone = await access.store.read(people.everyone)
    return {person.login: person for person in everyone}


def _applying(by: Actor, lines: list[Line]) -> Callable[[Unit], None]:
    def apply(tx: Unit) -> None:
        for line in lines:
            person = line.person
            if person is None:
                person = people.create(tx, by, line.login, **line.fields).id
            elif line.fields:
                people.change(tx, by, person, **line.fields)
            for kind, of in line.withdraw:
                organisation.withdraw(tx, by, person, kind, of)  # type: ignore[arg-type]
            for kind, of in line.appoint:
                organisation.appoint(tx, by, person, kind, of, source="import")  # type: ignore[arg-type]

    return apply


# --- reading ------------------------------------------------------------------------------------------------------


def _lines(text: str, snapshot: Snapshot, present: Mapping[str, people.Person]) -> Iterator[Line]:
    head, _, _ = text.lstrip("\ufeff").partition("\n")
    reader = csv.DictReader(
        io.StringIO(text.lstrip("\ufeff")), delimiter=";" if head.count(";") > head.count(",") else ",", strict=True
    )
    _check_columns([name.strip().lower() for name in reader.fieldnames or ()])
    seen: set[str] = set()
    try:
        for number, row in enumerate(reader, 2):
            if number > MOST + 1:
                raise refused(BadRequest, "table_long", most=MOST)
            line = _line(number, {str(key).strip().lower(): value for key, value in row.items()}, snapshot, present)
            if line.login in seen and line.state != "wrong":
                line.state, line.refusal = "wrong", refused(BadRequest, "earlier_line", login=line.login)
            seen.add(line.login)
            yield line
    except csv.Error as error:
        raise refused(BadRequest, "no_csv", line=reader.line_num) from error


def _check_columns(names: list[str]) -> None:
    missing = [name for name in NEEDED if name not in names]
    unknown = [name for name in names if name not in COLUMNS]
    if missing or unknown or len(set(names)) != len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        key, what = ("columns_missing", missing) if missing else ("columns_unknown", [*unknown, *twice])
        raise refused(BadRequest, key, names=", ".join(what), columns=", ".join(COLUMNS))


def _line(number: int, row: Mapping[str, Any], snapshot: Snapshot, present: Mapping[str, people.Person]) -> Line:
    line = Line(number, str(row.get("login") or "").strip())
    try:
        if "none" in row or None in row.values():
            raise refused(BadRequest, "cells")
        line.login = words.login_of(line.login)
        values = {name: _unsafe(str(value)) for name, value in row.items()}
        person = present.get(line.login)
        wanted = _fields(values, snapshot)
        if person is None:
            line.fields = wanted
        else:
            line.person = person.id
            if values.get("kind") and values["kind"] != person.kind:
                raise refused(BadRequest, "other_kind", login=line.login, kind=Term(person.kind))
            wanted.pop("kind", None)
            line.fields = {name: value for name, value in wanted.items() if getattr(person, name) != value}
            if person.state == "left":
                raise refused(BadRequest, "has_left", login=line.login)
        _places(line, values, snapshot)
    except PipeError as error:
        line.refusal = error
        return line
    different = line.fields or line.appoint or line.withdraw
    line.state = "new" if line.person is None else "changed" if different else "same"
    return line


def _fields(values: Mapping[str, str], snapshot: Snapshot) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if not values["name"]:
        raise refused(BadRequest, "name_missing")
    fields["name"] = values["name"]
    if "email" in values:
        fields["email"] = words.mail_of(values["email"])
    if "phone" in values:
        fields["phone"] = words.phone_of(values["phone"])
    if "company" in values:
        company = values["company"] or None
        if company is not None and company not in snapshot.company:
            raise refused(BadRequest, "no_company", company=company)
        fields["company"] = company
    if values.get("level"):
        if not values["level"].isdigit():
            raise refused(BadRequest, "no_level", value=values["level"])
        fields["level"] = words.level_of(int(values["level"]))
    if values.get("language"):
        if values["language"] not in {"uk", "en"}:
            raise refused(BadRequest, "no_language", language=values["language"])
        fields["language"] = values["language"]
    if values.get("kind"):
        if values["kind"] not in {"person", "service"}:
            raise refused(BadRequest, "no_kind", kind=values["kind"])
        fields["kind"] = values["kind"]
    return fields


def _places(line: Line, values: Mapping[str, str], snapshot: Snapshot) -> None:
    there = {"position": snapshot.position, "unit": snapshot.unit, "group": snapshot.group}
    known = snapshot.person.get(line.person or "")
    has = known.memberships if known is not None else ()
    for kind in PLACES:
        if f"{kind}s" not in values:
            continue
        wanted = values[f"{kind}s"].split()
        unknown = [each for each in wanted if each not in there[kind]]
        if unknown:
            raise refused(BadRequest, "nothing_there", what=Term(kind), name=unknown[0])
        now = {place.of for place in has if place.kind == kind}
        line.appoint += [(kind, each) for each in wanted if each not in now]
        line.withdraw += [(kind, each) for each in sorted(now) if each not in wanted]


def _safe(value: Any) -> str:
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _unsafe(text: str) -> str:
    text = text.strip()
    return text[1:] if text.startswith("'") and text[1:].startswith(_FORMULA) else text
