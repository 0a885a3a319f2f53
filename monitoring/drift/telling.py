"""A change in words, with the steps that read the field or make it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from monitoring.drift.changes import Change
from pipe import saying
from pipe.config.readers import Use
from pipe.outline import Described, operation_of, overlap
from pipe.sampling import parts_of

MOST_TOLD = 3
"""changes of one connection that an alert names; the others are counted"""
MOST_READERS = 4
"""steps that an alert names for one change"""
_LONGEST = 80
"""signs of a kind that an alert says"""


class Told(NamedTuple):
    """A change, and whom it concerns."""

    change: Change
    uses: Sequence[Use]

    def plain(self) -> dict[str, Any]:
        """For commands and pages."""
        places = dict.fromkeys((use.route, use.step, use.place, use.makes) for use in self.uses)
        steps = [dict(zip(("route", "step", "place", "makes"), each, strict=True)) for each in places]
        text = {name: self.text(name) for name in saying.LANGUAGES}
        return {**self.change._asdict(), "text": text["en"], "text_uk": text["uk"], "uses": steps}

    def text(self, language: saying.Language) -> str:
        """In a sentence, without who reads it."""
        change = self.change
        before, after = (_kind(text, change, language) for text in (change.before, change.after))
        words = {"path": change.path, "before": before, "after": after}
        key = f"drift.how.{change.how}" if change.path else f"drift.whole.{change.how}"
        return f"{part_in(change, language)}: {saying.say(key, language, **words)}"

    def readers(self, language: saying.Language) -> str:
        """The steps that are concerned."""
        steps = list(dict.fromkeys(f"{use.step} ({use.place})" for use in self.uses))
        if not steps:
            return saying.say("drift.nobody", language)
        more = f" (+{len(steps) - MOST_READERS})" if len(steps) > MOST_READERS else ""
        key = "drift.made_by" if any(use.makes for use in self.uses) else "drift.read_by"
        return saying.say(key, language, steps=", ".join(steps[:MOST_READERS]) + more)


def told(changes: Iterable[Change], connection: str, adapter: Any, uses: Sequence[Use]) -> list[Told]:
    """Each change with the steps that it concerns."""
    mine = [use for use in uses if use.origin.connection == connection]
    return [Told(change, _concerned(change, adapter, mine)) for change in changes]


def _concerned(change: Change, adapter: Any, uses: Sequence[Use]) -> list[Use]:
    if change.what == "sample":
        read = [use for use in uses if not use.makes and use.origin.sample == change.part]
        return [use for use in read if overlap(use.path, change.path)]
    operation, sent = operation_of(change.part)
    asked = isinstance(adapter, Described)
    mine = [use for use in uses if asked and adapter.operation(use.origin.options, (operation,)) == operation]
    if not change.path:
        return mine
    if not sent:
        return [use for use in mine if not use.makes and overlap(use.path, change.path)]
    making = [use for use in mine if use.makes]
    exact = [use for use in making if use.path and overlap(use.path, change.path)]
    return exact or making


def summed_up(connection: str, found: Sequence[Told], language: saying.Language) -> str:
    """The text of the alert."""
    # What somebody reads comes first, and what is gone or another thing before what is new.
    first = sorted(found, key=lambda each: (not each.uses, each.change.how == "new"))
    parts = [_sentence(f"{each.text(language)}; {each.readers(language)}") for each in first[:MOST_TOLD]]
    if len(found) > MOST_TOLD:
        parts.append(saying.say("drift.more", language, n=len(found) - MOST_TOLD, connection=connection))
    return saying.say("drift.alert", language, connection=connection, changes=". ".join(parts))


def part_in(change: Change, language: saying.Language) -> str:
    """What has changed, as people call it."""
    if change.what == "sample":
        route, key = parts_of(change.part)
        return saying.say("drift.part.answers" if key else "drift.part.messages", language, route=route, of=key)
    operation, sent = operation_of(change.part)
    return saying.say(f"drift.part.{'request' if sent else 'answer'}", language, operation=operation)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _kind(text: str, change: Change, language: saying.Language) -> str:
    """A kind of values in the reader's words; a type of a schema as the schema says it."""
    if change.what == "sample":
        return ", ".join(_word(each, language) for each in text.split(", ") if each)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _word(kind: str, language: saying.Language) -> str:
    word = saying.say(f"drift.kind.{kind.removeprefix('list of ').replace(' ', '_').replace('/', '_')}", language)
    return saying.say("drift.list_of", language, kind=word) if kind.startswith("list of ") else word
