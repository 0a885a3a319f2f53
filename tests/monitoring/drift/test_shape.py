"""What is learned of messages: names and kinds, never a value; what comes and goes is no drift, what is gone is."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

import pytest

from monitoring.drift.shape import MOST_NAMES, Known, look

LEARN, SURE = 10, 3
PERSON = {"name": "Олена", "age": 40, "born": "1986-01-02", "lines": [{"sum": Decimal("1.5")}, {"sum": Decimal(2)}]}


def taught(bodies: Iterable[Any], known: Known | None = None) -> Known:
    """What is known after these."""
    known = known or Known()
    for body in bodies:
        known.learn(look(body, known.maps), LEARN, SURE)
    return known


def said(known: Known) -> list[tuple[str, str, str, str]]:
    """Path, how, before and after of each change."""
    return [change[2:6] for change in known.changes("r", SURE)]


def without(name: str) -> dict[str, Any]:
    """A person who lacks a field."""
    return {key: value for key, value in PERSON.items() if key != name}


@pytest.mark.parametrize(
    ("now", "change"),
    [
        (without("age"), ("body.age", "gone", "number", "")),
        ({**PERSON, "age": None}, ("body.age", "gone", "number", "")),
        (without("lines"), ("body.lines", "gone", "list of object", "")),
        ({**PERSON, "lines": [{"total": 1}]}, ("body.lines.sum", "gone", "number", "")),
        ({**PERSON, "age": "forty"}, ("body.age", "kind", "number", "text")),
        ({**PERSON, "born": "2 January"}, ("body.born", "kind", "date in text", "text")),
        ({**PERSON, "name": {"first": "Olena"}}, ("body.name", "kind", "text", "object")),
        ({**PERSON, "sex": "f"}, ("body.sex", "new", "", "text")),
    ],
)
def test_what_has_changed_in_several_messages_in_a_row_is_told(now: Any, change: tuple[str, ...]) -> None:
    """Not before; and it is over when it is as it was."""
    known = taught([PERSON] * LEARN)
    assert said(known) == []
    assert said(taught([now] * (SURE - 1), known)) == []
    found = said(taught([now], known))
    assert change in found
    assert {path for path, *_ in found} <= {change[0], "body.lines.total", "body.name.first"}
    assert said(taught([PERSON], known)) == []
    assert change in said(taught([now] * SURE, known)) or change[1] == "new"


def optional(of: int) -> Iterable[dict[str, Any]]:
    """Persons who have a nick and a telephone now and then, and an age that is a number or a text."""
    for number in range(of):
        nick = {"nick": "x"} if number % 3 == 0 else {}
        age = {"age": 40 if number % 4 else "40 років"}
        yield {**PERSON, **nick, **age, **({"phone": None} if number % 5 else {"phone": "+380671234567"})}


@pytest.mark.parametrize(
    "then",
    [
        [PERSON] * 50,
        [{**PERSON, "nick": "y"}, PERSON] * 20,
        [without("age"), PERSON, PERSON] * 10,
        [{**PERSON, "rare": 1}, *[PERSON] * 20],
        [{**PERSON, "lines": []}] * 20,
        [{**PERSON, "name": "7"}] * 20,
        [{**PERSON, "age": 40.5}] * 20,
    ],
    ids=["never again", "alternates", "now and then", "rare", "nothing in a list", "digits in a text", "fraction"],
)
def test_what_comes_and_goes_is_no_drift(then: Sequence[Any]) -> None:
    """Nobody is woken by an optional field, whatever it does; nor by a value of the same kind."""
    known = taught([*optional(30)])
    for body in then:
        taught([body], known)
        assert said(known) == []


def test_what_was_always_there_and_comes_and_goes_is_optional_from_then_on() -> None:
    """A gap that is too short to be told says that it may be missing."""
    known = taught([PERSON] * LEARN)
    taught([without("age"), PERSON], known)
    assert said(taught([without("age")] * 20, known)) == []


def test_an_accepted_change_is_known() -> None:
    """Also over a restart; the next one is told again."""
    known = taught([PERSON] * LEARN)
    taught([{**without("age"), "years": "40"}] * SURE, known)
    assert {path for path, *_ in said(known)} == {"body.age", "body.years"}
    known.accept(SURE)
    known = Known.of(json.loads(json.dumps(known.plain())))
    assert said(known) == []
    assert ("body.years", "gone", "number in text", "") in said(taught([without("age")] * SURE, known))


def test_nothing_of_a_value_is_kept_nor_names_that_are_data() -> None:
    """Telephones, mails and numbers as keys become `*`; a name that was seen once or twice is not written down."""
    canary = "Коваленко"
    body = {
        "name": canary, "by_phone": {"+380671234567": {"at": canary}}, "by_mail": {"olena@example.org": 1},
        "by_id": {"3184710691": True}, "by_day": {"2026-11-27": 1},
    }  # fmt: skip
    known = taught([body] * LEARN)
    taught([{**body, "Шевченко": 1}] * 2, known)
    text = json.dumps(known.plain(), ensure_ascii=False)
    for secret in (canary, "380671234567", "olena", "3184710691", "2026", "Шевченко"):
        assert secret not in text
    assert {"body.by_phone.*.at", "body.by_mail.*", "body.by_id.*"} <= known.fields.keys()


def test_an_object_whose_names_never_end_is_a_map() -> None:
    """Surnames as keys are forgotten once there are more of them than an object has fields."""
    letters = "абвгдежзиклмнопрстуф"
    names = [f"Прізвище{first}{second}" for first in letters for second in letters][: MOST_NAMES * 2]
    known = taught([{"people": {name: {"n": 1}}} for name in names for _ in range(3)])
    assert known.fields.keys() == {"body", "body.people", "body.people.*", "body.people.*.n"}
    assert "Прізвище" not in json.dumps(Known.of(json.loads(json.dumps(known.plain()))).plain(), ensure_ascii=False)


def test_a_huge_message_costs_little_and_says_nothing_of_what_was_not_looked_at() -> None:
    """Only a part of it is looked at; what lies beyond is not missed."""
    known = taught([PERSON] * LEARN)
    huge = {**{f"f{letter}{other}": [{"x": 1}] * 30 for letter in "abcdefghij" for other in "abcdefghij"}, **PERSON}
    assert not look(huge).whole
    assert [each for each in said(taught([huge] * SURE, known)) if each[1] == "gone"] == []
