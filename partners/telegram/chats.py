"""The people of the stand-in, their phones, and the chat of each with the bot. It survives a restart, as phones do."""

from __future__ import annotations

import itertools
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson

FIRST_USER, FIRST_MESSAGE = 111_000_001, 1


@dataclass(slots=True)
class Line:
    """One message of a chat."""

    id: int
    mine: bool
    """written by the person, not by the bot"""
    at: int
    text: str
    buttons: list[list[dict[str, Any]]] = field(default_factory=list)
    photo: str | None = None
    """file id"""
    edited: bool = False
    protected: bool = False


@dataclass(slots=True)
class Person:
    """Somebody with a phone."""

    id: int
    name: str
    phone: str
    language: str = "uk"
    started: bool = False
    blocked: bool = False
    lines: list[Line] = field(default_factory=list)
    keyboard: list[list[dict[str, Any]]] = field(default_factory=list)
    """buttons instead of the keyboard"""
    toast: str = ""
    """what the last click was answered with"""
    version: int = 0
    """grows with every change, for the page"""

    @property
    def user(self) -> dict[str, Any]:
        """As updates name the person."""
        return {"id": self.id, "is_bot": False, "first_name": self.name, "language_code": self.language}

    @property
    def chat(self) -> dict[str, Any]:
        """As updates name the chat."""
        return {"id": self.id, "type": "private", "first_name": self.name}

    def line(self, id: int) -> Line | None:
        """The message of that number."""
        return next((line for line in self.lines if line.id == id), None)


class Chats:
    """All of them, kept in a file."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.people: dict[int, Person] = {}
        known: dict[str, Any] = (
            orjson.loads(file.read_bytes()) if file.exists() else {"people": [], "message": FIRST_MESSAGE}
        )
        for row in known["people"]:
            made = Person(**{**row, "lines": [Line(**line) for line in row["lines"]]})
            self.people[made.id] = made
        self._numbers = itertools.count(known["message"])
        self._next: int = known["message"]
        if not self.people:
            self.add("Олена Мельник", "+380671234567")

    def add(self, name: str, phone: str, language: str = "uk") -> Person:
        """Somebody new."""
        made = Person(max(self.people, default=FIRST_USER - 1) + 1, name, phone, language)
        self.people[made.id] = made
        self.keep()
        return made

    def number(self) -> int:
        """The next message's."""
        self._next = next(self._numbers) + 1
        return self._next - 1

    def changed(self, person: Person) -> None:
        """Somebody's phone shows something else now."""
        person.version += 1
        self.keep()

    def keep(self) -> None:
        """Writes all of it, whole or not at all."""
        fresh = self._file.with_suffix(".new")
        self._file.parent.mkdir(parents=True, exist_ok=True)
        rows = [asdict(person) for person in self.people.values()]
        fresh.write_bytes(orjson.dumps({"people": rows, "message": self._next}))
        fresh.replace(self._file)
