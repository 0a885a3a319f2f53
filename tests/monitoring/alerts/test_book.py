"""The life of an alert, from the first sign to the all-clear."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import pytest

from monitoring.alerts.book import Alert, Book, Finding, Silence, summary
from pipe.config.alerts import RULES, Alerts

DOWN = Finding("connection_down", "sms", "sms is down: refused", "sms не працює: refused")
LETTERS = Finding("dead_letters", "r", "r has 1 dead letters", "r: мертвих листів 1")
RULES_ = Alerts()
DUTY = "told"
WAIT = RULES["connection_down"].wait
GROUP, REPEAT, CLEAR_S = float(RULES_.group), float(RULES_.repeat), float(RULES_.clear)


@pytest.fixture
def new_id() -> Callable[[], str]:
    """Ids one after the other."""
    numbers = count(1)
    return lambda: f"a{next(numbers)}"


def subjects(alerts: list[Alert]) -> list[str]:
    """Whom they are about."""
    return [alert.subject for alert in alerts]


def fired(new_id: Callable[[], str], *found: Finding) -> Book:
    """A book whose alerts have lasted long enough at 1000, and were told at once."""
    book = Book()
    book.turn(found, 1000 - WAIT, RULES_, new_id)
    book.turn(found, 1000, RULES_, new_id)
    book.mark({DUTY: book.to_tell(DUTY, 1000 + GROUP, RULES_, ())}, 1000 + GROUP)
    return book


def test_it_fires_once_it_has_lasted(new_id: Callable[[], str]) -> None:
    """Pending until then: a partner that is back at once is nobody's business."""
    book = Book()
    (began,) = book.turn([DOWN], 0, RULES_, new_id)
    assert began.state == "pending"
    assert book.turn([DOWN], WAIT - 1, RULES_, new_id) == []
    assert book.to_tell(DUTY, WAIT - 1, RULES_, ()) == []
    (alert,) = book.turn([DOWN], WAIT, RULES_, new_id)
    assert (alert.state, alert.fired_at) == ("firing", WAIT)


@pytest.mark.key("alerts.clear")
def test_it_is_over_when_nothing_was_seen_of_it_for_so_long(new_id: Callable[[], str]) -> None:
    """As the configuration says."""
    rules = Alerts.model_validate({"clear": "1m"})
    book = fired(new_id, DOWN)
    assert book.turn([], 1059, rules, new_id) == []
    (over,) = book.turn([], 1060, rules, new_id)
    assert (over.state, over.ended_at) == ("over", 1060)


def test_what_never_fired_is_forgotten(new_id: Callable[[], str]) -> None:
    """No all-clear for what nobody heard of."""
    book = Book()
    book.turn([DOWN], 0, RULES_, new_id)
    (over,) = book.turn([], CLEAR_S, RULES_, new_id)
    assert over.state == "over"
    assert book.open == {}
    assert book.to_tell(DUTY, 1e9, RULES_, ()) == []


def test_what_happens_together_is_told_together(new_id: Callable[[], str]) -> None:
    """The first waits for the others; sixty partners of one dead network make one message."""
    book = Book()
    many = [DOWN._replace(subject=f"c{n}") for n in range(60)]
    book.turn(many[:1], 0, RULES_, new_id)
    book.turn(many, 5, RULES_, new_id)
    book.turn(many, WAIT, RULES_, new_id)
    assert book.to_tell(DUTY, WAIT, RULES_, ()) == []
    book.turn(many, WAIT + 5, RULES_, new_id)
    assert len(book.to_tell(DUTY, WAIT + GROUP, RULES_, ())) == 60


def test_it_is_told_once_and_again_after_a_while(new_id: Callable[[], str]) -> None:
    """Unless somebody takes care of it."""
    book = fired(new_id, DOWN)
    told = 1000 + GROUP
    book.turn([DOWN], told + REPEAT, RULES_, new_id)
    assert book.to_tell(DUTY, told + REPEAT - 1, RULES_, ()) == []
    assert subjects(book.to_tell(DUTY, told + REPEAT, RULES_, ())) == ["sms"]
    (alert,) = book.open.values()
    book.care({alert.id: (told, "olena", "the partner knows")})
    assert book.to_tell(DUTY, told + REPEAT, RULES_, ()) == []


def test_the_all_clear_is_told_once(new_id: Callable[[], str]) -> None:
    """Also of what was acknowledged."""
    book = fired(new_id, DOWN)
    (alert,) = book.open.values()
    book.care({alert.id: (1000, "olena", None)})
    book.turn([], 1000 + CLEAR_S, RULES_, new_id)
    due = book.to_tell(DUTY, 1100, RULES_, ())
    assert [each.state for each in due] == ["over"]
    book.mark({DUTY: due}, 1100)
    book.settle([DUTY])
    assert book.open == {}


def test_what_comes_and_goes_is_one_alert(new_id: Callable[[], str]) -> None:
    """It is over only when nothing was seen of it for a while."""
    book = fired(new_id, DOWN)
    assert book.turn([], 1000 + CLEAR_S - 1, RULES_, new_id) == []
    book.turn([DOWN], 1000 + CLEAR_S, RULES_, new_id)
    assert book.turn([], 1000 + CLEAR_S + 1, RULES_, new_id) == []
    assert [alert.state for alert in book.open.values()] == ["firing"]


def test_it_begins_again_before_anybody_heard_of_its_end(new_id: Callable[[], str]) -> None:
    """For whoever was told, it has never been over."""
    book = fired(new_id, DOWN)
    (before,) = book.open.values()
    book.turn([], 1000 + CLEAR_S, RULES_, new_id)
    book.turn([DOWN], 1000 + CLEAR_S + 1, RULES_, new_id)
    assert list(book.open.values()) == [before]
    assert before.state == "firing"
    assert book.to_tell(DUTY, 1100, RULES_, ()) == []


@pytest.mark.parametrize(
    ("silence", "told"),
    [
        (Silence("connection_down", None, 2000), ["r"]),
        (Silence(None, "sms", 2000), ["r"]),
        (Silence("connection_down", "crm", 2000), ["r", "sms"]),
        (Silence("connection_down", "sms", 900), ["r", "sms"]),
    ],
    ids=["rule", "subject", "another subject", "over"],
)
def test_nobody_hears_of_what_is_silent(new_id: Callable[[], str], silence: Silence, told: list[str]) -> None:
    """The others are told."""
    book = Book()
    book.turn([DOWN, LETTERS], 1000 - WAIT, RULES_, new_id)
    book.turn([DOWN, LETTERS], 1000, RULES_, new_id)
    assert sorted(subjects(book.to_tell(DUTY, 1000 + GROUP, RULES_, [silence]))) == told


def test_what_still_fires_after_a_silence_is_told(new_id: Callable[[], str]) -> None:
    """A silence hides nothing for ever."""
    book = Book()
    silence = Silence("connection_down", None, 5000)
    for now in (1000 - WAIT, 1000, 5000):
        book.turn([DOWN], now, RULES_, new_id)
    assert book.to_tell(DUTY, 4999, RULES_, [silence]) == []
    assert subjects(book.to_tell(DUTY, 5000, RULES_, [silence])) == ["sms"]


def test_a_rule_that_is_off_finds_nothing(new_id: Callable[[], str]) -> None:
    """And one that is switched off while it fires is over."""
    off = Alerts.model_validate({"rules": {"connection_down": {"off": True}}})
    book = fired(new_id, DOWN)
    book.turn([DOWN], 1000 + CLEAR_S, off, new_id)
    assert [alert.state for alert in book.open.values()] == ["over"]


def test_a_summary_has_the_loudest_first() -> None:
    """And says what is over last; in two languages."""
    disk = Alert("1", "disk", "gateway", "critical", "the disk is full", "диск повний", 0, 0)
    letters = Alert("2", "dead_letters", "r", "warning", "r has letters", "r: листи", 0, 0)
    over = Alert("3", "connection_down", "sms", "critical", "sms is down", "sms не працює", 0, 0, 9)
    body = summary(each.told() for each in (over, letters, disk))
    assert (body["state"], body["severity"], body["count"]) == ("firing", "critical", 3)
    assert body["subject"] == "CRITICAL: the disk is full (+2)"
    assert body["text_uk"] == "КРИТИЧНО: диск повний\nУВАГА: r: листи\nМИНУЛО: sms не працює"
    assert [each["connection"] for each in body["alerts"]] == [None, None, "sms"]
    assert summary([over.told()])["state"] == "over"
