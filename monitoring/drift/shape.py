"""Learns how messages look from some of them: which fields, of which kinds, and which of these are always there.

Nothing is kept of what a field says. Names that look like data, such as the telephone number a map is keyed by, become
`*`, and a name is kept only once it was seen in three messages.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import islice
from typing import Any, NamedTuple

from monitoring.drift.changes import Change

MOST_NODES = 2000
"""values of one message that are looked at"""
MOST_ITEMS = 20
"""of a list"""
MOST_NAMES = 64
"""names that come and go in one object before they are taken for data"""
SEEN = 3
"""messages a name must have been seen in before it is kept"""
_DIGITS_OF_A_NAME = 4
_NAME = re.compile(r"[@#$\w][\w :.,/()%№'’-]{0,63}")
_NUMBER = re.compile(r"[+-]?\d{1,30}(\.\d{1,30})?")
_DATE = re.compile(r"\d{4}-\d\d-\d\d([T ][\d:.,Z+-]{2,32})?|\d\d\.\d\d\.\d{4}")
_TEXT = {"number in text", "date in text"}
"""kinds that a plain text may well be"""


class Seen(NamedTuple):
    """A field in one message."""

    parent: str
    kinds: frozenset[str]
    everywhere: bool
    """whether every object that could have it has it"""


class Look(NamedTuple):
    """One message."""

    fields: Mapping[str, Seen]
    whole: bool
    """whether all of it was looked at"""


def look(body: Any, maps: Collection[str] = ()) -> Look:
    """What a message's body looks like, at a bounded cost. `maps` are paths of objects whose names are data."""
    tally = _Tally(maps)
    tally.value("", "body", body)
    return Look(tally.seen(), tally.left > 0)


class _Tally:
    def __init__(self, maps: Collection[str]) -> None:
        self.left, self._maps = MOST_NODES, maps
        self._parents: dict[str, str] = {}
        self._kinds: dict[str, set[str]] = {}
        self._present: dict[str, int] = {}
        self._objects: dict[str, int] = {}

    def value(self, parent: str, path: str, value: Any, prefix: str = "") -> None:
        """Counts a value, and what it holds."""
        self.left -= 1
        if self.left <= 0:
            return
        kinds = self._kinds.setdefault(path, set())
        self._parents[path] = parent
        if isinstance(value, Mapping):
            kinds.add(f"{prefix}object")
            self._object(path, value)
        elif isinstance(value, Sequence) and not isinstance(value, (str, bytes, bytearray)):
            for item in islice(value, MOST_ITEMS):
                if item is not None:
                    self.value(parent, path, item, "list of ")
        elif (kind := _kind(value)) is not None:
            kinds.add(prefix + kind)

    def _object(self, path: str, value: Mapping[Any, Any]) -> None:
        self._objects[path] = self._objects.get(path, 0) + 1
        named: dict[str, list[Any]] = {}
        for key in islice(value, MOST_NODES):
            held = named.setdefault("*" if path in self._maps else _named(key), [])
            if value[key] is not None:  # null says no more than that it is not there
                held.append(value[key])
        for name, held in named.items():
            at = f"{path}.{name}"
            if held:
                self._present[at] = self._present.get(at, 0) + 1
            for each in held[:MOST_ITEMS]:
                self.value(path, at, each)

    def seen(self) -> dict[str, Seen]:
        """All of it."""
        return {
            path: Seen(parent, frozenset(self._kinds[path]), self._present.get(path, 1) >= self._objects.get(parent, 1))
            for path, parent in self._parents.items()
        }


def _named(key: Any) -> str:
    name = str(key)
    plain = _NAME.fullmatch(name) and sum(sign.isdigit() for sign in name) <= _DIGITS_OF_A_NAME
    return name if plain and isinstance(key, str) else "*"


def _kind(value: Any) -> str | None:
    if isinstance(value, bool):
        return "yes/no"
    if isinstance(value, (int, float, Decimal)):
        return "number"
    if isinstance(value, (bytes, bytearray)):
        return "binary"
    if not isinstance(value, str):
        return None
    text = value.strip()
    if not text:
        return None  # an empty cell of a table says nothing of its column
    return "number in text" if _NUMBER.fullmatch(text) else "date in text" if _DATE.fullmatch(text) else "text"


@dataclass(slots=True)
class Field:
    """What is known of a field, and how it differs now."""

    parent: str
    kinds: set[str]
    always: bool
    seen: int = 1
    missed: int = 0
    """messages in a row without it, where it was always there"""
    odd: int = 0
    """messages in a row with other kinds only"""
    odd_kinds: set[str] = field(default_factory=set)
    new: bool = False
    """came when the shape was known already"""
    run: int = 0
    """messages in a row that had it, while it is new"""


class Known:
    """The shape of one kind of message."""

    def __init__(self, n: int = 0, fields: dict[str, Field] | None = None, maps: Iterable[str] = ()) -> None:
        self.n, self.fields = n, {} if fields is None else fields
        self.maps = frozenset(maps)
        """objects whose names are data"""

    def learn(self, seen: Look, learn: int, sure: int) -> None:
        """Takes a message up; `learn` messages make the shape known, `sure` in a row that differ alike a change."""
        learning, self.n = self.n < learn, self.n + 1
        before = set(self.fields)
        for path, each in seen.fields.items():
            known = self.fields.get(path)
            if known is None:
                always = each.everywhere and (self.n == 1 or each.parent not in before)
                self.fields[path] = Field(each.parent, set(each.kinds), always, new=not learning, run=1)
            else:
                known.seen += 1
                if learning:
                    known.always = known.always and each.everywhere
                    known.kinds |= each.kinds
                else:
                    _there(known, each, sure)
        if seen.whole:
            for path in before - seen.fields.keys():
                known = self.fields[path]
                holder = seen.fields.get(known.parent)
                # Where what would hold it is not there, it is not missed by itself; what is new must always come.
                if known.new or (holder is not None and "object" in _plain(holder.kinds)):
                    _missing(known, learning=learning)
        self._fold()

    def _fold(self) -> None:
        """An object whose names come and go without end is a map: its names are data."""
        loose: dict[str, list[str]] = {}
        for path, each in self.fields.items():
            if not each.always and not path.endswith(".*"):
                loose.setdefault(each.parent, []).append(path)
        for parent, paths in loose.items():
            if len(paths) > MOST_NAMES:
                self.maps |= {parent}
                for path in [each for each in self.fields if each.startswith(f"{parent}.")]:
                    del self.fields[path]

    def changes(self, sample: str, sure: int) -> list[Change]:
        """How messages differ now from what they were."""
        found = []
        fresh = {path for path, each in self.fields.items() if each.new and each.run >= max(sure, SEEN)}
        for path, each in self.fields.items():
            if each.new:
                if path in fresh and each.parent not in fresh:
                    found.append(Change("sample", sample, path, "new", "", _said(each.kinds)))
            elif each.missed >= sure:
                found.append(Change("sample", sample, path, "gone", _said(each.kinds), ""))
            elif each.odd >= sure:
                found.append(Change("sample", sample, path, "kind", _said(each.kinds), _said(each.odd_kinds)))
        return sorted(found)

    def accept(self, sure: int) -> None:
        """What is now is what is known."""
        for path, each in list(self.fields.items()):
            if not each.new and each.missed >= sure:
                for inner in [name for name in self.fields if name == path or name.startswith(f"{path}.")]:
                    self.fields.pop(inner, None)
            elif each.odd >= sure:
                each.kinds, each.odd, each.odd_kinds = each.odd_kinds, 0, set()
            elif each.new and each.run >= max(sure, SEEN):
                each.new, each.run, each.always = False, 0, True

    # --- as it is kept

    def plain(self) -> dict[str, Any]:
        """For JSON: names that were seen often enough, and their kinds."""
        return {
            "n": self.n,
            "maps": sorted(self.maps),
            "fields": {
                path: [
                    each.parent, sorted(each.kinds), each.always, each.seen, each.missed, each.odd,
                    sorted(each.odd_kinds), each.new, each.run,
                ]
                for path, each in self.fields.items()
                if all(self.fields[above].seen >= SEEN for above in self._above(path))
            },
        }  # fmt: skip

    def _above(self, path: str) -> Iterator[str]:
        while path in self.fields:
            yield path
            path = self.fields[path].parent

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> Known:
        """Of JSON."""
        fields = {}
        for path, (parent, kinds, always, seen, missed, odd, odd_kinds, new, run) in value["fields"].items():
            fields[path] = Field(parent, set(kinds), always, seen, missed, odd, set(odd_kinds), new, run)
        return cls(value["n"], fields, value["maps"])


def _there(known: Field, seen: Seen, sure: int) -> None:
    if not seen.everywhere:
        known.always, known.new = False, False
    elif 0 < known.missed < sure:
        known.always = False  # it comes and goes
    known.missed = 0
    if known.new:
        known.run += 1
        known.kinds |= seen.kinds
        return
    strange = {kind for kind in seen.kinds if not _covered(kind, known.kinds)}
    if strange and strange == seen.kinds and known.kinds:
        known.odd, known.odd_kinds = known.odd + 1, known.odd_kinds | strange
        return
    # Both kinds in one message, or the old one again after a few others: it may be either.
    known.kinds |= seen.kinds | (known.odd_kinds if 0 < known.odd < sure else set())
    known.odd, known.odd_kinds = 0, set()


def _missing(known: Field, *, learning: bool) -> None:
    if learning:
        known.always = False
    elif known.new:
        # Some that were new and are not always there; or it is over.
        known.new, known.always, known.run = False, False, 0
    elif known.always:
        known.missed += 1


def _covered(kind: str, kinds: set[str]) -> bool:
    prefix = "list of " if kind.startswith("list of ") else ""
    return kind in kinds or (kind.removeprefix("list of ") in _TEXT and f"{prefix}text" in kinds)


def _plain(kinds: frozenset[str]) -> set[str]:
    return {kind.removeprefix("list of ") for kind in kinds}


def _said(kinds: set[str]) -> str:
    shown = {kind for kind in kinds if not (kind in _TEXT and "text" in kinds)}
    return ", ".join(sorted(shown))
